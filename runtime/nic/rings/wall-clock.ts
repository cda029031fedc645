/** Arrival times of packets whose driver has none: one for each burst. */
import { performance } from "node:perf_hooks";

/** Ms since 1970 that performance.now() counts from; asking for it costs more than the time itself. */
const ORIGIN = performance.timeOrigin;

export class WallClock {
  /** Seconds since 1970, and nanoseconds, at the last {@link read}. */
  sec = 0;
  nsec = 0;

  read(): void {
    const ms = ORIGIN + performance.now();
    const sec = Math.floor(ms / 1000);
    // Integers to V8, too: a field that has held another number is one on the heap, and so is what is read from it.
    this.sec = sec >>> 0;
    this.nsec = ((ms - sec * 1000) * 1e6) >>> 0;
  }
}
