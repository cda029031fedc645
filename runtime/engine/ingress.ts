/**
 * The receiving side of a thread: bursts from its ports, stamped, paced, until the ports are done or the run stops.
 *
 * Several captures are merged by their timestamps, as mergecap would, so that arrival order is a property of the input and not
 * of batch size or timing. Equal timestamps go by port number. Where a capture is played several times its timestamps begin anew, so rounds are
 * merged one after the other: else the capture with the earlier ones would be played to its end first, or for ever, and the others never.
 */
import type { RxPort } from "../nic/port.js";
import type { Arena } from "../packet/arena.js";
import type { SlotPool } from "../packet/pool.js";
import { CONTROL, stopReceiving } from "./control.js";
import { type CounterLayout, PORT, PORT_COUNTERS } from "./counters.js";
import { LivePorts } from "./live-ports.js";
import { BitPacer, PacketPacer } from "./pacer.js";
import type { Plan } from "./plan.js";

export interface NumberedRxPort {
  readonly port: number;
  readonly rx: RxPort;
}

/** Packets of one port that were read and wait for their turn in the merge. */
interface Lookahead extends NumberedRxPort {
  readonly slots: Uint32Array;
  head: number;
  count: number;
  /** Number of the round that its next packet is of, and packets of that round still to come. */
  round: number;
  left: number;
  /** Of a round; {@link ENDLESS} where rounds do not matter. */
  readonly frames: number;
}

/** Which of how many receiving threads this is. */
export interface Among {
  readonly index: number;
  readonly count: number;
}

