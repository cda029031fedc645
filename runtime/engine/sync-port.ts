/** The way of an owner of GPU NFs to the device: its own CPUSyncer, or rings to CPUSyncer cores. */
import type { RingProducer } from "../packet/ring.js";
import { type QUIET, ring } from "./control.js";
import type { SyncDriver } from "./sync-driver.js";

export interface SyncPort {
  /** Lanes whose packets need not wait for each other. */
  readonly lanes: number;
  /** True while only polling brings packets back. */
  readonly polling: boolean;
  /** Takes slots[0, count), prepared, for an NF of the chain; they are the device's until they come back. */
  add(nf: number, lane: number, slots: Uint32Array, count: number): void;
  /** Publishes what is due; true where something went. */
  publish(now: number, quiet: QUIET): boolean;
  /**
   * Packets that came back; those the device failed to serve are drops. Packets from CPUSyncer cores come by ring instead.
   * @param out of a row's length at least
   */
  collect(out: Uint32Array): number;
}

export class LocalSyncPort implements SyncPort {
  readonly lanes = 1;

  constructor(private readonly driver: SyncDriver) {}

  get polling(): boolean {
    return this.driver.polling;
  }

  add(nf: number, _lane: number, slots: Uint32Array, count: number): void {
    this.driver.add(nf, slots, 0, count);
  }

  publish(now: number, quiet: QUIET): boolean {
    return this.driver.publish(now, quiet);
  }

  collect(out: Uint32Array): number {
    const count = this.driver.collect(out);
    if (count > 0 && this.driver.failed) this.driver.drop(out, count);
    return count;
  }
}

export class RemoteSyncPort implements SyncPort {
  readonly lanes: number;
  /** Cores ring the doorbell. */
  readonly polling = false;
  private turn = 0;

  /**
   * @param cores rings to the CPUSyncer cores that have workgroups
   * @param first thread number of the first of them
   * @param byFlow a lane for each core; else whole batches go to the cores in turn
   */
  constructor(
    private readonly cores: readonly RingProducer[],
    private readonly first: number,
    private readonly control: Int32Array,
    byFlow: boolean,
  ) {
    this.lanes = byFlow ? cores.length : 1;
  }

  add(_nf: number, lane: number, slots: Uint32Array, count: number): void {
    let core = lane;
    if (this.lanes === 1) {
      core = this.turn;
      this.turn = core + 1 === this.cores.length ? 0 : core + 1;
    }
    this.cores[core]!.push(slots, 0, count);
    ring(this.control, this.first + core);
  }

  publish(): boolean {
    return false;
  }

  collect(): number {
    return 0;
  }
}
