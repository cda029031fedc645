/** Where packets end: sent by a port, handed to the kernel, or dropped with a reason; each is counted exactly once. */
import type { EgressDigest } from "../measure/digest.js";
import type { LatencyTable } from "../measure/latency.js";
import { ownCode } from "../native/own-code.js";
import type { HostPort, TxPort } from "../nic/port.js";
import { type Arena, NO_PORT } from "../packet/arena.js";
import { MAX_BATCH } from "../packet/batch.js";
import { ArrivalOrder } from "./arrival-order.js";
import { type CounterLayout, PORT, PORT_COUNTERS } from "./counters.js";
import { makeRun, type Run } from "./egress-run.js";
import type { FlowAudit } from "./flow-audit.js";
import { DROP, type Plan, type PlanOptions, TARGET } from "./plan.js";
import type { Topology } from "./topology.js";
import { TxErrors } from "./tx-errors.js";

/** A constant of this module is part of the compiled code; an imported binding is looked up at each use (V8 11, Node 20). */
const NONE = NO_PORT;
/** What a slow run has sent lies in its files at the latest after this, should it be killed. */
const FLUSH_EVERY_NS = 1e9;

/** What answers packets that are dropped with a message of the gateway's own. */
export interface Originator {
  /**
   * Turns the dropped packet's slot into the message, where one is due.
   * @param drop index into plan.drops
   * @param egress port that it does not fit; NO_PORT where it was dropped for another reason
   * @returns the port to send it by, NO_PORT where there is no answer
   */
  answer(slot: number, drop: number, egress: number, now: number): number;
}

/** Parts of an egress that not every run has. */
export interface EgressParts {
  readonly digest?: EgressDigest | undefined;
  /** Where packets of a flow may overtake each other. */
  readonly audit?: FlowAudit | undefined;
  /** Absent: packets for the kernel end here and are counted. */
  readonly host?: HostPort | undefined;
  readonly originator?: Originator | undefined;
  /** What arrival numbers can be compared; absent: all. */
  readonly numbers?: Topology["numbers"] | undefined;
}

/** One port's share of a burst. */
interface Lane {
  readonly slots: Uint32Array;
  count: number;
  bytes: number;
}

export class Egress {
  /** When the last packet left, in ns since the epoch; NaN before. */
  lastNs = Number.NaN;
  /** Latency of packets received from then on is recorded; NaN before the first packet. */
  private recordNs = Number.NaN;
  private readonly warmUpNs: number;
  private flushNs = 0;
  private readonly lanes: readonly Lane[];
  private readonly heads: Uint32Array;
  private readonly onlyPort: number;
  private readonly mtu: Float64Array;
  /** True where a port is a network interface: {@link reclaim} and {@link update} have something to do. */
  readonly live: boolean;
  /** Of the last {@link release}, the slots that are free; only where some are not. */
  readonly freed = new Uint32Array(MAX_BATCH);
  /** By port: true where it keeps slots until reclaim. */
  private readonly keeps: readonly boolean[];
  private readonly keepsAny: boolean;
  /** Slots that ports have kept. */
  private kept = 0;
  private readonly errors: TxErrors;
  private readonly digest: EgressDigest | undefined;
  private readonly audit: FlowAudit | undefined;
  private readonly host: HostPort | undefined;
  private readonly originator: Originator | undefined;
  private readonly order: ArrivalOrder;
  /** Packets of the burst for the kernel. */
  private readonly forHost = new Uint32Array(MAX_BATCH);
  /** Files take what a slot holds: only where some port has a limit is any packet measured. */
  private readonly limited: boolean;
  private readonly run: Run;
  /** Of the last run of packets. */
  private readonly bytes = new Float64Array(1);

