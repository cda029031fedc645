/**
 * Pattern "arbitration": every thread does it all, and compare-and-swap of one index says whose an entry is (Figure 2b of Asada et al.).
 * Entries are claimed in bursts, and given back to the kernel in the order they were claimed: who is done waits for its turn.
 */
import { yieldCpu } from "../../native/yield-cpu.js";
import { QueueEnd } from "./end.js";
import { STAGE } from "./stages.js";
import { WORD } from "./words.js";

/**
 * The thread whose turn it is has only a burst of descriptors to go, unless its processor was taken from it: then spinning on that very
 * processor keeps it from going on, so after some polls others are let go first, and after some more this thread sleeps, which lets
 * threads of lower priority run, too.
 */
const SPINS = 200;
const YIELDS = 100;
const SLEEP_MS = 0.05;

export class ArbitrationEnd extends QueueEnd {
  receive(slots: Uint32Array, count: number): number {
    if (!this.open) return 0;
    const { stages, words } = this;
    const timed = stages?.begin() ?? false;
    const { produced } = this;
    if (timed) stages!.lap(STAGE.HARDWARE);
    let next = Atomics.load(words, WORD.CLAIMED);
    let some = 0;
    for (;;) {
      // Below 0 where others have claimed what came after we looked.
      some = Math.min(count, (produced - next) | 0);
      if (some <= 0) break;
      const found = Atomics.compareExchange(words, WORD.CLAIMED, next, (next + some) | 0);
      if (found === next) break;
      next = found;
    }
    if (timed) stages!.lap(STAGE.CAS);
    if (some <= 0) {
      this.wake();
      return 0;
    }
    this.exchange(next, slots, 0, some);
    if (timed) stages!.lap(STAGE.BUFFER);
    this.join(next);
    if (timed) stages!.lap(STAGE.CAS);
    this.release((next + some) | 0);
    if (timed) stages!.lap(STAGE.HARDWARE);
    stages?.received(some, timed);
    return some;
  }

  /** Waits until all before `own` is released. A thread that has claimed always comes to that: nothing between the two can fail. */
  private join(own: number): void {
    const { words } = this;
    for (let polls = 0; ; polls++) {
      const released = Atomics.load(words, WORD.RELEASED);
      if (released === own) return;
      if (polls < SPINS) continue;
      if (polls < SPINS + YIELDS) yieldCpu();
      else Atomics.wait(words, WORD.RELEASED, released, SLEEP_MS);
    }
  }
}
