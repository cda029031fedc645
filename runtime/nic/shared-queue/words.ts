/**
 * What the threads at one receive queue agree on: words in shared memory. Indices are those of the RX ring: u32 that only grow and wrap,
 * compared by difference.
 */

/** Words of a cache line. */
const LINE = 16;

/** What different threads write lies on lines of its own, so that who waits for one word does not slow down those who write others. */
export const enum WORD {
  /** arbitration: the next entry that nobody has claimed. Moved by compare-and-swap. */
  CLAIMED = 0,
  /** All entries before it are the kernel's again. Written by the one whose turn it is. */
  RELEASED = 16,
  /** Entries released since the start, in units of {@link COARSE_UNIT}: what 32 bits of an index leave open. */
  COARSE = 17,
  /** parent: what the parent has seen of the kernel's producer index. */
  ARRIVED = 32,
  /** Entry that the ring stood at when the first thread came: packet number 1. */
  START = 48,
  /** Added to the index of an RX entry, it gives that of the fill entry with its replacement. */
  REPLACEMENT = 49,
  /** Slots that threads have put into the fill ring before the first packet. */
  SUPPLIED = 50,
  /** Threads that have. */
  SUPPLIERS = 51,
  /** 1: all have; from now on slots are exchanged one for one. */
  READY = 52,
  /** Threads that were told to stop. */
  STOPPED = 64,
  /** When all were: the first entry that nobody takes any more. */
  END = 65,
  /** 1: END says so. */
  ENDED = 66,
  /** range, parent: of each acquiring thread, a line each, its first entry that it has not taken. */
  DONE = 80,
}

export const COARSE_UNIT = 2 ** 20;

/** Index of the word of an acquiring thread. */
export const doneWord = (acquirer: number): number => WORD.DONE + acquirer * LINE;

/** Zeroed memory for so many threads. */
export function queueWords(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer((WORD.DONE + threads * LINE) * 4);
}
