import { test } from "uvu";
import * as assert from "uvu/assert";
import { MACHINES } from "../bench/statistics/machine.js";
import { repeatability } from "../bench/statistics/repeatability.js";
import { decide, LEAST_EFFECT, type Pair } from "../runtime/measure/statistics/decide.js";
import type { Repeated } from "../runtime/measure/statistics/ratio.js";
import { Random } from "../runtime/nic/generator/random.js";

/** The simulations' seed is fixed: what they find is the same in every run. bench/statistics/verdicts.ts has larger ones, with fresh seeds. */
const SEED = 20261121;
/** Questions of a session: seven sizes, three metrics. */
const QUESTIONS = 21;

const repeats = (values: readonly number[]): Repeated[] => values.map((value, repeat) => ({ repeat, value }));
const pair = (a: readonly number[], b: readonly number[], more: Partial<Pair> = {}): Pair => {
  return { family: "gbps", a: repeats(a), b: repeats(b), candidates: 1, uncertainty: 0, ...more };
};
const STEADY = [1, 1.01, 0.99, 1, 1.005, 0.995, 1];

test("where nothing differs, no two sessions contradict each other, and few say anything", () => {
  for (const [name, model] of Object.entries(MACHINES)) {
    for (const count of [3, 7]) {
      const truth = () => new Array<number>(QUESTIONS).fill(0);
      const found = repeatability({ model, truth, repeats: count, sessions: 150, seed: SEED });
      assert.ok(
        found.contrary < 0.01,
        `${name}, ${count} repeats: ${found.contrary} of verdicts contradict each other`,
      );
      // Of 300 sessions 5 % may be wrong by the rule; three standard errors of that on top.
      assert.ok(
        found.sessionsWrong < 0.09,
        `${name}, ${count} repeats: ${found.sessionsWrong} of sessions have a verdict`,
      );
    }
  }
});

test("real differences are found again by the next session", () => {
  // Share of verdicts of which only one session has them, at most; differences evenly from 1/4 to 4 times.
  const truth = (random: { fraction(): number }) =>
    Array.from({ length: QUESTIONS }, () => Math.log(4) * (2 * random.fraction() - 1));
  for (const [name, count, most] of [
    ["quiet", 5, 0.03],
    ["noisy", 5, 0.1],
    ["noisy", 7, 0.08],
    ["noisy", 10, 0.05],
  ] as const) {
    const found = repeatability({ model: MACHINES[name], truth, repeats: count, sessions: 100, seed: SEED });
    assert.is(found.contrary, 0);
    assert.ok(found.oneSided < most, `${name}, ${count} repeats: ${found.oneSided} one-sided`);
    assert.ok(found.agreed > 0.75, `${name}, ${count} repeats: ${found.agreed} agreed`);
  }
  const double = () => new Array<number>(QUESTIONS).fill(Math.LN2);
  const found = repeatability({ model: MACHINES.noisy, truth: double, repeats: 7, sessions: 100, seed: SEED });
  assert.ok(found.agreed > 0.99, `twice as much: ${found.agreed} agreed`);
});

test("the best of many that are alike is not better for having been chosen", () => {
  const random = new Random(SEED);
  let told = 0;
  const sessions = 400;
  for (let i = 0; i < sessions; i++) {
    const pairs = Array.from({ length: 6 }, () => {
      const noise = () => Array.from({ length: 7 }, () => Math.exp(0.1 * (random.fraction() + random.fraction() - 1)));
      const groups = Array.from({ length: 8 }, noise);
      const mean = (x: readonly number[]) => x.reduce((sum, value) => sum + value, 0);
      const best = groups.slice(1).sort((x, y) => mean(y) - mean(x))[0]!;
      return pair(groups[0]!, best, { candidates: 7 });
    });
    if (decide(pairs).some(({ greater }) => greater !== "undecided")) told++;
  }
  assert.ok(told / sessions < 0.05, `${told} of ${sessions} sessions`);
});

test("a difference below the least effect decides nothing, however sure it is", () => {
  const [small, large] = decide([
    pair(
      STEADY.map((x) => x * (1 + LEAST_EFFECT * 0.9)),
      STEADY,
    ),
    pair(
      STEADY.map((x) => x * 1.5),
      STEADY,
    ),
  ]);
  assert.is(small!.greater, "undecided");
  assert.ok(small!.ratio.low > 1, "though it is significant by itself");
  assert.is(large!.greater, "a");
  assert.ok(large!.p < 0.001);
});

test("what a caller knows of uncertainty is part of the least effect", () => {
  const a = STEADY.map((x) => x * 1.2);
  const far = (uncertainty: number) => decide([pair(a, STEADY, { uncertainty })])[0]!.greater;
  assert.equal([far(0), far(0.1), far(0.2)], ["a", "a", "undecided"]);
});

test("a session that drifts by more than the difference does not decide", () => {
  // The second third of the session had the opposite: significant or not, this machine moves by 10 %.
  const drift = [1.3, 1.3, 1.3, 1, 1, 1, 1.3, 1.3, 1.3];
  const [decision] = decide([
    pair(
      drift,
      drift.map(() => 1),
    ),
  ]);
  assert.is(decision!.greater, "undecided");
  assert.ok(decision!.margin > 0.2);
});

test("more questions need more evidence", () => {
  const one = pair([1.1, 1.12, 1.08, 1.11, 1.09], [1, 1.02, 0.97, 0.99, 1.01]);
  const noise = pair([1, 1.05, 0.96, 1.01, 0.98], [1, 0.97, 1.02, 1.01, 1]);
  const alone = decide([one])[0]!;
  const among = decide([one, ...Array.from({ length: 40 }, (_, i) => ({ ...noise, family: `f${i}` }))])[0]!;
  assert.ok(among.p >= 40 * alone.p, `${among.p} and ${alone.p}`);
});

test("few repeats decide nothing, and take no confidence from the others", () => {
  const few = pair([2, 2], [1, 1]);
  const enough = pair([2, 2.02, 1.99], [1, 1.01, 1.01]);
  const [first, second] = decide([few, enough]);
  assert.is(first!.greater, "few");
  near(first!.ratio.ratio, 2);
  assert.equal([first!.ratio.low, first!.ratio.high, first!.p], [0, Infinity, 1]);
  assert.equal(second, decide([enough])[0]);
  assert.equal(decide([]), []);
  assert.throws(() => decide([pair([1, 1, Number.NaN], [1, 1, 1])]), /repeat 2 is NaN/);
});

test("equal figures in every repeat are no infinite certainty, and no division by zero", () => {
  const [same, apart] = decide([pair([1, 1, 1], [1, 1, 1]), pair([2, 2, 2], [1, 1, 1])]);
  assert.is(same!.greater, "undecided");
  assert.is(apart!.greater, "a");
  assert.ok(apart!.p > 0 && apart!.ratio.low < 2 && apart!.ratio.high > 2);
});

function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} is not ${expected}`);
}

test.run();
