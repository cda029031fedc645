/**
 * Which of two is greater, for many pairs in one report: the rule behind every verdict.
 *
 * A session on a shared machine is not a random sample: neighbours, frequencies and the memory's layout drift over minutes, and another
 * session meets other ones. Its confidence intervals speak of this session alone, so they do not decide alone. For each pair of the
 * report, in logarithms:
 *
 * 1. Ratio and error from interleaved repeats (ratio.ts), each error helped by those of the same family (moderate.ts).
 * 2. Margin: three per cent, or what is learnt: twice the standard deviation between the three thirds of the session, helped in the same
 *    way. What moves within a session moves at least as much until the next. A caller who knows of more (the uncertainty of a meter)
 *    says so, and it is added.
 * 3. p-value of Student's t for "beyond the margin", two-sided, times the number of candidates the pair is the best of.
 * 4. Holm's correction over all pairs of the report: the chance that any verdict of a report is wrong by chance is at most 5 %.
 * 5. Each third of the session has to point the same way.
 *
 * test/decide.test.ts and bench/verdicts.ts simulate it on drifting, autocorrelated, hiccuping machines.
 */
import { holm } from "./holm.js";
import { CONFIDENCE } from "./median.js";
import { moderated } from "./moderate.js";
import { type LogRatio, logRatio, type RatioEstimate, type Repeated } from "./ratio.js";
import { studentQuantile, studentTail } from "./student.js";

/** Differences that nobody chooses a placement for, and that alignment of code and memory alone makes (Mytkowicz et al., ASPLOS 2009). */
export const LEAST_EFFECT = 0.03;
/** Between-block standard deviations that a difference has to exceed. */
const BLOCKS = 2;
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
  /** Relative: 0.03 is 3 %. */
  readonly margin: number;
  /** Adjusted: the chance to see this, or more, anywhere in the report where nothing differs by more than the margin. */
  readonly p: number;
  /** True where all thirds of the session point the same way. */
  readonly steady: boolean;
}

/**
 * @returns in the order of `pairs`
 * @throws RangeError where a side is empty or a value not above 0
 */
export function decide(pairs: readonly Pair[], confidence = CONFIDENCE): Decision[] {
  const known = pairs.map(({ a, b }) => logRatio(a, b));
  const judged = known.map(({ samples, degrees }) => Math.min(...samples) >= FEWEST_REPEATS && degrees > 0);
  const errors = new Array<Error2>(pairs.length);
  for (const family of new Set(pairs.map((pair) => pair.family))) {
    const members = pairs.flatMap((pair, i) => (pair.family === family && judged[i]! ? [i] : []));
    helped(members, known, errors);
  }
  const p = known.map(({ estimate }, i) => {
    if (!judged[i]) return 1;
    const { variance, degrees } = errors[i]!;
    const beyond = Math.abs(estimate) - marginOf(pairs[i]!, errors[i]!);
    return Math.min(1, 2 * pairs[i]!.candidates * studentTail(beyond / Math.sqrt(variance), degrees));
  });
  // Pairs with too few repeats make no statement, and take no part in the correction.
  const told = pairs.flatMap((_, i) => (judged[i] ? [i] : []));
  const adjusted = new Map(holm(told.map((i) => p[i]!)).map((value, at) => [told[at]!, value]));
  return pairs.map((pair, i) => {
    const log = known[i]!;
    const direction = Math.sign(log.estimate);
    const steady = log.thirds.length === 3 && log.thirds.every((third) => Math.sign(third) === direction);
    const value = adjusted.get(i) ?? 1;
    const sure = value <= 1 - confidence && steady;
    const greater = judged[i] ? (sure ? (direction > 0 ? "a" : "b") : "undecided") : "few";
    const margin = judged[i] ? Math.expm1(marginOf(pair, errors[i]!)) : LEAST_EFFECT;
    return { greater, ratio: interval(log, judged[i] ? errors[i]! : null, confidence), margin, p: value, steady };
  });
}

interface Error2 {
  /** Of the estimate, squared. */
  readonly variance: number;
  readonly degrees: number;
  /** Between thirds of the session, squared. */
  readonly between: number;
}

function helped(members: readonly number[], known: readonly LogRatio[], errors: Error2[]): void {
  const own = members.map((i) => {
    const { variance, count, degrees } = known[i]!;
    return { variance: Math.max(variance * count, RESOLUTION ** 2), degrees };
  });
  const blocks = members.map((i) => ({
    variance: Math.max(varianceOf(known[i]!.thirds), RESOLUTION ** 2),
    degrees: 2,
  }));
  const between = moderated(blocks);
  for (const [at, { variance, degrees }] of moderated(own).entries()) {
    const i = members[at]!;
    errors[i] = { variance: variance / known[i]!.count, degrees, between: between[at]!.variance };
  }
}

function varianceOf(thirds: readonly number[]): number {
  const mean = thirds.reduce((sum, x) => sum + x, 0) / thirds.length;
  return thirds.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (thirds.length - 1);
}

/** As a logarithm. */
function marginOf({ uncertainty }: Pair, { between }: Error2): number {
  return Math.max(Math.log1p(LEAST_EFFECT), BLOCKS * Math.sqrt(between)) + Math.log1p(uncertainty);
}

function interval(log: LogRatio, error: Error2 | null, confidence: number): RatioEstimate {
  const { estimate, method, pairs, samples } = log;
  const half =
    error === null ? Infinity : studentQuantile((1 - confidence) / 2, error.degrees) * Math.sqrt(error.variance);
  const at = (x: number) => Math.exp(estimate + x);
  return { ratio: at(0), low: at(-half), high: at(half), confidence, method, pairs, samples };
}
