/** The loop of one data-plane thread. Run-to-completion is the case of a single thread with no ring. */
import { Poller } from "../nic/net/poller.js";
import type { StageTimes } from "../nic/shared-queue/stages.js";
import { MAX_BATCH } from "../packet/batch.js";
import type { RingConsumer } from "../packet/ring.js";
import { awaitDrained, CONTROL, isDrained, QUIET, quietOf, quietWord, ringAll } from "./control.js";
import { Dispatch, type DispatchParts } from "./dispatch.js";
import type { FlowAudit } from "./flow-audit.js";
import type { Ingress } from "./ingress.js";
import type { OrderWindow } from "./order-window.js";
import type { Pipeline } from "./pipeline.js";
import { type Plan, waitOf } from "./plan.js";
import type { Processor } from "./processor.js";
import { Waiter } from "./wait.js";

export interface CoreParts extends DispatchParts {
  readonly plan: Plan;
  /** Gate, classifier and policy for fresh packets; and the thread's NFs, unless it has a pipeline. */
  readonly processor: Processor;
  /** Of a thread that owns GPU NFs. */
  readonly pipeline?: Pipeline | undefined;
  /** Of a thread that receives. */
  readonly ingress: Ingress | undefined;
  /** Where the stages of receiving are timed. */
  readonly stages?: StageTimes | undefined;
  /** Of a thread that receives, where order within flows is audited. */
  readonly audit?: FlowAudit | undefined;
  /** Of the thread behind receivers that share a queue, where order is kept. */
  readonly order?: OrderWindow | undefined;
  /** By the thread at the other end. */
  readonly incoming: readonly (RingConsumer | undefined)[];
}

export class Core {
  private readonly burst = new Uint32Array(MAX_BATCH);
  private readonly dispatch: Dispatch;
  private readonly waiter: Waiter;
  /** Receives, and the sender is another thread, whose ring brings free slots. */
  private readonly getsSlots: boolean;
  /** The last station. */
  private readonly last: number;
  /** Packets per burst; one at a time where a cyclic policy would let batching change the order at an NF. */
  private readonly batch: number;
  /** Packets came in this round that were not here before. */
  private fed = false;
  private quiet = QUIET.NO;
  private ended = false;

  constructor(private readonly parts: CoreParts) {
    const { topology, plan, thread, pipeline, control } = parts;
    const role = topology.threads[thread]!;
    const live = parts.ingress?.live;
    const poller = live && new Poller(live.descriptors);
    const policy = waitOf(plan.options, role.core);
    this.waiter = new Waiter(policy, control, thread, plan.options.rate !== undefined, poller);
    this.dispatch = new Dispatch(parts);
    this.getsSlots = role.rx && !role.tx;
    this.last = topology.stations - 1;
    this.batch = plan.cyclic && plan.options.order !== "none" ? 1 : plan.options.batch;
    if (pipeline !== undefined) pipeline.sink = (slots, count) => this.dispatch.take(slots, count, true);
  }

  /**
   * Runs until every slot is home again, or the run is aborted.
   * @throws what an input threw, once all that came before it has left
   */
  async run(): Promise<void> {
    try {
      await this.loop();
    } finally {
      this.waiter.close();
    }
  }

  private async loop(): Promise<void> {
    const { control, ingress, pool, pipeline, topology } = this.parts;
    const { receivers } = topology;
    for (;;) {
      if (Atomics.load(control, CONTROL.ABORT) === 1) return;
      const moved = this.round();
      if (ingress !== undefined && pool !== undefined) {
        // Slots that a port has kept for good come back only where all is ending: who waits for them has ended as well.
        if (!this.ended && !this.fed && (ingress.done || ingress.starved)) {
          this.ended = true;
          Atomics.add(control, CONTROL.ENDED, 1);
        }
        if (!this.fed && this.drained) {
          Atomics.add(control, CONTROL.DRAINED, 1);
          ringAll(control);
          if (ingress.failure === undefined) return;
          // What the others have received before leaves, too.
          awaitDrained(control, receivers);
          throw ingress.failure;
        }
        // A port that reads asynchronously needs the event loop to come round; for a moment only, while packets may come back, or may
        // come by an interface, which under load has some in every round.
        if (ingress.waiting && (!moved || ingress.live !== undefined)) {
          const busy = this.underWay || ingress.live !== undefined;
          await (busy ? eventLoop() : ingress.ready());
          if (!busy) continue;
        }
      } else if (!moved && isDrained(control, receivers)) {
        return;
      }
      if (this.emptied) this.waiter.drained(this.hasIncoming);
      else if (moved) this.waiter.busy();
      else if (pipeline?.polling) this.waiter.poll();
      else this.waiter.idle(this.hasIncoming, this.blind, this.listening);
    }
  }

