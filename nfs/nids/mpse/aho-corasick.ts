/**
 * Multi-pattern search by an Aho-Corasick automaton, eight packets side by side.
 *
 * One packet is a chain of loads, each waiting for the one before; eight chains in one loop keep the processor busy (measured: up to
 * twice the rate of one). Time per byte hardly depends on how many patterns there are or what traffic looks like, which is why it
 * takes over from the pair filter for large rule sets. Automaton: ac-build.ts.
 */
import type { Arena } from "../../../runtime/packet/arena.js";
import { type Automaton, buildAutomaton, folds } from "./ac-build.js";
import { type Mpse, type Pattern, takeBits } from "./mpse.js";

const LANES = 8;

export class AhoCorasick implements Mpse {
  readonly engine = "aho-corasick";
  private readonly automaton: Automaton;
  private readonly u8: Uint8Array;
  private readonly patterns: readonly Pattern[];
  /** Per pattern: 1 where the automaton, which folds case, may report it wrongly. */
  private readonly unsure: Uint8Array;
  private readonly hit = new Uint8Array(LANES);
  private readonly states = new Int32Array(LANES);
  private readonly found: Uint32Array;

  constructor(patterns: readonly Pattern[], arena: Arena) {
    this.automaton = buildAutomaton(patterns);
    this.u8 = arena.u8;
    this.patterns = patterns;
    const folding = folds(patterns);
    this.unsure = Uint8Array.from(patterns, (pattern) => (folding && !pattern.nocase ? 1 : 0));
    this.found = new Uint32Array((patterns.length + 31) >>> 5);
  }

  scan(starts: Uint32Array, lengths: Uint32Array, count: number, hits: Uint32Array): number {
    const { hit, states } = this;
    let n = 0;
    let i = 0;
    for (; i + LANES <= count; i += LANES) {
      let shortest = lengths[i]!;
      for (let k = 1; k < LANES; k++) if (lengths[i + k]! < shortest) shortest = lengths[i + k]!;
      this.scanLanes(starts, i, shortest);
      for (let k = 0; k < LANES; k++) {
        const start = starts[i + k]!;
        if (hit[k] !== 0 || this.scanRest(states[k]!, start + shortest, start + lengths[i + k]!)) hits[n++] = i + k;
      }
    }
    for (; i < count; i++) {
      const start = starts[i]!;
      if (this.scanRest(0, start, start + lengths[i]!)) hits[n++] = i;
    }
    return n;
  }

  identify(start: number, length: number, out: Uint32Array): number {
    const { classOf, table, acceptFrom } = this.automaton;
    const { u8 } = this;
    let state = 0;
    for (let at = start; at < start + length; at++) {
      state = table[state + classOf[u8[at]!]!]!;
      if (state >= acceptFrom) this.accepts(state, at + 1, true);
    }
    return takeBits(this.found, out);
  }

  close(): void {}

  /** Runs the first `length` bytes of packets [i, i + 8); leaves their states in `states` and who hit in `hit`. */
  private scanLanes(starts: Uint32Array, i: number, length: number): void {
    const { classOf, table, acceptFrom } = this.automaton;
    const { u8, hit, states } = this;
    hit.fill(0);
    const a = starts[i]!;
    const b = starts[i + 1]!;
    const c = starts[i + 2]!;
    const d = starts[i + 3]!;
    const e = starts[i + 4]!;
    const f = starts[i + 5]!;
    const g = starts[i + 6]!;
    const h = starts[i + 7]!;
    const last = acceptFrom - 1; // last - s is negative where s accepts
    let s0 = 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    let s4 = 0;
    let s5 = 0;
    let s6 = 0;
    let s7 = 0;
    for (let j = 0; j < length; j++) {
      s0 = table[s0 + classOf[u8[a + j]!]!]!;
      s1 = table[s1 + classOf[u8[b + j]!]!]!;
      s2 = table[s2 + classOf[u8[c + j]!]!]!;
      s3 = table[s3 + classOf[u8[d + j]!]!]!;
      s4 = table[s4 + classOf[u8[e + j]!]!]!;
      s5 = table[s5 + classOf[u8[f + j]!]!]!;
      s6 = table[s6 + classOf[u8[g + j]!]!]!;
      s7 = table[s7 + classOf[u8[h + j]!]!]!;
      if (
        ((last - s0) |
          (last - s1) |
          (last - s2) |
          (last - s3) |
          (last - s4) |
          (last - s5) |
          (last - s6) |
          (last - s7)) <
        0
      ) {
        if (s0 > last && hit[0] === 0 && this.accepts(s0, a + j + 1, false)) hit[0] = 1;
        if (s1 > last && hit[1] === 0 && this.accepts(s1, b + j + 1, false)) hit[1] = 1;
        if (s2 > last && hit[2] === 0 && this.accepts(s2, c + j + 1, false)) hit[2] = 1;
        if (s3 > last && hit[3] === 0 && this.accepts(s3, d + j + 1, false)) hit[3] = 1;
        if (s4 > last && hit[4] === 0 && this.accepts(s4, e + j + 1, false)) hit[4] = 1;
        if (s5 > last && hit[5] === 0 && this.accepts(s5, f + j + 1, false)) hit[5] = 1;
        if (s6 > last && hit[6] === 0 && this.accepts(s6, g + j + 1, false)) hit[6] = 1;
        if (s7 > last && hit[7] === 0 && this.accepts(s7, h + j + 1, false)) hit[7] = 1;
      }
    }
    states[0] = s0;
    states[1] = s1;
    states[2] = s2;
    states[3] = s3;
    states[4] = s4;
    states[5] = s5;
    states[6] = s6;
    states[7] = s7;
  }

  /** True where a pattern ends in [from, end); `state` is what the bytes before left. */
  private scanRest(state: number, from: number, end: number): boolean {
    const { classOf, table, acceptFrom } = this.automaton;
    const { u8 } = this;
    for (let at = from; at < end; at++) {
      state = table[state + classOf[u8[at]!]!]!;
      if (state >= acceptFrom && this.accepts(state, at + 1, false)) return true;
    }
    return false;
  }

  /** Whether an accepting state's patterns really end at `end`, compared once more where case was folded; `all` marks them. */
  private accepts(state: number, end: number, all: boolean): boolean {
    const { classes, acceptFrom, outputAt, outputs } = this.automaton;
    const k = (state - acceptFrom) / classes;
    let any = false;
    for (let o = outputAt[k]!; o < outputAt[k + 1]!; o++) {
      const id = outputs[o]!;
      if (this.unsure[id] !== 0 && !this.stands(id, end)) continue;
      if (!all) return true;
      any = true;
      this.found[id >>> 5]! |= 1 << (id & 31);
    }
    return any;
  }

  private stands(id: number, end: number): boolean {
    const { bytes } = this.patterns[id]!;
    const at = end - bytes.length;
    for (let k = 0; k < bytes.length; k++) if (this.u8[at + k] !== bytes[k]) return false;
    return true;
  }
}
