/**
 * A data-plane thread. It comes up in two steps, so that no output is touched while another thread may still refuse its
 * configuration: first NFs and inputs, then, when main has started the device and says go, outputs and the loop.
 */
import { parentPort, workerData } from "node:worker_threads";
import { importCreate } from "../chain/modules.js";
import type { Nf } from "../chain/nf.js";
import { describeStall } from "../device/stall.js";
import { RunError } from "../errors.js";
import { EgressDigest } from "../measure/digest.js";
import { openRx, openTx } from "../nic/drivers.js";
import type { HostPort, PortContext, Receiver, RxPort, TxPort } from "../nic/port.js";
import { StageTimes } from "../nic/shared-queue/stages.js";
import { Arena } from "../packet/arena.js";
import { assemble, assembleSyncCore, type CommonParts, type StartedDevice } from "./assemble.js";
import { clockSince } from "./clock.js";
import { awaitGone, awaitOutputs, outputsOpen, stopReceiving } from "./control.js";
import { Core } from "./core.js";
import type { NumberedRxPort } from "./ingress.js";
import type { BeginMessage, GoMessage, NfReport, Shares, WorkerMessage, WorkerSetup } from "./messages.js";
import { TARGET, waitOf } from "./plan.js";
import { SyncCore } from "./sync-core.js";
import { AppliedSettings } from "./thread-settings.js";
import { Waiter } from "./wait.js";

const port = parentPort!;
const post = (message: WorkerMessage) => port.postMessage(message);
const setup = workerData as WorkerSetup;
const warn = (line: string) => post({ kind: "warn", line });

/** The thread's work is done; what is left is to write and to close. */
let ending = false;
/** Other threads have been told of what this one has opened: it closes after them. */
let shared = false;

/** Where a pattern is asked for, its stages are timed. */
const stages =
  setup.thread < setup.topology.receivers && setup.plan.options.rxPattern !== undefined ? new StageTimes() : undefined;

/** What main has said and nobody has asked for yet. */
const said: GoMessage[] = [];
let listener: ((message: GoMessage) => void) | undefined;
port.on("message", (message: GoMessage) => {
  if (listener === undefined) said.push(message);
  else listener(message);
  listener = undefined;
});

function hear(): Promise<GoMessage> {
  return new Promise((resolve) => {
    const message = said.shift();
    if (message === undefined) listener = resolve;
    else resolve(message);
  });
}

/** Fills in the NFs of this thread; those before one that fails are there to be closed. */
async function createNfs(arena: Arena, nfs: (Nf | undefined)[], fail: (line: string) => void): Promise<void> {
  const { plan, topology, thread } = setup;
  // Of instances that several receivers have, the first one's says it for all.
  const say = thread > 0 && thread < topology.receivers ? () => {} : warn;
  for (const index of topology.threads[thread]!.nfs) {
    const { name, type, source, place, loaded } = plan.nfs[index]!;
    const create = await importCreate(source, `nfs.${name}.type`);
    const { seed, portable, digest } = plan.options;
    const nf = create(loaded, { name, arena, seed, portable, place, warn: say, fail });
    nfs[index] = nf;
    if (place === "gpu" && nf.offload === undefined) {
      throw new RunError(`nfs.${name}`, `type ${type} has no part for a GPU`, 'write "place": "cpu"');
    }
    if (digest) nf.keepAlerts?.();
  }
}

