/**
 * The ratio of two things measured in turns. All arithmetic is on logarithms: a disturbance multiplies a rate, a/b and b/a are treated
 * alike, and a factor that a repeat puts on both sides (clock frequency, a neighbour on the host) cancels in its pair.
 */
import { median } from "simple-statistics";
import { CONFIDENCE } from "./median.js";
import { sorted } from "./order.js";
import { studentQuantile } from "./student.js";

export interface Repeated {
  /** Repeats of the same number were measured next to each other. */
  readonly repeat: number;
  /** Above 0. */
  readonly value: number;
}

export interface RatioEstimate {
  /** a / b; 1.2: a is 20 % more. */
  readonly ratio: number;
  /** Confidence interval; 0 and Infinity where there are too few samples. */
  readonly low: number;
  readonly high: number;
  readonly confidence: number;
  readonly method: "paired" | "unpaired";
  /** Repeats that both have. */
  readonly pairs: number;
  /** Repeats of a and of b. Those without a partner do not count in a paired ratio. */
  readonly samples: readonly [number, number];
}

/** The logarithm of a ratio with what is known of its error. */
export interface LogRatio {
  readonly estimate: number;
  /** Squared standard error of the estimate, and its degrees of freedom: 0 where it is not known. */
  readonly variance: number;
  readonly degrees: number;
  /** Pairs, or the harmonic mean of the two sides' samples: variance x count is comparable between ratios. */
  readonly count: number;
  /** Of the first, second and last third of the session; empty below three repeats. */
  readonly thirds: readonly number[];
  readonly method: RatioEstimate["method"];
  readonly pairs: number;
  readonly samples: readonly [number, number];
  /** Least and greatest ratio of a pair (unpaired: of any two samples), as logarithms. */
  readonly range: readonly [number, number];
}

/** From so many pairs on a ratio is paired, if they are half of the side that has more. */
const PAIRS = 3;
/** From so many samples on, a fifth at each end counts no more than its neighbour: hiccups of a busy machine are rare and great. */
const TRIM_FROM = 5;
const TRIM = 0.2;
/** Yuen's intervals of 5 to 20 normal samples cover 94 % where they say 95; with this factor on the variance they do (test/statistics.test.ts). */
const CALIBRATION = 1.12;

/**
 * a / b with its confidence interval: paired by repeat where three repeats and half of the longer side have a partner, else unpaired with
 * all samples of both. From five samples on the estimate is the 20 % trimmed mean, its error by Yuen (1974, Biometrika 61): outliers stay
 * in, at the weight of their neighbour. Below five it is the mean, and the interval at least the range of the pairs' ratios.
 *
 * @throws RangeError where a side is empty or a value not above 0
 */
export function ratioEstimate(a: readonly Repeated[], b: readonly Repeated[], confidence = CONFIDENCE): RatioEstimate {
  const { estimate, variance, degrees, method, pairs, samples, range } = logRatio(a, b);
  let low = -Infinity;
  let high = Infinity;
  if (degrees > 0 && Math.min(...samples) >= PAIRS) {
    const half = studentQuantile((1 - confidence) / 2, degrees) * Math.sqrt(variance);
    low = estimate - half;
    high = estimate + half;
    if (Math.min(...samples) < TRIM_FROM) {
      low = Math.min(low, range[0]);
      high = Math.max(high, range[1]);
    }
  }
  return { ratio: Math.exp(estimate), low: Math.exp(low), high: Math.exp(high), confidence, method, pairs, samples };
}

