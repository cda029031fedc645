/**
 * Timestamps of a pcapng interface: a 64-bit count of ticks of 10^-n or 2^-n s (if_tsresol) plus whole seconds (if_tsoffset).
 *
 * 64-bit arithmetic in doubles without losing a tick: long division by the ticks per second, in digits so small that no
 * intermediate exceeds 2^53.
 */
const TWO_32 = 2 ** 32;
const EXACT = 2 ** 53;

export class CaptureClock {
  /** Seconds since the epoch, u32, and nanoseconds, of the last {@link read}. */
  sec = 0;
  nsec = 0;
  private readonly ticks: number;
  private readonly decimal: boolean;
  private readonly exponent: number;
  /** Bits per digit of the long division; 0: ticks so short (below 30 fs) that a double holds the whole count well enough. */
  private readonly digit: number;
  /** Count at the start of the second of the last division; before the first one no count is near it. */
  private startHigh = -TWO_32;
  private startLow = 0;

  /**
   * @param resolution if_tsresol: bit 7 set: 2^-(low 7 bits) s, else 10^-resolution s
   * @param offset if_tsoffset: seconds to add
   */
  constructor(
    resolution: number,
    private readonly offset: number,
  ) {
    this.exponent = resolution & 0x7f;
    this.decimal = (resolution & 0x80) === 0;
    this.ticks = (this.decimal ? 10 : 2) ** this.exponent;
    this.digit = this.ticks <= 2 ** 37 ? 16 : this.ticks <= 2 ** 45 ? 8 : 0;
  }

  /** @param high upper 32 bits of the count, `low` lower ones */
  read(high: number, low: number): void {
    // Most packets come in the same second as the one before: no division by long numbers.
    const since = (high - this.startHigh) * TWO_32 + (low - this.startLow);
    if (since >= 0 && since < this.ticks && since < EXACT) this.nsec = this.toNanoseconds(since);
    else this.divide(high, low);
  }

  private divide(high: number, low: number): void {
    const { ticks, digit } = this;
    let sec: number;
    let rest: number;
    if (high < 0x20_0000 || digit === 0) {
      const count = high * TWO_32 + low;
      sec = Math.floor(count / ticks);
      rest = count - sec * ticks;
    } else {
      sec = Math.floor(high / ticks);
      rest = high - sec * ticks;
      const base = 2 ** digit;
      for (let shift = 32 - digit; shift >= 0; shift -= digit) {
        const part = rest * base + ((low >>> shift) & (base - 1));
        const quotient = Math.floor(part / ticks);
        rest = part - quotient * ticks;
        sec = sec * base + quotient;
      }
    }
    this.sec = (sec + this.offset) >>> 0;
    this.nsec = this.toNanoseconds(rest);
    // Where this second began, as a count; below zero in its lower half, which the difference above does not mind.
    this.startHigh = high;
    this.startLow = low - rest;
  }

  /** @param rest ticks, fewer than a second's */
  private toNanoseconds(rest: number): number {
    const { exponent } = this;
    let nsec: number;
    if (this.decimal) {
      nsec = exponent <= 9 ? rest * 10 ** (9 - exponent) : Math.floor(rest / 10 ** (exponent - 9));
    } else if (exponent <= 32) {
      // 10^9 = 5^9 * 2^9 and 5^9 < 2^21: exact.
      nsec = Math.floor((rest * 1953125) / 2 ** (exponent - 9));
    } else {
      nsec = Math.floor((Math.floor(rest / 2 ** (exponent - 32)) * 1953125) / 2 ** 23);
    }
    return Math.min(nsec, 999_999_999);
  }
}
