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
    const { free } = this;
    const top = this.count;
    const count = Math.min(max, top);
    let i = 0;
    for (; i < count - 3; i += 4) {
      out[i] = free[top - 1 - i]!;
      out[i + 1] = free[top - 2 - i]!;
      out[i + 2] = free[top - 3 - i]!;
      out[i + 3] = free[top - 4 - i]!;
    }
    for (; i < count; i++) out[i] = free[top - 1 - i]!;
    this.count = top - count;
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
    const { free } = this;
    // Backwards, so that the next take hands the same slots out in the same order.
    const top = this.count + count - 1;
    let i = 0;
    for (; i < count - 3; i += 4) {
      free[top - i] = slots[start + i]!;
      free[top - 1 - i] = slots[start + i + 1]!;
      free[top - 2 - i] = slots[start + i + 2]!;
      free[top - 3 - i] = slots[start + i + 3]!;
    }
    for (; i < count; i++) free[top - i] = slots[start + i]!;
    this.count = top + 1;
  }
}
