import type { Arena } from "../packet/arena.js";
import { MAX_BATCH } from "../packet/batch.js";

/** Deals free slots to the receivers they belong to. */
export class SlotsHome {
  private readonly boxes: readonly Uint32Array[];
  private readonly counts: Uint32Array;

  /** @param push takes a receiver's slots, which are the caller's again when it returns */
  constructor(
    private readonly arena: Pick<Arena, "home">,
    receivers: number,
    private readonly push: (receiver: number, slots: Uint32Array, count: number) => void,
  ) {
    this.boxes = Array.from({ length: receivers }, () => new Uint32Array(MAX_BATCH));
    this.counts = new Uint32Array(receivers);
  }

  /** @param count at most MAX_BATCH */
  deal(slots: Uint32Array, count: number): void {
    const { boxes, counts } = this;
    const { home } = this.arena;
    counts.fill(0);
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const to = home[slot]!;
      const at = counts[to]!;
      boxes[to]![at] = slot;
      counts[to] = at + 1;
    }
    for (let to = 0; to < boxes.length; to++) if (counts[to]! > 0) this.push(to, boxes[to]!, counts[to]!);
  }
}
