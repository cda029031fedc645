/** The multi-pattern search written to be read: every pattern at every position. */
import type { Arena } from "../../../runtime/packet/arena.js";
import type { Mpse, Pattern } from "./mpse.js";

const lower = (byte: number) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte);

export class ReferenceMpse implements Mpse {
  readonly engine = "reference";

  constructor(
    private readonly patterns: readonly Pattern[],
    private readonly arena: Arena,
  ) {}

  scan(starts: Uint32Array, lengths: Uint32Array, count: number, hits: Uint32Array): number {
    let found = 0;
    for (let i = 0; i < count; i++) {
      if (this.patterns.some((pattern) => this.contains(pattern, starts[i]!, lengths[i]!))) hits[found++] = i;
    }
    return found;
  }

  identify(start: number, length: number, out: Uint32Array): number {
    let found = 0;
    this.patterns.forEach((pattern, id) => {
      if (this.contains(pattern, start, length)) out[found++] = id;
    });
    return found;
  }

  close(): void {}

  private contains({ bytes, nocase }: Pattern, start: number, length: number): boolean {
    const { u8 } = this.arena;
    for (let at = start; at + bytes.length <= start + length; at++) {
      const here = bytes.every((byte, i) => {
        const seen = u8[at + i]!;
        return nocase ? lower(byte) === lower(seen) : byte === seen;
      });
      if (here) return true;
    }
    return false;
  }
}
