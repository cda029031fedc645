/**
 * What the pair filter looks up, built once from the patterns.
 *
 * Memory is read as aligned 16-bit pairs of bytes. Wherever a pattern of five bytes or more starts, at an even address or at an
 * odd one, it covers two neighbouring aligned pairs completely; a shorter one covers as much of them as it has bytes. So every
 * pattern has two ENTRIES, one for each parity of its address: a window of four bytes at an even address, `offset` bytes into
 * the pattern (-1: one byte before it). Bytes of the window that the pattern does not cover are wild.
 *
 * `pairs[x]` says for the 65,536 values x of a pair which BUCKETS of entries have x as their first pair (bits 0-15) and which as
 * their second (bits 16-31). `pairs[a] & (pairs[b] >>> 16)` is non-zero only where a bucket may match at the pairs a, b.
 */
import { LOWER, type Pattern } from "./mpse.js";

/** Buckets of entries without wild bytes; bucket 15 holds the entries with some, whose pairs are many. */
const FULL_BUCKETS = 15;
const WILD_BUCKET = 15;
const FOLD = 0x2020_2020;
/** Mask of a window whose last byte is wild. */
const FIRST_THREE = 0x00ff_ffff;

export interface PairTables {
  /** 65,536 words, indexed by a native-order aligned u16. 256 KiB: fits the L2 cache. */
  readonly pairs: Int32Array;
  /**
   * 65,536 bytes by {@link windowHash}: 1 where an entry's window may begin with these three bytes. Asked before the chains are,
   * because its one load costs little beside a call.
   */
  readonly windows: Uint8Array;
  /** Heads of chains of entries by {@link hashOf} of the folded window with wild bytes zeroed; -1 where empty. */
  readonly heads: Int32Array;
  /** Next entry of the chain, -1 at its end. */
  readonly next: Int32Array;
  /** Right shift that turns the multiplied window into an index of `heads`. */
  readonly hashShift: number;
  /** Per entry: the window, every byte | 0x20 (equal for both cases of a letter), and its wild bytes zero. */
  readonly keys: Int32Array;
  /** Per entry: 0xff where the window's byte is not wild. */
  readonly masks: Int32Array;
  /** Per entry: where in the pattern its window starts. */
  readonly offsets: Int16Array;
  /** Per entry: the pattern. */
  readonly ids: Int32Array;
  /** Bits of `pairs` that `windows` knows nothing of, because an entry's first three bytes are not all known: bucket 15, or none. */
  readonly unknownBits: number;
  /** The distinct masks of entries with wild bytes: at most six. A window is looked up once under each. */
  readonly wildMasks: Int32Array;
}

/**
 * Text such as payloads are full of: windows are chosen where a pattern is least like it, because every window met by chance costs
 * a comparison.
 */
const COMMON = `GET / HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36
(KHTML, like Gecko) Chrome/120.0 Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n
Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nReferer: http://\r\nConnection: keep-alive\r\nCookie: session=id
HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: Apache\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length:
Last-Modified: Cache-Control: max-age=3600, no-cache\r\nSet-Cookie: path=/; POST /index.php?id=1&page= <html><head><title></title>
<meta name="description" content=""><script type="text/javascript" src="/js/main.js"></script><link rel="stylesheet" href="style.css">
<div class="item"><a href="https://"><img src="/images/logo.png" alt="" width="100" height="100"></a></div><p>the quick and then
this is that there are with from which have their would been other more some about into than information and user name file system
function(){var return document.window.length;if else for while true false null new int string value data error message request</p>
\0\0\0\0\0\0\0\0\xff\xff\xff\xff`;

/** How often each pair of bytes, lower-cased, is in {@link COMMON}. */
function commonPairs(): Uint16Array {
  const counts = new Uint16Array(65_536);
  for (let i = 0; i + 1 < COMMON.length; i++) {
    counts[LOWER[COMMON.charCodeAt(i)]! | (LOWER[COMMON.charCodeAt(i + 1)]! << 8)]!++;
  }
  return counts;
}

interface Entry {
  readonly id: number;
  readonly offset: number;
  readonly key: number;
  readonly mask: number;
  /** The values each of the window's four bytes may have; empty: wild. */
  readonly values: readonly (readonly number[])[];
}

/** Both cases of a letter where case does not count, else the byte. */
function valuesOf(byte: number, nocase: boolean): number[] {
  const lower = LOWER[byte]!;
  if (!nocase || lower < 0x61 || lower > 0x7a) return [byte];
  return [lower - 0x20, lower];
}

/** Bits of a native-order word that hold byte k of memory. Little-endian processors only: see {@link buildPairTables}. */
const laneShift = (k: number): number => 8 * k;

