import { test } from "uvu";
import * as assert from "uvu/assert";
import { normal } from "../bench/statistics/machine.js";
import { RunError } from "../runtime/errors.js";
import type { Cell, Load, Runner, Sample, Timing } from "../runtime/experiment/cell.js";
import { latencyLoads, measureLatency, searchRates, type Trial } from "../runtime/experiment/search.js";
import { Random } from "../runtime/nic/generator/random.js";
import { freshSeed } from "./support/random.js";
import { cellOf, sampleOf } from "./support/samples.js";

const TIMING: Timing = { warmUpMs: 10, windowMs: 1000 };
const CELL = cellOf("cpu");

interface Chain {
  /** Packets per second it takes. */
  readonly capacity: number;
  /** Standard deviation of the capacity from trial to trial, relative. */
  readonly noise?: number;
  /** Share of trials that lose packets for no reason of the chain, and how many of theirs. */
  readonly hiccups?: number;
  readonly hiccupLoss?: number;
  /** Packets per second the generator manages. */
  readonly generator?: number;
}

/** A chain of known capacity: what is offered above it is lost, once the ring is full. */
class SimulatedRunner implements Runner {
  readonly loads: Load[] = [];

  constructor(
    private readonly chain: Chain,
    private readonly random = new Random(20261121),
  ) {}

  async measure(cell: Cell, load: Load, timing: Timing, repeat: number): Promise<Sample> {
    if (load.kind !== "offered") throw new RangeError("a search offers rates");
    this.loads.push(load);
    const { capacity, noise = 0, hiccups = 0, hiccupLoss = 0.01, generator = Infinity } = this.chain;
    const seconds = timing.windowMs / 1000;
    const offered = Math.min(load.pps, generator) * seconds;
    const taken = capacity * (1 + noise * normal(this.random)) * seconds;
    let missed = Math.max(0, offered - taken - load.ring);
    if (this.random.fraction() < hiccups) missed = Math.max(missed, offered * hiccupLoss);
    const rx = offered - missed;
    return {
      ...sampleOf({ cell, load, repeat, mpps: rx / seconds / 1e6, gbps: (rx * 8 * 64) / seconds / 1e9, missed }),
      seconds,
      loss: missed / offered,
    };
  }

  async close(): Promise<void> {}
}

const search = (chain: Chain, saturation = chain.capacity, more = {}) =>
  searchRates(new SimulatedRunner(chain), CELL, saturation, { timing: TIMING, ...more });

/** Packets that wait in the ring at the end of a trial of a second are not lost: the limit is that much higher. */
const RING = 4096;

test("NDR and PDR of a chain that does the same every time are right to the resolution, whatever the search begins with", async () => {
  for (const capacity of [2e5, 1e6, 37e6]) {
    for (const start of [0.3, 0.97, 1, 1.1, 4]) {
      for (const resolution of [0.01, 0.02]) {
        const { ndr, pdr, trials, repeated } = await search({ capacity }, capacity * start, { resolution });
        const what = `capacity ${capacity}, from ${start} of it, to ${resolution}`;
        assert.ok(ndr.converged && pdr.converged, what);
        const limit = capacity + RING;
        assert.ok(ndr.pps! <= limit && ndr.pps! > limit * (1 - resolution) - 1, `${what}: NDR ${ndr.pps}`);
        assert.ok(ndr.failed_pps! > limit && ndr.failed_pps! / ndr.pps! <= 1 + resolution, `${what}: NDR`);
        const partial = limit / 0.995;
        assert.ok(pdr.pps! <= partial && pdr.pps! > partial * (1 - resolution) - 1, `${what}: PDR ${pdr.pps}`);
        assert.equal([ndr.hiccups, pdr.hiccups], [0, 0], what);
        assert.ok(trials.length <= 45, `${what}: ${trials.length} trials`);
        assert.ok(repeated > 0 && repeated < trials.length);
        assert.ok(Math.abs(ndr.gbps! - (ndr.pps! * 512) / 1e9) < 1e-6);
      }
    }
  }
});

