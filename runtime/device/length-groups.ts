import { PARAM_WORDS } from "../packet/arena.js";
import { PARAM_PLACE } from "./queue.js";

/** Constants of this module are part of the compiled code; imported bindings are looked up at each use (V8 11, Node 20). */
const WORDS = PARAM_WORDS;
const PLACE = PARAM_PLACE;
/** A class is 64 bytes of what a kernel works on: one block of SHA-1, four of AES. */
const CLASS_SHIFT = 6;
/** Classes cover the whole slot; what claimed to be longer would be in the last. */
const CLASSES = 32;

/**
 * Groups packets by length, so that the threads of a workgroup that run in lock-step have about as much to do as each other: a row
 * takes as long as its longest packet. A counting sort by classes of 64 bytes, which keeps the order within a class.
 */
export class LengthGroups {
  /** Packets to group, before and after. */
  readonly slots: Uint32Array;
  private readonly sorted: Uint32Array;
  private readonly classOf: Uint8Array;
  private readonly starts = new Uint32Array(CLASSES);

  /** @param capacity the most packets grouped at once */
  constructor(
    private readonly params: Uint32Array,
    capacity: number,
  ) {
    this.slots = new Uint32Array(capacity);
    this.sorted = new Uint32Array(capacity);
    this.classOf = new Uint8Array(capacity);
  }

  /**
   * Sorts slots[0, count).
   * @returns where the one that came first is now
   */
  sort(count: number): number {
    const { slots, sorted, classOf, starts, params } = this;
    starts.fill(0);
    for (let i = 0; i < count; i++) {
      const bytes = params[slots[i]! * WORDS + PLACE]! >>> 16;
      const length = Math.min(bytes >>> CLASS_SHIFT, CLASSES - 1);
      classOf[i] = length;
      starts[length] = starts[length]! + 1;
    }
    let start = 0;
    for (let c = 0; c < CLASSES; c++) {
      const members = starts[c]!;
      starts[c] = start;
      start += members;
    }
    const first = starts[classOf[0]!]!;
    for (let i = 0; i < count; i++) {
      const c = classOf[i]!;
      const at = starts[c]!;
      starts[c] = at + 1;
      sorted[at] = slots[i]!;
    }
    for (let i = 0; i < count; i++) slots[i] = sorted[i]!;
    return first;
  }
}
