/** The network interfaces a thread receives from: slots for their rings, turns, counters and end. */
import type { RxPort } from "../nic/port.js";
import type { SlotPool } from "../packet/pool.js";
import { type CounterLayout, PORT, PORT_COUNTERS } from "./counters.js";
import type { NumberedRxPort } from "./merge.js";

/** Share of all slots that may wait in receive rings: the rest is for packets under way. */
export const RING_SHARE = 1 / 4;
/** How often counters are read. */
const UPDATE_EVERY_NS = 1e8;

export class LivePorts {
  /** Slots in receive rings. */
  stocked = 0;
  /** Number of the port that the last {@link receive} was from, and whether it numbers packets itself. */
  port = 0;
  numbered = false;
  /** Nothing new comes in; what is there already does. */
  private stopping = false;
  /** A port was still open to what other threads do when it was asked last. */
  private unsettled = false;
  private ended = false;
  /** Port that is asked first. */
  private turn = 0;
  private updateNs = 0;
  /** Calls of {@link receive} one after the other of which each has emptied a socket, and how many of them have come to every socket. */
  private emptied = 0;
  private readonly calls: number;
  /** Sockets to sleep on. */
  readonly descriptors: readonly number[];

  /**
   * @param ports a network interface among them; captures beside one are taken as they come, too
   * @param read fills slots from a port; returns how many
   * @param fail told what a port throws
   */
  constructor(
    private readonly ports: readonly NumberedRxPort[],
    private readonly pool: SlotPool,
    private readonly layout: CounterLayout,
    private readonly counters: Float64Array,
    private readonly read: (rx: RxPort, slots: Uint32Array, want: number) => number,
    private readonly fail: (error: unknown) => void,
  ) {
    this.descriptors = ports.flatMap(({ rx }) => rx.live?.descriptors ?? []);
    // Ports take turns, and so do the sockets of each.
    this.calls = ports.length * Math.max(...ports.map(({ rx }) => rx.live?.descriptors.length ?? 0), 1);
  }

  /** True where nothing is left that had come when it was looked for; only packets that have come since. */
  get drained(): boolean {
    return this.emptied >= this.calls;
  }

  /** Fills receive rings, with RING_SHARE of all slots at most. Where that is not enough, what short rings leave of their part goes to long ones. */
  stock(): void {
    const { pool, ports } = this;
    let room = Math.floor(pool.size * RING_SHARE);
    const rings = ports.flatMap(({ rx: { live } }) => (live === undefined || live.stock === 0 ? [] : [live]));
    rings.sort((a, b) => a.stock - b.stock);
    for (const [i, live] of rings.entries()) {
      const slots = new Uint32Array(Math.min(live.stock, Math.floor(room / (rings.length - i))));
      const count = pool.take(slots, slots.length);
      live.supply(slots, count);
      this.stocked += count;
      room -= count;
    }
  }

  /** From the next port that has something, each in turn; {@link port} says which. */
  receive(slots: Uint32Array, max: number, now: number): number {
    const { ports } = this;
    if (now >= this.updateNs) this.update(now);
    for (let i = 0; i < ports.length; i++) {
      const { port, rx } = ports[this.turn]!;
      this.turn = this.turn + 1 < ports.length ? this.turn + 1 : 0;
      if (rx.done || (this.stopping && rx.live === undefined)) continue;
      const count = this.read(rx, slots, max);
      if (count === 0) continue;
      this.emptied = count < Math.min(max, rx.live?.burst ?? 0) ? this.emptied + 1 : 0;
      this.port = port;
      this.numbered = rx.numbered === true;
      return count;
    }
    return 0;
  }

  stop(): void {
    if (this.stopping) return;
    this.stopping = true;
    for (const { rx } of this.ports) rx.live?.stop();
  }

  /**
   * To be called when {@link receive} had nothing after {@link stop}: rings give back what they have, and counters are read a last time.
   * @returns false while no slot is free, or other threads have not stopped: there may be something still to be read
   */
  end(now: number): boolean {
    const { pool } = this;
    if (this.ended) return true;
    if (pool.available === 0) return false;
    const before = this.unsettled;
    this.unsettled = this.ports.some(({ rx }) => rx.live?.settled === false);
    // Once more after the last of them: what came in between is there now.
    if (this.unsettled || before) return false;
    this.ended = true;
    this.update(now);
    const slots = new Uint32Array(64);
    for (const { rx } of this.ports) {
      const { live } = rx;
      if (live === undefined) continue;
      for (let count = live.withdraw(slots); count > 0; count = live.withdraw(slots)) pool.put(slots, 0, count);
    }
    this.stocked = 0;
    return true;
  }

  private update(now: number): void {
    this.updateNs = now + UPDATE_EVERY_NS;
    const { counters, layout } = this;
    for (const { port, rx } of this.ports) {
      const { live } = rx;
      if (live === undefined) continue;
      try {
        live.update();
      } catch (error) {
        this.fail(error);
      }
      const at = layout.port + port * PORT_COUNTERS;
      counters[at + PORT.IMISSED] = live.imissed;
      counters[at + PORT.IERRORS] = live.ierrors;
    }
  }
}
