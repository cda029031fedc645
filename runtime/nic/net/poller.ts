/** Sleeping until one of several sockets has something: ppoll(2) over memory laid out once. */
import { mapRegion, type Region, unmapRegion } from "../../packet/memory.js";
import { ppoll } from "./syscalls.js";

const POLLIN = 1;
/** struct pollfd: descriptor, then events and returned events of 16 bits. */
const POLLFD_WORDS = 2;
const TIMESPEC_WORDS = 4;

export class Poller {
  private readonly region: Region;
  private readonly words: Int32Array;
  private readonly timeoutAt: number;

  constructor(private readonly descriptors: readonly number[]) {
    this.timeoutAt = descriptors.length * POLLFD_WORDS;
    this.region = mapRegion((this.timeoutAt + TIMESPEC_WORDS) * 4);
    this.words = new Int32Array(this.region.buffer, 0, this.timeoutAt + TIMESPEC_WORDS);
    descriptors.forEach((fd, i) => {
      this.words[i * POLLFD_WORDS] = fd;
      this.words[i * POLLFD_WORDS + 1] = POLLIN;
    });
  }

  /** Sleeps until a socket has something or `ms`, less than 1000, are over. @returns true where one has */
  wait(ms: number): boolean {
    const { words, timeoutAt, region } = this;
    // tv_sec and the upper half of tv_nsec stay 0.
    words[timeoutAt + 2] = Math.round(ms * 1e6);
    return ppoll(region.address, this.descriptors.length, region.address + timeoutAt * 4, null) > 0;
  }

  close(): void {
    unmapRegion(this.region);
  }
}
