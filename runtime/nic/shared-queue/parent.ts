/**
 * Pattern "parent" (Figure 2d of Asada et al., their proposal): the first thread alone touches the words that the kernel touches, and tells
 * the others by a word of theirs what has come. They acquire packets from areas of their own, and tell it how far they are.
 */
import { AreaEnd, takenUpTo } from "./area-end.js";
import { QueueEnd, type QueueParts } from "./end.js";
import { STAGE } from "./stages.js";
import { WORD } from "./words.js";

export class ParentEnd extends QueueEnd {
  private readonly workers: number;

  constructor(parts: QueueParts) {
    super(parts);
    this.workers = parts.share.threads - 1;
  }

  /** Moves indices to and fro. @returns 0: a parent takes no packets */
  receive(): number {
    if (!this.open) return 0;
    const { stages, words } = this;
    const timed = stages?.begin() ?? false;
    const { produced } = this;
    if (timed) stages!.lap(STAGE.HARDWARE);
    // Both words are written by this thread alone.
    if (words[WORD.ARRIVED] !== produced) Atomics.store(words, WORD.ARRIVED, produced);
    const released = words[WORD.RELEASED]!;
    const to = takenUpTo(words, released, this.workers);
    if (timed) stages!.lap(STAGE.CAS);
    const some = (to - released) | 0;
    if (some > 0) this.release(to);
    else if (produced === released) this.wake();
    if (timed) stages!.lap(STAGE.HARDWARE);
    if (some > 0) stages?.moved(some, timed);
    return 0;
  }
}

export class WorkerEnd extends AreaEnd {
  receive(slots: Uint32Array, count: number): number {
    if (!this.open) return 0;
    const { stages } = this;
    const timed = stages?.begin() ?? false;
    const arrived = Atomics.load(this.words, WORD.ARRIVED);
    if (timed) stages!.lap(STAGE.CAS);
    const some = this.acquire(arrived, slots, count);
    if (timed) stages!.lap(STAGE.BUFFER);
    if (some === 0) return 0;
    this.tell();
    if (timed) stages!.lap(STAGE.CAS);
    stages?.received(some, timed);
    return some;
  }
}
