import { test } from "uvu";
import * as assert from "uvu/assert";
import { crossover, type Measured } from "../runtime/experiment/crossover.js";
import { type Candidate, type Objective, paretoFront } from "../runtime/experiment/pareto.js";
import type { Verdict } from "../runtime/experiment/verdict.js";
import type { Estimate } from "../runtime/measure/statistics/interval.js";
import { freshSeed, Random } from "./support/random.js";

/** A verdict by its ratio gpu / cpu of a metric that is better when higher, give or take `width` (a factor). */
function point(at: number, ratio: number, width: number, emulated = false): Measured {
  const low = ratio / width;
  const high = ratio * width;
  const word = low > 1 ? "gpu" : high < 1 ? "cpu" : "no difference";
  const verdict: Verdict = {
    ...{ metric: "gbps", subject: `${at} B`, word, a: "cpu", b: "gpu", margin: 0.03, p: 0.01, confidence: 0.95 },
    ratio: { ratio, low, high, confidence: 0.95, method: "paired", pairs: 7, samples: [7, 7] },
    ...{ emulated, reason: "" },
  };
  return { at, verdict };
}

function near(actual: number, expected: number, what = ""): void {
  assert.ok(Math.abs(actual / expected - 1) < 1e-9, `${what} ${actual} is not ${expected}`);
}

test("a crossover lies where the ratio passes 1, and its interval where the bounds do", () => {
  // ratio = sqrt(size / 256): 1 at 256, so with a factor of 1.25 either way the bounds pass 1 at 256 / 1.5625 and 256 x 1.5625.
  const points = [64, 128, 512, 1024].map((size) => point(size, Math.sqrt(size / 256), 1.25));
  const { crossings, text, emulated } = crossover([...points].reverse(), "B");
  assert.is(crossings.length, 1);
  const { below, above, at, low, high, between } = crossings[0]!;
  assert.equal([below, above, between], ["cpu", "gpu", [128, 512]]);
  near(at, 256);
  near(low, 256 / 1.25 ** 2);
  near(high, 256 * 1.25 ** 2);
  assert.is(text, "cpu up to 256 B (164 to 400), gpu above");
  assert.is(emulated, false);
});

test("points of no difference are interpolated through, and do not make a crossover of their own", () => {
  const points = [64, 128, 256, 512, 1024].map((size) => point(size, Math.sqrt(size / 256), 1.45));
  assert.is(points[2]!.verdict.word, "no difference");
  const { crossings } = crossover(points, "B");
  assert.is(crossings.length, 1);
  near(crossings[0]!.at, 256);
  assert.equal(crossings[0]!.between, [64, 1024]);
});

test("none in the range", () => {
  const gpu = [64, 512].map((size) => point(size, 2, 1.1));
  assert.is(crossover(gpu, "B").text, "none in the range from 64 to 512 B: gpu wherever there is a difference");
  const none = [64, 512].map((size) => point(size, 1, 1.1));
  assert.is(crossover(none, "B").text, "none in the range from 64 to 512 B: no difference anywhere");
  assert.equal(
    crossover([point(64, 0.5, 1.1), point(512, 1.2, 2)], "B").crossings,
    [],
    "one side alone decides nothing",
  );
  assert.is(crossover([], "B").text, "none: there is no verdict");
  const refused = { ...point(64, 2, 1.1).verdict, word: "not comparable" as const, ratio: null };
  assert.is(crossover([{ at: 64, verdict: refused }], "B").text, "none: there is no verdict");
});

test("a ratio that goes up and down crosses twice; one that is noisy between two verdicts once", () => {
  const twice = crossover([point(1e5, 0.5, 1.1), point(1e6, 2, 1.1, true), point(1e7, 0.5, 1.1)], "pps");
  assert.equal(
    twice.crossings.map(({ below, above }) => [below, above]),
    [
      ["cpu", "gpu"],
      ["gpu", "cpu"],
    ],
  );
  near(twice.crossings[1]!.at, Math.sqrt(1e13));
  assert.is(twice.emulated, true);
  assert.match(twice.text, /^cpu up to 316000 pps/);
  const noisy = crossover([point(64, 0.5, 1.1), point(128, 1.1, 1.5), point(256, 0.9, 1.5), point(512, 2, 1.1)], "B");
  assert.is(noisy.crossings.length, 1);
  const { at, low, high } = noisy.crossings[0]!;
  assert.ok(64 < low && low < 128 && low < at && at < high && high > 256 && high < 512);
});

