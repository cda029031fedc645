/**
 * A CPUSyncer with what the engine has to see to: when rows go that are not full, and what becomes of packets when the device fails or
 * comes to a halt.
 */
import type { Stall } from "../device/stall.js";
import type { Syncer } from "../device/syncer.js";
import type { Arena } from "../packet/arena.js";
import { CONTROL, failDevice, QUIET } from "./control.js";
import { type Plan, TARGET } from "./plan.js";

export class SyncDriver {
  /** The device is given up: what {@link collect} returns was not served. */
  failed = false;
  private readonly numberOf: Int16Array;
  private readonly stalled: Int32Array;
  /** Given up while the device was already known to have failed. */
  private readonly late: number[] = [];

  /** @param report told once, by the thread that notices that the device has come to a halt */
  constructor(
    plan: Pick<Plan, "device">,
    private readonly syncer: Syncer,
    private readonly arena: Arena,
    private readonly control: Int32Array,
    private readonly report: (stall: Stall) => void,
  ) {
    this.numberOf = Int16Array.from(plan.device!.numberOf);
    this.stalled = Int32Array.from(plan.device!.stalled);
  }

  /** True while packets wait or are in flight: only polling brings them back. */
  get polling(): boolean {
    return this.syncer.waiting > 0 || this.syncer.inFlight > 0 || this.late.length > 0;
  }

  /** Takes slots[from, from + count), prepared, for an NF of the chain. */
  add(nf: number, slots: Uint32Array, from: number, count: number): void {
    if (this.failed) for (let i = 0; i < count; i++) this.late.push(slots[from + i]!);
    else this.syncer.add(this.numberOf[nf]!, slots, from, count);
  }

  /**
   * Publishes what is due, and looks whether the device goes on.
   * @param now ns
   * @returns true where rows were published or the device was given up
   */
  publish(now: number, quiet: QUIET): boolean {
    const { syncer } = this;
    if (this.failed) return false;
    const stall = syncer.stalled(now);
    if (stall !== undefined || Atomics.load(this.control, CONTROL.DEVICE_FAILED) === 1) {
      if (stall !== undefined && Atomics.load(this.control, CONTROL.DEVICE_FAILED) === 0) this.report(stall);
      failDevice(this.control);
      this.failed = true;
      return true;
    }
    if (syncer.waiting === 0) return false;
    // Without a free slot nothing comes until rows are done: only where none is in flight would waiting be in vain.
    const idle = quiet === QUIET.YES || (quiet === QUIET.STARVED && syncer.inFlight === 0);
    return syncer.publish(now, idle) > 0;
  }

  /**
   * Packets that come back. Of a device that has failed all of them do, unserved: see {@link drop}.
   * @param out of a row's length at least
   * @returns how many; 0: none now
   */
  collect(out: Uint32Array): number {
    if (!this.failed) return this.syncer.collect(out);
    const count = this.syncer.abandon(out);
    if (count > 0) return count;
    const { late } = this;
    const some = Math.min(late.length, out.length);
    for (let i = 0; i < some; i++) out[i] = late[i]!;
    late.splice(0, some);
    return some;
  }

  /** Makes packets that were not served drops with the reason that says so. */
  drop(slots: Uint32Array, count: number): void {
    const { next } = this.arena;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      next[slot] = TARGET.DROP + this.stalled[next[slot]!]!;
    }
  }
}
