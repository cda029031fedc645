/** The control plane of a run: starts the threads, watches them, stops them, and puts the result together. */
import { Worker } from "node:worker_threads";
import type { LoadedChain } from "../chain/load.js";
import type { Device, DeviceReport } from "../device/device.js";
import type { SyncerOptions } from "../device/syncer.js";
import { ConfigError, RunError, reviveError } from "../errors.js";
import { type SchedSpec, startPool } from "../native/sched.js";
import { isXdp, sharingOf } from "../nic/drivers.js";
import type { HostAccess } from "../nic/port.js";
import { Arena } from "../packet/arena.js";
import { ringBytes } from "../packet/ring.js";
import type { ByRole } from "./by-role.js";
import { takeEpoch } from "./clock.js";
import { CONTROL, controlMemory, failDevice, ringAll, stationGone, stopReceiving } from "./control.js";
import type { CoreSpec } from "./core-spec.js";
import { counterLayout, counterMemory, sumCounters } from "./counters.js";
import { leastSlots, slotsFor, slotsIn } from "./device-plan.js";
import { auditMemory } from "./flow-audit.js";
import type { GoMessage, Shares, ThreadReport, WorkerMessage, WorkerSetup } from "./messages.js";
import { makePlan, type Plan, type PlanOptions } from "./plan.js";
import type { Receiving } from "./receivers.js";
import { type DeviceEnd, makeResult, type RunResult, type Snapshot, snapshotOf } from "./result.js";
import { planThreads, thisMachine } from "./thread-plan.js";
import { makeTopology, syncerThreads } from "./topology.js";

export interface RunOptions extends PlanOptions {
  readonly cores: CoreSpec;
  /** Absent: threads are scheduled as the process is. */
  readonly sched?: ByRole<SchedSpec> | undefined;
  /**
   * Opened with deviceNfs() of the chain and slotsFor() its shape; the run starts, stops and closes it. Absent: every NF runs on the
   * CPU, whatever the chain says.
   */
  readonly device?: Device | undefined;
  /** Time limits of the CPUSyncers; for experiments. */
  readonly syncer?: SyncerOptions | undefined;
  warn(line: string): void;
}

/** A run that has been started. */
export interface Run {
  /** Counters as they stand now. */
  snapshot(): Snapshot;
  /** Stops receiving; packets under way are finished, then `result` resolves. */
  stop(): void;
  /**
   * Resolves when every packet is accounted for; the result may still say that the ledger does not balance, or name a `failure` of the
   * device, whose packets are then drops.
   * @throws ConfigError where an input turns out unreadable; RunError where a thread fails
   */
  readonly result: Promise<RunResult>;
}

/** Starts a run. The chain's outputs are created once every thread has accepted its configuration and the device serves. */
export function startRun(chain: LoadedChain, options: RunOptions): Run {
  const { cores, sched, warn, device, syncer, ...planOptions } = options;
  const least = leastSlots(chain, warn);
  const arena = device === undefined ? Arena.create(slotsFor(undefined, least)) : arenaOf(device, least);
  const plan = makePlan(chain, arena.handle, planOptions, device?.handle);
  checkStages(plan);
  const topology = makeTopology(plan, options.order, cores, warn, receivingOf(plan));
  const roles = topology.threads.map(({ core }) => core);
  const settings = planThreads(roles, { cores, sched, wait: options.wait }, thisMachine(), warn);
  startPool();
  const layout = counterLayout(plan);
  const counters = counterMemory(layout, topology.threads.length);
  const controlBuffer = controlMemory(topology.threads.length);
  const control = new Int32Array(controlBuffer);
  const rings = topology.rings.map(() => new SharedArrayBuffer(ringBytes(arena.slots)));
  const epoch = takeEpoch();
  const { receivers, stations, numbers } = topology;
  const audit = numbers === "port" && receivers > 1 && receivers === stations ? auditMemory() : undefined;

  const workers = topology.threads.map((_, thread) => {
    const common = { plan, topology, epoch, control: controlBuffer, counters, rings, audit, syncer };
    const setup: WorkerSetup = { thread, settings: settings[thread]!, ...common };
    return new Worker(new URL("./worker.js", import.meta.url), { workerData: setup });
  });
  const owners = topology.threads.length > stations ? 0 : syncerThreads(plan, topology).length;
  const supervisor = new Supervisor(workers, control, device, { receivers, stations, owners }, warn);
  const result = supervisor
    .run()
    .finally(() => supervisor.endDevice())
    .then((reports) => {
      const sum = sumCounters(counters, layout);
      const { end, failure } = supervisor;
      return makeResult({ plan, topology, layout, counters: sum, reports, device: end, failure });
    })
    .finally(() => arena.free());
  return {
    snapshot: () => snapshotOf(plan, layout, sumCounters(counters, layout)),
    stop: () => stopReceiving(control),
    result,
  };
}

/** @throws ConfigError where stages of receiving are to be timed and no port has them */
function checkStages({ ports, options }: Plan): void {
  const { rxPattern } = options;
  if (rxPattern === undefined || ports.some(({ rx, config }) => rx && isXdp(config))) return;
  throw new ConfigError(
    `--rx-pattern ${rxPattern}`,
    "no port receives by AF_XDP",
    "use xdp:INTERFACE, or leave it out",
  );
}

/** What there is to receive from. */
function receivingOf({ ports, arena, options }: Plan): Receiving {
  return {
    ports: ports.map(({ name, config, rx, tx }) => ({ name, rx, tx, ...sharingOf(config) })),
    pattern: options.rxPattern ?? "default",
    digest: options.digest,
    slots: arena.slots,
  };
}

