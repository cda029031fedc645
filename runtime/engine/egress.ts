/** Where packets end: sent by a port, handed to the kernel, or dropped with a reason; each is counted exactly once. */
import type { EgressDigest } from "../measure/digest.js";
import type { LatencyTable } from "../measure/latency.js";
import type { TxPort } from "../nic/port.js";
import { type Arena, NO_PORT } from "../packet/arena.js";
import { MAX_BATCH } from "../packet/batch.js";
import { ArrivalOrder } from "./arrival-order.js";
import { type CounterLayout, PORT, PORT_COUNTERS } from "./counters.js";
import type { FlowAudit } from "./flow-audit.js";
import { DROP, type Plan, type PlanOptions, TARGET } from "./plan.js";
import type { Topology } from "./topology.js";

/** A constant of this module is part of the compiled code; an imported binding is looked up at each use (V8 11, Node 20). */
const NONE = NO_PORT;
/** What a slow run has sent lies in its files at the latest after this, should it be killed. */
const FLUSH_EVERY_NS = 1e9;
const UPDATE_EVERY_NS = 1e8;

/** What takes packets whose target is `kernel`. */
export interface HostPort {
  /**
   * Hands frames slots[0, count) to the host's network stack, as received by the ports they came in by (arena.portIn); synchronously: the
   * slots stay the caller's.
   * @returns how many were refused
   */
  inject(slots: Uint32Array, count: number): number;
  close(): void;
}

/** What answers packets that are dropped with a message of the gateway's own. */
export interface Originator {
  /**
   * Turns the dropped packet's slot into the message, where one is due.
   * @param drop index into plan.drops
   * @returns the port to send it by, NO_PORT where there is no answer
   */
  answer(slot: number, drop: number, now: number): number;
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
  /** Errors and their bytes that are in the counters, by port. */
  private readonly errors: Float64Array;
  private readonly errorBytes: Float64Array;
  private updateNs = 0;
  private readonly digest: EgressDigest | undefined;
  private readonly audit: FlowAudit | undefined;
  private readonly host: HostPort | undefined;
  private readonly originator: Originator | undefined;
  private readonly order: ArrivalOrder;
  /** Packets of the burst for the kernel. */
  private readonly forHost = new Uint32Array(MAX_BATCH);
  /** Files take what a slot holds: only where some port has a limit is any packet measured. */
  private readonly limited: boolean;

  constructor(
    plan: Pick<Plan, "ports"> & { readonly options: Pick<PlanOptions, "warmUpMs"> },
    private readonly arena: Arena,
    /** By port number; undefined where a port does not send. */
    private readonly ports: readonly (TxPort | undefined)[],
    private readonly layout: CounterLayout,
    private readonly counters: Float64Array,
    private readonly latency: LatencyTable,
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
    this.errors = new Float64Array(ports.length);
    this.errorBytes = new Float64Array(ports.length);
    this.limited = plan.ports.some((p) => p.mtu !== undefined);
  }

  /**
   * Ends the packets slots[0, count), in this order.
   * @returns how many slots are free afterwards, which the caller returns: all of them, or else those in {@link freed}
   */
  release(slots: Uint32Array, count: number, now: number): number {
    const { next, portOut, len, rxNs } = this.arena;
    const { counters, layout, onlyPort, lanes, latency, limited, host, forHost } = this;
    if (Number.isNaN(this.recordNs) && count > 0) this.recordNs = rxNs[slots[0]!]! + this.warmUpNs;
    const { recordNs } = this;
    let sent = 0;
    let injected = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const target = next[slot]!;
      if (target >= TARGET.DROP) {
        if (this.drop(slot, target - TARGET.DROP, now)) sent++;
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
      if (lane === undefined || (limited && !this.fits(slot, port))) {
        if (this.drop(slot, lane === undefined ? DROP.NO_PORT : DROP.EGRESS_TOO_BIG, now)) sent++;
        continue;
      }
      lane.slots[lane.count++] = slot;
      lane.bytes += len[slot]!;
      sent++;
      const received = rxNs[slot]!;
      if (received >= recordNs) latency.record(now - received);
    }
    if (injected > 0) this.inject(injected);
    if (sent === 0) return count;
    this.lastNs = now;
    if (this.digest !== undefined) this.digestBurst(slots, count);
    const free = this.keepsAny ? this.findFree(slots, count) : count;
    for (let p = 0; p < lanes.length; p++) if (lanes[p]!.count > 0) this.send(lanes[p]!, p);
    if (now >= this.flushNs) {
      this.flush();
      this.flushNs = now + FLUSH_EVERY_NS;
    }
    return free;
  }

  /** Counts a drop. @returns true where its slot leaves all the same, as a message of our own */
  private drop(slot: number, reason: number, now: number): boolean {
    const { counters, layout, originator } = this;
    const at = layout.drop + reason;
    counters[at] = counters[at]! + 1;
    if (originator === undefined) return false;
    const port = originator.answer(slot, reason, now);
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
      this.account(p);
      return count;
    }
    return 0;
  }

  /** Brings errors into the counters, some ten times a second. */
  update(now: number): void {
    if (now < this.updateNs) return;
    this.updateNs = now + UPDATE_EVERY_NS;
    for (let p = 0; p < this.ports.length; p++) {
      this.ports[p]?.live?.update();
      this.account(p);
    }
  }

  /** What a network interface has not sent after all becomes a drop. */
  private account(port: number): void {
    const live = this.ports[port]?.live;
    if (live === undefined) return;
    const packets = live.oerrors - this.errors[port]!;
    if (packets === 0) return;
    const { counters, layout } = this;
    const at = layout.port + port * PORT_COUNTERS;
    const drop = layout.drop + DROP.EGRESS_TX_ERROR;
    counters[at + PORT.OERRORS] = counters[at + PORT.OERRORS]! + packets;
    counters[at + PORT.OPACKETS] = counters[at + PORT.OPACKETS]! - packets;
    counters[at + PORT.OBYTES] = counters[at + PORT.OBYTES]! - (live.oerrorBytes - this.errorBytes[port]!);
    counters[drop] = counters[drop]! + packets;
    this.errors[port] = live.oerrors;
    this.errorBytes[port] = live.oerrorBytes;
  }

  private fits(slot: number, port: number): boolean {
    const { l3, l3end } = this.arena;
    return l3end[slot]! - l3[slot]! <= this.mtu[port]!;
  }

  private send(lane: Lane, port: number): void {
    const { counters, layout } = this;
    const { slots, count } = lane;
    const reordered = this.order.left(slots, count, port);
    if (reordered > 0) counters[layout.reordered] = counters[layout.reordered]! + reordered;
    if (this.audit !== undefined) {
      counters[layout.flowReordered] = counters[layout.flowReordered]! + this.audit.left(slots, count, port);
    }
    const at = layout.port + port * PORT_COUNTERS;
    counters[at + PORT.OPACKETS] = counters[at + PORT.OPACKETS]! + count;
    counters[at + PORT.OBYTES] = counters[at + PORT.OBYTES]! + lane.bytes;
    lane.count = 0;
    lane.bytes = 0;
    this.ports[port]!.transmit(slots, count);
    this.account(port);
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
