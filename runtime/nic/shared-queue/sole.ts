/** Pattern "default": one thread does it all (Figure 2a of Asada et al.). */
import { QueueEnd } from "./end.js";
import { STAGE } from "./stages.js";
import { WORD } from "./words.js";

export class SoleEnd extends QueueEnd {
  receive(slots: Uint32Array, count: number): number {
    if (!this.open) return 0;
    const { stages } = this;
    const timed = stages?.begin() ?? false;
    // Its own index: no other thread moves it.
    const next = this.words[WORD.RELEASED]!;
    const some = Math.min(count, (this.produced - next) | 0);
    if (timed) stages!.lap(STAGE.HARDWARE);
    if (some <= 0) {
      this.wake();
      return 0;
    }
    this.exchange(next, slots, 0, some);
    if (timed) stages!.lap(STAGE.BUFFER);
    this.release((next + some) | 0);
    if (timed) stages!.lap(STAGE.HARDWARE);
    stages?.received(some, timed);
    return some;
  }
}
