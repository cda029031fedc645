/** Order statistics: which of the sorted values bound a quantile whatever the distribution is. */
import { gammaln } from "simple-statistics";

/**
 * A sorted copy.
 * @throws RangeError where a value is no finite number: a measurement that failed must not become a figure
 */
export function sorted(values: readonly number[]): Float64Array {
  for (const [i, value] of values.entries()) {
    if (!Number.isFinite(value))
      throw new RangeError(`sample ${i} of ${values.length} is ${value}, not a finite number`);
  }
  return Float64Array.from(values).sort();
}

/** P(X <= k) of a binomial distribution of n trials with probability p. */
export function binomialAtMost(k: number, n: number, p: number): number {
  if (k < 0) return 0;
  if (k >= n) return 1;
  if (p <= 0 || p >= 1) return p <= 0 ? 1 : 0;
  let sum = 0;
  for (let i = 0; i <= k; i++) {
    const ways = gammaln(n + 1) - gammaln(i + 1) - gammaln(n - i + 1);
    sum += Math.exp(ways + i * Math.log(p) + (n - i) * Math.log1p(-p));
  }
  return Math.min(sum, 1);
}

/** Indices into n sorted values; -1 and n: there is no such bound. */
export interface Ranks {
  readonly low: number;
  readonly high: number;
}

/**
 * The narrowest pair of order statistics that has the q-quantile between them with the confidence, each side missing it with at most half
 * of what is left. Holds for every distribution; for one with ties it holds all the more (David and Nagaraja, Order Statistics, section 7.1).
 */
export function quantileRanks(n: number, q: number, confidence: number): Ranks {
  const tail = (1 - confidence) / 2;
  // Below the quantile lie k of n values with binomial probability; x[low] is beyond it where at most `low` do.
  let low = -1;
  while (low + 1 < n && binomialAtMost(low + 1, n, q) <= tail) low++;
  let high = n;
  while (high > 0 && 1 - binomialAtMost(high - 1, n, q) <= tail) high--;
  return { low, high };
}
