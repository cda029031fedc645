/**
 * A device that computes wrongly, for tests of what is to find that out: once, in a round that has been served, one bit is another. Of a
 * kernel that writes packets, in the middle of what it wrote; of one that answers in the params, in the answer, the first that is not 0
 * (a 0 says that there is nothing to be found, and whatever says otherwise is looked at again).
 */
import type { Arena } from "../packet/arena.js";
import { DUMMY, PARAM_PLACE, type QueueShape, ROW, ROW_HEADER } from "./queue.js";

const WORDS = 8;
const SLOT_SHIFT = 11;

export class Fault {
  private rounds = 0;
  private over = false;

  /**
   * @param after rounds that are served well
   * @param writes by ROW.PROGRAM: 1 where the kernel writes to packets
   */
  constructor(
    private readonly after: number,
    private readonly arena: Arena,
    private readonly shape: QueueShape,
    private readonly writes: Uint8Array,
  ) {}

  /** A round has been served, and nobody has been told. `rows`: where each of its rows begins in `queue`. */
  served(queue: Uint32Array, rows: Uint32Array, count: number): void {
    if (this.over || this.rounds++ < this.after) return;
    const { workgroupSize } = this.shape;
    for (let r = 0; r < count && !this.over; r++) {
      const row = rows[r]!;
      const packet = this.writes[queue[row + ROW.PROGRAM]!] === 1;
      for (let t = 0; t < workgroupSize && !this.over; t++) {
        const slot = queue[row + ROW_HEADER + t]!;
        if (slot !== DUMMY) this.over = packet ? this.spoilPacket(slot) : this.spoilAnswer(slot);
      }
    }
  }

  private spoilPacket(slot: number): boolean {
    const { params, u8 } = this.arena;
    const place = params[slot * WORDS + PARAM_PLACE]!;
    const at = (slot << SLOT_SHIFT) + (place & 0xffff) + (place >>> 17);
    u8[at] = u8[at]! ^ 1;
    return true;
  }

  private spoilAnswer(slot: number): boolean {
    const { params } = this.arena;
    const answer = params[slot * WORDS]!;
    params[slot * WORDS] = answer ^ Number(answer !== 0);
    return answer !== 0;
  }
}
