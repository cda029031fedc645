/** Timestamps of generated traffic: from 2020-01-01T00:00:00Z on, at a nominal rate. */
const START = Date.UTC(2020, 0, 1) / 1000;

export class NominalClock {
  sec = START;
  nsec = 0;
  private readonly step: number;
  /** What whole nanoseconds leave of an interval, and the sum of it. */
  private readonly fraction: number;
  private rest = 0;

  /** @param pps packets per second, at most 10^9 */
  constructor(pps: number) {
    const interval = 1e9 / pps;
    this.step = Math.floor(interval);
    this.fraction = interval - this.step;
  }

  /** To the next packet. */
  advance(): void {
    this.nsec += this.step;
    this.rest += this.fraction;
    if (this.rest >= 1) {
      this.rest -= 1;
      this.nsec++;
    }
    if (this.nsec >= 1e9) this.carry();
  }

  /** Over `count` packets. */
  skip(count: number): void {
    const rest = this.rest + count * this.fraction;
    const whole = Math.floor(rest);
    this.rest = rest - whole;
    this.nsec += count * this.step + whole;
    if (this.nsec >= 1e9) this.carry();
  }

  /** Gives the next `count` timestamps to slots[0, count). */
  stamp(slots: Uint32Array, count: number, tsSec: Uint32Array, tsNsec: Uint32Array): void {
    const { step, fraction } = this;
    let { nsec, rest } = this;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      tsSec[slot] = this.sec;
      tsNsec[slot] = nsec;
      nsec += step;
      rest += fraction;
      if (rest >= 1) {
        rest -= 1;
        nsec++;
      }
      if (nsec >= 1e9) {
        this.nsec = nsec;
        this.carry();
        nsec = this.nsec;
      }
    }
    this.nsec = nsec;
    this.rest = rest;
  }

  private carry(): void {
    const seconds = Math.floor(this.nsec / 1e9);
    this.sec += seconds;
    this.nsec -= seconds * 1e9;
  }
}
