/**
 * Pattern "range": every thread looks at the kernel's index by itself, but takes from areas of its own only, so that nothing has to be
 * claimed (Figure 2c of Asada et al., "Only Range Division").
 *
 * Entries go back to the kernel in order, but no thread waits for its turn. Each tells how far it is; the one that owns the first entry not
 * yet released releases, when it has taken that, all that is done, also what others have done. So exactly one thread has the word at any
 * time, without an atomic read-modify-write, and the word passes on with RELEASED. Where a thread finishes just when the word comes to
 * it, it may not see it in time; then it releases at its next call, and the call comes: the kernel's consumer index says there are packets,
 * so that poll(2) does not let it sleep.
 */
import { AreaEnd, hasTurn, takenUpTo } from "./area-end.js";
import { STAGE } from "./stages.js";
import { WORD } from "./words.js";

export class RangeEnd extends AreaEnd {
  receive(slots: Uint32Array, count: number): number {
    if (!this.open) return 0;
    const { stages, words, acquirer, acquirers } = this;
    const timed = stages?.begin() ?? false;
    const { produced } = this;
    if (timed) stages!.lap(STAGE.HARDWARE);
    const some = this.acquire(produced, slots, count);
    if (timed) stages!.lap(STAGE.BUFFER);
    if (some > 0) this.tell();
    const turn = hasTurn(words, acquirer, acquirers);
    const to = turn ? takenUpTo(words, Atomics.load(words, WORD.RELEASED), acquirers) : 0;
    if (timed) stages!.lap(STAGE.CAS);
    if (turn) this.release(to);
    else if (some === 0) this.wake();
    if (timed) stages!.lap(STAGE.HARDWARE);
    if (some > 0) stages?.received(some, timed);
    return some;
  }
}
