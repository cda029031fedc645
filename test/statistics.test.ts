import { test } from "uvu";
import * as assert from "uvu/assert";
import { normal } from "../bench/statistics/machine.js";
import { holm } from "../runtime/measure/statistics/holm.js";
import { medianEstimate, quantileEstimate } from "../runtime/measure/statistics/median.js";
import { digamma, moderated, trigamma, trigammaInverse } from "../runtime/measure/statistics/moderate.js";
import { binomialAtMost, quantileRanks } from "../runtime/measure/statistics/order.js";
import { suspects } from "../runtime/measure/statistics/outliers.js";
import { logRatio, type Repeated, ratioEstimate } from "../runtime/measure/statistics/ratio.js";
import { incompleteBeta, studentQuantile, studentTail } from "../runtime/measure/statistics/student.js";
import { Random } from "../runtime/nic/generator/random.js";

/** Simulations here have a fixed seed: what they find is the same in every run. */
const SEED = 20261121;

function near(actual: number, expected: number, tolerance: number, what = ""): void {
  const text = `${what} ${actual} is not within ${tolerance} of ${expected}`;
  assert.ok(Math.abs(actual - expected) <= tolerance, text);
}

const repeats = (values: readonly number[]): Repeated[] => values.map((value, repeat) => ({ repeat, value }));

/** Distributions with their medians. */
const DISTRIBUTIONS: Readonly<Record<string, { readonly draw: (r: Random) => number; readonly median: number }>> = {
  normal: { draw: (r) => 100 + 5 * normal(r), median: 100 },
  lognormal: { draw: (r) => Math.exp(0.3 * normal(r)), median: 1 },
  exponential: { draw: (r) => -Math.log(1 - r.fraction()), median: Math.LN2 },
  "heavy tails (t, 2 degrees)": {
    draw: (r) => 100 + (5 * normal(r)) / Math.sqrt(-Math.log(1 - r.fraction())),
    median: 100,
  },
  "ties (rounded)": { draw: (r) => 100 + Math.round(normal(r)), median: 100 },
};

test("binomial and Student's t agree with published tables", () => {
  near(binomialAtMost(0, 6, 0.5), 1 / 64, 1e-12);
  near(binomialAtMost(3, 10, 0.5), 176 / 1024, 1e-12);
  near(binomialAtMost(1, 5, 0.2), 0.73728, 1e-12);
  assert.is(binomialAtMost(-1, 5, 0.5), 0);
  assert.is(binomialAtMost(5, 5, 0.5), 1);
  // Two-sided 95 % and one-sided 99.95 % columns of the usual table.
  for (const [degrees, t975, t9995] of [
    [1, 12.706, 636.62],
    [2, 4.303, 31.599],
    [4, 2.776, 8.61],
    [9, 2.262, 4.781],
    [30, 2.042, 3.646],
    [Infinity, 1.96, 3.291],
  ] as const) {
    near(studentQuantile(0.025, degrees) / t975, 1, 5e-4, `t 97.5 %, ${degrees}`);
    near(studentQuantile(0.0005, degrees) / t9995, 1, 5e-4, `t 99.95 %, ${degrees}`);
    near(studentTail(-t975, degrees), 0.975, 1e-4);
  }
  near(studentTail(0, 3), 0.5, 1e-12);
  assert.is(studentTail(Infinity, 3), 0);
  // I_x(2, 3) is a polynomial.
  for (const x of [0, 0.1, 0.5, 0.9, 1]) near(incompleteBeta(x, 2, 3), x * x * (6 - 8 * x + 3 * x * x), 1e-12);
  assert.throws(() => studentTail(Number.NaN, 3), /no t distribution/);
  assert.throws(() => studentQuantile(0, 3), /no quantile/);
});

test("digamma and trigamma have their known values, and the inverse inverts", () => {
  near(digamma(1), -0.5772156649015329, 1e-9);
  near(digamma(0.5), -1.9635100260214235, 1e-9);
  near(trigamma(1), Math.PI ** 2 / 6, 1e-9);
  near(trigamma(0.5), Math.PI ** 2 / 2, 1e-9);
  for (const y of [1e-8, 0.01, 1, 30, 1e8])
    near(trigamma(trigammaInverse(y)) / y, 1, y < 1e-6 || y > 1e7 ? 1e-3 : 1e-9);
});

test("ranks of the median's interval are those of the tables", () => {
  // Conover, Practical Nonparametric Statistics, table A3: counted from 1.
  for (const [n, low, high] of [
    [6, 1, 6],
    [8, 1, 8],
    [9, 2, 8],
    [10, 2, 9],
    [15, 4, 12],
    [20, 6, 15],
    [25, 8, 18],
  ] as const) {
    assert.equal(quantileRanks(n, 0.5, 0.95), { low: low - 1, high: high - 1 }, `${n} samples`);
  }
  assert.equal(quantileRanks(5, 0.5, 0.95), { low: -1, high: 5 });
  assert.equal(quantileRanks(1, 0.5, 0.95), { low: -1, high: 1 });
});

