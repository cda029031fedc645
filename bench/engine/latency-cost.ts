/** What it costs to measure latency: a stamp and a record per packet, in closed loop (one stamp a burst) and in open loop (each its own). */
import { build } from "hdr-histogram-js";
import { LatencyTable } from "../../runtime/measure/latency.js";
import { type ChainSpec, chainOf } from "../device/chain-run.js";
import { EngineSubject } from "../engine-subject.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { seededRandom, udpFrames } from "../frames.js";

/** ns a packet */
const TARGET = 20;
/** As a burst has them. */
const BURST = 64;
/** Latencies drawn, of one to hundreds of microseconds; a power of two. */
const VALUES = 65_536;
/** More than any chain takes, so that packets are due at every look, and a ring so that they are never due long since. */
const ALWAYS_DUE = { rate: { unit: "pps", value: 100e6 }, ring: 4096 } as const;
const FORWARDING: ChainSpec = {
  name: "latency-cost",
  nfs: {},
  policy: ["*,ingress,egress"],
  traffic: { size: 64 },
  gpu: [],
};

/**
 * Of processor time, not of time: what else the machine does is left out, as far as it does not empty the caches.
 * @param work returns ns a packet, by the clock
 */
async function onProcessor(work: () => number | Promise<number>): Promise<{ ns: number }> {
  const start = performance.now();
  const before = process.cpuUsage();
  const ns = await work();
  const { user, system } = process.cpuUsage(before);
  return { ns: (ns * (user + system)) / 1000 / (performance.now() - start) };
}

/** Records in bursts, as egress does, until the time is over. @returns ns a value */
function timed(values: Float64Array, ms: number, burst: (from: number) => void): number {
  const start = performance.now();
  let count = 0;
  let spent = 0;
  while (spent < ms) {
    for (let i = 0; i < BURST; i++) {
      burst(count & (values.length - 1));
      count += BURST;
    }
    spent = performance.now() - start;
  }
  return (spent * 1e6) / count;
}

async function record(options: CellOptions): Promise<CellResult> {
  const random = seededRandom(options.seed);
  const values = Float64Array.from({ length: VALUES }, () => 1000 * 2 ** (random(9000) / 1000));
  const histogram = build({ numberOfSignificantValueDigits: 3, highestTrackableValue: 60e9, autoResize: true });
  const table = new LatencyTable();
  const sum = new Float64Array(1);
  const nothing = (from: number) => {
    let some = 0;
    for (let i = from; i < from + BURST; i++) some += values[i]!;
    sum[0] = some;
  };
  const hdr = (from: number) => {
    for (let i = from; i < from + BURST; i++) histogram.recordValue(values[i]!);
  };
  const own = (from: number) => {
    for (let i = from; i < from + BURST; i++) table.record(values[i]!);
  };
  const bursts = { "a sum instead": nothing, "hdr-histogram-js": hdr, "latency table": own };
  const samples = await inTurns<"ns">(
    Object.entries(bursts).map(([name, burst]) => ({
      name,
      turn: () => onProcessor(() => timed(values, options.turnMs, burst)),
    })),
    options.repeats,
  );
  const figures = new Figures();
  const [none, plain, fast] = samples.map(({ ns }) => ns);
  figures.add("a sum instead", "record", "ns", none!);
  figures.add("hdr-histogram-js", "record", "ns", plain!);
  figures.add("latency table", "record", "ns", fast!);
  figures.ratio("hdr-histogram-js / latency table", "record", plain!, fast!);
  return {
    figures: figures.list,
    device: null,
    notes: [`processor time; values of 1 to 500 us, in bursts of ${BURST}`],
  };
}

async function path(options: CellOptions): Promise<CellResult> {
  const chain = await chainOf(FORWARDING, options);
  const frames = udpFrames({ size: "64", count: 2048, seed: options.seed });
  const never = { warmUpMs: Number.POSITIVE_INFINITY };
  const forms = {
    "closed loop, nothing recorded": never,
    "closed loop": {},
    "open loop, nothing recorded": { ...ALWAYS_DUE, ...never },
    "open loop": ALWAYS_DUE,
  };
  const subjects: EngineSubject[] = [];
  for (const [name, more] of Object.entries(forms)) {
    subjects.push(await EngineSubject.open(name, chain, frames, options, more));
  }
  try {
    const samples = await inTurns<"ns">(
      subjects.map((subject) => ({
        name: subject.name,
        turn: () => onProcessor(() => subject.repeat(options.turnMs)),
      })),
      options.repeats,
    );
    const [closedNone, closed, openNone, open] = samples.map(({ ns }) => ns);
    const figures = new Figures();
    subjects.forEach(({ name }, i) => {
      figures.add(name, "packet", "ns", samples[i]!.ns);
    });
    const above = (a: readonly number[], b: readonly number[]) => a.map((ns, turn) => ns - b[turn]!);
    figures.add("closed loop", "latency adds", "ns", above(closed!, closedNone!), { most: TARGET });
    figures.add("open loop", "latency adds", "ns", above(open!, openNone!), { most: TARGET });
    figures.add("open loop", "due times and latency add", "ns", above(open!, closedNone!), { most: TARGET });
    return {
      figures: figures.list,
      device: null,
      notes: ["processor time; forwarding of 64-byte frames, no NF, batch 64, one core"],
    };
  } finally {
    for (const subject of subjects) await subject.close();
  }
}

const cell = (name: string, run: Cell["run"]): Cell => ({ name, workgroups: 0, needs: "nothing", run });

const latencyCost: Experiment = {
  name: "latency-cost",
  about: "what stamps and records of latency add to a packet's time, and what HdrHistogram itself would",
  cells: () => [cell("recording", record), cell("whole path", path)],
};
export const experiments: readonly Experiment[] = [latencyCost];
