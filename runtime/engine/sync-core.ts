/** The loop of a CPUSyncer core (the paper's `c`): packets from owners' rings into rows, and back to their owners when rows are done. */
import type { Arena } from "../packet/arena.js";
import { MAX_BATCH } from "../packet/batch.js";
import type { RingConsumer, RingProducer } from "../packet/ring.js";
import { CONTROL, isDrained, QUIET, quietOf, ring } from "./control.js";
import { Outboxes, threadsOfTargets } from "./outboxes.js";
import { type Plan, waitOf } from "./plan.js";
import type { SyncDriver } from "./sync-driver.js";
import type { Topology } from "./topology.js";
import { Waiter } from "./wait.js";

export interface SyncCoreParts {
  readonly thread: number;
  readonly plan: Plan;
  readonly topology: Topology;
  readonly arena: Arena;
  readonly control: Int32Array;
  readonly clock: () => number;
  readonly driver: SyncDriver;
  /** By the thread at the other end. */
  readonly incoming: readonly (RingConsumer | undefined)[];
  readonly outgoing: readonly (RingProducer | undefined)[];
}

export class SyncCore {
  private readonly burst = new Uint32Array(MAX_BATCH);
  private readonly collected: Uint32Array;
  /** By owner of the NF. */
  private readonly outboxes: Outboxes;
  private readonly waiter: Waiter;

  constructor(private readonly parts: SyncCoreParts) {
    const { topology, plan, thread, control } = parts;
    const row = plan.device!.handle.shape.workgroupSize;
    this.collected = new Uint32Array(row);
    const owners = threadsOfTargets(topology, thread);
    this.outboxes = new Outboxes(topology.threads.length, parts.arena.next, owners, row);
    this.waiter = new Waiter(waitOf(plan.options, "sync"), control, thread, false);
  }

  /** Runs until every slot is home again, or the run is aborted. */
  run(): void {
    const { control, driver, topology } = this.parts;
    for (;;) {
      if (Atomics.load(control, CONTROL.ABORT) === 1) return;
      const moved = this.round();
      if (moved) this.waiter.busy();
      else if (isDrained(control, topology.receivers)) return;
      else if (driver.polling) this.waiter.poll();
      else this.waiter.idle(this.hasIncoming);
    }
  }

  /** One round, without waiting; true where something moved. */
  round(): boolean {
    const { incoming, driver, clock, control, topology } = this.parts;
    let came = false;
    for (let from = 0; from < incoming.length; from++) {
      const count = incoming[from]?.pop(this.burst, 0, MAX_BATCH) ?? 0;
      if (count === 0) continue;
      came = true;
      this.add(count);
    }
    let moved = this.handBack() || came;
    if (driver.publish(clock(), came ? QUIET.NO : quietOf(control, topology.stations))) moved = true;
    return moved;
  }

  private add(count: number): void {
    const { burst } = this;
    const { next } = this.parts.arena;
    let start = 0;
    for (let i = 1; i <= count; i++) {
      const nf = next[burst[start]!]!;
      if (i < count && next[burst[i]!] === nf) continue;
      this.parts.driver.add(nf, burst, start, i - start);
      start = i;
    }
  }

  private handBack(): boolean {
    const { driver } = this.parts;
    const { collected } = this;
    let moved = false;
    for (;;) {
      const count = driver.collect(collected);
      if (count === 0) return moved;
      moved = true;
      this.deal(count);
    }
  }

  /** Each packet to the owner of its NF. */
  private deal(count: number): void {
    const { collected } = this;
    const { boxes, counts } = this.outboxes;
    const { driver, outgoing, control } = this.parts;
    this.outboxes.sort(collected, count);
    // Behind the sorting, which goes by the NF it was for.
    if (driver.failed) driver.drop(collected, count);
    for (let owner = 0; owner < boxes.length; owner++) {
      const n = counts[owner]!;
      if (n === 0) continue;
      outgoing[owner]!.push(boxes[owner]!, 0, n);
      ring(control, owner);
    }
  }

  private readonly hasIncoming = (): boolean => {
    const { control, incoming, topology } = this.parts;
    if (isDrained(control, topology.receivers)) return true;
    for (const consumer of incoming) if (consumer?.pending) return true;
    return false;
  };
}