test("the median's interval covers it as often as it says, whatever the distribution", () => {
  const random = new Random(SEED);
  for (const [name, { draw, median }] of Object.entries(DISTRIBUTIONS)) {
    for (const n of [6, 7, 10, 15, 31]) {
      let covered = 0;
      const trials = 1200;
      for (let i = 0; i < trials; i++) {
        const { low, high } = medianEstimate(Array.from({ length: n }, () => draw(random)));
        if (low <= median && median <= high) covered++;
      }
      // Guaranteed, so 95 % less three standard errors of the simulation.
      assert.ok(covered / trials > 0.931, `${name}, ${n} samples: ${covered / trials}`);
    }
  }
});

test("with three to five samples the interval covers too, and is never narrower than the samples", () => {
  const random = new Random(SEED);
  // Student's supposes symmetry, of logarithms here: an exponential distribution is the worst of these, and known to be.
  const least: Record<string, number> = { exponential: 0.9 };
  for (const [name, { draw, median }] of Object.entries(DISTRIBUTIONS)) {
    for (const n of [3, 4, 5]) {
      let covered = 0;
      const trials = 1200;
      for (let i = 0; i < trials; i++) {
        const values = Array.from({ length: n }, () => draw(random));
        const { low, high } = medianEstimate(values);
        assert.ok(low <= Math.min(...values) && high >= Math.max(...values));
        if (low <= median && median <= high) covered++;
      }
      assert.ok(covered / trials > (least[name] ?? 0.931), `${name}, ${n} samples: ${covered / trials}`);
    }
  }
});

test("edges of an estimate: none, one, two, constant, negative, not a number", () => {
  assert.throws(() => medianEstimate([]), /no sample/);
  for (const bad of [Number.NaN, Infinity, -Infinity]) {
    assert.throws(() => medianEstimate([1, bad, 3]), /sample 1 of 3 is .*, not a finite number/);
  }
  assert.throws(() => medianEstimate([1, 2], 1), /confidence/);
  assert.equal(medianEstimate([7]), { median: 7, low: -Infinity, high: Infinity, confidence: 0.95, samples: 1 });
  assert.equal(medianEstimate([7, 9]), { median: 8, low: -Infinity, high: Infinity, confidence: 0.95, samples: 2 });
  for (const n of [3, 5, 6, 20]) {
    const { median, low, high } = medianEstimate(new Array<number>(n).fill(7));
    assert.is(median, 7);
    near(low, 7, 1e-12);
    near(high, 7, 1e-12);
  }
  const negative = medianEstimate([-3, -1, -2]);
  assert.is(negative.median, -2);
  near(negative.low, -2 - 4.303 / Math.sqrt(3), 1e-3);
  assert.is(medianEstimate([0, 0, 0.01]).low, 0, "a loss is never below 0");
  const values = [5, 1, 4, 2, 3, 6];
  assert.equal(medianEstimate(values), { median: 3.5, low: 1, high: 6, confidence: 0.95, samples: 6 });
  assert.equal(values, [5, 1, 4, 2, 3, 6], "the samples are left as they are");
});

