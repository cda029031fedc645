/** Puts counters and reports together as the result CONTRACT fixes. */

import type { DeviceKind, DeviceReport } from "../device/device.js";
import { SYNC } from "../device/syncer.js";
import { alertsDigest } from "../measure/digest.js";
import { sumLatencies } from "../measure/latency.js";
import { type LatencyPercentiles, percentilesOf } from "../measure/percentiles.js";
import type { StageReport } from "../nic/shared-queue/stages.js";
import type { CoreRole } from "./core-spec.js";
import { type CounterLayout, PORT, PORT_COUNTERS } from "./counters.js";
import type { NfReport, ThreadReport } from "./messages.js";
import { OUTCOMES_PER_NF, type Plan, type WaitPolicy, waitOf } from "./plan.js";
import type { ThreadSettings } from "./thread-settings.js";
import type { Topology } from "./topology.js";

export interface PortStats {
  readonly name: string;
  readonly ipackets: number;
  readonly ibytes: number;
  readonly opackets: number;
  readonly obytes: number;
  /** Packets that found the receive ring full; they are in no other counter. */
  readonly imissed: number;
  /** Packets that could not be received: longer than a slot. */
  readonly ierrors: number;
  /** Packets that did not leave: drops with the reason tx-error. */
  readonly oerrors: number;
}

/** Counters at one moment of a run. */
export interface Snapshot {
  readonly rx: number;
  readonly rxBytes: number;
  readonly tx: number;
  readonly txBytes: number;
  readonly dropped: number;
  readonly toKernel: number;
  /** Messages of the gateway's own. */
  readonly originated: number;
  readonly missed: number;
}

export interface NfResult {
  readonly name: string;
  readonly type: string;
  readonly place: "cpu" | "gpu";
  readonly device: string | null;
  readonly engine: string;
  readonly packets: number;
  readonly bytes: number;
  readonly outcomes: Record<string, number>;
  readonly [more: string]: unknown;
}

export interface RunResult {
  readonly chain: string;
  readonly seconds: number;
  readonly packets: { readonly rx: number; readonly tx: number };
  readonly bytes: { readonly rx: number; readonly tx: number };
  readonly throughput: { readonly mpps: number; readonly gbps: number };
  /** From rx, or from when the packet was due (`--rate`), to egress. */
  readonly latency_ns: LatencyPercentiles;
  readonly ledger: {
    readonly rx: number;
    readonly originated: number;
    readonly tx: number;
    readonly to_kernel: number;
    readonly dropped: number;
    readonly in_flight: number;
    readonly balanced: boolean;
    readonly drops: readonly { readonly nf: string; readonly reason: string; readonly packets: number }[];
  };
  readonly nfs: readonly NfResult[];
  readonly ports: readonly PortStats[];
  readonly device: null | {
    readonly kind: DeviceKind;
    readonly name: string;
    readonly emulated: boolean;
    readonly persistent: boolean;
    readonly zero_copy: boolean;
    /** Those that took part. */
    readonly workgroups: number;
    readonly launches: number;
  };
  readonly sync: {
    readonly rows: number;
    readonly packets: number;
    readonly dummies: number;
    readonly bytes_copied: number;
    /** Of the device thread, for what it copies itself. */
    readonly copy_seconds: number;
    /** Packets that went on to an NF on the device itself: each is one that was not published for it. 0 where the device does not forward. */
    readonly forwarded: number;
    /** The same by pair of NFs. */
    readonly hops: readonly { readonly from: string; readonly to: string; readonly packets: number }[];
    /** Packets the device went on with, and the host sent elsewhere or had something else to ask. */
    readonly forwarded_in_vain: number;
  };
  /** Packets that left a port after a later one; `flow_reordered`: after a later one of their flow (see flow-audit.ts). */
  readonly order: { readonly mode: string; readonly reordered: number; readonly flow_reordered: number };
  readonly cores: string;
  /** With `--rx-pattern`: what a packet costs by stage, in each receiving thread. */
  readonly rx_stages?: readonly ({ readonly thread: number } & StageReport)[];
  /** CPU (null: not pinned), class, priority, nice and waiting policy of each thread. */
  readonly threads: readonly ({ readonly thread: number; readonly role: CoreRole } & ThreadSettings & {
      readonly wait: WaitPolicy;
    })[];
  readonly digest: string | null;
  readonly alerts_digest: string | null;
  /** Why the run is a failed one although every packet is accounted for; null where it is not. */
  readonly failure: string | null;
}

