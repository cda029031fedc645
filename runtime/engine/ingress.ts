/** The receiving side of a thread: bursts from its ports, stamped, paced, until the ports are done or the run stops. */
import { ownCode } from "../native/own-code.js";
import type { RxPort } from "../nic/port.js";
import type { Arena } from "../packet/arena.js";
import type { SlotPool } from "../packet/pool.js";
import { CONTROL, stopReceiving } from "./control.js";
import { type CounterLayout, PORT, PORT_COUNTERS } from "./counters.js";
import { LivePorts } from "./live-ports.js";
import { Merge, type NumberedRxPort } from "./merge.js";
import { BitPacer, PacketPacer } from "./pacer.js";
import type { Plan } from "./plan.js";
import { makeStamp, type Stamp } from "./stamp.js";

/** Which of how many receiving threads this is. */
export interface Among {
  readonly index: number;
  readonly count: number;
}

/** Packets that are passed over at a time where they have to be read. */
const PASSED = 64;

export class Ingress {
  /** When the first packet came in, in ns since the epoch; NaN before. */
  firstNs = Number.NaN;
  /** The last number given; receivers count in steps of their number, so that no two packets have the same. */
  private arrivals: number;
  private stopped = false;
  /** Network interfaces have been told to stop, and give what they still have. */
  private stopping = false;
  /** When packets were asked for first: `--duration` and `--rate` count from then. */
  private startNs = Number.NaN;
  /** With `--rate` in packets, or in bits. */
  private packets: PacketPacer | undefined;
  private bits: BitPacer | undefined;
  /** For packets that are read only to be passed over. */
  private readonly passed = new Uint32Array(PASSED);
  private readonly merge: Merge;
  private readonly stamp: Stamp;
  /** The port that had nothing when it was asked last; no network interface, which nobody has to wait for. */
  private blocked: RxPort | undefined;
  /** What a port threw; nothing is received after it, and what was received before still leaves. */
  failure: unknown;
  /** Where a port is a network interface: packets are taken as they come, and not merged by time. */
  readonly live: LivePorts | undefined;

  constructor(
    private readonly plan: Plan,
    private readonly arena: Arena,
    private readonly ports: readonly NumberedRxPort[],
    private readonly pool: SlotPool,
    private readonly layout: CounterLayout,
    private readonly counters: Float64Array,
    private readonly control: Int32Array,
    private readonly clock: () => number,
    private readonly among: Among = { index: 0, count: 1 },
  ) {
    this.arrivals = among.index + 1 - among.count;
    const read = (rx: RxPort, slots: Uint32Array, want: number) => this.read(rx, slots, want);
    this.merge = new Merge(arena, ports, pool, read);
    this.stamp = ownCode(makeStamp, arena);
    if (ports.some(({ rx }) => rx.live !== undefined)) {
      this.live = new LivePorts(ports, pool, layout, counters, read, (error) => {
        this.failure ??= error;
      });
    }
  }

  /** True when no packet will ever come in again. */
  get done(): boolean {
    return this.stopped || (this.merge.held === 0 && this.ports.every(({ rx }) => rx.done));
  }

  /** True when a port had nothing and may have something later; else pacing or slots were in the way. */
  get waiting(): boolean {
    return !this.stopped && this.blocked !== undefined && !this.blocked.done;
  }

  /** True where what is left in receive rings cannot be taken for want of slots, after they were told to stop. */
  get starved(): boolean {
    return this.stopping && !this.stopped && this.pool.available === 0;
  }

  /** Packets that were read and not received yet. */
  get held(): number {
    return (this.live?.stocked ?? 0) + this.merge.held;
  }

  /**
   * Fills `slots` with up to `max` fresh packets and stamps them with their time: of now, or, with `--rate`, when they were due. Returns how
   * many; 0: nothing now (no slot free, port not ready, or none due).
   */
  receive(slots: Uint32Array, max: number): number {
    const now = this.clock();
    if (Number.isNaN(this.startNs)) this.start(now);
    if (this.isOver(now)) return 0;
    if (this.live !== undefined) return this.receiveLive(this.live, slots, max, now);
    const { packets, bits, ports } = this;
    const want = packets === undefined ? max : Math.min(max, this.due(packets, now));
    if (want === 0) return 0;
    const merged = ports.length > 1 || bits !== undefined;
    const count = merged ? this.merge.take(slots, want, now, bits) : this.read(ports[0]!.rx, slots, want);
    if (count === 0) return 0;
    if (merged) {
      this.number(slots, count, now);
      this.countEach(slots, count);
    } else {
      this.stampAll(slots, count, ports[0]!.port, now);
    }
    if (packets !== undefined) packets.take(slots, count, this.arena.rxNs);
    return count;
  }

  /** Whether nothing is to be received any more, by now. */
  private isOver(now: number): boolean {
    if (this.stopped) return true;
    const { duration } = this.plan.options;
    const late = duration > 0 && now - this.startNs >= duration * 1e9;
    const failed = this.failure !== undefined;
    // The others are to come to an end as well, and what all have received to leave.
    if (failed && this.among.count > 1) stopReceiving(this.control);
    if (late || failed || Atomics.load(this.control, CONTROL.STOP) === 1) this.stop();
    return this.stopped;
  }