  constructor(
    plan: Pick<Plan, "ports"> & { readonly options: Pick<PlanOptions, "warmUpMs"> },
    private readonly arena: Arena,
    /** By port number; undefined where a port does not send. */
    private readonly ports: readonly (TxPort | undefined)[],
    private readonly layout: CounterLayout,
    private readonly counters: Float64Array,
    latency: LatencyTable,
    { digest, audit, host, originator, numbers = "all" }: EgressParts = {},
  ) {
    this.order = new ArrivalOrder(arena, ports.length, numbers);
    this.digest = digest;
    this.audit = audit;
    this.host = host;
    this.originator = originator;
    this.warmUpNs = (plan.options.warmUpMs ?? 0) * 1e6;
    this.lanes = ports.map(() => ({ slots: new Uint32Array(MAX_BATCH), count: 0, bytes: 0 }));
    this.heads = new Uint32Array(ports.length);
    const senders = ports.flatMap((port, i) => (port === undefined ? [] : [i]));
    this.onlyPort = senders.length === 1 ? senders[0]! : NONE;
    this.mtu = Float64Array.from(plan.ports, (p) => p.mtu ?? Number.POSITIVE_INFINITY);
    this.live = ports.some((port) => port?.live !== undefined);
    this.keeps = ports.map((port) => port?.reclaim !== undefined);
    this.keepsAny = this.keeps.includes(true);
    this.errors = new TxErrors(ports, layout, counters);
    this.limited = plan.ports.some((p) => p.mtu !== undefined);
    const record = (ns: number, packets: number) => latency.record(ns, packets);
    this.run = ownCode(makeRun, arena, record, this.bytes, this.limited);
  }

  /**
   * Ends the packets slots[0, count), in this order.
   * @returns how many slots are free afterwards, which the caller returns: all of them, or else those in {@link freed}
   */
  release(slots: Uint32Array, count: number, now: number): number {
    const { next, portOut, rxNs } = this.arena;
    const { counters, layout, onlyPort, lanes, mtu, host, forHost } = this;
    if (Number.isNaN(this.recordNs) && count > 0) this.recordNs = rxNs[slots[0]!]! + this.warmUpNs;
    const { recordNs } = this;
    let sent = 0;
    let injected = 0;
    let end = 0;
    for (let i = 0; i < count; i = end) {
      const slot = slots[i]!;
      const target = next[slot]!;
      end = i + 1;
      if (target >= TARGET.DROP) {
        if (this.drop(slot, target - TARGET.DROP, NONE, now)) sent++;
        continue;
      }
      if (target === TARGET.KERNEL) {
        if (host === undefined) counters[layout.toKernel] = counters[layout.toKernel]! + 1;
        else forHost[injected++] = slot;
        continue;
      }
      let port = onlyPort;
      if (target >= TARGET.EGRESS_PORT) port = target - TARGET.EGRESS_PORT;
      else if (portOut[slot] !== NONE) port = portOut[slot]!;
      const lane = lanes[port];
      if (lane === undefined || (this.limited && !this.fits(slot, port))) {
        const reason = lane === undefined ? DROP.NO_PORT : DROP.EGRESS_TOO_BIG;
        if (this.drop(slot, reason, lane === undefined ? NONE : port, now)) sent++;
        continue;
      }
      end = this.run(slots, i, count, now, recordNs, mtu[port]!);
      if (end - i === count) return this.releaseAll(slots, count, port, now);
      for (let at = i; at < end; at++) lane.slots[lane.count++] = slots[at]!;
      lane.bytes += this.bytes[0]!;
      sent += end - i;
    }
    if (injected > 0) this.inject(injected);
    if (sent === 0) return count;
    if (this.digest !== undefined) this.digestBurst(slots, count);
    const free = this.keepsAny ? this.findFree(slots, count) : count;
    this.kept += count - free;
    for (let p = 0; p < lanes.length; p++) {
      const lane = lanes[p]!;
      const { count, bytes } = lane;
      if (count === 0) continue;
      lane.count = 0;
      lane.bytes = 0;
      this.send(lane.slots, count, bytes, p);
    }
    this.sentAt(now);
    return free;
  }

  /** The case that pays to treat apart: all of a burst leave by one port. */
  private releaseAll(slots: Uint32Array, count: number, port: number, now: number): number {
    const { digest } = this;
    if (digest !== undefined) for (let i = 0; i < count; i++) digest.add(port, slots[i]!);
    const free = this.keeps[port] ? 0 : count;
    this.kept += count - free;
    this.send(slots, count, this.bytes[0]!, port);
    this.sentAt(now);
    return free;
  }