export function snapshotOf(plan: Plan, layout: CounterLayout, counters: Float64Array): Snapshot {
  const total = (group: number) => {
    let sum = 0;
    for (let p = 0; p < plan.ports.length; p++) sum += counters[layout.port + p * PORT_COUNTERS + group]!;
    return sum;
  };
  let dropped = 0;
  for (let d = 0; d < plan.drops.length; d++) dropped += counters[layout.drop + d]!;
  return {
    rx: total(PORT.IPACKETS),
    rxBytes: total(PORT.IBYTES),
    tx: total(PORT.OPACKETS),
    txBytes: total(PORT.OBYTES),
    dropped,
    toKernel: counters[layout.toKernel]!,
    originated: counters[layout.originated]!,
    missed: total(PORT.IMISSED),
  };
}

export interface ResultParts {
  readonly plan: Plan;
  readonly topology: Topology;
  readonly layout: CounterLayout;
  readonly counters: Float64Array;
  readonly reports: readonly ThreadReport[];
  /** Of a run with a device. */
  readonly device?: DeviceEnd | undefined;
  readonly failure?: string | undefined;
}

/** What there is to say of the device when it has stopped. */
export interface DeviceEnd {
  readonly workgroups: number;
  /** Undefined where it did not come to an end. */
  readonly report: DeviceReport | undefined;
}

export function makeResult(parts: ResultParts): RunResult {
  const { plan, topology, layout, counters, reports } = parts;
  const { rx, rxBytes, tx, txBytes, dropped, toKernel, originated } = snapshotOf(plan, layout, counters);
  const stages = reports.flatMap((report, thread) =>
    report.stages === undefined ? [] : [{ thread, ...report.stages }],
  );
  const senders = reports.filter((_, t) => topology.threads[t]!.tx);
  const inFlight = reports.reduce((sum, report) => sum + report.inFlight, 0);
  const span = latest(reports) - earliest(reports);
  const seconds = Number.isNaN(span) ? 0 : span / 1e9;
  const rate = (amount: number) => (seconds > 0 ? amount / seconds : 0);
  const drops = plan.drops
    .map((d, i) => ({ ...d, packets: counters[layout.drop + i]! }))
    .filter((d) => d.packets > 0)
    .sort((a, b) => b.packets - a.packets);
  return {
    chain: plan.chain,
    seconds,
    packets: { rx, tx },
    bytes: { rx: rxBytes, tx: txBytes },
    throughput: { mpps: rate(tx) / 1e6, gbps: (rate(rxBytes) * 8) / 1e9 },
    latency_ns: percentilesOf(sumLatencies(senders.flatMap(({ latency }) => latency ?? []))),
    ledger: {
      rx,
      originated,
      tx,
      to_kernel: toKernel,
      dropped,
      in_flight: inFlight,
      balanced: rx + originated === tx + toKernel + dropped && inFlight === 0,
      drops,
    },
    nfs: plan.nfs.map((_, i) => nfResult(plan, layout, counters, reports, i)),
    ports: plan.ports.map((port, p) => {
      const at = layout.port + p * PORT_COUNTERS;
      const of = (counter: PORT) => counters[at + counter]!;
      return {
        name: port.name,
        ipackets: of(PORT.IPACKETS),
        ibytes: of(PORT.IBYTES),
        opackets: of(PORT.OPACKETS),
        obytes: of(PORT.OBYTES),
        imissed: of(PORT.IMISSED),
        ierrors: of(PORT.IERRORS),
        oerrors: of(PORT.OERRORS),
      };
    }),
    device: deviceResult(plan, parts.device),
    sync: {
      rows: counters[layout.sync + SYNC.ROWS]!,
      packets: counters[layout.sync + SYNC.PACKETS]!,
      dummies: counters[layout.sync + SYNC.DUMMIES]!,
      bytes_copied: parts.device?.report?.bytesCopied ?? 0,
      copy_seconds: (parts.device?.report?.copyMs ?? 0) / 1000,
      ...hopsResult(plan, layout, counters),
    },
    order: {
      mode: plan.options.order,
      reordered: counters[layout.reordered]!,
      flow_reordered: counters[layout.flowReordered]!,
    },
    cores: topology.name,
    threads: topology.threads.map(({ core: role }, thread) => {
      return { thread, role, ...reports[thread]!.settings, wait: waitOf(plan.options, role) };
    }),
    ...(stages.length > 0 ? { rx_stages: stages } : {}),
    digest: senders[0]!.digest ?? null,
    alerts_digest: plan.options.digest ? alertsDigest(allAlerts(reports)) : null,
    failure: parts.failure ?? null,
  };
}

