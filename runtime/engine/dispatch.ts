/** Where packets go from a thread: to the thread that has the next word, out by a port, and their slots home. */
import type { Arena } from "../packet/arena.js";
import { MAX_BATCH } from "../packet/batch.js";
import type { SlotPool } from "../packet/pool.js";
import type { RingProducer } from "../packet/ring.js";
import { CONTROL, ring } from "./control.js";
import type { Egress } from "./egress.js";
import { Outboxes, threadsOfHomes, threadsOfTargets } from "./outboxes.js";
import type { Topology } from "./topology.js";

/** What of a thread's parts these are. */
export interface DispatchParts {
  readonly thread: number;
  readonly topology: Topology;
  readonly arena: Arena;
  readonly control: Int32Array;
  readonly clock: () => number;
  /** Of a thread that receives. */
  readonly pool: SlotPool | undefined;
  /** Of a thread that sends. */
  readonly egress: Egress | undefined;
  /** By the thread at the other end. */
  readonly outgoing: readonly (RingProducer | undefined)[];
}

/** Nothing has moved for so long after the last packet came in: what ports still have to send does not leave. */
const LINGER_NS = 2e9;

export class Dispatch {
  /** Sends; of several receivers that send each is its own. */
  readonly txThread: number;
  /** By owner of the next NF, else sender. */
  private readonly outboxes: Outboxes;
  /** Free slots by the receiver they belong to. */
  private readonly homes: Outboxes;
  /** Where packets go that have just been received, or have nothing more to do here, along the line. */
  private readonly next: number;
  private readonly sends: boolean;
  /** Packets that have just been received go on to another thread, also where this one sends. */
  private readonly passesOn: boolean;
  /** Slots that sending ports have kept and hand back. */
  private readonly reclaimed = new Uint32Array(MAX_BATCH);
  private movedNs = 0;

  constructor(private readonly parts: DispatchParts) {
    const { topology, thread, arena } = parts;
    const { receivers, stations, threads } = topology;
    const role = threads[thread]!;
    this.sends = role.tx;
    this.txThread = role.tx ? thread : threads.findIndex((t) => t.tx);
    this.passesOn = role.rx && receivers < stations;
    if (thread < receivers) this.next = receivers;
    else this.next = thread === stations - 1 ? 0 : thread + 1;
    this.outboxes = new Outboxes(threads.length, arena.next, threadsOfTargets(topology, this.txThread));
    this.homes = new Outboxes(receivers, arena.home, threadsOfHomes(receivers));
  }

  /**
   * Hands packets on.
   * @param fresh not back from the last core of the line
   */
  take(slots: Uint32Array, count: number, fresh: boolean): void {
    if (!this.parts.topology.line) this.scatter(slots, count);
    else if (this.sends && !(fresh && this.passesOn)) this.finish(slots, count);
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
   * Of a thread that sends: takes back slots that network interfaces have sent from.
   * @param moved something else has moved in this round
   * @returns true where there were some
   */
  reclaim(moved: boolean): boolean {
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
