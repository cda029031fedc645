/**
 * The four patterns by which threads share one receive queue, over a ring in memory: Figures 6 and 9 of Asada et al., "Roadblocks of I/O
 * Parallelization".
 */
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { RunError } from "../../runtime/errors.js";
import type { RxPattern } from "../../runtime/nic/port.js";
import { shareQueue } from "../../runtime/nic/shared-queue/queue.js";
import { Arena } from "../../runtime/packet/arena.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { patternPlots } from "./shared-queue/figures.js";
import { makeRings, openRings } from "./shared-queue/synthetic-ring.js";
import { PHASE, type ThreadAnswer, type ThreadJob } from "./shared-queue/thread.js";

/** Entries of the ring (paper: L = 10). */
const RING = 1024;
/** Of each thread beside those in the ring. */
const SLOTS = 256;
/** Packets of each thread until its code is compiled, before the window of a turn; and the longest ms that is waited for them. */
const WARM_UP_PACKETS = 50_000;
const WARM_UP_MS = 250;
const LOOK_MS = 5;

interface Subject {
  readonly pattern: RxPattern;
  /** That take packets; with "parent" there is one more. */
  readonly acquirers: number;
}

/** @param most acquiring threads */
function subjects(most: number): Subject[] {
  const patterns: readonly RxPattern[] = ["arbitration", "range", "parent"];
  const counts = [1, 2, 4].filter((n) => n <= most);
  const shared = patterns.flatMap((pattern) => counts.map((acquirers) => ({ pattern, acquirers })));
  return [{ pattern: "default", acquirers: 1 }, ...shared];
}

const nameOf = ({ pattern, acquirers }: Subject) =>
  `${pattern}, ${acquirers} ${pattern === "parent" ? "worker" : "thread"}${acquirers === 1 ? "" : "s"}`;

/** Mpps; a thread that came to its processor only when the window was over has received nothing in no time. */
const rateOf = ({ packets, seconds }: ThreadAnswer) => (packets === 0 ? 0 : packets / seconds / 1e6);

/** Runs a subject for a while. @returns what each thread reports */
async function turn({ pattern, acquirers }: Subject, ms: number): Promise<ThreadAnswer[]> {
  const threads = pattern === "parent" ? acquirers + 1 : acquirers;
  const stock = Math.floor(RING / threads);
  const slots = stock + SLOTS;
  const arena = Arena.create(threads * slots);
  const rings = makeRings(RING);
  const { rx, fill } = openRings(rings);
  const share = shareQueue(pattern, threads, arena.slots, rx, fill);
  const phase = new SharedArrayBuffer(4 * (1 + threads));
  const start = (thread: number) => {
    const workerData: ThreadJob = { thread, rings, share, arena: arena.handle, phase, slots, stock };
    return new Worker(new URL("./shared-queue/thread.js", import.meta.url), { workerData });
  };
  const workers = Array.from({ length: threads + 1 }, (_, i) => start(i - 1));
  const ended = workers.map(async (worker) => {
    const [[answer]] = await Promise.all([once(worker, "message"), once(worker, "exit")]);
    return answer as ThreadAnswer | undefined;
  });
  const words = new Int32Array(phase);
  await Promise.all(workers.map((worker) => once(worker, "online")));
  const slow = () => words.subarray(1 + threads - acquirers).some((_, i, of) => Atomics.load(of, i) < WARM_UP_PACKETS);
  for (const end = performance.now() + WARM_UP_MS; slow() && performance.now() < end; ) await delay(LOOK_MS);
  Atomics.store(words, 0, PHASE.MEASURE);
  await delay(ms);
  Atomics.store(words, 0, PHASE.END);
  const [, ...answers] = await Promise.all(ended);
  arena.free();
  const wrong = (answers as ThreadAnswer[]).reduce((sum, answer) => sum + answer.wrong, 0);
  if (wrong > 0) {
    const problem = `${pattern} with ${threads} threads: ${wrong} bursts began with a frame that was not theirs`;
    throw new RunError("live-rx-patterns", problem, "report this as a bug");
  }
  return answers as ThreadAnswer[];
}

const STAGES = [
  ["hardware_ns", "hardware access"],
  ["cas_ns", "CAS and join"],
  ["buffer_ns", "buffer"],
  ["rx_ns", "rx"],
  ["entire_ns", "entire"],
] as const;

async function patterns(options: CellOptions): Promise<CellResult> {
  const all = subjects(options.quick ? 2 : 4);
  const variants = all.map((subject) => ({
    name: nameOf(subject),
    turn: async () => {
      const answers = await turn(subject, options.turnMs);
      // The turn's figures by name; a stage that no burst was timed in has none.
      const figures: Record<string, number> = { total: 0 };
      for (const [thread, answer] of answers.entries()) {
        for (const [key] of STAGES) figures[`${thread} ${key}`] = answer[key] ?? Number.NaN;
        if (subject.pattern === "parent" && thread === 0) continue;
        figures[`${thread} rate`] = rateOf(answer);
        figures.total! += rateOf(answer);
      }
      return figures;
    },
  }));
  const samples = await inTurns<string>(variants, options.repeats);
  const figures = new Figures();
  for (const [i, { name }] of variants.entries()) {
    const sample = samples[i]!;
    const add = (subject: string, figure: string, unit: string, key: string) => {
      const known = sample[key]?.filter((value) => !Number.isNaN(value)) ?? [];
      if (known.length > 0) figures.add(subject, figure, unit, known);
    };
    add(name, "received", "Mpps", "total");
    for (let thread = 0; `${thread} rx_ns` in sample; thread++) {
      const role = all[i]!.pattern === "parent" && thread === 0 ? "parent" : `thread ${thread}`;
      add(`${name}: ${role}`, "received", "Mpps", `${thread} rate`);
      for (const [key, stage] of STAGES) add(`${name}: ${role}`, stage, "ns/packet", `${thread} ${key}`);
    }
  }
  const cores = availableParallelism();
  return {
    figures: figures.list,
    device: null,
    notes: [
      `bursts of 32 from a ring of ${RING} entries, which one more thread fills in the NIC's place; frames get new addresses and are free again`,
      `this machine has ${cores} processors: subjects with more threads than those, the NIC's and a parent's counted, take turns on them, and say little of what threads cost each other`,
    ],
  };
}

const cells: readonly Cell[] = [{ name: "ring in memory", workgroups: 0, needs: "nothing", run: patterns }];

const liveRxPatterns: Experiment = {
  name: "live-rx-patterns",
  about: "threads that share one receive queue by the four patterns: ns per packet by stage and thread, and rates",
  cells: () => cells,
  plots: patternPlots,
};
export const experiments: readonly Experiment[] = [liveRxPatterns];