test("hiccups are repeated, named, and do not bring the rate down", async () => {
  const random = new Random(7);
  let worst = 1;
  let seen = 0;
  for (let i = 0; i < 200; i++) {
    const runner = new SimulatedRunner({ capacity: 1e6, hiccups: 0.15 }, random);
    const { ndr, pdr } = await searchRates(runner, CELL, 1e6, { timing: TIMING, attempts: 5 });
    assert.ok(ndr.pps! <= 1e6 + RING);
    worst = Math.min(worst, ndr.pps! / 1e6);
    seen += ndr.hiccups;
    assert.ok(!ndr.converged || pdr.pps! >= ndr.pps!);
  }
  assert.ok(worst > 0.75, `worst of 200: ${worst} of the capacity`);
  assert.ok(seen > 100, `${seen} hiccups`);
  // One that always happens is no hiccup.
  const always = await search({ capacity: 1e6, hiccups: 1, hiccupLoss: 0.02 });
  assert.equal([always.ndr.pps, always.ndr.gbps, always.ndr.converged], [null, null, false]);
  assert.ok(always.ndr.failed_pps! < 1e6 / 32);
  const little = await search({ capacity: 1e6, hiccups: 1, hiccupLoss: 0.001 });
  assert.is(little.ndr.pps, null);
  assert.ok(little.pdr.pps! > 0.98e6, "half a per cent is allowed");
});

test("a capacity that varies gives its middle, within its variation, and the same one again", async () => {
  const seed = freshSeed();
  const random = new Random(seed);
  const found: number[] = [];
  for (let i = 0; i < 100; i++) {
    const runner = new SimulatedRunner({ capacity: 1e6, noise: 0.01 }, random);
    const { ndr, trials } = await searchRates(runner, CELL, 1e6, { timing: TIMING });
    found.push(ndr.pps!);
    assert.ok(trials.length <= 60);
  }
  found.sort((a, b) => a - b);
  const text = `WINGBEAT_TEST_SEED=${seed}: ${found[2]} to ${found[97]}`;
  assert.ok(found[2]! > 0.95e6 && found[97]! < 1.04e6, text);
  assert.ok(Math.abs(found[50]! / 1e6 - 1) < 0.02, text);
});

test("a trial serves both rates, none beyond the bound, and the caller sees each", async () => {
  const seen: Trial[] = [];
  const runner = new SimulatedRunner({ capacity: 1e6 });
  const { trials, ndr, pdr } = await searchRates(runner, CELL, 5e5, {
    ...{ timing: TIMING, maxTrials: 5, ring: 512, repeat: 3 },
    onTrial: (trial: Trial) => seen.push(trial),
  });
  assert.equal([trials.length, runner.loads.length], [5, 5]);
  assert.equal(seen, trials);
  assert.equal([ndr.converged, pdr.converged], [false, false]);
  assert.ok(trials.every(({ sample, pps }) => sample.repeat === 3 && sample.load.kind === "offered" && pps > 0));
  assert.ok(runner.loads.every((load) => load.kind === "offered" && load.ring === 512));
});

test("what a late generator did not offer was not passed", async () => {
  const { ndr } = await search({ capacity: 1e9, generator: 1e6 }, 1e6);
  assert.ok(ndr.pps! < 1.03e6 && ndr.pps! > 0.97e6, `${ndr.pps}`);
});

test("a rate of a few packets per second ends too", async () => {
  const { ndr } = await search({ capacity: 3 }, 3, { ring: 0 });
  assert.is(ndr.pps, 3);
  assert.is(ndr.failed_pps, 4);
  assert.ok(ndr.converged, "there is no rate between");
});

test("no rate to begin with, options that mean nothing, and a failing device are errors", async () => {
  for (const bad of [0, -1, Number.NaN, Infinity])
    await refused(search({ capacity: 1 }, bad), /begin at a rate above 0/);
  await refused(search({ capacity: 1 }, 1, { resolution: 0 }), /resolution of a search is 0/);
  await refused(search({ capacity: 1 }, 1, { attempts: Number.NaN }), /attempts of a search is NaN/);
  const gone: Runner = {
    measure: () => Promise.reject(new RunError("opencl", "the device is gone")),
    close: async () => {},
  };
  await refused(searchRates(gone, CELL, 1e6, { timing: TIMING }), /the device is gone/);
});

test("latency is measured at 50, 80 and 95 % of NDR, in turns", async () => {
  assert.equal(
    latencyLoads(1e6).map((load) => load.kind === "offered" && load.pps),
    [500_000, 800_000, 950_000],
  );
  const runner = new SimulatedRunner({ capacity: 1e6 });
  const samples = await measureLatency(runner, CELL, 1e6, { timing: TIMING, repeats: 2, ring: 100 });
  assert.equal(
    samples.map(({ repeat, load }) => [repeat, load.kind === "offered" && load.pps / 1e6]),
    [0, 1].flatMap((repeat) => [0.5, 0.8, 0.95].map((share) => [repeat, share])),
  );
  assert.ok(samples.every(({ loss }) => loss === 0));
});

async function refused(promise: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await promise.then(
    () => assert.unreachable("was not refused"),
    (reason: Error) => reason,
  );
  assert.match((error as Error).message, message);
}

test.run();
