/** Student's t distribution, which simple-statistics lacks. */
import { gammaln } from "simple-statistics";

/** Regularised incomplete beta function I_x(a, b), by the continued fraction 8.17.22 of the NIST Digital Library of Mathematical Functions. */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // The fraction converges fast below the mean of the distribution; above it the mirrored one does.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(gammaln(a + b) - gammaln(a) - gammaln(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  // Modified Lentz's method.
  const tiny = 1e-300;
  let c = 1;
  let d = 1 / atLeast(1 - ((a + b) * x) / (a + 1), tiny);
  let f = d;
  for (let m = 1; m <= 300; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / atLeast(1 + even * d, tiny);
    c = atLeast(1 + even / c, tiny);
    f *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / atLeast(1 + odd * d, tiny);
    c = atLeast(1 + odd / c, tiny);
    const change = d * c;
    f *= change;
    if (Math.abs(change - 1) < 1e-14) break;
  }
  return front * f;
}

function atLeast(value: number, tiny: number): number {
  return Math.abs(value) < tiny ? tiny : value;
}

/** P(T > t) of Student's t with so many degrees of freedom; Infinity: the normal distribution. */
export function studentTail(t: number, degrees: number): number {
  if (Number.isNaN(t) || !(degrees > 0))
    throw new RangeError(`no t distribution at ${t} with ${degrees} degrees of freedom`);
  if (t < 0) return 1 - studentTail(-t, degrees);
  if (t === Infinity) return 0;
  // Beyond a million they differ from the normal distribution by less than is computed here.
  const df = Math.min(degrees, 1e6);
  return incompleteBeta(df / (df + t * t), df / 2, 0.5) / 2;
}

/** The t with P(T > t) = tail. @param tail in (0, 0.5] */
export function studentQuantile(tail: number, degrees: number): number {
  if (!(tail > 0 && tail <= 0.5)) throw new RangeError(`no quantile for a tail of ${tail}`);
  let high = 1;
  while (studentTail(high, degrees) > tail) high *= 2;
  let low = high === 1 ? 0 : high / 2;
  for (let i = 0; i < 80 && high - low > 1e-12 * high; i++) {
    const middle = (low + high) / 2;
    if (studentTail(middle, degrees) > tail) low = middle;
    else high = middle;
  }
  return high;
}
