/**
 * What waiting policies cost: the time from a packet to the thread that waited for it, CPU time while nothing comes, and CPU time per packet at
 * half load; for threads that wait for others (doorbell) and for those that wait for network interfaces.
 *
 * An eventfd stands in for a socket, so that neither root nor a second machine is needed: poll(2) and a look cost what they cost with a socket,
 * and what the network adds is not measured here.
 */
import { setTimeout as delay } from "node:timers/promises";
import { WAIT_POLICIES } from "../../runtime/engine/plan.js";
import { percentile } from "../device/counts.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { seededRandom } from "../frames.js";
import { Sleeper, type Source } from "./waiting/sleeper.js";

const SOURCES: readonly Source[] = ["interface", "doorbell"];
/** us from packet to thread: the project's aim for adaptive waiting. */
const MOST_US = 50;
const MOST_IDLE_PERCENT = 5;
/** Of spinning's CPU time per packet, at half load. */
const MOST_OF_SPIN = 0.6;
/** Of spinning's throughput. */
const LEAST_OF_SPIN = 0.97;
/** Between two packets that find the thread idle, ms: long enough to fall asleep. */
const GAP_MS = { least: 0.3, most: 1.5 } as const;
const LEAST_MS = 100;
/** How many packets come at once at half load. */
const BURST: Record<Source, number> = { interface: 1, doorbell: 32 };
/** Packets that wait, times, and ms of each, where capacity is measured. */
const BACKLOG = 256;
const CALIBRATIONS = 4;
const CALIBRATION_MS = 30;
/** For items that were given and are not seen: on a busy machine the thread may not have a processor. */
const PATIENCE_MS = 1000;
/** Time until the thread is at it. */
const SETTLE_MS = 5;

/** Sleeps without the event loop, whose timers are of whole milliseconds. */
const still = new Int32Array(new SharedArrayBuffer(4));
const pause = (ms: number) => void Atomics.wait(still, 0, 0, ms);

async function withSleepers(
  options: CellOptions,
  keys: (sleeper: Sleeper) => Promise<Readonly<Record<string, number>>>,
  report: (
    figures: Figures,
    sleeper: Sleeper,
    samples: Readonly<Record<string, readonly number[]>>,
    of: Samples,
  ) => void,
): Promise<Figures> {
  const sleepers = SOURCES.flatMap((source) => WAIT_POLICIES.map((policy) => new Sleeper(policy, source)));
  try {
    const samples = await inTurns<string>(
      sleepers.map((sleeper) => ({ name: sleeper.name, turn: () => keys(sleeper) })),
      options.repeats,
    );
    const spin: Samples = (source, key) => {
      return samples[sleepers.findIndex((one) => one.policy === "spin" && one.source === source)]![key]!;
    };
    const figures = new Figures();
    for (const [i, sleeper] of sleepers.entries()) report(figures, sleeper, samples[i]!, spin);
    return figures;
  } finally {
    for (const sleeper of sleepers) await sleeper.close();
  }
}

/** Samples of the thread that spins on the same source. */
type Samples = (source: Source, key: string) => readonly number[];

async function wakeUps(options: CellOptions): Promise<CellResult> {
  const random = seededRandom(options.seed);
  const figures = await withSleepers(
    options,
    async (sleeper) => {
      const { latencies } = await sleeper.turn(false, () => {
        const end = performance.now() + Math.max(options.turnMs, 20);
        for (let given = 0; performance.now() < end; given++) {
          pause(GAP_MS.least + (random(1000) / 1000) * (GAP_MS.most - GAP_MS.least));
          sleeper.give(1);
          const patience = performance.now() + PATIENCE_MS;
          while (sleeper.done <= given && performance.now() < patience) pause(0.05);
        }
      });
      const sorted = latencies.sort();
      return { p50: percentile(sorted, 0.5) / 1000, p99: percentile(sorted, 0.99) / 1000 };
    },
    (list, { name, policy }, { p50, p99 }) => {
      list.add(name, "wake-up p50", "us", p50!, policy === "adaptive" ? { most: MOST_US } : {});
      list.add(name, "wake-up p99", "us", p99!);
    },
  );
  const note = `one packet at a time, ${GAP_MS.least} to ${GAP_MS.most} ms after the one before; an eventfd is the interface`;
  return { figures: figures.list, device: null, notes: [note] };
}

