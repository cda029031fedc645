import { SLOT_SIZE } from "./arena.js";

/**
 * Free slots of one owner, last in first out: the slot freed last is the one whose bytes are still in the cache.
 * Its thread alone touches it; slots freed elsewhere come back by ring.
 */
export class SlotPool {
  private readonly free: Uint32Array;
  private count = 0;

  /** Owns the slots [first, first + size). */
  constructor(
    first: number,
    readonly size: number,
  ) {
    this.free = new Uint32Array(size);
    for (let i = 0; i < size; i++) this.free[i] = first + size - 1 - i;
    this.count = size;
  }

  get available(): number {
    return this.count;
  }

  /** Takes up to `max` slots into `out`; returns how many. */
  take(out: Uint32Array, max: number): number {
    const count = Math.min(max, this.count);
    let top = this.count;
    for (let i = 0; i < count; i++) out[i] = this.free[--top]!;
    this.count = top;
    return count;
  }

  /**
   * Gives slots[start, start + count) back.
   * @throws RangeError when more come back than were taken: a slot had two owners
   */
  put(slots: Uint32Array, start: number, count: number): void {
    if (this.count + count > this.size) {
      throw new RangeError(`pool of ${this.size} slots (${SLOT_SIZE} bytes each) given back more than it handed out`);
    }
    // Backwards, so that the next take hands the same slots out in the same order.
    for (let i = count - 1; i >= 0; i--) this.free[this.count++] = slots[start + i]!;
  }
}
