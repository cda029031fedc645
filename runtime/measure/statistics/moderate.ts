/**
 * Variances of many small samples, each helped by the others (Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3,
 * article 3): with three to ten repeats a variance is itself so uncertain that a few of many would be far too small by chance. How much
 * they help follows from how much the variances differ: where cells are not alike, each keeps its own.
 */

export interface Variance {
  readonly variance: number;
  /** Above 0; Infinity at most. */
  readonly degrees: number;
}

/** Fewer say too little about how variances are spread. */
const FEWEST = 4;

/** @param own all above 0 @returns in the order of `own`; `own` itself where there are fewer than four */
export function moderated(own: readonly Variance[]): readonly Variance[] {
  if (own.length < FEWEST) return own;
  const logs = own.map(({ variance, degrees }) => Math.log(variance) - digamma(degrees / 2) + Math.log(degrees / 2));
  const mean = logs.reduce((sum, x) => sum + x, 0) / logs.length;
  const spread = logs.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (logs.length - 1);
  const sampling = own.reduce((sum, { degrees }) => sum + trigamma(degrees / 2), 0) / own.length;
  const real = spread - sampling;
  // Nothing beyond chance tells them apart: one variance for all.
  const prior = real > 0 ? 2 * trigammaInverse(real) : Infinity;
  const common = Math.exp(mean + (prior === Infinity ? 0 : digamma(prior / 2) - Math.log(prior / 2)));
  const all = own.reduce((sum, { degrees }) => sum + degrees, 0);
  return own.map(({ variance, degrees }) => ({
    variance: prior === Infinity ? common : (prior * common + degrees * variance) / (prior + degrees),
    // No more than were measured.
    degrees: Math.min(prior + degrees, all),
  }));
}

/** Derivative of ln Gamma, for x > 0: recurrence to 6, then the asymptotic series (Abramowitz and Stegun 6.3.5, 6.3.18). */
export function digamma(x: number): number {
  let sum = 0;
  let at = x;
  for (; at < 6; at++) sum -= 1 / at;
  const s = 1 / (at * at);
  return sum + Math.log(at) - 1 / (2 * at) - s * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s / 240)));
}

/** Derivative of digamma, for x > 0 (Abramowitz and Stegun 6.4.6, 6.4.12). */
export function trigamma(x: number): number {
  let sum = 0;
  let at = x;
  for (; at < 6; at++) sum += 1 / (at * at);
  const s = 1 / (at * at);
  return sum + 1 / at + s / 2 + (s / at) * (1 / 6 - s * (1 / 30 - s * (1 / 42 - s / 30)));
}

/** The x with trigamma(x) = y, y > 0, by bisection: trigamma falls. */
export function trigammaInverse(y: number): number {
  if (y > 1e7) return 1 / Math.sqrt(y);
  if (y < 1e-6) return 1 / y;
  let low = 0;
  let high = 1;
  while (trigamma(high) > y) high *= 2;
  for (let i = 0; i < 100 && high - low > 1e-13 * high; i++) {
    const middle = (low + high) / 2;
    if (trigamma(middle) > y) low = middle;
    else high = middle;
  }
  return high;
}