async function nothing(options: CellOptions): Promise<CellResult> {
  const ms = Math.max(LEAST_MS, options.turnMs);
  const figures = await withSleepers(
    options,
    async (sleeper) => {
      const { cpuNs, wallNs } = await sleeper.turn(false, () => delay(ms));
      return { percent: (100 * cpuNs) / wallNs };
    },
    (list, { name, policy }, { percent }) => {
      const target = policy === "adaptive" ? { most: MOST_IDLE_PERCENT } : {};
      list.add(name, "CPU time, nothing comes", "% of a core", percent!, target);
    },
  );
  return { figures: figures.list, device: null, notes: [`${ms} ms, of the thread that waits`] };
}

/**
 * What a thread that spins can do while this one spins beside it: on siblings of one core that is less than alone.
 * @returns packets per ms
 */
async function capacityOf(sleeper: Sleeper): Promise<number> {
  let done = 0;
  let ms = 0;
  await sleeper.turn(true, async () => {
    await delay(SETTLE_MS);
    const start = performance.now();
    let given = 0;
    do {
      if (given - sleeper.done < BACKLOG) {
        sleeper.give(BURST.doorbell);
        given += BURST.doorbell;
      }
      ms = performance.now() - start;
    } while (ms < CALIBRATION_MS);
    done = sleeper.done;
  });
  return done / ms;
}

async function halfLoad(options: CellOptions): Promise<CellResult> {
  const ms = Math.max(40, options.turnMs);
  const capacity = new Map<Source, number>();
  for (const source of SOURCES) {
    const sleeper = new Sleeper("spin", source);
    // The best of some: in the first the thread comes up, and its code is compiled.
    let best = 0;
    for (let i = 0; i < CALIBRATIONS; i++) best = Math.max(best, await capacityOf(sleeper));
    capacity.set(source, best);
    await sleeper.close();
  }
  const rates = SOURCES.map((source) => `${source} ${capacity.get(source)!.toFixed(0)} packets per ms`).join(", ");
  const figures = await withSleepers(
    options,
    async (sleeper) => {
      const burst = BURST[sleeper.source];
      const every = (2 * burst) / capacity.get(sleeper.source)!;
      const { items, cpuNs, wallNs } = await sleeper.turn(true, async () => {
        await delay(SETTLE_MS);
        let given = 0;
        const start = performance.now();
        for (let due = start; due < start + ms; due += every) {
          while (performance.now() < due);
          sleeper.give(burst);
          given += burst;
        }
        const patience = performance.now() + PATIENCE_MS;
        while (sleeper.done < given && performance.now() < patience) pause(1);
      });
      return { cpu: cpuNs / items, rate: items / (wallNs / 1000) };
    },
    (list, { name, policy, source }, { cpu, rate }, spin) => {
      list.add(name, "CPU time per packet", "ns", cpu!);
      if (policy === "spin") return;
      const adaptive = policy === "adaptive";
      list.ratio(
        `${name} / spin`,
        "CPU time per packet",
        cpu!,
        spin(source, "cpu"),
        adaptive ? { most: MOST_OF_SPIN } : {},
      );
      list.ratio(`${name} / spin`, "throughput", rate!, spin(source, "rate"), adaptive ? { least: LEAST_OF_SPIN } : {});
    },
  );
  const note = `of what the thread that spins can do (${rates}); by doorbell ${BURST.doorbell} at once; the thread that gives them spins on another core`;
  return { figures: figures.list, device: null, notes: [note] };
}

const cell = (name: string, run: Cell["run"]): Cell => ({ name, workgroups: 0, needs: "nothing", run });

const waiting: Experiment = {
  name: "engine-waiting",
  about: "what waiting policies cost: time to wake up, CPU time while nothing comes, and at half load",
  cells: () => [cell("wake-up", wakeUps), cell("nothing comes", nothing), cell("half load", halfLoad)],
};
export const experiments: readonly Experiment[] = [waiting];