/** @throws RangeError where a side is empty or a value not above 0 */
export function logRatio(a: readonly Repeated[], b: readonly Repeated[]): LogRatio {
  const first = byRepeat(a);
  const second = byRepeat(b);
  const common = [...first.keys()].filter((repeat) => second.has(repeat));
  const samples = [first.size, second.size] as const;
  const pairs = common.length;
  if (pairs >= PAIRS && 2 * pairs >= Math.max(...samples)) {
    const logs = common.map((repeat) => first.get(repeat)! - second.get(repeat)!);
    const { mean, variance, degrees } = trimmed(logs);
    const x = sorted(logs);
    const range = [x[0]!, x.at(-1)!] as const;
    return {
      estimate: mean,
      variance,
      degrees,
      count: pairs,
      thirds: thirds(logs),
      method: "paired",
      pairs,
      samples,
      range,
    };
  }
  return { ...unpaired([...first.values()], [...second.values()]), pairs };
}

/** Yuen's test, degrees of freedom by Welch. */
function unpaired(a: readonly number[], b: readonly number[]): Omit<LogRatio, "pairs"> {
  const x = trimmed(a);
  const y = trimmed(b);
  const variance = x.variance + y.variance;
  let degrees = 0;
  if (x.degrees > 0 && y.degrees > 0) {
    const welch = x.variance ** 2 / x.degrees + y.variance ** 2 / y.degrees;
    degrees = welch > 0 ? variance ** 2 / welch : Math.min(x.degrees, y.degrees);
  }
  const inA = thirds(a);
  const inB = thirds(b);
  const ofA = sorted(a);
  const ofB = sorted(b);
  return {
    estimate: x.mean - y.mean,
    variance,
    degrees,
    count: 2 / (1 / a.length + 1 / b.length),
    thirds: inA.length === inB.length ? inA.map((value, i) => value - inB[i]!) : [],
    method: "unpaired",
    samples: [a.length, b.length],
    range: [ofA[0]! - ofB.at(-1)!, ofA.at(-1)! - ofB[0]!],
  };
}

/** Logarithms by repeat, in its order. A repeat that was measured more than once counts once, with its geometric mean. */
function byRepeat(side: readonly Repeated[]): Map<number, number> {
  if (side.length === 0) throw new RangeError("no sample, no ratio");
  const logs = new Map<number, number[]>();
  for (const { repeat, value } of [...side].sort((x, y) => x.repeat - y.repeat)) {
    if (!(value > 0 && value < Infinity))
      throw new RangeError(`repeat ${repeat} is ${value}: ratios are of finite numbers above 0`);
    const same = logs.get(repeat);
    if (same === undefined) logs.set(repeat, [Math.log(value)]);
    else same.push(Math.log(value));
  }
  return new Map([...logs].map(([repeat, values]) => [repeat, values.reduce((sum, x) => sum + x, 0) / values.length]));
}

interface Trimmed {
  readonly mean: number;
  /** Of the mean, squared. */
  readonly variance: number;
  readonly degrees: number;
}

/** Trimmed mean with its error from the winsorised variance. */
function trimmed(values: readonly number[]): Trimmed {
  const x = sorted(values);
  const n = x.length;
  const cut = n < TRIM_FROM ? 0 : Math.floor(TRIM * n);
  const kept = n - 2 * cut;
  let mean = 0;
  let winsorisedMean = 0;
  for (let i = 0; i < n; i++) {
    if (i >= cut && i < n - cut) mean += x[i]! / kept;
    winsorisedMean += inside(x, i, cut) / n;
  }
  if (kept < 2) return { mean, variance: 0, degrees: 0 };
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (inside(x, i, cut) - winsorisedMean) ** 2;
  const calibration = cut > 0 ? CALIBRATION : 1;
  return { mean, variance: (calibration * squares) / (kept * (kept - 1)), degrees: kept - 1 };
}

function inside(x: Float64Array, i: number, cut: number): number {
  return x[Math.min(Math.max(i, cut), x.length - 1 - cut)]!;
}

/** Medians of the first, second and last third; empty below three values. */
function thirds(values: readonly number[]): number[] {
  const n = values.length;
  if (n < 3) return [];
  return [0, 1, 2].map((i) => median(values.slice(Math.floor((i * n) / 3), Math.floor(((i + 1) * n) / 3))));
}
