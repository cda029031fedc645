/** Sleeping until one of several sockets has something, or another thread rings: ppoll(2) over memory laid out once. */
import { closeEvent, openEvent, takeSignals } from "../../native/eventfd.js";
import { mapRegion, type Region, unmapRegion } from "../../packet/memory.js";
import { ppoll } from "./syscalls.js";

const POLLIN = 1;
/** struct pollfd: descriptor, then events and returned events of 16 bits. The doorbell is the first. */
const POLLFD_WORDS = 2;
const TIMESPEC_WORDS = 4;

/** What ended a sleep. */
export const enum WOKEN {
  BY_TIME = 0,
  BY_BELL = 1,
  BY_SOCKET = 2,
}

export class Poller {
  /** An eventfd: another thread ends a sleep by signal() of it. */
  readonly bell: number;
  private readonly region: Region;
  private readonly words: Int32Array;
  private readonly timeoutAt: number;
  private readonly count: number;

  /** @param descriptors of sockets; they stay the caller's */
  constructor(descriptors: readonly number[]) {
    this.bell = openEvent();
    const all = [this.bell, ...descriptors];
    this.count = all.length;
    this.timeoutAt = all.length * POLLFD_WORDS;
    this.region = mapRegion((this.timeoutAt + TIMESPEC_WORDS) * 4);
    this.words = new Int32Array(this.region.buffer, 0, this.timeoutAt + TIMESPEC_WORDS);
    all.forEach((fd, i) => {
      this.words[i * POLLFD_WORDS] = fd;
      this.words[i * POLLFD_WORDS + 1] = POLLIN;
    });
  }

  /**
   * Sleeps until the doorbell rings or `ms`, less than 1000, are over.
   * @param sockets a socket that has something ends the sleep as well
   */
  wait(ms: number, sockets: boolean): WOKEN {
    const { words, timeoutAt, region } = this;
    // tv_sec and the upper half of tv_nsec stay 0.
    words[timeoutAt + 2] = Math.round(ms * 1e6);
    const some = ppoll(region.address, sockets ? this.count : 1, region.address + timeoutAt * 4, null);
    if (some <= 0) return WOKEN.BY_TIME;
    if (words[1]! >>> 16 === 0) return WOKEN.BY_SOCKET;
    takeSignals(this.bell);
    return WOKEN.BY_BELL;
  }

  close(): void {
    unmapRegion(this.region);
    closeEvent(this.bell);
  }
}
