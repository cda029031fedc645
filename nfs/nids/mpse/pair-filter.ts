/**
 * Multi-pattern search in TypeScript: a filter over aligned 16-bit pairs, and an exact comparison where it lets something pass.
 *
 * Four bytes of payload cost two table look-ups, which do not depend on one another, where Aho-Corasick takes four in a chain:
 * with 147 Snort patterns it takes less than half of the time (FILTER_MAX_PATTERNS in index.ts says where that ends). The tables are described in pair-tables.ts.
 */
import type { Arena } from "../../../runtime/packet/arena.js";
import { LOWER, type Mpse, type Pattern, takeBits } from "./mpse.js";
import { buildPairTables, hashOf, type PairTables, windowHash } from "./pair-tables.js";

const FOLD = 0x2020_2020;
/** Bits of `pairs`: entries without and with wild bytes. */
const FULL_BUCKETS = 0x7fff;
const WILD_BUCKET = 0x8000;

/**
 * First word, counted in twos from `word` on, where a bucket may match at one of the next four pairs; `lastWord` or more where none does.
 * A function by itself, because its loop needs nearly all registers there are.
 */
function nextCandidate(i32: Int32Array, pairs: Int32Array, word: number, lastWord: number): number {
  let w = i32[word]!;
  let a = pairs[w & 0xffff]!;
  while (word < lastWord) {
    const v = i32[word + 1]!;
    const b = pairs[w >>> 16]!;
    const c = pairs[v & 0xffff]!;
    const d = pairs[v >>> 16]!;
    w = i32[word + 2]!;
    const e = pairs[w & 0xffff]!;
    if (((a & (b >>> 16)) | (b & (c >>> 16)) | (c & (d >>> 16)) | (d & (e >>> 16))) !== 0) return word;
    a = e;
    word += 2;
  }
  return word;
}

export class PairFilter implements Mpse {
  readonly engine = "pair-filter";
  private readonly tables: PairTables;
  private readonly u8: Uint8Array;
  /** The arena and its metadata: the filter reads up to three words past a payload, which may be the last slot's. */
  private readonly i32: Int32Array;
  private readonly u16: Uint16Array;
  /** All patterns one after the other, lower-cased where case does not count. */
  private readonly bytes: Uint8Array;
  private readonly begins: Uint32Array;
  private readonly lengths: Uint32Array;
  private readonly nocase: Uint8Array;
  /** One bit per pattern, for `identify`. */
  private readonly found: Uint32Array;

  constructor(patterns: readonly Pattern[], arena: Arena) {
    this.tables = buildPairTables(patterns);
    this.u8 = arena.u8;
    this.i32 = new Int32Array(arena.buffer, 0, arena.buffer.byteLength >>> 2);
    this.u16 = new Uint16Array(arena.buffer, 0, arena.buffer.byteLength >>> 1);
    this.lengths = Uint32Array.from(patterns, (pattern) => pattern.bytes.length);
    this.begins = new Uint32Array(patterns.length);
    this.nocase = Uint8Array.from(patterns, (pattern) => (pattern.nocase ? 1 : 0));
    this.bytes = new Uint8Array(this.lengths.reduce((sum, length) => sum + length, 0));
    this.found = new Uint32Array((patterns.length + 31) >>> 5);
    let at = 0;
    patterns.forEach((pattern, id) => {
      this.begins[id] = at;
      this.bytes.set(pattern.nocase ? pattern.bytes.map((byte) => LOWER[byte]!) : pattern.bytes, at);
      at += pattern.bytes.length;
    });
  }

  scan(starts: Uint32Array, lengths: Uint32Array, count: number, hits: Uint32Array): number {
    const { i32 } = this;
    const { pairs } = this.tables;
    let n = 0;
    for (let i = 0; i < count; i++) {
      const start = starts[i]!;
      const end = start + lengths[i]!;
      const lastWord = (end + 3) >>> 2;
      let word = nextCandidate(i32, pairs, start >>> 2, lastWord);
      while (word < lastWord) {
        if (this.isLikely(word) && this.confirm(word * 4, start, end, false)) {
          hits[n++] = i;
          break;
        }
        word = nextCandidate(i32, pairs, word + 2, lastWord);
      }
    }
    return n;
  }

