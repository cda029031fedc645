/**
 * Percentiles of recorded latencies, as HdrHistogram has them. Apart from the table, since threads that record do not need the library; and
 * of the library the one class, since the rest (WebAssembly, compression) takes several times as long to load.
 */
import type { Histogram } from "hdr-histogram-js";
import int32 from "hdr-histogram-js/dist/Int32Histogram.js";
import { LATENCY_LIMIT_NS, type LatencyCounts, lowestOf } from "./latency.js";

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

/** Everything that was recorded. */
export function histogramOf({ counts, max }: LatencyCounts): Histogram {
  const whole = new int32.default(1, LATENCY_LIMIT_NS, 3);
  whole.autoResize = true;
  for (let at = 0; at < counts.length; at++) {
    const count = counts[at]!;
    if (count === 0) continue;
    const value = lowestOf(at);
    // The greatest value as it was, since the histogram keeps that to the digit.
    const last = max >= value && max < lowestOf(at + 1);
    if (count > 1 || !last) whole.recordValueWithCount(value, count - (last ? 1 : 0));
    if (last) whole.recordValue(max);
  }
  return whole;
}

/** @returns zeros where nothing was recorded */
export function percentilesOf(recorded: LatencyCounts): LatencyPercentiles {
  const { max } = recorded;
  const all = histogramOf(recorded);
  if (all.totalCount === 0) return { p50: 0, p90: 0, p99: 0, p999: 0, max: 0, count: 0 };
  // A percentile is the upper end of its bucket, which may lie above the greatest value seen.
  const at = (p: number) => Math.min(all.getValueAtPercentile(p), max);
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max, count: all.totalCount };
}
