/** Packets that wait for one NF's next row: slot numbers, oldest first. Allocated once, for as many as there are slots. */
export class SlotFifo {
  private readonly ring: Uint32Array;
  private readonly mask: number;
  private head = 0;
  /** Slots in it. */
  count = 0;
  /** When its oldest packet began to wait, as publish() saw it: ns on the caller's clock; below 0 while it is empty. */
  since = -1;

  /** @param slots of the arena: no more can ever wait */
  constructor(slots: number) {
    let capacity = 1;
    while (capacity < slots) capacity *= 2;
    this.ring = new Uint32Array(capacity);
    this.mask = capacity - 1;
  }

  /**
   * Appends slots[from, from + count).
   * @throws RangeError if they do not fit: a slot was added twice
   */
  push(slots: Uint32Array, from: number, count: number): void {
    const { ring, mask, head } = this;
    const tail = head + this.count;
    if (this.count + count > ring.length) {
      throw new RangeError(
        `${this.count} + ${count} packets wait for one NF, slots ${ring.length}: a slot has two owners`,
      );
    }
    for (let i = 0; i < count; i++) ring[(tail + i) & mask] = slots[from + i]!;
    this.count += count;
  }

  /** Moves the oldest `count` to out[at...]; the caller has looked whether there are so many. */
  shift(out: Uint32Array, at: number, count: number): void {
    const { ring, mask, head } = this;
    for (let i = 0; i < count; i++) out[at + i] = ring[(head + i) & mask]!;
    this.head = (head + count) & mask;
    this.count -= count;
  }
}
