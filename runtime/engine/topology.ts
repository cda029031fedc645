/**
 * Which thread does what, and which threads talk. One core runs everything to completion; several form a pipeline:
 *
 *   order flow or global   a line: io -> NF cores in visiting order -> io. Every packet passes every core in arrival order, those
 *                          with nothing to do there included, so order holds by construction and costs one ring hop.
 *   order none             a mesh: a packet goes straight to the core of its next NF.
 *
 * Several cores may receive (receivers.ts). They are the first stations, whatever comes behind them: nothing, where each runs its packets to
 * completion; else a line or a mesh whose last core sends. A slot goes home from there to the receiver it belongs to.
 *
 * An NF on a GPU has an owner among these like any other NF: prepare and finish run there. Its packets go to the device through a
 * CPUSyncer: the owner's own, or, with `c` cores, those cores', each of which has a pair of rings with every owner and is no part
 * of the line.
 */
import type { CoreRole, CoreSpec } from "./core-spec.js";
import type { OrderMode, Plan } from "./plan.js";
import { checkPattern, decideReceivers, type Receiving } from "./receivers.js";

export interface ThreadRole {
  /** Which of the cores that `--cores` counts it is. */
  readonly core: CoreRole;
  /** Receives, gates and classifies. */
  readonly rx: boolean;
  /** Sends, counts drops, and returns slots. */
  readonly tx: boolean;
  /** NFs it owns. */
  readonly nfs: readonly number[];
}

export interface Topology {
  /** Stations first, then CPUSyncer cores. */
  readonly threads: readonly ThreadRole[];
  /** Threads that packets pass on their way; the others are CPUSyncer cores. */
  readonly stations: number;
  /** Threads that receive: the first ones. As many as stations: each runs to completion. */
  readonly receivers: number;
  /** What numbers of arena.arrival can be compared: all, those of one receiver, or those of one port, whose queue receivers share. */
  readonly numbers: "all" | "receiver" | "port";
  /** Rings as [from, to] thread numbers. */
  readonly rings: readonly (readonly [number, number])[];
  /** Each station hands everything to the next; else each packet goes to the owner of its target. */
  readonly line: boolean;
  /** In the paper's notation, e.g. "c1d1n2"; "d1" is run-to-completion. */
  readonly name: string;
}

/** What of a plan decides who does what. */
export type TopologyPlan = Pick<Plan, "nfOrder" | "cyclic"> & {
  readonly nfs: readonly { readonly place?: "cpu" | "gpu"; readonly name?: string; readonly replicable?: boolean }[];
  readonly device?: { readonly handle: { readonly shape: { readonly workgroups: number } } } | undefined;
};

/**
 * Deals roles to threads.
 * @param warn told what the chain cannot use
 * @param receiving absent: only one core can receive
 * @throws ConfigError see decideReceivers() and checkPattern()
 */
export function makeTopology(
  plan: TopologyPlan,
  order: OrderMode,
  spec: CoreSpec,
  warn: (line: string) => void,
  receiving?: Receiving,
): Topology {
  const gpu = plan.nfs.filter((nf) => nf.place === "gpu").length;
  const workgroups = plan.device?.handle.shape.workgroups ?? 0;
  if (spec.sync > 0 && gpu === 0) warn(`--cores c${spec.sync}: no NF is on a GPU, so no CPUSyncer core is started`);
  let nf = Math.min(spec.nf, plan.nfs.length);
  if (nf < spec.nf)
    warn(`--cores n${spec.nf}: the chain has ${plan.nfs.length} NFs, and one NF runs on one core; ${nf} used`);
  const serial = plan.cyclic && order !== "none";
  if (serial && gpu > 0) {
    warn(
      `--order ${order}: the policy has a cycle, where order holds one packet at a time, and each waits for the GPU: slow (--order none lifts this)`,
    );
  }
  let sync = gpu === 0 ? 0 : Math.min(spec.sync, workgroups);
  if (sync < spec.sync && gpu > 0)
    warn(`--cores c${spec.sync}: each CPUSyncer has workgroups of its own, the device has ${workgroups}; ${sync} used`);
  if (serial && spec.io + nf + sync > 1) {
    warn(
      "--cores: the policy has a cycle, where only one core keeps order; running to completion on one (--order none lifts this)",
    );
    nf = 0;
    sync = 0;
  }
  if (receiving !== undefined) checkPattern(receiving);
  const shared = receiving !== undefined && receiving.pattern !== "default";
  const alone: ThreadRole = { core: "io", rx: true, tx: true, nfs: plan.nfOrder };
  const one = { receivers: 1, numbers: shared ? "port" : "all" } as const;
  if (serial || spec.io + nf === 1)
    return withSyncers(plan, { ...one, threads: [alone], rings: [], line: true }, sync, "d1");

  const wanted = nf;
  while (sync === 0 && nf > 0 && ownersOf(plan, segmentsOf(plan, nf)) > workgroups) nf--;
  if (nf < wanted && gpu > 0)
    warn(
      `--cores n${wanted}: every core with a GPU NF needs a workgroup of its own, the device has ${workgroups}; n${nf} used (c1 lifts this)`,
    );
  const { form, count } = decideReceivers(plan.nfs, order, spec.io, nf, receiving, warn);
  const several = { receivers: count, numbers: shared ? "port" : "receiver" } as const;
  if (form === "complete") {
    const threads = Array.from({ length: count }, () => alone);
    return withSyncers(plan, { ...several, threads, rings: [], line: true }, sync, `d${count}`);
  }
  if (form === "hand-on") {
    const threads = handOn(plan, count, nf);
    const name = nf === 0 ? `d${count + 1}` : `d${count}n${nf}`;
    const line = order !== "none";
    return withSyncers(
      plan,
      { ...several, threads, rings: ringsBehind(threads.length, count, line), line },
      sync,
      name,
    );
  }
  if (spec.io > 2) warn(`--cores d${spec.io}: two io cores are used, one receives and one sends`);
  const io = Math.min(spec.io, 2);
  const segments = segmentsOf(plan, nf);
  const threads: ThreadRole[] = [{ core: "io", rx: true, tx: io === 1, nfs: nf === 0 ? plan.nfOrder : [] }];
  for (const nfs of segments) threads.push({ core: "nf", rx: false, tx: false, nfs });
  if (io === 2) threads.push({ core: "io", rx: false, tx: true, nfs: [] });
  if (threads.length === 1) return withSyncers(plan, { ...one, threads, rings: [], line: true }, sync, "d1");
  const last = threads.length - 1;
  const line = order !== "none";
  const rings: [number, number][] = [];
  if (line) {
    for (let t = 0; t < last; t++) rings.push([t, t + 1]);
    rings.push([last, 0]);
  } else {
    for (let from = 0; from <= last; from++) for (let to = 0; to <= last; to++) if (from !== to) rings.push([from, to]);
  }
  return withSyncers(plan, { ...one, threads, rings, line }, sync, `d${io}n${nf}`);
}