/** Closes everything, whatever fails on the way, so that what was written so far stays readable; then throws the first error. */
async function closeAll(closables: readonly ({ close?(): unknown } | undefined)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const closable of closables) {
    try {
      await closable?.close?.();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}

async function main(): Promise<void> {
  const nfs: (Nf | undefined)[] = setup.plan.nfs.map(() => undefined);
  const rxPorts: NumberedRxPort[] = [];
  const txPorts: (TxPort | undefined)[] = setup.plan.ports.map(() => undefined);
  const hostPorts: HostPort[] = [];
  const close = async () => {
    if (shared) awaitGone(new Int32Array(setup.control), setup.topology.stations - 1);
    await closeAll([...txPorts, ...hostPorts, ...rxPorts.map(({ rx }) => rx), ...nfs]);
  };
  try {
    // First of all: memory lies where it is touched first.
    const settings = new AppliedSettings(setup.thread, setup.settings);
    await work(nfs, rxPorts, txPorts, hostPorts, settings).finally(() => settings.restore());
  } catch (error) {
    // Before closing, which may wait for others to hear of it.
    fail(error as Error);
    // What fails while closing is a consequence, or less urgent: the first error is the one to tell.
    await close().catch(() => {});
    return;
  }
  await close();
}

function fail({ name, message, stack }: Error): void {
  post({ kind: "error", error: { name, message, stack }, late: ending });
}

/** An NF or an interface is of no use any more: nothing more is received, what is under way leaves, and the run is a failed one. */
function failed(line: string): void {
  stopReceiving(new Int32Array(setup.control));
  post({ kind: "nf-failure", line });
}

/** Opens the ports to receive from; of several receivers the first one does so before the others. @returns false where main says to leave */
async function openRxPorts(arena: Arena, rxPorts: NumberedRxPort[]): Promise<boolean> {
  const { plan, topology, thread } = setup;
  const { receivers } = topology;
  let shares: Shares = {};
  if (thread > 0) {
    const message = await hear();
    if (message === "quit") return false;
    shares = (message as { shares: Shares }).shares;
  }
  for (const [i, p] of plan.ports.entries()) {
    if (!p.rx) continue;
    const context = portContext(i, arena, { share: shares[p.name] });
    rxPorts.push({ port: i, rx: await openRx(p.config, context, { loop: plan.options.loop }) });
  }
  if (thread > 0 || receivers === 1) return true;
  shared = true;
  post({
    kind: "opened",
    shares: Object.fromEntries(rxPorts.map(({ port, rx }) => [plan.ports[port]!.name, rx.share])),
  });
  return true;
}

/** @param others what other threads have said of the port: {@link Receiver.share} and {@link PortContext.lent} */
function portContext(index: number, arena: Arena, others: { share?: unknown; lent?: unknown }): PortContext {
  const { plan, topology, thread } = setup;
  const { name, rx, tx } = plan.ports[index]!;
  const { share, lent } = others;
  const { receivers: count } = topology;
  const pattern = plan.options.rxPattern ?? "default";
  const receiver: Receiver | undefined =
    thread < count && (count > 1 || pattern !== "default") ? { index: thread, count, pattern, share } : undefined;
  const both = rx && tx && topology.threads[thread]!.tx;
  const lends = rx && tx && !both && thread === 0;
  return { name, arena, warn, both, lends, lent, hostThreads: hostThreads(), receiver, stages, fail: failed };
}

/** Opens what the thread's role needs, entering it in the lists as it opens, and runs to the end. */
async function work(
  nfs: (Nf | undefined)[],
  rxPorts: NumberedRxPort[],
  txPorts: (TxPort | undefined)[],
  hostPorts: HostPort[],
  applied: AppliedSettings,
): Promise<void> {
  const { plan, topology, thread } = setup;
  const role = topology.threads[thread]!;
  const arena = Arena.attach(plan.arena);
  const clock = clockSince(setup.epoch);
  const control = new Int32Array(setup.control);
  if (role.rx && !(await openRxPorts(arena, rxPorts))) return;
  // After the inputs: an NF that writes a file should not empty it for a run that cannot start.
  await createNfs(arena, nfs, failed);
  const lent = byPort(rxPorts, (rx) => rx.lent);
  if (lent.some((one) => one !== undefined)) shared = true;
  post({ kind: "ready", hosts: byPort(rxPorts, (rx) => rx.host), lent });
  const message = await hear();
  if (message === "quit") return;
  const go = message as BeginMessage;
  const common: CommonParts = { ...setup, arena, control, clock, started: startedDevice(control, go) };
  if (thread >= topology.stations) {
    new SyncCore(assembleSyncCore(common)).run();
    const never = {
      stages: undefined,
      inFlight: 0,
      firstNs: Number.NaN,
      lastNs: Number.NaN,
      latency: undefined,
      digest: undefined,
    };
    post({ kind: "done", report: { nfs: [], ...never, settings: applied.describe() } });
    return;
  }

  if (role.tx) {
    for (const [i, p] of plan.ports.entries()) {
      if (p.tx) txPorts[i] = await openTx(p.config, portContext(i, arena, { lent: go.lent[i] }));
    }
    if (go.hosts.some((host) => host !== undefined)) {
      const { openHost } = await import("../nic/host/port.js");
      hostPorts.push(openHost(go.hosts, thread, arena, warn));
    }
    outputsOpen(control);
  }
  const names = plan.ports.map((p) => p.name);
  const digest = role.tx && plan.options.digest ? new EgressDigest(arena, names) : undefined;
  const parts = { ...assemble({ ...common, nfs, rxPorts, txPorts, host: hostPorts[0], digest }), stages };
  const { pool, ingress, egress, latency } = parts;
  if (role.rx) awaitOutputs(control, topology.threads.filter(({ tx }) => tx).length);
  await new Core(parts).run();

  ending = true;
  const settings = applied.describe();
  applied.restore();
  for (const nf of nfs) nf?.flush?.();
  egress?.flush();
  const reports = nfs.flatMap((nf, i) => (nf === undefined ? [] : [reportOf(nf, i)]));
  post({
    kind: "done",
    report: {
      nfs: reports,
      stages: stages?.used ? stages.report() : undefined,
      inFlight: pool === undefined ? 0 : pool.size - pool.available,
      firstNs: ingress?.firstNs ?? Number.NaN,
      lastNs: egress?.lastNs ?? Number.NaN,
      latency: role.tx ? { counts: latency.counts, max: latency.max } : undefined,
      digest: digest?.finish(),
      settings,
    },
  });
}

/** By port number, of the ports that this thread has opened. */
function byPort<T>(rxPorts: readonly NumberedRxPort[], of: (rx: RxPort) => T): (T | undefined)[] {
  return setup.plan.ports.map((_, i) => {
    const opened = rxPorts.find(({ port }) => port === i);
    return opened && of(opened.rx);
  });
}

/** Threads that may hand packets to the host's network stack: any, where the policy does at all. */
function hostThreads(): number {
  return setup.plan.policy.includes(TARGET.KERNEL) ? setup.topology.threads.length : 0;
}

function startedDevice(control: Int32Array, { workgroups }: BeginMessage): StartedDevice | undefined {
  const { plan, thread, topology } = setup;
  if (plan.device === undefined) return undefined;
  const { numberOf } = plan.device;
  const names = plan.nfs.filter((_, i) => numberOf[i]! >= 0).map((nf) => nf.name);
  const waiter = new Waiter(waitOf(plan.options, topology.threads[thread]!.core), control, thread, false);
  return {
    workgroups,
    syncer: setup.syncer,
    report: (stall) => post({ kind: "failure", line: describeStall(stall, names) }),
    pause: () => waiter.poll(),
  };
}

function reportOf(nf: Nf, index: number): NfReport {
  const pairs = setup.plan.options.digest ? nf.alerts?.() : undefined;
  const alerts = pairs === undefined ? undefined : Float64Array.from(pairs.flat());
  return { nf: index, engine: nf.engine, stats: nf.stats?.() ?? {}, alerts };
}

main().then(
  () => port.close(),
  (error: Error) => {
    fail(error);
    port.close();
  },
);