  private sentAt(now: number): void {
    this.lastNs = now;
    if (now < this.flushNs) return;
    this.flush();
    this.flushNs = now + FLUSH_EVERY_NS;
  }

  /** Counts a drop. @returns true where its slot leaves all the same, as a message of our own */
  private drop(slot: number, reason: number, egress: number, now: number): boolean {
    const { counters, layout, originator } = this;
    const at = layout.drop + reason;
    counters[at] = counters[at]! + 1;
    if (originator === undefined) return false;
    const port = originator.answer(slot, reason, egress, now);
    const lane = this.lanes[port];
    if (lane === undefined) return false;
    counters[layout.originated] = counters[layout.originated]! + 1;
    lane.slots[lane.count++] = slot;
    lane.bytes += this.arena.len[slot]!;
    return true;
  }

  private inject(count: number): void {
    const { counters, layout, host, forHost } = this;
    const refused = host!.inject(forHost, count);
    const drop = layout.drop + DROP.KERNEL_REFUSED;
    counters[layout.toKernel] = counters[layout.toKernel]! + count - refused;
    counters[drop] = counters[drop]! + refused;
  }

  /** What no port keeps; lanes hold their packets in the burst's order. Before sending, since a lane is empty afterwards. */
  private findFree(slots: Uint32Array, count: number): number {
    const { lanes, keeps, heads, freed } = this;
    heads.fill(0);
    let free = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      let kept = false;
      for (let p = 0; p < lanes.length && !kept; p++) {
        const head = heads[p]!;
        if (!keeps[p] || head >= lanes[p]!.count || lanes[p]!.slots[head] !== slot) continue;
        heads[p] = head + 1;
        kept = true;
      }
      if (!kept) freed[free++] = slot;
    }
    return free;
  }

  /** Slots that ports kept and have let go of. @param force everything comes back, sent or not */
  reclaim(slots: Uint32Array, force: boolean): number {
    for (let p = 0; p < this.ports.length; p++) {
      const count = this.keeps[p] ? this.ports[p]!.reclaim!(slots, force) : 0;
      if (count === 0) continue;
      this.errors.account(p);
      this.kept -= count;
      return count;
    }
    return 0;
  }

  /** True while ports have slots that {@link reclaim} will bring back, of which nobody is told. */
  get keeping(): boolean {
    return this.kept > 0;
  }

  /** See {@link TxErrors.update}. */
  update(now: number): void {
    this.errors.update(now);
  }

  private fits(slot: number, port: number): boolean {
    const { l3, l3end } = this.arena;
    return l3end[slot]! - l3[slot]! <= this.mtu[port]!;
  }

  private send(slots: Uint32Array, count: number, bytes: number, port: number): void {
    const { counters, layout } = this;
    const reordered = this.order.left(slots, count, port);
    if (reordered > 0) counters[layout.reordered] = counters[layout.reordered]! + reordered;
    if (this.audit !== undefined) {
      counters[layout.flowReordered] = counters[layout.flowReordered]! + this.audit.left(slots, count, port);
    }
    const at = layout.port + port * PORT_COUNTERS;
    counters[at + PORT.OPACKETS] = counters[at + PORT.OPACKETS]! + count;
    counters[at + PORT.OBYTES] = counters[at + PORT.OBYTES]! + bytes;
    this.ports[port]!.transmit(slots, count);
    this.errors.account(port);
  }

  /** Once more through the burst, since the digest is over arrival order and not port by port. */
  private digestBurst(slots: Uint32Array, count: number): void {
    const { lanes, digest } = this;
    const heads = lanes.map(() => 0);
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      for (let p = 0; p < lanes.length; p++) {
        const head = heads[p]!;
        if (head < lanes[p]!.count && lanes[p]!.slots[head] === slot) {
          digest!.add(p, slot);
          heads[p] = head + 1;
          break;
        }
      }
    }
  }

  flush(): void {
    for (const port of this.ports) port?.flush();
  }
}
