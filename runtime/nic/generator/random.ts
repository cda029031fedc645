/**
 * Pseudo-random numbers for test traffic: xoshiro128** (Blackman and Vigna, 2018), seeded by splitmix32. The same seed gives the
 * same traffic on every machine. Not for anything secret.
 */
export class Random {
  private readonly s = new Uint32Array(4);

  constructor(seed: number) {
    let x = seed >>> 0;
    // The upper half of seeds above 2^32 counts too.
    let high = Math.floor(seed / 2 ** 32) >>> 0;
    for (let i = 0; i < 4; i++) {
      x = (x + 0x9e3779b9) >>> 0;
      let z = x ^ high;
      high = Math.imul(high, 0x85ebca6b) >>> 0;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      this.s[i] = z ^ (z >>> 15);
    }
  }

  /** Uniform u32. */
  u32(): number {
    const { s } = this;
    const product = Math.imul(s[1]!, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = (s[3]! << 11) | (s[3]! >>> 21);
    return result >>> 0;
  }

  /** Uniform in [0, 1). */
  fraction(): number {
    return this.u32() / 2 ** 32;
  }

  /** Uniform integer in [0, bound), bound up to 2^32. */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound);
  }

  /** Uniform integer in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** Random bytes in u8[from, to). */
  fill(u8: Uint8Array, from: number, to: number): void {
    let word = 0;
    for (let i = from; i < to; i++) {
      word = ((i - from) & 3) === 0 ? this.u32() : word >>> 8;
      u8[i] = word;
    }
  }
}
