/**
 * Which of two is greater, for many pairs in one report: the rule behind every verdict.
 *
 * A session on a shared machine is not a random sample: neighbours and frequencies drift over minutes, and another session meets other
 * ones. Confidence intervals speak of one session, so they do not decide alone. For each pair of the report, in logarithms:
 *
 * 1. Ratio and error from interleaved repeats (ratio.ts), each error helped by those of its family (moderate.ts).
 * 2. p-value of Student's t for "beyond the least effect", two-sided, times the number of candidates the pair is the best of. The least
 *    effect is three per cent, and what the caller knows of that repeats do not show (the uncertainty of a meter).
 * 3. Holm's correction over all pairs of the report: the chance that any verdict of it is for the wrong side, or where nothing
 *    differs, is to stay below 5 %.
 * 4. The ratio itself has to be beyond a margin that the session teaches: 2.5 times the standard deviation between its first, second and
 *    last third, taken over all pairs of the family. What moves within a session moves about as much until the next.
 *
 * Simulated (bench/README.md has the table, bench/statistics the machines): of 75,600 pairs of verdicts where nothing differs none
 * contradict each other, and up to 4 % of sessions have a verdict there at all. Of true ratios spread evenly from 1/4 to 4 two sessions on a
 * noisy machine have one verdict and one "no difference" in 14 % with 3 repeats, 6 % with 5, 5 % with 7 and 3 % with 10. Repeats have to be
 * set up anew each: what one layout in memory does to all repeats of a session, no session can tell.
 */
import { mean, sampleVariance } from "simple-statistics";
import { holm } from "./holm.js";
import { CONFIDENCE } from "./median.js";
import { digamma, moderated } from "./moderate.js";
import { type LogRatio, logRatio, type RatioEstimate, type Repeated } from "./ratio.js";
import { studentQuantile, studentTail } from "./student.js";

/** Differences that nobody chooses a placement for, and that alignment of code and memory alone makes (Mytkowicz et al., ASPLOS 2009). */
export const LEAST_EFFECT = 0.03;
/** Between-block standard deviations that a difference has to exceed. */
const BLOCKS = 2.5;
/** No clock or counter here repeats better than 0.1 %. */
const RESOLUTION = 0.001;
/** Repeats of each side below which nothing is decided. */
export const FEWEST_REPEATS = 3;

export interface Pair {
  /** Pairs of one family (a metric) have like errors. */
  readonly family: string;
  readonly a: readonly Repeated[];
  readonly b: readonly Repeated[];
  /** Pairs this one is the best of; 1: it was not chosen by its result. */
  readonly candidates: number;
  /** Relative uncertainty that repeats do not show; 0.02: 2 %. */
  readonly uncertainty: number;
}

export interface Decision {
  /** undecided: neither is greater beyond the margin, at the confidence. few: not enough repeats to say. */
  readonly greater: "a" | "b" | "undecided" | "few";
  /** a / b, with the interval of this pair alone, its error helped by its family's. */
  readonly ratio: RatioEstimate;
  /** What the ratio had to exceed, relative: 0.03 is 3 %. */
  readonly margin: number;
  /** Adjusted: the chance to see this, or more, anywhere in the report where nothing differs by more than the least effect. */
  readonly p: number;
}

/**
 * @returns in the order of `pairs`
 * @throws RangeError where a side is empty or a value not above 0
 */
export function decide(pairs: readonly Pair[], confidence = CONFIDENCE): Decision[] {
  const known = pairs.map(({ a, b }) => logRatio(a, b));
  const judged = known.map(({ samples, degrees }) => Math.min(...samples) >= FEWEST_REPEATS && degrees > 0);
  const errors = new Array<PairError>(pairs.length);
  for (const family of new Set(pairs.map((pair) => pair.family))) {
    const members = pairs.flatMap((pair, i) => (pair.family === family && judged[i]! ? [i] : []));
    if (members.length > 0) helped(members, known, errors);
  }
  const p = known.map(({ estimate }, i) => {
    if (!judged[i]) return 1;
    const { variance, degrees } = errors[i]!;
    const beyond = Math.abs(estimate) - leastEffect(pairs[i]!);
    return Math.min(1, 2 * pairs[i]!.candidates * studentTail(beyond / Math.sqrt(variance), degrees));
  });
  // Pairs with too few repeats make no statement, and take no part in the correction.
  const told = pairs.flatMap((_, i) => (judged[i] ? [i] : []));
  const adjusted = holm(told.map((i) => p[i]!));
  const decisions = known.map((log): Decision => {
    return { greater: "few", ratio: interval(log, null, confidence), margin: LEAST_EFFECT, p: 1 };
  });
  for (const [at, i] of told.entries()) {
    const { estimate } = known[i]!;
    const margin = Math.max(BLOCKS * Math.sqrt(errors[i]!.between), leastEffect(pairs[i]!));
    const sure = adjusted[at]! <= 1 - confidence && Math.abs(estimate) > margin;
    decisions[i] = {
      greater: sure ? (estimate > 0 ? "a" : "b") : "undecided",
      ratio: interval(known[i]!, errors[i]!, confidence),
      margin: Math.expm1(margin),
      p: adjusted[at]!,
    };
  }
  return decisions;
}

interface PairError {
  /** Of the estimate, squared. */
  readonly variance: number;
  readonly degrees: number;
  /** Between thirds of the session, squared. */
  readonly between: number;
}

/** Writes the errors of a family's pairs. */
function helped(members: readonly number[], known: readonly LogRatio[], errors: PairError[]): void {
  const own = members.map((i) => {
    const { variance, count, degrees } = known[i]!;
    return { variance: Math.max(variance * count, RESOLUTION ** 2), degrees };
  });
  const between = typical(members.map((i) => Math.max(sampleVariance([...known[i]!.thirds]), RESOLUTION ** 2)));
  for (const [at, { variance, degrees }] of moderated(own).entries()) {
    const i = members[at]!;
    errors[i] = { variance: variance / known[i]!.count, degrees, between };
  }
}

/** The variance that variances of three values each are drawn from, by the mean of their logarithms: one wild pair does not move it far. */
function typical(variances: readonly number[]): number {
  return Math.exp(mean(variances.map(Math.log)) - digamma(1));
}

/** As a logarithm. */
function leastEffect({ uncertainty }: Pair): number {
  return Math.log1p(LEAST_EFFECT) + Math.log1p(uncertainty);
}

function interval(log: LogRatio, error: PairError | null, confidence: number): RatioEstimate {
  const { estimate, method, pairs, samples } = log;
  const half =
    error === null ? Infinity : studentQuantile((1 - confidence) / 2, error.degrees) * Math.sqrt(error.variance);
  const at = (x: number) => Math.exp(estimate + x);
  return { ratio: at(0), low: at(-half), high: at(half), confidence, method, pairs, samples };
}
