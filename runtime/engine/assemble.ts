/** Puts the parts of one thread together: what its role in the topology needs, and nothing else. */
import type { Nf } from "../chain/nf.js";
import type { Stall } from "../device/stall.js";
import { Syncer, type SyncerOptions } from "../device/syncer.js";
import type { EgressDigest } from "../measure/digest.js";
import { LatencyTable } from "../measure/latency.js";
import type { HostPort, TxPort } from "../nic/port.js";
import type { Arena } from "../packet/arena.js";
import { SlotPool } from "../packet/pool.js";
import { RingConsumer, RingProducer } from "../packet/ring.js";
import { streamsOf } from "./arrival-order.js";
import type { CoreParts } from "./core.js";
import { type CounterLayout, counterBlock, counterLayout } from "./counters.js";
import { Egress } from "./egress.js";
import { FlowAudit } from "./flow-audit.js";
import { GpuStage } from "./gpu-stage.js";
import { IcmpOriginator } from "./icmp/originator.js";
import { Ingress } from "./ingress.js";
import { Lanes } from "./lanes.js";
import type { NumberedRxPort } from "./merge.js";
import { OrderWindow } from "./order-window.js";
import { FreePipeline, OrderedPipeline, type Pipeline } from "./pipeline.js";
import type { Plan } from "./plan.js";
import { Processor } from "./processor.js";
import { SerialPipeline } from "./serial-pipeline.js";
import type { SyncCoreParts } from "./sync-core.js";
import { SyncDriver } from "./sync-driver.js";
import { LocalSyncPort, RemoteSyncPort, type SyncPort } from "./sync-port.js";
import { dealWorkgroups, type Topology } from "./topology.js";

/** What every thread of a run has. */
export interface CommonParts {
  readonly thread: number;
  readonly plan: Plan;
  readonly topology: Topology;
  readonly arena: Arena;
  readonly control: Int32Array;
  readonly clock: () => number;
  readonly counters: SharedArrayBuffer;
  /** Memory of the rings, in the order of topology.rings. */
  readonly rings: readonly SharedArrayBuffer[];
  /** Where several threads audit order together (flow-audit.ts). */
  readonly audit?: SharedArrayBuffer | undefined;
  /** The device as it has started; undefined where no NF is on one. */
  readonly started?: StartedDevice | undefined;
}

export interface StartedDevice {
  /** Those that run: the queues in use. */
  readonly workgroups: readonly number[];
  readonly syncer?: SyncerOptions | undefined;
  /** Told by the thread that notices that the device has come to a halt. */
  report(stall: Stall): void;
  /** Between fruitless polls of a thread that can do nothing else. */
  pause(): void;
}

/** What a thread has opened. */
export interface ThreadParts extends CommonParts {
  /** By NF number; undefined where another thread owns it. */
  readonly nfs: readonly (Nf | undefined)[];
  readonly rxPorts: readonly NumberedRxPort[];
  /** By port number. */
  readonly txPorts: readonly (TxPort | undefined)[];
  readonly digest: EgressDigest | undefined;
  readonly host?: HostPort | undefined;
}

export function assemble(parts: ThreadParts): CoreParts & { readonly latency: LatencyTable } {
  const { thread, plan, topology, arena, control, clock, rxPorts, txPorts } = parts;
  const role = topology.threads[thread]!;
  const layout = counterLayout(plan);
  const counters = counterBlock(parts.counters, layout, thread);
  const latency = new LatencyTable();
  const { receivers, numbers, line } = topology;
  const pool = role.rx ? ownSlots(arena.slots, thread, receivers) : undefined;
  const ends = ringEnds(parts);
  const audits = reorders(plan, topology) && (role.rx || role.tx);
  const audit = audits ? new FlowAudit(arena, streamsOf(arena, numbers), parts.audit) : undefined;
  const among = { index: thread, count: receivers };
  const restores = numbers === "port" && line && receivers > 1 && thread === receivers;
  return {
    thread,
    plan,
    topology,
    arena,
    control,
    clock,
    pool,
    latency,
    audit: role.rx ? audit : undefined,
    ...workParts(parts, ends.outgoing, layout, counters),
    ingress: pool && new Ingress(plan, arena, rxPorts, pool, layout, counters, control, clock, among),
    egress: role.tx
      ? new Egress(plan, arena, txPorts, layout, counters, latency, {
          digest: parts.digest,
          audit,
          numbers,
          host: parts.host,
          originator: plan.icmp && new IcmpOriginator(plan.ports, plan.icmp, arena),
        })
      : undefined,
    order: restores ? new OrderWindow(arena, plan.ports.length) : undefined,
    ...ends,
  };
}

