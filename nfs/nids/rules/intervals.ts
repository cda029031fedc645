/**
 * Sets of whole numbers as ascending, disjoint, inclusive intervals. Addresses and ports of rules are worked out in them, so
 * that negation and nested lists need no special cases. Used while loading only.
 */
export type Interval = readonly [low: bigint, high: bigint];
export type IntervalSet = readonly Interval[];

export function union(a: IntervalSet, b: IntervalSet): IntervalSet {
  const sorted = [...a, ...b].sort((x, y) => (x[0] < y[0] ? -1 : x[0] > y[0] ? 1 : 0));
  const out: Interval[] = [];
  for (const [low, high] of sorted) {
    const last = out.at(-1);
    if (last !== undefined && low <= last[1] + 1n) {
      if (high > last[1]) out[out.length - 1] = [last[0], high];
    } else {
      out.push([low, high]);
    }
  }
  return out;
}

/** [0, max] without the set. */
export function complement(set: IntervalSet, max: bigint): IntervalSet {
  const out: Interval[] = [];
  let from = 0n;
  for (const [low, high] of set) {
    if (low > from) out.push([from, low - 1n]);
    from = high + 1n;
  }
  if (from <= max) out.push([from, max]);
  return out;
}

/** What of the set lies in [low, high], counted from low. */
export function cut(set: IntervalSet, low: bigint, high: bigint): IntervalSet {
  const out: Interval[] = [];
  for (const [a, b] of set) {
    if (b >= low && a <= high) out.push([(a > low ? a : low) - low, (b < high ? b : high) - low]);
  }
  return out;
}

/** Whether the set is all of [0, max]. */
export function isAll(set: IntervalSet, max: bigint): boolean {
  return set.length === 1 && set[0]![0] === 0n && set[0]![1] === max;
}
