/** Small sums that experiments share. */
import { SYNC } from "../../runtime/device/syncer.js";
import { type Arena, PARAM_WORDS } from "../../runtime/packet/arena.js";

/** ns on a clock that does not go back. */
export const nowNs = (): number => performance.now() * 1e6;

/** Share of entries without a packet, in percent. */
export function dummyShare(counters: Float64Array): number {
  const entries = counters[SYNC.PACKETS]! + counters[SYNC.DUMMIES]!;
  return entries === 0 ? 0 : (100 * counters[SYNC.DUMMIES]!) / entries;
}

/** Sum over all slots of a word of the params. */
export function sumParams(arena: Arena, word: number): number {
  let sum = 0;
  for (let slot = 0; slot < arena.slots; slot++) sum += arena.params[slot * PARAM_WORDS + word]!;
  return sum;
}

/** @param sorted ascending */
export function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}
