/**
 * Adjusts p-values of statements that are made together (Holm 1979, step down): with every statement whose adjusted p is at most 5 % the
 * chance that any of them is wrong is at most 5 %, however they depend on each other.
 *
 * @returns in the order of `p`
 */
export function holm(p: readonly number[]): number[] {
  const order = p.map((_, i) => i).sort((a, b) => p[a]! - p[b]!);
  const adjusted = new Array<number>(p.length);
  let least = 0;
  for (const [rank, i] of order.entries()) {
    if (!(p[i]! >= 0 && p[i]! <= 1)) throw new RangeError(`p-value ${i} is ${p[i]}, not between 0 and 1`);
    least = Math.max(least, Math.min(1, p[i]! * (p.length - rank)));
    adjusted[i] = least;
  }
  return adjusted;
}
