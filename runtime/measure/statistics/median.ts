import { quantileSorted } from "simple-statistics";
import type { Estimate } from "./interval.js";
import { quantileRanks, sorted } from "./order.js";
import { studentQuantile } from "./student.js";

/** Of every interval that nobody asks otherwise of. */
export const CONFIDENCE = 0.95;

/** Below it there is no spread to speak of: one or two samples have no interval. */
const FEWEST = 3;

/**
 * Median with its confidence interval.
 *
 * - Six samples or more (at 95 %): order statistics, valid for every distribution, ties and outliers included.
 * - Fewer, but three: no pair of order statistics has the confidence (the range of three samples holds the median with 75 %, of four with
 *   87.5 %, of five with 93.8 %). The interval is Student's around the mean of the logarithms (of the values themselves where one is not
 *   positive), widened to the range of the samples. It supposes that what disturbs a measurement multiplies it about symmetrically;
 *   order statistics suppose nothing, so more repeats are worth more than they narrow the interval.
 * - One or two: from -Infinity to Infinity.
 *
 * @throws RangeError where there is no sample, or one is not a finite number
 */
export function medianEstimate(values: readonly number[], confidence = CONFIDENCE): Estimate {
  return quantileEstimate(values, 0.5, confidence);
}

/**
 * A quantile with its confidence interval from order statistics; where there are too few samples for a bound, it is infinite (the median
 * of few samples: as {@link medianEstimate}). `median` of the result is the estimate of the quantile, interpolated (type 7).
 *
 * @throws RangeError where there is no sample, or one is not a finite number
 */
export function quantileEstimate(values: readonly number[], q: number, confidence = CONFIDENCE): Estimate {
  if (values.length === 0) throw new RangeError("no sample, no estimate");
  if (!(confidence > 0 && confidence < 1)) throw new RangeError(`a confidence of ${confidence} is not between 0 and 1`);
  const x = sorted(values);
  const median = quantileSorted(x as unknown as number[], q);
  const ranks = quantileRanks(x.length, q, confidence);
  const open = ranks.low < 0 || ranks.high >= x.length;
  if (q === 0.5 && open && x.length >= FEWEST) {
    const { low, high } = studentRange(x, confidence);
    return { median, low, high, confidence, samples: x.length };
  }
  return { median, low: x[ranks.low] ?? -Infinity, high: x[ranks.high] ?? Infinity, confidence, samples: x.length };
}

function studentRange(x: Float64Array, confidence: number): { readonly low: number; readonly high: number } {
  const n = x.length;
  const logs = x[0]! > 0;
  const y = logs ? x.map(Math.log) : x;
  const mean = y.reduce((sum, value) => sum + value, 0) / n;
  const variance = y.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const half = studentQuantile((1 - confidence) / 2, n - 1) * Math.sqrt(variance / n);
  const low = logs ? Math.exp(mean - half) : atLeastZero(mean - half, x[0]!);
  const high = logs ? Math.exp(mean + half) : mean + half;
  return { low: Math.min(low, x[0]!), high: Math.max(high, x[n - 1]!) };
}

/** What was never negative (a loss) has no negative bound. */
function atLeastZero(bound: number, least: number): number {
  return least >= 0 ? Math.max(bound, 0) : bound;
}