test("a quantile has the bounds its samples allow, and they cover", () => {
  const few = quantileEstimate([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.99);
  near(few.median, 9.91, 1e-12);
  assert.is(few.high, Infinity, "ten samples do not bound a 99th percentile from above");
  const random = new Random(SEED);
  let covered = 0;
  for (let i = 0; i < 2000; i++) {
    const { low, high } = quantileEstimate(
      Array.from({ length: 100 }, () => random.fraction()),
      0.9,
    );
    if (low <= 0.9 && 0.9 <= high) covered++;
  }
  assert.ok(covered / 2000 > 0.935 && covered / 2000 < 0.99, `${covered / 2000}`);
});

test("the ratio's interval covers it: paired with a common drift, unpaired without", () => {
  const random = new Random(SEED);
  const truth = 1.3;
  for (const n of [3, 5, 7, 10]) {
    const widths = { paired: 0, unpaired: 0 };
    const covered = { paired: 0, unpaired: 0 };
    const trials = 1200;
    for (let i = 0; i < trials; i++) {
      const drift = Array.from({ length: n }, () => Math.exp(0.2 * normal(random)));
      const a = drift.map((d, repeat) => ({ repeat, value: truth * d * Math.exp(0.05 * normal(random)) }));
      const b = drift.map((d, repeat) => ({ repeat, value: d * Math.exp(0.05 * normal(random)) }));
      const apart = b.map(({ value }, repeat) => ({ repeat: repeat + n, value }));
      for (const [method, other] of [["paired", b] as const, ["unpaired", apart] as const]) {
        const found = ratioEstimate(a, other);
        assert.is(found.method, method);
        if (found.low <= truth && truth <= found.high) covered[method]++;
        widths[method] += Math.log(found.high / found.low) / trials;
      }
    }
    assert.ok(covered.paired / trials > 0.93, `paired, ${n}: ${covered.paired / trials}`);
    assert.ok(covered.unpaired / trials > 0.93, `unpaired, ${n}: ${covered.unpaired / trials}`);
    assert.ok(widths.paired < widths.unpaired / 1.5, `${n}: a pair cancels what its repeat has in common`);
  }
});

test("a hiccup counts, and does not carry the ratio away", () => {
  const a = repeats([1.3, 1.31, 1.29, 1.3, 1.32, 1.28, 1.3]);
  const b = repeats([1, 1, 1, 0.1, 1, 1, 1]);
  const { ratio, samples, high } = ratioEstimate(a, b);
  near(ratio, 1.3, 0.02);
  assert.equal(samples, [7, 7]);
  assert.ok(high < 1.4);
  assert.equal(suspects(b.map(({ value }) => value)), [3]);
  assert.equal(suspects([1, 1, 1, 1]), []);
  assert.equal(suspects([1, 1, 1, 1.005]), [], "half a per cent is no news where the others are equal");
  assert.equal(suspects([1, 1, 9]), [], "of three nobody knows which");
});

test("missing repeats: pairs while they are most, all samples else", () => {
  const at = (numbers: readonly number[], value: number) => numbers.map((repeat) => ({ repeat, value }));
  const some = ratioEstimate(at([0, 1, 2, 3, 4], 2), at([1, 2, 3, 4, 5], 1));
  assert.is(some.method, "paired");
  assert.is(some.pairs, 4);
  assert.equal(some.samples, [5, 5]);
  const few = ratioEstimate(at([0, 1, 2, 3], 2), at([2, 3, 4, 5], 1));
  assert.is(few.method, "unpaired");
  assert.is(few.pairs, 2);
  near(few.ratio, 2, 1e-12);
  const two = ratioEstimate(at([0, 1], 2), at([0, 1], 1));
  assert.equal([two.low, two.high], [0, Infinity]);
  const twice = logRatio([...at([0, 1, 2], 2), { repeat: 2, value: 8 }], at([0, 1, 2], 1));
  assert.equal(twice.samples, [3, 3], "a repeat measured twice counts once");
  near(Math.exp(twice.estimate), (2 * 2 * 4) ** (1 / 3), 1e-12);
  assert.throws(() => ratioEstimate([], at([0], 1)), /no sample/);
  for (const bad of [0, -1, Number.NaN, Infinity]) {
    assert.throws(() => ratioEstimate(at([0, 1, 2], 1), at([0, 1, 2], bad)), /ratios are of finite numbers above 0/);
  }
});

test("a / b and b / a are one statement", () => {
  const random = new Random(SEED);
  const a = repeats(Array.from({ length: 7 }, () => Math.exp(normal(random))));
  const b = repeats(Array.from({ length: 7 }, () => Math.exp(normal(random))));
  const [one, other] = [ratioEstimate(a, b), ratioEstimate(b, a)];
  near(one.ratio * other.ratio, 1, 1e-12);
  near(one.low * other.high, 1, 1e-12);
});

test("Holm's correction has the values of his example, and bounds the whole", () => {
  assert.equal(
    holm([0.01, 0.04, 0.03, 0.005]).map((p) => Math.round(p * 1e6) / 1e6),
    [0.03, 0.06, 0.06, 0.02],
  );
  assert.equal(holm([]), []);
  assert.equal(holm([0.9, 0.8]), [1, 1]);
  assert.throws(() => holm([0.5, Number.NaN]), /p-value 1 is NaN/);
  const random = new Random(SEED);
  let wrong = 0;
  for (let i = 0; i < 4000; i++)
    if (Math.min(...holm(Array.from({ length: 20 }, () => random.fraction()))) <= 0.05) wrong++;
  near(wrong / 4000, 0.05, 0.011);
});

test("moderated variances: alike ones become one, unlike ones stay their own", () => {
  const random = new Random(SEED);
  /** s^2 of n values with variance v. */
  const drawn = (v: number, n: number) => {
    const x = Array.from({ length: n }, () => Math.sqrt(v) * normal(random));
    const m = x.reduce((sum, value) => sum + value, 0) / n;
    return { variance: x.reduce((sum, value) => sum + (value - m) ** 2, 0) / (n - 1), degrees: n - 1 };
  };
  const alike = moderated(Array.from({ length: 200 }, () => drawn(4, 4)));
  for (const { variance, degrees } of alike) {
    near(variance, 4, 1.5);
    assert.ok(degrees > 20 && degrees <= 600);
  }
  const unlike = Array.from({ length: 200 }, (_, i) => drawn(i % 2 === 0 ? 1e-4 : 1e4, 8));
  for (const [i, { variance }] of moderated(unlike).entries()) near(Math.log(variance / unlike[i]!.variance), 0, 1);
  const three = unlike.slice(0, 3);
  assert.is(moderated(three), three, "three say too little");
});

test.run();
