/**
 * Packets on their way past a GPU NF, in the order they came. The device finishes rows in any order; packets leave when they
 * are done and everything in front of them has left.
 */
export class ReorderBuffer {
  private readonly ring: Uint32Array;
  private readonly mask: number;
  private head = 0;
  /** Packets in it. */
  count = 0;

  /** @param slots of the arena: no more can ever be in it */
  constructor(slots: number) {
    let capacity = 1;
    while (capacity < slots) capacity *= 2;
    this.ring = new Uint32Array(capacity);
    this.mask = capacity - 1;
  }

  /**
   * Appends a packet.
   * @throws RangeError where there are more of them than slots
   */
  push(slot: number): void {
    if (this.count === this.ring.length) throw new RangeError(`more than ${this.count} packets: a slot has two owners`);
    this.ring[(this.head + this.count++) & this.mask] = slot;
  }

  /**
   * Takes packets from the front up to the first that is not done.
   * @param done by slot: 1 when it is done
   * @returns how many lie in `out`, at most `max`
   */
  release(done: Uint8Array, out: Uint32Array, max: number): number {
    const { ring, mask, head } = this;
    const most = Math.min(max, this.count);
    let count = 0;
    while (count < most) {
      const slot = ring[(head + count) & mask]!;
      if (done[slot] === 0) break;
      out[count++] = slot;
    }
    this.head = (head + count) & mask;
    this.count -= count;
    return count;
  }
}
