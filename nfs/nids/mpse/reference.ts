/**
 * The plain definition of multi-pattern search, written to be read: every pattern is tried at every position. Engines are
 * tested against it.
 */
import type { Arena } from "../../../runtime/packet/arena.js";
import { LOWER, type Mpse, type Pattern } from "./mpse.js";

/** True where `pattern` stands at `at` in `bytes`; the caller sees to it that it ends within the range searched. */
function standsAt(bytes: Uint8Array, at: number, pattern: Pattern): boolean {
  return pattern.bytes.every((wanted, k) => {
    const found = bytes[at + k]!;
    return pattern.nocase ? LOWER[found] === LOWER[wanted] : found === wanted;
  });
}

export class ReferenceMpse implements Mpse {
  readonly engine = "reference";

  constructor(
    private readonly patterns: readonly Pattern[],
    private readonly arena: Arena,
  ) {}

  private contains(start: number, length: number, pattern: Pattern): boolean {
    for (let at = start; at + pattern.bytes.length <= start + length; at++) {
      if (standsAt(this.arena.u8, at, pattern)) return true;
    }
    return false;
  }

  scan(starts: Uint32Array, lengths: Uint32Array, count: number, hits: Uint32Array): number {
    let n = 0;
    for (let i = 0; i < count; i++) {
      if (this.patterns.some((pattern) => this.contains(starts[i]!, lengths[i]!, pattern))) hits[n++] = i;
    }
    return n;
  }

  identify(start: number, length: number, out: Uint32Array): number {
    let n = 0;
    this.patterns.forEach((pattern, id) => {
      if (this.contains(start, length, pattern)) out[n++] = id;
    });
    return n;
  }

  close(): void {}
}
