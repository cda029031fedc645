/**
 * Multi-pattern search: which packets of a batch hold at least one of the rules' fast patterns, and which patterns those are.
 *
 * Two calls, because they are asked at very different rates: `scan` runs over every payload and answers yes or no, `identify`
 * runs over the few packets that hit. Every engine gives the same answers as the naive one in reference.ts.
 */

/** A fast pattern: bytes, case-insensitive or not. Id = index in the list. */
export interface Pattern {
  readonly bytes: Uint8Array;
  readonly nocase: boolean;
}

export interface Mpse {
  /** "hyperscan 5.4.0", "pair-filter", "aho-corasick". */
  readonly engine: string;
  /**
   * Scans arena bytes [starts[i], starts[i]+lengths[i]) for i < count (count <= MAX_BATCH), absolute byte offsets into
   * arena.u8. Returns the number of packets with any hit, and writes into `hits` their indices i in ascending order. Exact:
   * bytes outside a range never count, even where ranges lie side by side.
   */
  scan(starts: Uint32Array, lengths: Uint32Array, count: number, hits: Uint32Array): number;
  /**
   * For one packet known to hit: writes into `out` the ascending, distinct pattern ids found; returns how many. `out` holds as
   * many entries as there are patterns. A packet that does not hit gives 0.
   */
  identify(start: number, length: number, out: Uint32Array): number;
  /** Frees native memory; nothing may be called afterwards. */
  close(): void;
}

/** ASCII lower case of every byte; the only case folding that rules know (`nocase`). */
export const LOWER: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte,
);

/** Writes the positions of the bits set in `found` into `out`, ascending, and clears them; returns how many. */
export function takeBits(found: Uint32Array, out: Uint32Array): number {
  let n = 0;
  for (let word = 0; word < found.length; word++) {
    let bits = found[word]!;
    found[word] = 0;
    while (bits !== 0) {
      const lowest = 31 - Math.clz32(bits & -bits);
      out[n++] = word * 32 + lowest;
      bits &= bits - 1;
    }
  }
  return n;
}

/** The search for no patterns: never hits. */
export class EmptyMpse implements Mpse {
  readonly engine = "none";

  scan(): number {
    return 0;
  }

  identify(): number {
    return 0;
  }

  close(): void {}
}
