/** The loop of one data-plane thread. Run-to-completion is the case of a single thread with no ring. */
import { Poller } from "../nic/net/poller.js";
import type { StageTimes } from "../nic/shared-queue/stages.js";
import type { Arena } from "../packet/arena.js";
import { MAX_BATCH } from "../packet/batch.js";
import type { SlotPool } from "../packet/pool.js";
import type { RingConsumer, RingProducer } from "../packet/ring.js";
import { awaitDrained, CONTROL, isDrained, QUIET, quietOf, quietWord, ring, ringAll } from "./control.js";
import type { Egress } from "./egress.js";
import type { FlowAudit } from "./flow-audit.js";
import type { Ingress } from "./ingress.js";
import type { OrderWindow } from "./order-window.js";
import { Outboxes, threadsOfHomes, threadsOfTargets } from "./outboxes.js";
import type { Pipeline } from "./pipeline.js";
import { type Plan, waitOf } from "./plan.js";
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
  /** Gate, classifier and policy for fresh packets; and the thread's NFs, unless it has a pipeline. */
  readonly processor: Processor;
  /** Of a thread that owns GPU NFs. */
  readonly pipeline?: Pipeline | undefined;
  /** Of a thread that receives. */
  readonly ingress: Ingress | undefined;
  /** Where the stages of receiving are timed. */
  readonly stages?: StageTimes | undefined;
  readonly pool: SlotPool | undefined;
  /** Of a thread that receives, where order within flows is audited. */
  readonly audit?: FlowAudit | undefined;
  /** Of a thread that sends. */
  readonly egress: Egress | undefined;
  /** Of the thread behind receivers that share a queue, where order is kept. */
  readonly order?: OrderWindow | undefined;
  /** By the thread at the other end. */
  readonly incoming: readonly (RingConsumer | undefined)[];
  readonly outgoing: readonly (RingProducer | undefined)[];
}

/** Nothing has moved for so long after the last packet came in: what ports still have to send does not leave. */
const LINGER_NS = 2e9;

export class Core {
  private readonly burst = new Uint32Array(MAX_BATCH);
  /** By owner of the next NF, else sender. */
  private readonly outboxes: Outboxes;
  /** Free slots by the receiver they belong to. */
  private readonly homes: Outboxes;
  private readonly waiter: Waiter;
  private readonly txThread: number;
  /** Receives, and the sender is another thread, whose ring brings free slots. */
  private readonly getsSlots: boolean;
  /** Where packets go that have just been received, or have nothing more to do here, along the line. */
  private readonly next: number;
  /** Packets that have just been received go on to another thread, also where this one sends. */
  private readonly passesOn: boolean;
  /** The last station. */
  private readonly last: number;
  /** Packets per burst; one at a time where a cyclic policy would let batching change the order at an NF. */
  private readonly batch: number;
  /** Packets came in this round that were not here before. */
  private fed = false;
  private quiet = QUIET.NO;
  /** Slots that sending ports have kept and hand back. */
  private readonly reclaimed = new Uint32Array(MAX_BATCH);
  private movedNs = 0;
  private ended = false;

  constructor(private readonly parts: CoreParts) {
    const { topology, plan, thread, pipeline, control } = parts;
    const { receivers, stations } = topology;
    const role = topology.threads[thread]!;
    const live = parts.ingress?.live;
    const poller = live && new Poller(live.descriptors);
    const policy = waitOf(plan.options, role.core);
    this.waiter = new Waiter(policy, control, thread, plan.options.rate !== undefined, poller);
    this.txThread = role.tx ? thread : topology.threads.findIndex((t) => t.tx);
    this.getsSlots = role.rx && !role.tx;
    this.last = stations - 1;
    this.passesOn = role.rx && receivers < stations;
    if (thread < receivers) this.next = receivers;
    else this.next = thread === this.last ? 0 : thread + 1;
    const { next, home } = parts.arena;
    this.outboxes = new Outboxes(topology.threads.length, next, threadsOfTargets(topology, this.txThread));
    this.homes = new Outboxes(receivers, home, threadsOfHomes(receivers));
    this.batch = plan.cyclic && plan.options.order !== "none" ? 1 : plan.options.batch;
    if (pipeline !== undefined) pipeline.sink = (slots, count) => this.dispatch(slots, count, true);
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
    if (egress?.live && this.reclaim(moved)) moved = true;
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
    this.dispatch(this.burst, count, fresh);
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
      } else if (this.getsSlots && from === this.txThread) {
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
    else this.dispatch(this.burst, count, false);
  }

  /**
   * Hands packets on, each to the thread that has the next word.
   * @param fresh not back from the last core of the line
   */
  private dispatch(slots: Uint32Array, count: number, fresh: boolean): void {
    const { thread, topology } = this.parts;
    if (!topology.line) this.scatter(slots, count);
    else if (topology.threads[thread]!.tx && !(fresh && this.passesOn)) this.finish(slots, count);
    else this.push(this.next, slots, count);
  }

  private scatter(slots: Uint32Array, count: number): void {
    const { boxes, counts } = this.outboxes;
    this.outboxes.sort(slots, count);
    for (let to = 0; to < boxes.length; to++) {
      const n = counts[to]!;
      if (n === 0) continue;
      if (to === this.parts.thread) this.finish(boxes[to]!, n);
      else this.push(to, boxes[to]!, n);
    }
  }

  private push(to: number, slots: Uint32Array, count: number): void {
    this.parts.outgoing[to]!.push(slots, 0, count);
    ring(this.parts.control, to);
  }

  /** Ends packets that are final, and sends their slots home. */
  private finish(slots: Uint32Array, count: number): void {
    const { egress, clock } = this.parts;
    const free = egress!.release(slots, count, clock());
    if (free === count) this.sendHome(slots, count);
    else if (free > 0) this.sendHome(egress!.freed, free);
  }

  private sendHome(slots: Uint32Array, count: number): void {
    const { pool, topology } = this.parts;
    if (pool !== undefined) pool.put(slots, 0, count);
    else if (topology.receivers === 1) this.push(0, slots, count);
    else this.sendHomes(slots, count);
  }

  private sendHomes(slots: Uint32Array, count: number): void {
    const { boxes, counts } = this.homes;
    this.homes.sort(slots, count);
    for (let to = 0; to < boxes.length; to++) if (counts[to]! > 0) this.push(to, boxes[to]!, counts[to]!);
  }

  /**
   * Takes back slots that network interfaces have sent from.
   * @param moved something else has moved in this round
   */
  private reclaim(moved: boolean): boolean {
    const { egress, clock, control, topology } = this.parts;
    const now = clock();
    egress!.update(now);
    const ending = Atomics.load(control, CONTROL.ENDED) === topology.receivers;
    if (moved || !ending) this.movedNs = now;
    const count = egress!.reclaim(this.reclaimed, ending && now - this.movedNs > LINGER_NS);
    if (count === 0) return false;
    this.movedNs = now;
    this.sendHome(this.reclaimed, count);
    return true;
  }
}

/** Resolves when the event loop has come round. */
function eventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