const LOOKAHEAD = 64;
const ENDLESS = Number.POSITIVE_INFINITY;

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
  private readonly passed = new Uint32Array(LOOKAHEAD);
  private readonly ahead: readonly Lookahead[];
  /** The port that had nothing when it was asked last. */
  private blocked: RxPort | undefined;
  /** What a port threw; nothing is received after it, and what was received before still leaves. */
  failure: unknown;
  /** Where a port is a network interface: packets are taken as they come, and not merged by time. */
  readonly live: LivePorts | undefined;

  constructor(
    private readonly plan: Plan,
    private readonly arena: Arena,
    ports: readonly NumberedRxPort[],
    private readonly pool: SlotPool,
    private readonly layout: CounterLayout,
    private readonly counters: Float64Array,
    private readonly control: Int32Array,
    private readonly clock: () => number,
    private readonly among: Among = { index: 0, count: 1 },
  ) {
    this.arrivals = among.index + 1 - among.count;
    // A quarter of the slots at most waits here; the rest is for packets under way.
    const room = Math.max(1, Math.min(LOOKAHEAD, Math.floor(pool.size / 4 / ports.length)));
    const rounds = ports.some(({ rx }) => rx.round?.anew);
    this.ahead = ports.map((port) => {
      const frames = rounds ? (port.rx.round?.frames ?? ENDLESS) : ENDLESS;
      return { ...port, slots: new Uint32Array(room), head: 0, count: 0, round: 0, left: frames, frames };
    });
    if (ports.some(({ rx }) => rx.live !== undefined)) {
      const read = (rx: RxPort, slots: Uint32Array, want: number) => this.read(rx, slots, want);
      this.live = new LivePorts(ports, pool, layout, counters, read, (error) => {
        this.failure ??= error;
      });
    }
  }

  /** True when no packet will ever come in again. */
  get done(): boolean {
    return this.stopped || this.ahead.every((p) => p.rx.done && p.head === p.count);
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
    let held = this.live?.stocked ?? 0;
    for (const port of this.ahead) held += port.count - port.head;
    return held;
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
    const { packets, bits } = this;
    const want = packets === undefined ? max : Math.min(max, this.due(packets, now));
    if (want === 0) return 0;
    const merged = this.ahead.length > 1 || bits !== undefined;
    const count = merged ? this.merge(slots, want, now) : this.receiveOne(slots, want);
    if (count > 0) this.stamp(slots, count, now);
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
    const { counters, layout, passed, ahead } = this;
    const { port, rx } = ahead[0]!;
    const one = ahead.length === 1;
    if (one && rx.skip !== undefined) {
      const at = layout.port + port * PORT_COUNTERS + PORT.IMISSED;
      const skipped = rx.skip(count);
      counters[at] = counters[at]! + skipped;
      return skipped;
    }
    const want = Math.min(count, passed.length);
    const read = one ? this.receiveOne(passed, want) : this.merge(passed, want, Number.POSITIVE_INFINITY);
    for (let i = 0; i < read; i++) {
      const at = layout.port + this.arena.portIn[passed[i]!]! * PORT_COUNTERS + PORT.IMISSED;
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
    for (const port of this.ahead) {
      this.pool.put(port.slots, port.head, port.count - port.head);
      port.head = port.count;
    }
  }

  private receiveLive(live: LivePorts, slots: Uint32Array, max: number, now: number): number {
    const count = live.receive(slots, max, now);
    if (count === 0) {
      if (this.stopping) this.stopped = live.end(now);
      return 0;
    }
    const { portIn } = this.arena;
    for (let i = 0; i < count; i++) portIn[slots[i]!] = live.port;
    this.stamp(slots, count, now);
    return count;
  }

  private receiveOne(slots: Uint32Array, want: number): number {
    const { port, rx } = this.ahead[0]!;
    const count = this.read(rx, slots, want);
    const { portIn } = this.arena;
    for (let i = 0; i < count; i++) portIn[slots[i]!] = port;
    return count;
  }

  /** Takes the earliest packets of all ports that are due by `now`; stops where a port that may still have an earlier one has none at hand. */
  private merge(slots: Uint32Array, want: number, now: number): number {
    const { tsSec, tsNsec, portIn, rxNs, len } = this.arena;
    const { bits } = this;
    let count = 0;
    while (count < want) {
      const dueNs = bits === undefined ? now : bits.dueNs;
      if (dueNs > now) return count;
      let first: Lookahead | undefined;
      for (const port of this.ahead) {
        if (port.head === port.count && !this.refill(port)) {
          if (!port.rx.done) return count;
          continue;
        }
        if (first === undefined) {
          first = port;
          continue;
        }
        if (port.round !== first.round) {
          if (port.round < first.round) first = port;
          continue;
        }
        const a = port.slots[port.head]!;
        const b = first.slots[first.head]!;
        if (tsSec[a]! < tsSec[b]! || (tsSec[a] === tsSec[b] && tsNsec[a]! < tsNsec[b]!)) first = port;
      }
      if (first === undefined) return count;
      const slot = first.slots[first.head++]!;
      if (--first.left === 0) {
        first.round++;
        first.left = first.frames;
      }
      portIn[slot] = first.port;
      rxNs[slot] = dueNs;
      bits?.take(len[slot]!);
      slots[count++] = slot;
    }
    return count;
  }

  private refill(port: Lookahead): boolean {
    if (port.rx.done) return false;
    port.head = 0;
    port.count = this.read(port.rx, port.slots, port.slots.length);
    return port.count > 0;
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
    this.blocked = taken > 0 && count === 0 && this.failure === undefined && rx.live === undefined ? rx : undefined;
    if (count < taken) this.pool.put(slots, count, taken - count);
    return count;
  }

  private stamp(slots: Uint32Array, count: number, now: number): void {
    const { arrival, rxNs, len } = this.arena;
    const numbered = this.live?.numbered === true;
    const step = this.among.count;
    let { arrivals } = this;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      arrivals += step;
      if (!numbered) arrival[slot] = arrivals;
      bytes += len[slot]!;
    }
    if (this.packets !== undefined) this.packets.take(slots, count, rxNs);
    else if (this.bits === undefined) for (let i = 0; i < count; i++) rxNs[slots[i]!] = now;
    if (Number.isNaN(this.firstNs)) this.firstNs = now;
    this.arrivals = arrivals;
    if (step > 1) this.claim(slots, count);
    if (this.ahead.length === 1) this.count(this.ahead[0]!.port, count, bytes);
    else if (this.live !== undefined) this.count(this.live.port, count, bytes);
    else this.countEach(slots, count);
  }

  /** Slots of the port's ring are from now on this receiver's: for each of them it has given one of its own. */
  private claim(slots: Uint32Array, count: number): void {
    const { home } = this.arena;
    const { index } = this.among;
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
