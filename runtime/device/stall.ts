/** Notices that a device has come to a halt: nothing a workgroup does takes seconds. */

/** What does not go on. Indices are u32. */
export interface Stall {
  /** The workgroup whose oldest row is not done; undefined where packets wait and no workgroup of the syncer takes rows. */
  readonly workgroup: number | undefined;
  /** Rows published to and processed by that workgroup; 0 without one. */
  readonly cpuIndex: number;
  readonly gpuIndex: number;
  /** The NF of the oldest row, or of the packets that wait: index into the handle's NFs. */
  readonly nf: number;
  /** Packets in flight in that workgroup's queue; without one, packets that wait. */
  readonly packets: number;
  /** How long nothing has moved. */
  readonly seconds: number;
}

/** The words of an error about it. `nfs`: names, in the order of the handle's NFs. */
export function describeStall(stall: Stall, nfs: readonly string[]): string {
  const { workgroup, cpuIndex, gpuIndex, packets } = stall;
  const nf = nfs[stall.nf];
  const time = `${stall.seconds.toFixed(1)} s`;
  if (workgroup === undefined) {
    return `no workgroup has taken a row for ${time}, and ${packets} packets wait for NF ${nf}`;
  }
  return (
    `workgroup ${workgroup} has made no progress for ${time} on a row of NF ${nf}: ` +
    `CpuIndex ${cpuIndex}, GpuIndex ${gpuIndex}, ${packets} packets in flight`
  );
}

/** Looks this many times within the time limit. */
const LOOKS = 8;

/**
 * Since when each of a number of queues has stood still. Looks seldom, so that a call costs one comparison; a stall is reported when
 * the limit has passed, never before, and at most a quarter of the limit late.
 *
 * A launch gives a queue that had nobody another chance, so it starts the time anew; but a queue's turn comes in one of as many
 * launches as there are workgroups, and one that is passed over twice as often stands still, whatever is launched.
 */
export class StallWatch {
  private readonly interval: number;
  private nextLook = -1;
  private readonly progress: Float64Array;
  private readonly launch: Int32Array;
  private readonly busy: Uint8Array;
  private readonly since: Float64Array;
  private readonly changed: Float64Array;
  private readonly launchAtProgress: Int32Array;

  /**
   * @param count of the things watched
   * @param limit ns
   * @param launches that may pass without progress, each of which starts the time anew
   */
  constructor(
    count: number,
    private readonly limit: number,
    private readonly launches: number,
  ) {
    this.interval = limit / LOOKS;
    this.progress = new Float64Array(count);
    this.launch = new Int32Array(count);
    this.launchAtProgress = new Int32Array(count);
    this.busy = new Uint8Array(count);
    this.since = new Float64Array(count);
    this.changed = new Float64Array(count);
  }

  /** True when it is time to call {@link standsStill} for each. */
  due(now: number): boolean {
    if (now < this.nextLook) return false;
    this.nextLook = now + this.interval;
    return true;
  }

  /**
   * @param busy there is something to do
   * @param progress any number that changes when something is done
   * @param launch number of the launch
   * @returns ns without progress, once that is over the limit; else 0
   */
  standsStill(i: number, now: number, busy: boolean, progress: number, launch: number): number {
    const wasBusy = this.busy[i] === 1;
    this.busy[i] = busy ? 1 : 0;
    if (!busy || !wasBusy || progress !== this.progress[i]) {
      // Work may have come right after the last look: the time runs from the first look that sees it.
      this.progress[i] = progress;
      this.launch[i] = launch;
      this.launchAtProgress[i] = launch;
      this.since[i] = now;
      this.changed[i] = now;
      return 0;
    }
    if (launch !== this.launch[i]) {
      this.launch[i] = launch;
      if (((launch - this.launchAtProgress[i]!) | 0) <= this.launches) this.since[i] = now;
    }
    return now - this.since[i]! >= this.limit ? now - this.changed[i]! : 0;
  }
}
