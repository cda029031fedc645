/** The loop of a CPUSyncer core (the paper's `c`): packets from owners' rings into rows, and back to their owners when rows are done. */
import type { Arena } from "../packet/arena.js";
import { MAX_BATCH } from "../packet/batch.js";
import type { RingConsumer, RingProducer } from "../packet/ring.js";
import { CONTROL, isDrained, QUIET, quietOf, ring } from "./control.js";
import { type Plan, TARGET } from "./plan.js";
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
  private readonly outbox: readonly Uint32Array[];
  private readonly outboxCount: Uint32Array;
  private readonly ownerOf = new Uint8Array(TARGET.NF_LIMIT);
  private readonly waiter: Waiter;

  constructor(private readonly parts: SyncCoreParts) {
    const { topology, plan, thread, control } = parts;
    const row = plan.device!.handle.shape.workgroupSize;
    this.collected = new Uint32Array(row);
    this.outbox = topology.threads.map(() => new Uint32Array(row));
    this.outboxCount = new Uint32Array(topology.threads.length);
    topology.threads.forEach((role, t) => {
      for (const nf of role.nfs) this.ownerOf[nf] = t;
    });
    this.waiter = new Waiter(plan.options.wait, control, thread, false);
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
    const { collected, outbox, outboxCount, ownerOf } = this;
    const { arena, driver, outgoing, control } = this.parts;
    const { next } = arena;
    outboxCount.fill(0);
    for (let i = 0; i < count; i++) {
      const slot = collected[i]!;
      const owner = ownerOf[next[slot]!]!;
      const at = outboxCount[owner]!;
      outbox[owner]![at] = slot;
      outboxCount[owner] = at + 1;
    }
    if (driver.failed) driver.drop(collected, count);
    for (let owner = 0; owner < outbox.length; owner++) {
      const n = outboxCount[owner]!;
      if (n === 0) continue;
      outgoing[owner]!.push(outbox[owner]!, 0, n);
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
