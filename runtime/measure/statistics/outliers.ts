import { median, medianAbsoluteDeviation } from "simple-statistics";

/** Modified z-score above which a sample is called suspect (Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers). */
const SUSPECT = 3.5;
/** A deviation that is no news, whatever the spread of the others: 1 % of the median. */
const QUIET = 0.01;

/**
 * Indices of samples far from the others. They are named, never dropped: medians and trimmed means bear them, and what they are (the
 * machine's or the chain's own hiccups) the samples alone do not say.
 */
export function suspects(values: readonly number[]): number[] {
  if (values.length < 4) return [];
  const middle = median([...values]);
  const scale = Math.max(medianAbsoluteDeviation([...values]) / 0.6745, (Math.abs(middle) * QUIET) / SUSPECT);
  return values.flatMap((value, i) => (Math.abs(value - middle) > SUSPECT * scale ? [i] : []));
}
