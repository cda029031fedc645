/** Seeded randomness for tests: a failure prints the seed, and `WINGBEAT_TEST_SEED` replays it. */

/** mulberry32 (Tommy Ettinger, public domain): 32 bits of state, period 2^32; good enough to make test input, nothing else. */
export class Random {
  private state: number;

  constructor(readonly seed: number) {
    this.state = seed >>> 0;
  }

  /** A u32. */
  u32(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /** An integer in [low, high], both included. */
  int(low: number, high: number): number {
    return low + Math.floor((this.u32() / 2 ** 32) * (high - low + 1));
  }

  /** True with probability `share`. */
  chance(share: number): boolean {
    return this.u32() / 2 ** 32 < share;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)]!;
  }

  bytes(count: number): Uint8Array {
    const out = new Uint8Array(count);
    for (let i = 0; i < count; i++) out[i] = this.u32() >>> 24;
    return out;
  }
}

/** Fresh on every run, unless WINGBEAT_TEST_SEED names one. */
export function freshSeed(): number {
  const given = process.env.WINGBEAT_TEST_SEED;
  return given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given) >>> 0;
}
