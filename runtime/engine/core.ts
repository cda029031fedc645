/** The loop of one data-plane thread. Run-to-completion is the case of a single thread with no ring. */
import type { Arena } from "../packet/arena.js";
import { MAX_BATCH } from "../packet/batch.js";
import type { SlotPool } from "../packet/pool.js";
import type { RingConsumer, RingProducer } from "../packet/ring.js";
import { CONTROL, ring, ringAll } from "./control.js";
import type { Egress } from "./egress.js";
import type { Ingress } from "./ingress.js";
import { type Plan, TARGET } from "./plan.js";
import type { Processor } from "./processor.js";
import type { Topology } from "./topology.js";
import { Waiter } from "./wait.js";

export interface CoreParts {
  readonly thread: number;
  readonly plan: Plan;
  readonly topology: Topology;
  readonly arena: Arena;
  readonly control: Int32Array;
  readonly clock: () => number;
  readonly processor: Processor;
  /** Of the thread that receives. */
  readonly ingress: Ingress | undefined;
  readonly pool: SlotPool | undefined;
  /** Of the thread that sends. */
  readonly egress: Egress | undefined;
  /** By the thread at the other end. */
  readonly incoming: readonly (RingConsumer | undefined)[];
  readonly outgoing: readonly (RingProducer | undefined)[];
}

export class Core {
  private readonly burst = new Uint32Array(MAX_BATCH);
  private readonly outbox: readonly Uint32Array[];
  private readonly outboxCount: Uint32Array;
  private readonly waiter: Waiter;
  private readonly rxThread: number;
  private readonly txThread: number;
  private readonly ownerOf: Uint8Array;
  /** Packets per burst; one at a time where a cyclic policy would let batching change the order at an NF. */
  private readonly batch: number;

  constructor(private readonly parts: CoreParts) {
    const { topology, plan, thread } = parts;
    this.outbox = topology.threads.map(() => new Uint32Array(MAX_BATCH));
    this.outboxCount = new Uint32Array(topology.threads.length);
    this.waiter = new Waiter(plan.options.wait, parts.control, thread, plan.options.rate !== undefined);
    this.rxThread = topology.threads.findIndex((t) => t.rx);
    this.txThread = topology.threads.findIndex((t) => t.tx);
    this.ownerOf = new Uint8Array(TARGET.NF_LIMIT);
    topology.threads.forEach((role, t) => {
      for (const nf of role.nfs) this.ownerOf[nf] = t;
    });
    this.batch = plan.cyclic && plan.options.order !== "none" ? 1 : plan.options.batch;
  }

  /**
   * Runs until every slot is home again, or the run is aborted.
   * @throws what an input threw, once all that came before it has left
   */
  async run(): Promise<void> {
    const { control, ingress, pool } = this.parts;
    for (;;) {
      if (Atomics.load(control, CONTROL.ABORT) === 1) return;
      let moved = this.takeIncoming();
      if (ingress !== undefined && pool !== undefined) {
        const count = ingress.receive(this.burst, this.batch);
        if (count > 0) {
          moved = true;
          this.start(count);
        } else if (ingress.done && pool.available === pool.size) {
          Atomics.store(control, CONTROL.DRAINED, 1);
          ringAll(control);
          if (ingress.failure !== undefined) throw ingress.failure;
          return;
        } else if (!moved && ingress.waiting) {
          // A port that reads asynchronously needs the event loop to come round.
          await ingress.ready();
        }
      } else if (!moved && Atomics.load(control, CONTROL.DRAINED) === 1) {
        return;
      }
      if (moved) this.waiter.busy();
      else this.waiter.idle(this.hasIncoming);
    }
  }

  /** One burst of run-to-completion, for benchmarks that time the loop without a thread around it; returns its packets. */
  step(): number {
    const count = this.parts.ingress!.receive(this.burst, this.batch);
    if (count === 0) return 0;
    this.start(count);
    return count;
  }

  private start(count: number): void {
    this.parts.processor.admit(this.burst, count);
    this.parts.processor.run(this.burst, count);
    this.dispatch(count, true);
  }

  private readonly hasIncoming = (): boolean => {
    if (Atomics.load(this.parts.control, CONTROL.DRAINED) === 1) return true;
    for (const consumer of this.parts.incoming) if (consumer?.pending) return true;
    return false;
  };

  private takeIncoming(): boolean {
    const { incoming, thread, pool, processor, topology } = this.parts;
    let moved = false;
    for (let from = 0; from < incoming.length; from++) {
      const consumer = incoming[from];
      if (consumer === undefined) continue;
      const count = consumer.pop(this.burst, 0, this.batch);
      if (count === 0) continue;
      moved = true;
      if (thread === this.rxThread && from === this.txThread) {
        // With io cores apart, what the sender returns to the receiver are free slots.
        pool!.put(this.burst, 0, count);
      } else {
        if (topology.threads[thread]!.nfs.length > 0) processor.run(this.burst, count);
        this.dispatch(count, false);
      }
    }
    return moved;
  }

  /**
   * Hands the burst on, each packet to the thread that has the next word.
   * @param fresh just received here, and not back from the last core of the line
   */
  private dispatch(count: number, fresh: boolean): void {
    const { thread, topology } = this.parts;
    const last = topology.threads.length - 1;
    if (!topology.line) this.scatter(count);
    else if (topology.threads[thread]!.tx && !(fresh && last > 0)) this.finish(count);
    else this.push(thread === last ? 0 : thread + 1, this.burst, count);
  }

  private scatter(count: number): void {
    const { outbox, outboxCount, ownerOf, txThread, burst } = this;
    const { next } = this.parts.arena;
    outboxCount.fill(0);
    for (let i = 0; i < count; i++) {
      const slot = burst[i]!;
      const target = next[slot]!;
      const to = target < TARGET.NF_LIMIT ? ownerOf[target]! : txThread;
      const at = outboxCount[to]!;
      outbox[to]![at] = slot;
      outboxCount[to] = at + 1;
    }
    for (let to = 0; to < outbox.length; to++) {
      const n = outboxCount[to]!;
      if (n === 0) continue;
      if (to === this.parts.thread) {
        burst.set(outbox[to]!.subarray(0, n));
        this.finish(n);
      } else {
        this.push(to, outbox[to]!, n);
      }
    }
  }

  private push(to: number, slots: Uint32Array, count: number): void {
    this.parts.outgoing[to]!.push(slots, 0, count);
    ring(this.parts.control, to);
  }

  /** Ends packets that are final, and sends their slots home. */
  private finish(count: number): void {
    const { egress, pool, clock } = this.parts;
    egress!.release(this.burst, count, clock());
    if (pool !== undefined) pool.put(this.burst, 0, count);
    else this.push(this.rxThread, this.burst, count);
  }
}
