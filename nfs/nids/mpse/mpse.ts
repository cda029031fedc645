/**
 * The multi-pattern search engine: which packets contain any of the fast patterns, and which patterns those are.
 * Several engines do this; they find the same packets and patterns.
 */

/** A fast pattern: bytes, case-insensitive (ASCII letters) or not. Its id is its index in the list. */
export interface Pattern {
  readonly bytes: Uint8Array;
  readonly nocase: boolean;
}

export interface Mpse {
  /** "hyperscan 5.4.0", "aho-corasick" */
  readonly engine: string;
  /**
   * Scans arena bytes [starts[i], starts[i] + lengths[i]) for i < count; starts are absolute byte offsets into `arena.u8`.
   * Writes the indices i of packets with any hit into `hits`, in ascending order, and returns how many there are.
   */
  scan(starts: Uint32Array, lengths: Uint32Array, count: number, hits: Uint32Array): number;
  /** For one packet known to hit: writes the ascending, distinct pattern ids found into `out`; returns how many. */
  identify(start: number, length: number, out: Uint32Array): number;
  close(): void;
}