/** NaN where no thread received anything. */
function earliest(reports: readonly ThreadReport[]): number {
  return reports.reduce((first, { firstNs }) => (firstNs < first || Number.isNaN(first) ? firstNs : first), Number.NaN);
}

function latest(reports: readonly ThreadReport[]): number {
  return reports.reduce((last, { lastNs }) => (lastNs > last || Number.isNaN(last) ? lastNs : last), Number.NaN);
}

function hopsResult(
  { device, nfs }: Plan,
  layout: CounterLayout,
  counters: Float64Array,
): Pick<RunResult["sync"], "forwarded" | "hops" | "forwarded_in_vain"> {
  const pairs = device?.hops?.pairs;
  if (pairs === undefined) return { forwarded: 0, hops: [], forwarded_in_vain: 0 };
  const hops = pairs.map(({ from, to }, i) => {
    return { from: nfs[from]!.name, to: nfs[to]!.name, packets: counters[layout.hops + i]! };
  });
  const forwarded = hops.reduce((sum, { packets }) => sum + packets, 0);
  return { forwarded, hops, forwarded_in_vain: counters[layout.hops + pairs.length]! };
}

function deviceResult(plan: Plan, end: DeviceEnd | undefined): RunResult["device"] {
  if (plan.device === undefined) return null;
  const { kind, name, emulated, persistent, zeroCopy } = plan.device.handle.info;
  const workgroups = end?.workgroups ?? 0;
  return { kind, name, emulated, persistent, zero_copy: zeroCopy, workgroups, launches: end?.report?.launches ?? 0 };
}

function allAlerts(reports: readonly ThreadReport[]): Float64Array {
  const parts = reports.flatMap((r) => r.nfs.flatMap((n) => (n.alerts === undefined ? [] : [n.alerts])));
  const all = new Float64Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function nfResult(
  plan: Plan,
  layout: CounterLayout,
  counters: Float64Array,
  reports: readonly ThreadReport[],
  index: number,
): NfResult {
  const { name, type, place, outcomes, counted } = plan.nfs[index]!;
  const instances = reports.flatMap((r) => r.nfs).filter((n) => n.nf === index);
  const counts: Record<string, number> = {};
  let packets = 0;
  outcomes.forEach((outcome, o) => {
    const n = counters[layout.outcome + index * OUTCOMES_PER_NF + o]!;
    packets += n;
    counts[outcome.name] = n;
  });
  const bytes = counters[layout.nfBytes + index]!;
  // Of several instances one may have fallen back, where a library did not open once more.
  const engine = [...new Set(instances.map((n) => n.engine))].join("; ");
  const device = place === "gpu" ? plan.device!.handle.info.name : null;
  return { name, type, place, device, engine, packets, bytes, outcomes: counts, ...mergeStats(instances, counted) };
}

/** The stats of an NF that several threads had an instance of: what counts is added up, the rest is the same in all of them. */
function mergeStats(instances: readonly NfReport[], counted: readonly string[]): Record<string, unknown> {
  const [first, ...others] = instances.map(({ stats }) => stats);
  const merged = { ...first };
  for (const stats of others) {
    for (const key of counted) merged[key] = Number(merged[key] ?? 0) + Number(stats[key] ?? 0);
  }
  return merged;
}
