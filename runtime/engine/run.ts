/** The control plane of a run: starts the threads, watches them, stops them, and puts the result together. */
import { Worker } from "node:worker_threads";
import type { LoadedChain } from "../chain/load.js";
import { RunError, reviveError } from "../errors.js";
import { Arena } from "../packet/arena.js";
import { ringBytes } from "../packet/ring.js";
import { takeEpoch } from "./clock.js";
import { CONTROL, controlMemory, ringAll } from "./control.js";
import { counterLayout, counterMemory, sumCounters } from "./counters.js";
import { makePlan, type PlanOptions } from "./plan.js";
import { makeResult, type RunResult, type Snapshot, snapshotOf } from "./result.js";
import { type CoreSpec, makeTopology } from "./topology.js";
import type { ThreadReport, WorkerMessage, WorkerSetup } from "./worker.js";

/** Slots of the arena: bursts of a few cores in flight; 8 MiB, so that they stay in the second-level caches. */
const SLOTS = 4096;

export interface RunOptions extends PlanOptions {
  readonly cores: CoreSpec;
  warn(line: string): void;
}

/** A run that has been started. */
export interface Run {
  /** Counters as they stand now. */
  snapshot(): Snapshot;
  /** Stops receiving; packets under way are finished, then `result` resolves. */
  stop(): void;
  /**
   * Resolves when every packet is accounted for; the result may still say that the ledger does not balance.
   * @throws ConfigError where an input turns out unreadable; RunError where a thread fails
   */
  readonly result: Promise<RunResult>;
}

/** Starts a run. The chain's outputs are created once every thread has accepted its configuration. */
export function startRun(chain: LoadedChain, options: RunOptions): Run {
  const arena = Arena.create(SLOTS);
  const { cores, warn, ...planOptions } = options;
  const plan = makePlan(chain, arena.handle, planOptions);
  const topology = makeTopology(plan, options.order, cores, warn);
  const layout = counterLayout(plan);
  const counters = counterMemory(layout, topology.threads.length);
  const controlBuffer = controlMemory(topology.threads.length);
  const control = new Int32Array(controlBuffer);
  const rings = topology.rings.map(() => new SharedArrayBuffer(ringBytes(SLOTS)));
  const epoch = takeEpoch();

  const workers = topology.threads.map((_, thread) => {
    const setup: WorkerSetup = { thread, plan, topology, epoch, control: controlBuffer, counters, rings };
    return new Worker(new URL("./worker.js", import.meta.url), { workerData: setup });
  });
  const abort = () => {
    Atomics.store(control, CONTROL.ABORT, 1);
    ringAll(control);
    for (const worker of workers) worker.postMessage("quit");
  };

  const result = supervise(workers, warn, abort)
    .then((reports) => {
      const sum = sumCounters(counters, layout);
      return makeResult({ plan, topology, layout, counters: sum, reports });
    })
    .finally(() => arena.free());
  return {
    snapshot: () => snapshotOf(plan, layout, sumCounters(counters, layout)),
    stop: () => {
      Atomics.store(control, CONTROL.STOP, 1);
      ringAll(control);
    },
    result,
  };
}

/** Waits until all threads are ready, lets them go, and waits until all are gone; the first error ends them all. */
async function supervise(
  workers: readonly Worker[],
  warn: (line: string) => void,
  abort: () => void,
): Promise<ThreadReport[]> {
  const reports: ThreadReport[] = [];
  let ready = 0;
  let failure: Error | undefined;
  const fail = (error: Error) => {
    if (failure !== undefined) return;
    failure = error;
    abort();
  };
  const exits = workers.map(
    (worker, thread) =>
      new Promise<void>((resolve) => {
        worker.on("message", (message: WorkerMessage) => {
          if (message.kind === "warn") warn(message.line);
          else if (message.kind === "done") reports[thread] = message.report;
          else if (message.kind === "error") fail(reviveError(message.error));
          else if (++ready === workers.length && failure === undefined) for (const w of workers) w.postMessage("go");
        });
        worker.on("error", fail);
        worker.on("exit", (code) => {
          if (reports[thread] === undefined && failure === undefined) {
            fail(
              new RunError(`thread ${thread}`, `ended without a report (exit code ${code})`, "report this as a bug"),
            );
          }
          resolve();
        });
      }),
  );
  await Promise.all(exits);
  if (failure !== undefined) throw failure;
  return reports;
}
