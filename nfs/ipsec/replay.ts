/**
 * Anti-replay windows of all inbound SAs (RFC 4303 section 3.4.3, Appendix A), in typed arrays.
 *
 * A window covers the numbers (top - size, top]. Bits live in a ring that is a power of two and at least a word longer
 * than the window (RFC 6479), so that moving it clears whole words. Sequence numbers are (high, low) pairs of u32;
 * their difference is taken as a double, which is exact wherever its exact value matters (below 2^53).
 *
 * What was before `seq_start` counts as seen, so number 0 is never accepted.
 */

const U32 = 0x1_0000_0000;
const WORD_SHIFT = 5;
const WORD_BITS = 32;
/** Words are numbered by the upper 27 bits of the low half, modulo 2^27. */
const WORD_NUMBER_MASK = 0x07ff_ffff;
/** Numbers behind the top still attributed to the past when the check is off but ESN has to infer high bits. */
const INFER_WINDOW = 64;

/** `seqStart`: the first number expected; `window` in packets, a multiple of 32; 0: accepts everything. */
export interface WindowSpec {
  readonly seqLow: number;
  readonly seqHigh: number;
  readonly replayWindow: number;
}

export class ReplayWindows {
  private readonly topLow: Uint32Array;
  private readonly topHigh: Uint32Array;
  private readonly size: Uint32Array;
  /** First word of the SA's bits in `bits`, and its number of words minus 1. */
  private readonly first: Uint32Array;
  private readonly wordMask: Uint32Array;
  private readonly bits: Uint32Array;

  constructor(specs: readonly WindowSpec[]) {
    const count = specs.length;
    this.topLow = new Uint32Array(count);
    this.topHigh = new Uint32Array(count);
    this.size = new Uint32Array(count);
    this.first = new Uint32Array(count);
    this.wordMask = new Uint32Array(count);
    let words = 0;
    specs.forEach((spec, i) => {
      let ring = 1;
      while (ring < spec.replayWindow / WORD_BITS + 1) ring *= 2;
      this.size[i] = spec.replayWindow;
      this.first[i] = words;
      this.wordMask[i] = ring - 1;
      this.topLow[i] = spec.seqLow - 1;
      this.topHigh[i] = spec.seqLow === 0 ? spec.seqHigh - 1 : spec.seqHigh;
      words += ring;
    });
    this.bits = new Uint32Array(words).fill(0xffff_ffff);
    for (let i = 0; i < count; i++) {
      const low = this.topLow[i]!;
      // Seen up to the top, not behind it: the word of the top is the only one that holds both.
      const bit = low & (WORD_BITS - 1);
      if (bit < WORD_BITS - 1) this.bits[this.wordAt(i, low)] = (1 << (bit + 1)) - 1;
    }
  }

  private wordAt(i: number, low: number): number {
    return this.first[i]! + ((low >>> WORD_SHIFT) & this.wordMask[i]!);
  }

  /** (high, low) minus the top. */
  private ahead(i: number, high: number, low: number): number {
    return (high - this.topHigh[i]!) * U32 + (low - this.topLow[i]!);
  }

  /**
   * RFC 4303 Appendix A2.2: the high 32 bits of a number of which the packet carries the low ones. Below number 0 there
   * is nothing, so where the RFC would subtract from 0 the number can only lie ahead.
   */
  inferHigh(i: number, low: number): number {
    const top = this.topLow[i]!;
    const high = this.topHigh[i]!;
    const size = this.size[i]! === 0 ? INFER_WINDOW : this.size[i]!;
    if (top >= size - 1) return low >= top - size + 1 ? high : (high + 1) >>> 0;
    return low >= top - size + 1 + U32 && high > 0 ? high - 1 : high;
  }

  /** True where the number is in the window already or left of it. */
  seen(i: number, high: number, low: number): boolean {
    const size = this.size[i]!;
    if (size === 0) return false;
    const ahead = this.ahead(i, high, low);
    if (ahead > 0) return false;
    if (-ahead >= size) return true;
    return (this.bits[this.wordAt(i, low)]! & (1 << (low & (WORD_BITS - 1)))) !== 0;
  }

  /** Takes a number that is authentic and not {@link seen}. */
  accept(i: number, high: number, low: number): void {
    const ahead = this.ahead(i, high, low);
    const first = this.first[i]!;
    const mask = this.wordMask[i]!;
    if (ahead > 0) {
      const ring = mask + 1;
      // Words entered by the move; after a jump over the whole ring all of them.
      const from = (this.topLow[i]! >>> WORD_SHIFT) + 1;
      const entered = ahead >= ring * WORD_BITS ? ring : ((low >>> WORD_SHIFT) + 1 - from) & WORD_NUMBER_MASK;
      for (let k = 0; k < entered; k++) this.bits[first + ((from + k) & mask)] = 0;
      this.topLow[i] = low;
      this.topHigh[i] = high;
    }
    const word = this.wordAt(i, low);
    this.bits[word] = this.bits[word]! | (1 << (low & (WORD_BITS - 1)));
  }

  /** The highest number accepted, for statistics. */
  top(i: number): number {
    return this.topHigh[i]! * U32 + this.topLow[i]!;
  }
}
