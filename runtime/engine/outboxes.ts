import { MAX_BATCH } from "../packet/batch.js";
import type { Topology } from "./topology.js";

/** As many as a target has values. */
const TARGETS = 0x1_0000;

/** Sorts a burst by the threads its packets go to. */
export class Outboxes {
  /** By thread, what the last {@link sort} has sorted, and how many. */
  readonly boxes: readonly Uint32Array[];
  readonly counts: Uint32Array;

  /**
   * @param threads of which there is a box each
   * @param keys by slot
   * @param threadOf by key
   * @param room packets of a burst
   */
  constructor(
    threads: number,
    private readonly keys: Uint8Array | Uint16Array,
    private readonly threadOf: Uint8Array,
    room = MAX_BATCH,
  ) {
    this.boxes = Array.from({ length: threads }, () => new Uint32Array(room));
    this.counts = new Uint32Array(threads);
  }

  sort(slots: Uint32Array, count: number): void {
    const { boxes, counts, keys, threadOf } = this;
    counts.fill(0);
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const to = threadOf[keys[slot]!]!;
      const at = counts[to]!;
      boxes[to]![at] = slot;
      counts[to] = at + 1;
    }
  }
}

/** By target (arena.next): the thread that owns the NF. @param elsewhere the thread of all other targets */
export function threadsOfTargets({ threads }: Pick<Topology, "threads">, elsewhere: number): Uint8Array {
  const threadOf = new Uint8Array(TARGETS).fill(elsewhere);
  threads.forEach(({ nfs }, thread) => {
    for (const nf of nfs) threadOf[nf] = thread;
  });
  return threadOf;
}

/** By home of a slot (arena.home): the receiver it belongs to, which is its number. */
export function threadsOfHomes(receivers: number): Uint8Array {
  return Uint8Array.from({ length: receivers }, (_, receiver) => receiver);
}