/** A receiver's share of the slots. */
function ownSlots(slots: number, receiver: number, receivers: number): SlotPool {
  const first = Math.floor((slots * receiver) / receivers);
  return new SlotPool(first, Math.floor((slots * (receiver + 1)) / receivers) - first);
}

/** A CPUSyncer core, which owns neither ports nor NFs. */
export function assembleSyncCore(parts: CommonParts): SyncCoreParts {
  const { thread, plan, topology, arena, control, clock } = parts;
  return { thread, plan, topology, arena, control, clock, driver: syncDriver(parts), ...ringEnds(parts) };
}

/** Ends of this thread's rings, by the thread at the other end. */
function ringEnds({ thread, topology, rings, arena }: CommonParts): Pick<CoreParts, "incoming" | "outgoing"> {
  const end = <T>(make: (memory: SharedArrayBuffer) => T, mine: 0 | 1): (T | undefined)[] =>
    topology.threads.map((_, other) => {
      const i = topology.rings.findIndex((r) => r[mine] === thread && r[1 - mine] === other);
      return i < 0 ? undefined : make(rings[i]!);
    });
  return {
    outgoing: end((memory) => new RingProducer(memory, arena.slots), 0),
    incoming: end((memory) => new RingConsumer(memory, arena.slots), 1),
  };
}

/** True where packets of one flow could overtake each other: without order, or where order rests on the flow hash. */
function reorders(plan: Plan, topology: Topology): boolean {
  const { order } = plan.options;
  const syncers = topology.threads.length - topology.stations;
  if (order === "none") return topology.stations > 1 || plan.device !== undefined;
  return order === "flow" && syncers > 1;
}

function syncDriver(parts: CommonParts): SyncDriver {
  const { thread, plan, topology, arena, control } = parts;
  const { workgroups, report, syncer } = parts.started!;
  const layout = counterLayout(plan);
  const mine = dealWorkgroups(plan, topology, workgroups)[thread]!;
  const counters = counterBlock(parts.counters, layout, thread);
  const own = new Syncer(plan.device!.handle, arena, mine, counters, layout.sync, syncer);
  return new SyncDriver(plan, own, arena, control, report);
}

function syncPort(parts: CommonParts, outgoing: CoreParts["outgoing"]): SyncPort {
  const { plan, topology, control } = parts;
  const { stations } = topology;
  if (topology.threads.length === stations) return new LocalSyncPort(syncDriver(parts));
  // The first of them have the workgroups, where there are fewer; what a core without any took would wait for ever.
  const served = outgoing.slice(stations, stations + parts.started!.workgroups.length);
  const cores = served.map((ring) => ring!);
  return new RemoteSyncPort(cores, stations, control, plan.options.order === "flow");
}

/** The thread's NFs: a processor, and a pipeline where some are on a GPU. */
function workParts(
  parts: ThreadParts,
  outgoing: CoreParts["outgoing"],
  layout: CounterLayout,
  counters: Float64Array,
): { processor: Processor; pipeline: Pipeline | undefined } {
  const { plan, arena, nfs, control, clock, started } = parts;
  const isGpu = (i: number) => plan.nfs[i]!.place === "gpu";
  const processorOf = (mine: (i: number) => boolean) =>
    new Processor(
      plan,
      arena,
      nfs.map((nf, i) => (mine(i) && !isGpu(i) ? nf : undefined)),
      layout,
      counters,
    );
  const placed = plan.nfOrder.filter((i) => nfs[i] !== undefined && isGpu(i));
  if (placed.length === 0) return { processor: processorOf(() => true), pipeline: undefined };

  const port = syncPort(parts, outgoing);
  const done = new Uint8Array(arena.slots);
  const kept = new Uint8Array(arena.slots);
  const context = { plan, arena, layout, counters, port, lanes: new Lanes(arena, port.lanes), done, kept };
  const stages = placed.map((i) => new GpuStage(i, nfs[i]!, context));
  const row = plan.device!.handle.shape.workgroupSize;
  const pipelineParts = { arena, port, stages, done, batch: plan.options.batch, row };
  if (plan.options.order === "none" || plan.cyclic) {
    const processor = processorOf(() => true);
    const pipeline =
      plan.options.order === "none"
        ? new FreePipeline(pipelineParts, processor)
        : new SerialPipeline(pipelineParts, processor, control, clock, started!.pause);
    return { processor, pipeline };
  }
  const at = (i: number) => plan.nfOrder.indexOf(i);
  const segments = [...placed, undefined].map((end, k) => {
    const start = k === 0 ? -1 : at(placed[k - 1]!);
    return processorOf((i) => at(i) > start && (end === undefined || at(i) < at(end)));
  });
  return { processor: segments[0]!, pipeline: new OrderedPipeline(pipelineParts, segments) };
}
