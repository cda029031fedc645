/**
 * What a received packet costs by stage, as Asada et al. have it ("Roadblocks of I/O Parallelization", VI-A, Figure 6). One burst of 16 is
 * timed, so that the clock costs the others nothing; what the clock itself takes is subtracted.
 */
import { performance } from "node:perf_hooks";

/** Stages of receiving. */
export const enum STAGE {
  /** Index words the kernel (there: the NIC) shares with us, and system calls that wake it. */
  HARDWARE = 0,
  /** The threads among themselves: claiming, waiting for the turn, telling each other ("CAS" and "Join"). */
  CAS = 1,
  /** Descriptors, slots put in their place, and the packet's metadata ("Buffer"). */
  BUFFER = 2,
}

/** ns a packet, means over the bursts that were timed; null where none was. Names as in the result of a run. */
export interface StageReport {
  /** All that the thread received, timed or not; of a parent, which receives none: those it has released. */
  readonly packets: number;
  readonly hardware_ns: number | null;
  readonly cas_ns: number | null;
  readonly buffer_ns: number | null;
  /** The three together. */
  readonly rx_ns: number | null;
  /** From asking for packets until they have been handed on or sent. A parent forwards none: null. */
  readonly entire_ns: number | null;
}

const EVERY = 16;
const STAGES = 3;
/** Places in the sums, behind the stages. */
const ENTIRE = STAGES;
const LAST = STAGES + 1;
const STARTED = STAGES + 2;

/** ns between two readings of the clock with nothing between them; the least, since it is subtracted. */
function clockCost(): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 1000; i++) {
    const before = performance.now();
    const spent = performance.now() - before;
    if (spent < least) least = spent;
  }
  return least * 1e6;
}

let clockNs: number | undefined;

export class StageTimes {
  /** A burst that is timed is on its way through the loop; see {@link forwarded}. */
  under = false;
  private calls = 0;
  private packets = 0;
  private timed = 0;
  private forwardedPackets = 0;
  private burst = 0;
  private laps = 0;
  private readonly cost: number;
  /** ns by stage, of all bursts that were timed, and of the one under way. */
  private readonly sums = new Float64Array(STAGES + 3);
  private readonly now = new Float64Array(STAGES);

  constructor() {
    clockNs ??= clockCost();
    this.cost = clockNs;
  }

  /** @returns whether this call is to be timed: then every part of it ends with {@link lap} */
  begin(): boolean {
    if (++this.calls % EVERY !== 0) return false;
    this.now.fill(0);
    this.laps = 0;
    const ns = performance.now() * 1e6;
    this.sums[STARTED] = ns;
    this.sums[LAST] = ns;
    return true;
  }

  /** What has passed since the last one was spent in this stage. */
  lap(stage: STAGE): void {
    const ns = performance.now() * 1e6;
    this.now[stage] = this.now[stage]! + Math.max(0, ns - this.sums[LAST]! - this.cost);
    this.sums[LAST] = ns;
    this.laps++;
  }

  /** At the end of every call that received something. */
  received(packets: number, timed: boolean): void {
    this.packets += packets;
    if (!timed) return;
    this.timed += packets;
    for (let stage = 0; stage < STAGES; stage++) this.sums[stage] = this.sums[stage]! + this.now[stage]!;
    this.burst = packets;
    this.under = true;
  }

  /** The burst under way has left the thread. */
  forwarded(): void {
    this.under = false;
    this.forwardedPackets += this.burst;
    const ns = performance.now() * 1e6 - this.sums[STARTED]! - (this.laps + 1) * this.cost;
    this.sums[ENTIRE] = this.sums[ENTIRE]! + Math.max(0, ns);
  }

  report(): StageReport {
    const { timed, sums, packets, forwardedPackets } = this;
    const per = (ns: number, of: number) => (of === 0 ? null : ns / of);
    const stages = sums[STAGE.HARDWARE]! + sums[STAGE.CAS]! + sums[STAGE.BUFFER]!;
    return {
      packets,
      hardware_ns: per(sums[STAGE.HARDWARE]!, timed),
      cas_ns: per(sums[STAGE.CAS]!, timed),
      buffer_ns: per(sums[STAGE.BUFFER]!, timed),
      rx_ns: per(stages, timed),
      entire_ns: per(sums[ENTIRE]!, forwardedPackets),
    };
  }
}
