/**
 * What the patterns "range" and "parent" have in common: threads that acquire packets from areas of their own.
 *
 * A thread whose pool is empty takes nothing, and what comes behind its area cannot leave before where order is restored. That it gets slots
 * back in the end is for two reasons: packets before its first untaken one have nothing to wait for, and those behind are at most as many as
 * the ring was supplied with, a quarter of all slots.
 */
import { areaOwner, firstOwn, leftInArea } from "./areas.js";
import { QueueEnd, type QueueParts } from "./end.js";
import { doneWord, WORD } from "./words.js";

export abstract class AreaEnd extends QueueEnd {
  /** First entry of this thread that it has not taken. */
  private next: number;
  private readonly own: number;

  constructor(
    parts: QueueParts,
    protected readonly acquirer: number,
    protected readonly acquirers: number,
  ) {
    super(parts);
    this.own = doneWord(acquirer);
    this.next = firstOwn(this.start, acquirer, acquirers);
  }

  /**
   * Takes what has come of this thread's areas before `arrived`: whole areas and parts of one, so that few packets do not wait until an area
   * is full.
   */
  protected acquire(arrived: number, slots: Uint32Array, count: number): number {
    let { next } = this;
    let taken = 0;
    while (taken < count) {
      const left = leftInArea(next);
      const some = Math.min(count - taken, left, (arrived - next) | 0);
      if (some <= 0) break;
      this.exchange(next, slots, taken, some);
      taken += some;
      next = some < left ? (next + some) | 0 : firstOwn((next + some) | 0, this.acquirer, this.acquirers);
    }
    this.next = next;
    return taken;
  }

  /** Tells the others what has been taken: descriptors read, replacements written. */
  protected tell(): void {
    Atomics.store(this.words, this.own, this.next);
  }
}

/** Says at the start that nobody has taken anything. @param words of the queue @param start its first entry */
export function nothingTaken(words: Int32Array, start: number, acquirers: number): void {
  for (let a = 0; a < acquirers; a++) words[doneWord(a)] = firstOwn(start, a, acquirers);
}

/**
 * The first entry that its thread has not taken: all before it can be released. By difference to RELEASED, which none of them is below.
 * @param released RELEASED
 */
export function takenUpTo(words: Int32Array, released: number, acquirers: number): number {
  let least = 0x7fff_ffff;
  for (let a = 0; a < acquirers; a++) {
    const ahead = (Atomics.load(words, doneWord(a)) - released) | 0;
    if (ahead < least) least = ahead;
  }
  return (released + least) | 0;
}

/** Whether `acquirer` has the word: it owns the first entry that is not released, and has taken it. */
export function hasTurn(words: Int32Array, acquirer: number, acquirers: number): boolean {
  const released = Atomics.load(words, WORD.RELEASED);
  return areaOwner(released, acquirers) === acquirer && ((Atomics.load(words, doneWord(acquirer)) - released) | 0) > 0;
}