test("sizes that are none, or are there twice, are refused", () => {
  assert.throws(() => crossover([point(0, 1, 1)], "B"), /above 0, not 0/);
  assert.throws(() => crossover([point(Number.NaN, 1, 1)], "B"), /not NaN/);
  assert.throws(() => crossover([point(64, 1, 1), point(64, 2, 1)], "B"), /two verdicts at 64 B/);
});

const OBJECTIVES: readonly Objective[] = [
  { name: "Gbps", better: "higher" },
  { name: "p99", better: "lower" },
  { name: "watts", better: "lower" },
];
const about = (median: number, width: number): Estimate => {
  return { median, low: median - width, high: median + width, confidence: 0.95, samples: 7 };
};
const candidate = (name: string, values: readonly number[], width = 0.1): Candidate => {
  return { name, values: values.map((value) => about(value, width)) };
};

test("the front: best somewhere, or surely beaten nowhere", () => {
  const points = paretoFront(OBJECTIVES, [
    candidate("fast", [10, 50, 30]),
    candidate("prompt", [5, 10, 30]),
    candidate("thrifty", [3, 40, 5]),
    candidate("beaten", [4, 12, 31]),
    candidate("about as fast", [9.95, 50, 30]),
  ]);
  assert.equal(
    points.map(({ name, standing, by }) => [name, standing, by]),
    [
      ["fast", "front", []],
      ["prompt", "front", []],
      ["thrifty", "front", []],
      ["beaten", "dominated", ["prompt"]],
      ["about as fast", "perhaps", ["fast"]],
    ],
  );
});

test("equal candidates are all on the front; unknown intervals dominate nobody", () => {
  const same = ["a", "b"].map((name) => candidate(name, [1, 2, 3]));
  assert.equal(
    paretoFront(OBJECTIVES, same).map(({ standing }) => standing),
    ["front", "front"],
  );
  const open = paretoFront(OBJECTIVES, [candidate("a", [9, 1, 1], Infinity), candidate("b", [1, 9, 9], Infinity)]);
  assert.equal(
    open.map(({ standing }) => standing),
    ["front", "perhaps"],
  );
  assert.equal(paretoFront(OBJECTIVES, []), []);
  assert.throws(() => paretoFront(OBJECTIVES, [candidate("a", [1, 2])]), /a has no figure for one of Gbps, p99, watts/);
  assert.throws(() => paretoFront(OBJECTIVES, [candidate("a", [1, 2, Number.NaN])]), /a has no figure/);
});

test("random fronts: without uncertainty they are the plain definition's, and never empty", () => {
  const seed = freshSeed();
  const r = new Random(seed);
  for (let round = 0; round < 300; round++) {
    const count = r.int(1, 12);
    const values = Array.from({ length: count }, () => [r.int(0, 5), r.int(0, 5), r.int(0, 5)] as const);
    const exact = paretoFront(
      OBJECTIVES,
      values.map((value, i) => candidate(String(i), value, 0)),
    );
    const plain = values.map((x) =>
      values.some((y) => {
        const worse = y[0] < x[0] || y[1] > x[1] || y[2] > x[2];
        return !worse && (y[0] > x[0] || y[1] < x[1] || y[2] < x[2]);
      })
        ? "dominated"
        : "front",
    );
    assert.equal(
      exact.map(({ standing }) => standing),
      plain,
      `WINGBEAT_TEST_SEED=${seed}`,
    );
    const wide = paretoFront(
      OBJECTIVES,
      values.map((value, i) => candidate(String(i), value, 1.2)),
    );
    assert.ok(wide.some(({ standing }) => standing === "front"));
    for (const [i, { standing }] of wide.entries()) {
      assert.is(standing === "front", plain[i] === "front", `WINGBEAT_TEST_SEED=${seed}`);
    }
  }
});

test.run();