/** Receivers, then the cores of the NFs, the last of which sends; without such cores one more io core does both. */
function handOn(plan: TopologyPlan, receivers: number, nf: number): ThreadRole[] {
  const first = Array.from({ length: receivers }, (): ThreadRole => ({ core: "io", rx: true, tx: false, nfs: [] }));
  if (nf === 0) return [...first, { core: "io", rx: false, tx: true, nfs: plan.nfOrder }];
  const segments = segmentsOf(plan, nf);
  return [...first, ...segments.map((nfs, i): ThreadRole => ({ core: "nf", rx: false, tx: i === nf - 1, nfs }))];
}

/** Rings of stations behind several receivers, which the last one sends slots home to. */
function ringsBehind(stations: number, receivers: number, line: boolean): [number, number][] {
  const last = stations - 1;
  const rings: [number, number][] = [];
  for (let from = 0; from <= last; from++) {
    for (let to = receivers; to <= last; to++) {
      const next = from < receivers ? receivers : from + 1;
      if (from !== to && (!line || to === next)) rings.push([from, to]);
    }
  }
  for (let to = 0; to < receivers; to++) rings.push([last, to]);
  return rings;
}

/** NFs by core, so that every packet visits the cores from front to back. */
function segmentsOf(plan: TopologyPlan, cores: number): number[][] {
  const segments: number[][] = Array.from({ length: cores }, () => []);
  const count = plan.nfOrder.length;
  // Later segments take the remainder: what comes first in a chain (crypto, scanning) is what costs.
  if (cores > 0) {
    plan.nfOrder.forEach((index, i) => {
      segments[cores - 1 - Math.floor(((count - 1 - i) * cores) / count)]!.push(index);
    });
  }
  return segments;
}

function ownersOf(plan: TopologyPlan, segments: readonly (readonly number[])[]): number {
  return segments.filter((nfs) => nfs.some((nf) => plan.nfs[nf]!.place === "gpu")).length;
}

/** The threads that own GPU NFs. */
function gpuOwners(plan: TopologyPlan, threads: readonly ThreadRole[]): number[] {
  return threads.flatMap(({ nfs }, t) => (nfs.some((nf) => plan.nfs[nf]!.place === "gpu") ? [t] : []));
}

function withSyncers(
  plan: TopologyPlan,
  made: Omit<Topology, "stations" | "name">,
  sync: number,
  name: string,
): Topology {
  const threads = [...made.threads];
  const rings = [...made.rings];
  const stations = threads.length;
  const owners = gpuOwners(plan, made.threads);
  for (let c = 0; c < sync; c++) {
    const thread = threads.push({ core: "sync", rx: false, tx: false, nfs: [] }) - 1;
    for (const owner of owners) rings.push([owner, thread], [thread, owner]);
  }
  return { ...made, threads, stations, rings, name: sync > 0 ? `c${sync}${name}` : name };
}

/**
 * The workgroups of each thread's CPUSyncer, dealt in turn. Empty where a thread has no syncer.
 * @param workgroups all that run
 */
export function dealWorkgroups(plan: TopologyPlan, topology: Topology, workgroups: readonly number[]): number[][] {
  const syncers = syncerThreads(plan, topology);
  const dealt: number[][] = topology.threads.map(() => []);
  workgroups.forEach((workgroup, i) => {
    dealt[syncers[i % syncers.length]!]!.push(workgroup);
  });
  return dealt;
}

/** The threads that have a CPUSyncer. */
export function syncerThreads(plan: TopologyPlan, { threads, stations }: Topology): number[] {
  const cores = threads.map((_, t) => t).slice(stations);
  return cores.length > 0 ? cores : gpuOwners(plan, threads);
}