/** An arena over a device's memory, which the device owns. */
function arenaOf(device: Device, least: number): Arena {
  const { arena, handle } = device;
  return Arena.attach({ slots: slotsIn(arena, handle.shape, least), region: arena, owned: false });
}

/** Watches threads and device. */
class Supervisor {
  /** Of the device, once it has stopped. */
  end: DeviceEnd | undefined;
  /** Why the run is a failed one, while the threads went on to the end: an NF failed, or the device was given up. */
  failure: string | undefined;
  private readonly reports: ThreadReport[] = [];
  private error: Error | undefined;
  /** Of a thread that had done its work: what is thrown where no thread failed at it, whoever was the first to say so. */
  private lateError: Error | undefined;
  private ready = 0;
  /** By port number: how its frames get to the host's network stack. */
  private readonly hosts: (HostAccess | undefined)[] = [];
  /** By port number: by what a thread sends that does not receive. */
  private readonly lent: unknown[] = [];
  private workgroups = 0;
  /** The device has stopped, or will not. */
  private over = false;

  constructor(
    private readonly workers: readonly Worker[],
    private readonly control: Int32Array,
    private readonly device: Device | undefined,
    /** Threads that receive; that packets pass; and that have a syncer of their own and cannot do without a workgroup. */
    private readonly numbers: { readonly receivers: number; readonly stations: number; readonly owners: number },
    private readonly warn: (line: string) => void,
  ) {}

  /** Waits until all threads are ready, lets them go, and waits until all are gone; the first error ends them all. */
  async run(): Promise<ThreadReport[]> {
    const { workers, reports } = this;
    this.device?.failed.catch((error: Error) => this.failDevice(error.message));
    const exits = workers.map(
      (worker, thread) =>
        new Promise<void>((resolve) => {
          worker.on("message", (message: WorkerMessage) => this.hear(message, thread));
          worker.on("error", (error) => this.fail(error));
          worker.on("exit", (code) => {
            if (reports[thread] === undefined && this.error === undefined && this.lateError === undefined) {
              const problem = `ended without a report (exit code ${code})`;
              this.fail(new RunError(`thread ${thread}`, problem, "report this as a bug"));
            }
            if (thread > 0 && thread < this.numbers.stations) stationGone(this.control);
            resolve();
          });
        }),
    );
    await Promise.all(exits);
    const error = this.error ?? this.lateError;
    if (error !== undefined) throw error;
    return reports;
  }

  private hear(message: WorkerMessage, thread: number): void {
    if (message.kind === "warn") this.warn(message.line);
    else if (message.kind === "opened") this.tellReceivers(message);
    else if (message.kind === "done") this.reports[thread] = message.report;
    else if (message.kind === "error" && message.late) this.lateError ??= reviveError(message.error);
    else if (message.kind === "error") this.fail(reviveError(message.error));
    else if (message.kind === "nf-failure") this.failure ??= message.line;
    else if (message.kind === "failure") this.failDevice(stalled(message.line).message);
    else {
      message.hosts.forEach((host, port) => {
        this.hosts[port] ??= host;
      });
      message.lent.forEach((lent, port) => {
        this.lent[port] ??= lent;
      });
      if (++this.ready === this.workers.length) this.begin().catch((error: Error) => this.fail(error));
    }
  }

  /** The first receiver has opened its ports. */
  private tellReceivers({ shares }: { readonly shares: Shares }): void {
    for (const worker of this.workers.slice(1, this.numbers.receivers))
      worker.postMessage({ shares } satisfies GoMessage);
  }

  /** All threads are ready. */
  private async begin(): Promise<void> {
    const { device, workers } = this;
    if (this.error !== undefined) return;
    if (device !== undefined) {
      this.workgroups = await device.start();
      this.checkWorkgroups(device);
    }
    if (this.error !== undefined) return;
    const workgroups = Array.from({ length: this.workgroups }, (_, workgroup) => workgroup);
    const go: GoMessage = { workgroups, hosts: this.hosts, lent: this.lent };
    for (const worker of workers) worker.postMessage(go);
  }

  /** @throws RunError where fewer run than threads that each need one */
  private checkWorkgroups({ handle }: Device): void {
    const { workgroups } = this;
    const { owners } = this.numbers;
    const { info, shape } = handle;
    if (workgroups < owners) {
      const problem = `${owners} cores have NFs on the device ${info.name}, which has ${workgroups} workgroups`;
      throw new RunError("--cores", problem, "use fewer n cores, or one CPUSyncer core for all of them (c1)");
    }
    if (workgroups < shape.workgroups) {
      this.warn(
        `device ${info.name}: of ${shape.workgroups} workgroups ${workgroups} run at once, and as many queues are used`,
      );
    }
  }

  private fail(error: Error): void {
    if (this.error !== undefined) return;
    this.error = error;
    Atomics.store(this.control, CONTROL.ABORT, 1);
    ringAll(this.control);
    for (const worker of this.workers) worker.postMessage("quit" satisfies GoMessage);
  }

  /** The threads take back what the device has, and come to an end. */
  private failDevice(failure: string): void {
    if (this.over) return;
    this.failure ??= failure;
    failDevice(this.control);
  }

  /** Stops the device and frees its memory, once no thread touches it. */
  async endDevice(): Promise<void> {
    const { device, workgroups } = this;
    if (device === undefined) return;
    let report: DeviceReport | undefined;
    try {
      report = await device.stop();
    } catch (error) {
      // A thread's error, or the device's first, says more.
      this.failure ??= (error as Error).message;
    }
    this.end = { workgroups, report };
    // What fails from here on concerns no packet.
    this.over = true;
    await device.close().catch((error: Error) => this.warn(error.message));
  }
}

function stalled(line: string): RunError {
  return new RunError("device", line, "place the NF on the CPU (--place NF=cpu), or use another device (--device)");
}
