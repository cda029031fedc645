/** What a comparison goes through, and in which order. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Cell, cellKey, type Load, type Sample, sampleKey } from "../runtime/experiment/cell.js";
import { type Measured, measurePlan } from "../runtime/experiment/compare-measure.js";
import type { ComparePlan } from "../runtime/experiment/compare-result.js";
import { judge } from "../runtime/experiment/compare-verdicts.js";
import { Measurements, type Progress } from "../runtime/experiment/measurements.js";
import { SampleStore } from "../runtime/experiment/sample-store.js";
import { roundOrder } from "../runtime/experiment/schedule.js";
import { capacity, FakeRunner } from "./support/fake-runner.js";
import { freshSeed, Random } from "./support/random.js";

test("in a round every cell comes once; over rounds each at every place, and behind each other equally often", () => {
  const seed = freshSeed();
  for (let count = 1; count <= 12; count++) {
    const rounds = count % 2 === 1 ? 2 * count : count;
    const places = new Map<string, number>();
    const follows = new Map<string, number>();
    for (let round = 0; round < rounds; round++) {
      const order = roundOrder(count, round, seed);
      assert.equal(
        [...order].sort((a, b) => a - b),
        Array.from({ length: count }, (_, i) => i),
      );
      order.forEach((cell, place) => {
        places.set(`${cell}@${place}`, (places.get(`${cell}@${place}`) ?? 0) + 1);
        if (place === 0) return;
        const pair = `${order[place - 1]}>${cell}`;
        follows.set(pair, (follows.get(pair) ?? 0) + 1);
      });
    }
    const each = rounds / count;
    assert.is(places.size, count * count);
    assert.ok(
      [...places.values()].every((times) => times === each),
      `${count} cells, seed ${seed}: places`,
    );
    assert.is(follows.size, count * (count - 1));
    assert.ok(
      [...follows.values()].every((times) => times === each),
      `${count} cells, seed ${seed}: neighbours`,
    );
  }
});

test("the order is the seed's", () => {
  const orders = new Set(Array.from({ length: 20 }, (_, seed) => roundOrder(9, 0, seed).join()));
  assert.ok(orders.size > 15);
  assert.equal(roundOrder(9, 3, 5), roundOrder(9, 3, 5));
});

const CELL = { workgroups: undefined, wait: "adaptive", batch: 64, cores: "d1" } as const;

function planOf(more: Partial<ComparePlan> = {}): ComparePlan {
  const placements = [{ nids: "cpu" } as const, { nids: "gpu" } as const];
  const sizes = more.sizes ?? [64, 128, 256, 512, 1024, 1472];
  const cells: Cell[] = sizes.flatMap((size) =>
    placements.map((placement, i) => ({ ...CELL, placement, device: i === 0 ? "none" : "opencl", size })),
  );
  return {
    ...{ hash: "", chain: "fake", input: "", sizes, placements, devices: ["opencl"], cores: ["d1"], repeats: 7 },
    ...{ warm_up_ms: 0, window_ms: 100, seed: 1, search: true, loads: [50, 80, 95], loads_of: "ndr", quick: false },
    ...{ cells, left_out: [] },
    ...more,
  };
}

interface Went {
  readonly measured: Measured;
  readonly runner: FakeRunner;
  readonly progress: readonly Progress[];
}

async function go(plan: ComparePlan, runner = new FakeRunner(), store = SampleStore.inMemory()): Promise<Went> {
  const progress: Progress[] = [];
  const timing = { warmUpMs: 0, windowMs: plan.window_ms };
  const { signal } = new AbortController();
  let measured: Measured | undefined;
  const measurements = new Measurements(runner, store, timing, signal, (now) => progress.push(now));
  await measurePlan(plan, measurements, (found) => {
    measured = found;
  });
  assert.is(measurements.done, measurements.planned);
  return { measured: measured!, runner, progress };
}

test("every cell is measured under saturation, searched, and put under loads of its own and of its pair's lower rate", async () => {
  const plan = planOf();
  const { measured, runner, progress } = await go(plan);
  assert.ok(measured.complete);
  assert.is(measured.saturated.size, 12);
  assert.ok([...measured.saturated.values()].every((samples) => samples.length === 7));
  for (const cell of plan.cells) {
    const { ndr, pdr } = measured.searches.get(cellKey(cell))!;
    const most = capacity(cell);
    assert.ok(Math.abs(ndr.pps! / most - 1) < 0.06, `${cellKey(cell)}: NDR ${ndr.pps}, takes ${most}`);
    assert.ok(pdr.pps! >= ndr.pps!);
  }
  // Own loads of 12 cells, and of each of the 6 pairs those that the faster one does not have yet.
  assert.is(measured.loads.length, 3 * 12 + 3 * 6);
  for (const [baseline, gpu] of [0, 2, 4, 6, 8, 10].map((i) => [plan.cells[i]!, plan.cells[i + 1]!] as const)) {
    const slower = [baseline, gpu].sort((a, b) => capacity(a) - capacity(b))[0]!;
    const pps = Math.round(measured.searches.get(cellKey(slower))!.ndr.pps! * 0.8);
    const at = measured.loads.filter(({ load }) => load.pps === pps).map(({ cell }) => cellKey(cell));
    assert.equal(at.sort(), [cellKey(baseline), cellKey(gpu)].sort());
  }
  // Nothing is measured twice, and time left is told.
  assert.is(new Set(runner.calls.map(({ key, repeat }) => `${key} ${repeat}`)).size, runner.calls.length);
  assert.ok(progress.slice(1).every(({ secondsLeft }) => secondsLeft !== undefined && secondsLeft >= 0));
});

test("a slow cell is searched as well as a fast one: its overload does not hide in the receive ring", async () => {
  const plan = planOf({ sizes: [64], repeats: 3, window_ms: 1000 });
  const { measured } = await go(plan, new FakeRunner({ capacity: (cell) => capacity(cell) / 1000 }));
  for (const cell of plan.cells) {
    const { ndr } = measured.searches.get(cellKey(cell))!;
    assert.ok(Math.abs(ndr.pps! / (capacity(cell) / 1000) - 1) < 0.06, `${cellKey(cell)}: NDR ${ndr.pps}`);
  }
  assert.ok(measured.loads.every(({ load: { pps, ring } }) => ring >= 64 && (ring === 64 || ring <= 0.02 * pps)));
});

test("searches go trial by trial in turns", async () => {
  const { runner } = await go(planOf({ repeats: 1, loads: [] }));
  const trials = runner.calls.slice(12).map(({ key }) => key.split(";")[0]!);
  assert.is(new Set(trials.slice(0, 12)).size, 12);
});

test("going on from any point takes the same samples as going through", async () => {
  const plan = planOf({ sizes: [64, 512], repeats: 3 });
  const whole = SampleStore.inMemory();
  await go(plan, new FakeRunner(), whole);
  const keys = (samples: readonly Sample[]) => samples.map(({ key, repeat }) => `${repeat} ${key}`).sort();
  const seed = freshSeed();
  const rng = new Random(seed);
  for (let i = 0; i < 12; i++) {
    const store = SampleStore.inMemory();
    // What had been taken in whatever order, and a few that were lost.
    for (const sample of whole.samples.slice(0, rng.int(0, whole.samples.length))) {
      if (!rng.chance(0.05)) store.add(sample);
    }
    const kept = store.samples.length;
    const { runner } = await go(plan, new FakeRunner(), store);
    assert.equal(keys(store.samples), keys(whole.samples), `seed ${seed}`);
    assert.is(runner.calls.length, whole.samples.length - kept);
  }
});

test("verdicts and crossover are those of the model", async () => {
  const plan = planOf();
  const { measured } = await go(plan, new FakeRunner({ emulated: true }));
  const { verdicts, comparisons, crossovers } = judge(plan, measured);
  const words = (metric: string) => verdicts.filter((one) => one.metric === metric).map(({ verdict }) => verdict);
  assert.equal(words("gbps"), ["cpu", "cpu", "cpu", "gpu", "gpu", "gpu"]);
  assert.equal(words("p99"), ["cpu", "cpu", "cpu", "gpu", "gpu", "gpu"]);
  assert.equal(words("gbps_per_watt"), Array(6).fill("none"));
  assert.ok(verdicts.every(({ emulated }) => emulated));
  assert.ok(verdicts.every(({ verdict, text }) => verdict === "none" || /no verdict on hardware/.test(text)));
  for (const { metric, size, load, ratio } of verdicts) {
    if (metric === "gbps_per_watt") continue;
    const [cpu, gpu] = plan.cells.filter((cell) => cell.size === size).map(capacity) as [number, number];
    if (metric === "gbps") assert.ok(Math.abs(ratio!.median / (gpu / cpu) - 1) < 0.03);
    else assert.ok(Math.abs(load!.pps / (0.8 * Math.min(cpu, gpu)) - 1) < 0.05 && load!.percent === 80);
  }
  assert.is(comparisons.length, verdicts.length);
  // 50 ns and 1 ns a byte against 401 ns: alike at 351 bytes.
  const [crossed] = crossovers.filter(({ metric, axis }) => metric === "gbps" && axis === "size");
  assert.ok(Math.abs(crossed!.at! - 351) < 15, `crossover at ${crossed!.at}`);
  assert.equal([crossed!.below, crossed!.above, crossed!.between], ["cpu", "gpu", [256, 512]]);
});

test("where nothing differs there is no verdict for either", async () => {
  const plan = planOf({ sizes: [64, 1472], search: false, loads: [], loads_of: "saturation" });
  for (let seed = 1; seed <= 20; seed++) {
    const { measured } = await go(plan, new FakeRunner({ seed, noise: 0.1, capacity: () => 1e6 }));
    const { verdicts } = judge(plan, measured);
    assert.equal(
      verdicts.filter(({ metric }) => metric === "gbps").map(({ verdict }) => verdict),
      ["no difference", "no difference"],
      `seed ${seed}`,
    );
  }
});

test("a stop ends it before the next sample, with what there is", async () => {
  const plan = planOf({ repeats: 3 });
  const stop = new AbortController();
  const before = (call: number, _: Cell, load: Load) => {
    if (call === 20) stop.abort();
    assert.is(load.kind, "saturation");
  };
  const runner = new FakeRunner({ before, signal: stop.signal });
  const store = SampleStore.inMemory();
  const measurements = new Measurements(runner, store, { warmUpMs: 0, windowMs: 100 }, stop.signal, () => {});
  let measured: Measured | undefined;
  const error = await measurePlan(plan, measurements, (found) => {
    measured = found;
  }).catch((caught: Error) => caught);
  assert.is((error as Error).name, "Stopped");
  assert.is(store.samples.length, 20);
  assert.is(measured!.complete, false);
  assert.is([...measured!.saturated.values()].flat().length, 20);
  assert.ok(store.samples.every(({ key, cell, load }) => key === sampleKey(cell, load)));
});

test.run();