  identify(start: number, length: number, out: Uint32Array): number {
    const { i32 } = this;
    const { pairs } = this.tables;
    const end = start + length;
    const lastWord = (end + 3) >>> 2;
    let word = nextCandidate(i32, pairs, start >>> 2, lastWord);
    while (word < lastWord) {
      if (this.isLikely(word)) this.confirm(word * 4, start, end, true);
      word = nextCandidate(i32, pairs, word + 2, lastWord);
    }
    return takeBits(this.found, out);
  }

  close(): void {}

  /** Whether one of the four windows at the two words from `word` on begins as some entry's does. */
  private isLikely(word: number): boolean {
    const { windows, unknownBits } = this.tables;
    if (unknownBits !== 0) return true;
    const u = this.i32[word]! | FOLD;
    const v = this.i32[word + 1]! | FOLD;
    const w = this.i32[word + 2]! | FOLD;
    return (
      (windows[windowHash(u)]! |
        windows[windowHash((u >>> 16) | (v << 16))]! |
        windows[windowHash(v)]! |
        windows[windowHash((v >>> 16) | (w << 16))]!) !==
      0
    );
  }

  /**
   * True where a pattern lies within [start, end) and has its window at one of the four even addresses from `at` on; with `all`
   * every such pattern is marked in `found`, else the first one ends the search.
   */
  private confirm(at: number, start: number, end: number, all: boolean): boolean {
    const { pairs, wildMasks } = this.tables;
    let any = false;
    for (let k = 0; k < 4; k++, at += 2) {
      const low = this.u16[at >>> 1]!;
      const high = this.u16[(at >>> 1) + 1]!;
      const buckets = pairs[low]! & (pairs[high]! >>> 16);
      if (buckets === 0) continue;
      const window = low | (high << 16) | FOLD;
      if ((buckets & FULL_BUCKETS) !== 0 && this.lookUp(window, -1, at, start, end, all)) any = true;
      if ((buckets & WILD_BUCKET) !== 0) {
        for (let m = 0; m < wildMasks.length; m++) {
          if (this.lookUp(window, wildMasks[m]!, at, start, end, all)) any = true;
        }
      }
      if (any && !all) return true;
    }
    return any;
  }

  /** {@link confirm} for one window at `at` and the entries of one mask. */
  private lookUp(window: number, mask: number, at: number, start: number, end: number, all: boolean): boolean {
    const { heads, next, hashShift, keys, masks, ids } = this.tables;
    const key = window & mask;
    let any = false;
    for (let e = heads[hashOf(key, hashShift)]!; e >= 0; e = next[e]!) {
      if (keys[e] !== key || masks[e] !== mask || !this.stands(e, at, start, end)) continue;
      if (!all) return true;
      any = true;
      this.found[ids[e]! >>> 5]! |= 1 << (ids[e]! & 31);
    }
    return any;
  }

  /** True where the pattern of entry `e` stands in full with its window at `at`, and within [start, end). */
  private stands(e: number, at: number, start: number, end: number): boolean {
    const id = this.tables.ids[e]!;
    const first = at - this.tables.offsets[e]!;
    const length = this.lengths[id]!;
    if (first < start || first + length > end) return false;
    const begin = this.begins[id]!;
    const { u8, bytes } = this;
    if (this.nocase[id] === 0) {
      for (let k = 0; k < length; k++) if (u8[first + k] !== bytes[begin + k]) return false;
    } else {
      for (let k = 0; k < length; k++) if (LOWER[u8[first + k]!] !== bytes[begin + k]) return false;
    }
    return true;
  }
}
