/**
 * Areas of a ring (Asada et al., V-B, Figure 4): bits of an entry's index say which thread's it is, N = 5 bits for the place within an
 * area and the M above for the thread. No thread asks another, and flows do not matter.
 */
const AREA_BITS = 5;
const AREA = 1 << AREA_BITS;
const AREA_MASK = AREA - 1;

/** @param acquirers a power of two: else an area would change its thread where the index wraps */
export function areaOwner(index: number, acquirers: number): number {
  return (index >>> AREA_BITS) & (acquirers - 1);
}

/** The first entry from `index` on that is of this thread. */
export function firstOwn(index: number, acquirer: number, acquirers: number): number {
  const areas = (acquirer - areaOwner(index, acquirers)) & (acquirers - 1);
  return areas === 0 ? index : ((index & ~AREA_MASK) + areas * AREA) | 0;
}

/** Entries of the area from `index` on. */
export function leftInArea(index: number): number {
  return AREA - (index & AREA_MASK);
}

/** True where a pattern with areas can have so many acquiring threads. */
export const isPowerOfTwo = (n: number): boolean => n > 0 && (n & (n - 1)) === 0;