  /** True where no packet will come in again and every slot is home. */
  get drained(): boolean {
    const { ingress, pool } = this.parts;
    return ingress!.done && pool!.available === pool!.size;
  }

  /** True where something is awaited that wakes nobody. */
  private get blind(): boolean {
    const { ingress, egress } = this.parts;
    // A network interface without a descriptor: another thread takes its packets out of the kernel.
    const deaf = ingress?.live?.descriptors.length === 0;
    return deaf || (ingress?.waiting ?? false) || (egress?.keeping ?? false);
  }

  /** True where a network interface's packets can be taken. */
  private get listening(): boolean {
    const { ingress, pool } = this.parts;
    return ingress !== undefined && !ingress.done && pool!.available > 0;
  }

  /**
   * True where this round has taken what network interfaces had. With a device it is left alone: its rows wait for packets or for the word
   * that none come, and either is said in the next round.
   */
  private get emptied(): boolean {
    const { ingress, plan } = this.parts;
    return this.fed && plan.device === undefined && ingress?.live?.drained === true && this.listening;
  }

  /** True where packets were received and have not left. */
  private get underWay(): boolean {
    const { ingress, pool } = this.parts;
    return pool!.size - pool!.available - ingress!.held > 0;
  }

  /** One round, without waiting; true where something moved. */
  round(): boolean {
    const { ingress, egress, pool, pipeline, plan, clock, stages } = this.parts;
    this.fed = false;
    let moved = this.takeIncoming();
    if (egress?.live && this.dispatch.reclaim(moved)) moved = true;
    if (ingress !== undefined) {
      const count = ingress.receive(this.burst, this.batch);
      if (count > 0) {
        moved = true;
        this.fed = true;
        this.start(count);
        if (stages?.under) stages.forwarded();
      }
    }
    if (plan.device !== undefined) {
      const starved = pool !== undefined && pool.available === 0 && !ingress!.done;
      this.say(this.fed ? QUIET.NO : starved ? QUIET.STARVED : QUIET.YES);
      if (pipeline?.turn(clock(), quietOf(this.parts.control, this.last + 1))) moved = true;
    }
    return moved;
  }

  /** Lets syncers know whether packets come to this thread. */
  private say(quiet: QUIET): void {
    if (quiet === this.quiet) return;
    this.quiet = quiet;
    Atomics.store(this.parts.control, quietWord(this.parts.control, this.parts.thread), quiet);
  }

  /** One burst of run-to-completion, for benchmarks that time the loop without a thread around it; returns its packets. */
  step(): number {
    const count = this.parts.ingress!.receive(this.burst, this.batch);
    if (count === 0) return 0;
    this.start(count);
    return count;
  }

  private start(count: number): void {
    const { processor, audit } = this.parts;
    processor.admit(this.burst, count);
    if (audit !== undefined) audit.arrived(this.burst, count);
    this.work(count, true);
  }

  /** @param fresh just received here, and not back from the last core of the line */
  private work(count: number, fresh: boolean): void {
    const { pipeline, processor } = this.parts;
    if (pipeline !== undefined) {
      pipeline.take(this.burst, count);
      return;
    }
    processor.run(this.burst, count);
    this.dispatch.take(this.burst, count, fresh);
  }

  private readonly hasIncoming = (): boolean => {
    if (isDrained(this.parts.control, this.parts.topology.receivers)) return true;
    for (const consumer of this.parts.incoming) if (consumer?.pending) return true;
    return false;
  };

  private takeIncoming(): boolean {
    const { incoming, pool, pipeline, order, topology } = this.parts;
    let moved = false;
    for (let from = 0; from < incoming.length; from++) {
      const consumer = incoming[from];
      if (consumer === undefined) continue;
      const count = consumer.pop(this.burst, 0, this.batch);
      if (count === 0) continue;
      moved = true;
      if (from > this.last) {
        pipeline!.served(this.burst, count);
      } else if (this.getsSlots && from === this.dispatch.txThread) {
        // With io cores apart, what the sender returns to a receiver are free slots.
        pool!.put(this.burst, 0, count);
      } else if (order !== undefined && from < topology.receivers) {
        order.push(this.burst, count);
      } else {
        this.feed(count);
      }
    }
    if (moved && order !== undefined) {
      for (let n = order.release(this.burst, this.batch); n > 0; n = order.release(this.burst, this.batch))
        this.feed(n);
    }
    return moved;
  }

  /** A burst from another thread. */
  private feed(count: number): void {
    const { topology, thread } = this.parts;
    this.fed = true;
    if (topology.threads[thread]!.nfs.length > 0) this.work(count, false);
    else this.dispatch.take(this.burst, count, false);
  }
}

/** Resolves when the event loop has come round. */
function eventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
