import { affinity, setAffinity } from "../runtime/native/sched.js";

/**
 * Pins this thread, and so every peer it starts, to one processor: cores of a shared machine differ in what else they do from second to
 * second, and turns taken on two of them would compare the cores (measured: spread 2x unpinned, a few per cent pinned).
 *
 * @returns the processor's number, or undefined where the system refuses
 */
export function pinToOneProcessor(): number | undefined {
  // The last one: interrupts and the rest of the system prefer the first.
  const last = affinity().at(-1);
  return last !== undefined && setAffinity([last]) === 0 ? last : undefined;
}
