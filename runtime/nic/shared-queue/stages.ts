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

/**
 * ns a packet, names as in the result of a run. Means over the bursts that were timed, without the slowest 5 % of each stage: in those the
 * thread's processor was taken from it, which takes milliseconds and would be all that a mean shows. null where nothing was timed.
 */
export interface StageReport {
  /** All that the thread received, timed or not; of a parent, which receives none: those it has released. */
  readonly packets: number;
  readonly hardware_ns: number | null;
  readonly cas_ns: number | null;
  readonly buffer_ns: number | null;
  /** The three together. */
  readonly rx_ns: number | null;
  /** From asking for packets until they have been handed on or sent. Of a parent null: it forwards none. */
  readonly entire_ns: number | null;
}

const EVERY = 16;
/** Of the bursts that count; 0.95 of them, rounded up. */
const KEPT_SHARE = 0.95;
/** Bursts that are remembered: of more, so many at random. */
const ROWS = 1024;
const STAGES = 3;
/** Columns of a row: the stages, then these. */
const RX = STAGES;
const ENTIRE = STAGES + 1;
const PACKETS = STAGES + 2;
const COLUMNS = STAGES + 3;
const NOT_KEPT = -1;

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
  /** A burst that is timed is on its way through the thread's loop; to be told by {@link forwarded}. */
  under = false;
  private calls = 0;
  private packets = 0;
  /** Bursts that were timed; rows that are in use are as many, at most all. */
  private timed = 0;
  private row = NOT_KEPT;
  private laps = 0;
  private readonly cost: number;
  private readonly rows = new Float64Array(ROWS * COLUMNS);
  /** ns by stage of the burst under way. */
  private readonly burst = new Float64Array(STAGES);
  /** When the burst under way began, and its last lap ended. */
  private readonly at = new Float64Array(2);

  constructor() {
    clockNs ??= clockCost();
    this.cost = clockNs;
  }

  /** @returns whether this call is to be timed: then every part of it ends with {@link lap} */
  begin(): boolean {
    if (++this.calls % EVERY !== 0) return false;
    this.burst.fill(0);
    this.laps = 0;
    const ns = performance.now() * 1e6;
    this.at[0] = ns;
    this.at[1] = ns;
    return true;
  }

  /** What has passed since the last one was spent in this stage. */
  lap(stage: STAGE): void {
    const ns = performance.now() * 1e6;
    this.burst[stage] = this.burst[stage]! + Math.max(0, ns - this.at[1]! - this.cost);
    this.at[1] = ns;
    this.laps++;
  }

  /** At the end of every call that took packets. */
  received(packets: number, timed: boolean): void {
    this.packets += packets;
    if (!timed) return;
    this.keep(packets);
    this.under = true;
  }

  /** At the end of every call that took none for itself, but moved some on. */
  moved(packets: number, timed: boolean): void {
    this.packets += packets;
    if (timed) this.keep(packets);
  }

  /** Algorithm R (Vitter, "Random Sampling with a Reservoir", 1985). */
  private keep(packets: number): void {
    const { rows, burst, timed } = this;
    this.timed = timed + 1;
    this.row = timed < ROWS ? timed : Math.floor(Math.random() * (timed + 1));
    if (this.row >= ROWS) this.row = NOT_KEPT;
    if (this.row === NOT_KEPT) return;
    const at = this.row * COLUMNS;
    rows[at + RX] = 0;
    for (let stage = 0; stage < STAGES; stage++) {
      rows[at + stage] = burst[stage]!;
      rows[at + RX] = rows[at + RX]! + burst[stage]!;
    }
    rows[at + ENTIRE] = Number.NaN;
    rows[at + PACKETS] = packets;
  }

  /** The burst under way has left the thread. */
  forwarded(): void {
    this.under = false;
    if (this.row === NOT_KEPT) return;
    const ns = performance.now() * 1e6 - this.at[0]! - (this.laps + 1) * this.cost;
    this.rows[this.row * COLUMNS + ENTIRE] = Math.max(0, ns);
  }

  /** False where no port has used it. */
  get used(): boolean {
    return this.calls > 0;
  }

  report(): StageReport {
    return {
      packets: this.packets,
      hardware_ns: this.mean(STAGE.HARDWARE),
      cas_ns: this.mean(STAGE.CAS),
      buffer_ns: this.mean(STAGE.BUFFER),
      rx_ns: this.mean(RX),
      entire_ns: this.mean(ENTIRE),
    };
  }

  private mean(column: number): number | null {
    const bursts: { ns: number; packets: number }[] = [];
    for (let row = 0; row < Math.min(this.timed, ROWS); row++) {
      const ns = this.rows[row * COLUMNS + column]!;
      const packets = this.rows[row * COLUMNS + PACKETS]!;
      if (!Number.isNaN(ns)) bursts.push({ ns, packets });
    }
    if (bursts.length === 0) return null;
    bursts.sort((a, b) => a.ns / a.packets - b.ns / b.packets);
    let ns = 0;
    let packets = 0;
    for (const burst of bursts.slice(0, Math.ceil(bursts.length * KEPT_SHARE))) {
      ns += burst.ns;
      packets += burst.packets;
    }
    return ns / packets;
  }
}
