/**
 * Latencies as they are recorded on the hot path, packet by packet: counts by value with three significant digits, in the buckets of
 * HdrHistogram (2048 of them exact, then 1024 to every power of two), found by clz32. hdr-histogram-js takes five times as long to find the
 * same one (bench/latency-cost), so it reads the counts at the end and does not make them.
 */
import { build, type Histogram } from "hdr-histogram-js";

/** Half the buckets of a power of two: 2 x 1024 values tell three digits apart. */
const HALF_SHIFT = 10;
/** Bits of values that lie in the first 2048 buckets, each of which holds one value. */
const EXACT_BITS = HALF_SHIFT + 1;
/** ns from which on values go to the histogram itself: 2^31, where shifts end; some 2 s. */
const FAR = 2 ** 31;
const BUCKETS = (31 - EXACT_BITS + 2) << HALF_SHIFT;
/** One minute: a packet later than that counts as that late. */
const LIMIT_NS = 60e9;

/** ns */
export interface LatencyPercentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  /** Packets they are taken over. */
  readonly count: number;
}

export const NO_LATENCY: LatencyPercentiles = { p50: 0, p90: 0, p99: 0, p999: 0, max: 0, count: 0 };

export class LatencyTable {
  /** Float64, so that no run is long enough to overflow one. */
  private readonly counts = new Float64Array(BUCKETS);
  private readonly far: Histogram = newHistogram();
  private max = 0;

  /** @param ns from 0 on; fractions are cut off, and 0 counts as 1, as clocks tick */
  record(ns: number): void {
    if (ns >= FAR) {
      this.recordFar(ns);
      return;
    }
    const value = ns < 1 ? 1 : ns | 0;
    if (value > this.max) this.max = value;
    const leading = Math.clz32(value);
    const bucket = leading >= 32 - EXACT_BITS ? 0 : 32 - EXACT_BITS - leading;
    const at = (bucket << HALF_SHIFT) + (value >>> bucket);
    this.counts[at] = this.counts[at]! + 1;
  }

  private recordFar(ns: number): void {
    const value = Math.min(Math.floor(ns), LIMIT_NS);
    if (value > this.max) this.max = value;
    this.far.recordValue(value);
  }

  /** Everything recorded so far, as HdrHistogram would have it. */
  histogram(): Histogram {
    const whole = newHistogram();
    const { counts, far, max } = this;
    for (let at = 0; at < BUCKETS; at++) {
      const count = counts[at]!;
      if (count === 0) continue;
      const value = lowestOf(at);
      // The greatest value as it was, since the histogram says it to the digit.
      const last = max < FAR && max >= value && max < lowestOf(at + 1);
      if (count > 1 || !last) whole.recordValueWithCount(value, count - (last ? 1 : 0));
      if (last) whole.recordValue(max);
    }
    whole.add(far);
    return whole;
  }

  percentiles(): LatencyPercentiles {
    const all = this.histogram();
    if (all.totalCount === 0) return NO_LATENCY;
    // A percentile is the upper end of its bucket, which may lie above the greatest value seen.
    const at = (p: number) => Math.min(all.getValueAtPercentile(p), this.max);
    return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: this.max, count: all.totalCount };
  }
}

/** The least value of a bucket. */
function lowestOf(at: number): number {
  const bucket = at < 2 << HALF_SHIFT ? 0 : (at >>> HALF_SHIFT) - 1;
  return (at - (bucket << HALF_SHIFT)) * 2 ** bucket;
}

function newHistogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LIMIT_NS,
    numberOfSignificantValueDigits: 3,
    autoResize: true,
  });
}