function entryOf(pattern: Pattern, id: number, offset: number): Entry {
  let key = 0;
  let mask = 0;
  const values: number[][] = [];
  for (let k = 0; k < 4; k++) {
    const byte = pattern.bytes[offset + k];
    values.push(byte === undefined ? [] : valuesOf(byte, pattern.nocase));
    if (byte === undefined) continue;
    key |= (byte | 0x20) << laneShift(k);
    mask |= 0xff << laneShift(k);
  }
  return { id, offset, key: key | (FOLD & ~mask), mask, values };
}

/**
 * The window of `parity` that covers the most bytes of the pattern and, among those, looks least like ordinary text. One that begins
 * before the pattern is for the shortest only: `windows` wants the first three bytes known.
 */
function bestOffset(pattern: Pattern, parity: 0 | 1, common: Uint16Array): number {
  const { bytes } = pattern;
  const first = parity === 0 ? 0 : bytes.length < 4 ? -1 : 1;
  let best = first;
  let bestCovered = -1;
  let bestCost = 0;
  for (let offset = first; offset < bytes.length; offset += 2) {
    const covered = Math.min(offset + 4, bytes.length) - Math.max(offset, 0);
    const count = (k: number) =>
      common[LOWER[bytes[offset + k] ?? 0x20]! | (LOWER[bytes[offset + k + 1] ?? 0x20]! << 8)]!;
    const cost = (1 + count(0)) * (1 + count(2)) * (1 + count(1));
    if (covered > bestCovered || (covered === bestCovered && cost < bestCost)) {
      best = offset;
      bestCovered = covered;
      bestCost = cost;
    }
  }
  return best;
}

const ANY: readonly number[] = Array.from({ length: 256 }, (_, byte) => byte);

function setPairs(pairs: Int32Array, first: readonly number[], second: readonly number[], bit: number): void {
  for (const low of first.length === 0 ? ANY : first) {
    for (const high of second.length === 0 ? ANY : second) pairs[low | (high << 8)]! |= bit;
  }
}

/** Multiplicative hash (Knuth, TAOCP 3, 6.4); `shift` leaves the upper bits. */
export function hashOf(key: number, shift: number): number {
  return Math.imul(key, 0x9e37_79b1) >>> shift;
}

/** Index of a folded window in {@link PairTables.windows}: a hash of its first three bytes in memory order. */
export function windowHash(window: number): number {
  return Math.imul(window << 8, 0x9e37_79b1) >>> 16;
}

/** Builds the tables. Pairs are native-order words, so the processor must be little-endian, as all that Node 20 runs chains on are. */
export function buildPairTables(patterns: readonly Pattern[]): PairTables {
  const common = commonPairs();
  const entries: Entry[] = [];
  patterns.forEach((pattern, id) => {
    entries.push(
      entryOf(pattern, id, bestOffset(pattern, 0, common)),
      entryOf(pattern, id, bestOffset(pattern, 1, common)),
    );
  });
  // Neighbours in this order share pairs, so that a bucket of neighbours sets few bits.
  const full = entries.filter((entry) => entry.mask === -1).sort((a, b) => (a.key >>> 0) - (b.key >>> 0));
  const wild = entries.filter((entry) => entry.mask !== -1);
  const pairs = new Int32Array(65_536);
  const add = (entry: Entry, bucket: number) => {
    const [a, b, c, d] = entry.values;
    setPairs(pairs, a!, b!, 1 << bucket);
    setPairs(pairs, c!, d!, 1 << (bucket + 16));
  };
  full.forEach((entry, i) => {
    add(entry, Math.floor((i * FULL_BUCKETS) / full.length));
  });
  for (const entry of wild) add(entry, WILD_BUCKET);

  const hashBits = Math.max(8, Math.ceil(Math.log2(entries.length + 1)) + 2);
  const hashShift = 32 - hashBits;
  const heads = new Int32Array(1 << hashBits).fill(-1);
  const all = [...full, ...wild];
  const next = new Int32Array(all.length).fill(-1);
  const windows = new Uint8Array(65_536);
  for (const entry of all) windows[windowHash(entry.key)] = 1;
  all.forEach((entry, i) => {
    const slot = hashOf(entry.key & entry.mask, hashShift);
    next[i] = heads[slot]!;
    heads[slot] = i;
  });
  return {
    pairs,
    windows,
    heads,
    next,
    hashShift,
    keys: Int32Array.from(all, (entry) => entry.key & entry.mask),
    masks: Int32Array.from(all, (entry) => entry.mask),
    offsets: Int16Array.from(all, (entry) => entry.offset),
    ids: Int32Array.from(all, (entry) => entry.id),
    unknownBits: wild.some((entry) => entry.mask !== FIRST_THREE) ? 1 << WILD_BUCKET : 0,
    wildMasks: Int32Array.from(new Set(wild.map((entry) => entry.mask))),
  };
}
