/**
 * Puts packets that several threads took from one queue back into the queue's order, by the numbers the port has given them (from 1 on and
 * without a gap, arena.arrival). Each port has a window as large as there are slots, so a packet finds its place however far it is ahead of
 * those that are missing: they hold the other slots. Nothing ever waits for one ring, or for one port, alone.
 */
import type { Arena } from "../packet/arena.js";

interface Window {
  /** By number: the slot, plus 1; 0: not there yet. */
  readonly slots: Uint32Array;
  /** Number of the next packet to leave. */
  next: number;
  /** Packets in it. */
  count: number;
}

export class OrderWindow {
  private readonly windows: readonly Window[];
  private readonly mask: number;
  /** Port that is asked first. */
  private turn = 0;

  /** @param ports of the chain */
  constructor(
    private readonly arena: Pick<Arena, "slots" | "arrival" | "portIn">,
    ports: number,
  ) {
    let capacity = 1;
    while (capacity < arena.slots) capacity *= 2;
    this.mask = capacity - 1;
    this.windows = Array.from({ length: ports }, () => ({ slots: new Uint32Array(capacity), next: 1, count: 0 }));
  }

  /**
   * Takes packets in, in any order.
   * @throws RangeError for a number that has been there, or is further ahead than there are slots
   */
  push(slots: Uint32Array, count: number): void {
    const { windows, mask } = this;
    const { arrival, portIn } = this.arena;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const window = windows[portIn[slot]!]!;
      const number = arrival[slot]!;
      const ahead = number - window.next;
      const at = number & mask;
      if (!(ahead >= 0 && ahead <= mask) || window.slots[at] !== 0) {
        throw new RangeError(
          `packet ${number} of a queue, where ${window.next} is next: a number was given twice, or left out`,
        );
      }
      window.slots[at] = slot + 1;
      window.count++;
    }
  }

  /** The next packets in order, of one port, each port in turn. @returns how many lie in `out`; 0: the next of every port are missing */
  release(out: Uint32Array, max: number): number {
    const { windows } = this;
    for (let i = 0; i < windows.length; i++) {
      const window = windows[this.turn]!;
      this.turn = this.turn + 1 < windows.length ? this.turn + 1 : 0;
      if (window.count === 0) continue;
      const count = this.releaseFrom(window, out, max);
      if (count > 0) return count;
    }
    return 0;
  }

  private releaseFrom(window: Window, out: Uint32Array, max: number): number {
    const { mask } = this;
    const { slots, next } = window;
    const most = Math.min(max, window.count);
    let count = 0;
    while (count < most) {
      const at = (next + count) & mask;
      const slot = slots[at]!;
      if (slot === 0) break;
      slots[at] = 0;
      out[count++] = slot - 1;
    }
    window.next = next + count;
    window.count -= count;
    return count;
  }
}