  private start(now: number): void {
    this.startNs = now;
    this.live?.stock();
    const { rate, ring } = this.plan.options;
    if (rate?.unit === "pps") this.packets = new PacketPacer(now, rate.value, ring);
    else if (rate !== undefined) this.bits = new BitPacer(now, rate.value);
  }

  /** Packets that are due now; those missed before them are passed over first. */
  private due(packets: PacketPacer, now: number): number {
    packets.advance(now);
    while (packets.missed > 0) {
      const passed = this.pass(packets.missed);
      // Nothing is there, or no slot to read it into: next time.
      if (passed === 0) return 0;
      packets.skip(passed);
      // Where frames have to be read to be passed over, more may fall due meanwhile than are passed, and more each time.
      if (this.isOver(this.clock())) return 0;
    }
    return packets.ready;
  }

  /** Moves the input on by up to `count` packets, which count as missed; returns how many. */
  private pass(count: number): number {
    const { counters, layout, passed, ports } = this;
    const { port, rx } = ports[0]!;
    const one = ports.length === 1;
    if (one && rx.skip !== undefined) {
      const at = layout.port + port * PORT_COUNTERS + PORT.IMISSED;
      const skipped = rx.skip(count);
      counters[at] = counters[at]! + skipped;
      return skipped;
    }
    const want = Math.min(count, passed.length);
    const read = one ? this.read(rx, passed, want) : this.merge.take(passed, want, Number.POSITIVE_INFINITY, undefined);
    for (let i = 0; i < read; i++) {
      const from = one ? port : this.arena.portIn[passed[i]!]!;
      const at = layout.port + from * PORT_COUNTERS + PORT.IMISSED;
      counters[at] = counters[at]! + 1;
    }
    this.pool.put(passed, 0, read);
    return read;
  }

  /** Packets that were read ahead but not received go back unread. */
  private stop(): void {
    if (this.live !== undefined) {
      this.live.stop();
      this.stopping = true;
      return;
    }
    this.stopped = true;
    this.merge.stop();
  }

  private receiveLive(live: LivePorts, slots: Uint32Array, max: number, now: number): number {
    const count = live.receive(slots, max, now);
    if (count === 0) {
      if (this.stopping) this.stopped = live.end(now);
      return 0;
    }
    if (live.numbered) this.stampNumbered(slots, count, live.port, now);
    else this.stampAll(slots, count, live.port, now);
    return count;
  }

  /** Fills free slots from a port; returns how many. Slots it did not fill are free again, also where it fails. */
  private read(rx: RxPort, slots: Uint32Array, want: number): number {
    const taken = this.pool.take(slots, want);
    let count = 0;
    try {
      if (taken > 0) count = rx.receive(slots, taken);
    } catch (error) {
      this.failure ??= error;
    }
    // What an interface has says nothing of a capture beside it that waits for its file.
    if (rx.live === undefined) this.blocked = taken > 0 && count === 0 && this.failure === undefined ? rx : undefined;
    if (count < taken) this.pool.put(slots, count, taken - count);
    return count;
  }

  /** A burst of one port. */
  private stampAll(slots: Uint32Array, count: number, port: number, now: number): void {
    const step = this.among.count;
    const bytes = this.stamp(slots, count, this.arrivals, step, port, now);
    this.took(slots, count, now);
    this.count(port, count, bytes);
  }

  /** The same of a port that has numbered them. */
  private stampNumbered(slots: Uint32Array, count: number, port: number, now: number): void {
    const { rxNs, portIn, len } = this.arena;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      portIn[slot] = port;
      rxNs[slot] = now;
      bytes += len[slot]!;
    }
    this.took(slots, count, now);
    this.count(port, count, bytes);
  }

  /** Packets that say already where and when they came in. */
  private number(slots: Uint32Array, count: number, now: number): void {
    const { arrival } = this.arena;
    const step = this.among.count;
    for (let i = 0; i < count; i++) arrival[slots[i]!] = this.arrivals + (i + 1) * step;
    this.took(slots, count, now);
  }

  private took(slots: Uint32Array, count: number, now: number): void {
    const { index, count: step } = this.among;
    this.arrivals += count * step;
    if (Number.isNaN(this.firstNs)) this.firstNs = now;
    if (step > 1) this.claim(slots, count, index);
  }

  /** Slots of the port's ring are from now on this receiver's: for each of them it has given one of its own. */
  private claim(slots: Uint32Array, count: number, index: number): void {
    const { home } = this.arena;
    for (let i = 0; i < count; i++) home[slots[i]!] = index;
  }

  private count(port: number, packets: number, bytes: number): void {
    const { counters } = this;
    const at = this.layout.port + port * PORT_COUNTERS;
    counters[at + PORT.IPACKETS] = counters[at + PORT.IPACKETS]! + packets;
    counters[at + PORT.IBYTES] = counters[at + PORT.IBYTES]! + bytes;
  }

  private countEach(slots: Uint32Array, count: number): void {
    const { portIn, len } = this.arena;
    for (let i = 0; i < count; i++) this.count(portIn[slots[i]!]!, 1, len[slots[i]!]!);
  }

  /**
   * Resolves when the port that had nothing may have something; to be called while {@link waiting}. Waiting for any port would not do:
   * one that always has something would keep the event loop from the one that reads asynchronously.
   */
  async ready(): Promise<void> {
    const { blocked } = this;
    this.blocked = undefined;
    await blocked?.ready();
  }
}
