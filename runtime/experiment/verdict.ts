/** Verdicts: which placement is better, by a metric, and how sure that is. decide.ts has the rule. */
import { median } from "simple-statistics";
import { type Decision, decide, FEWEST_REPEATS, type Pair } from "../measure/statistics/decide.js";
import { CONFIDENCE } from "../measure/statistics/median.js";
import type { RatioEstimate, Repeated } from "../measure/statistics/ratio.js";
import type { Sample } from "./cell.js";
import { METRICS, type Metric, type MetricName, netWattsOf, wattsOf } from "./metric.js";
import { metersOf, unfit } from "./unfit.js";

export interface Group {
  /** "all on cpu", or the whole cell: as it is to be read in the verdict. */
  readonly name: string;
  readonly samples: readonly Sample[];
}

/** Which of two sides is better? The best of each is taken, and that it was chosen by its result is allowed for. */
export interface Question<Label extends string = "cpu" | "gpu"> {
  readonly metric: MetricName;
  /** What it is asked of: "64 B", "IMIX at 80 % of NDR". */
  readonly subject: string;
  readonly a: { readonly label: Label; readonly groups: readonly Group[] };
  readonly b: { readonly label: Label; readonly groups: readonly Group[] };
}

export interface Verdict<Label extends string = "cpu" | "gpu"> {
  readonly metric: MetricName;
  readonly subject: string;
  readonly word: Label | "no difference" | "not comparable";
  /** Names of the groups that were compared: the best of each side. Null where there was none to compare. */
  readonly a: string | null;
  readonly b: string | null;
  /** b / a of the metric as it is, whichever way is better; null where not comparable. */
  readonly ratio: RatioEstimate | null;
  /** What a difference had to exceed, relative: 0.03 is 3 %. Null where not comparable. */
  readonly margin: number | null;
  /** p-value, corrected for all verdicts of the report; null where not comparable. */
  readonly p: number | null;
  /** Of the report as a whole: 0.95. */
  readonly confidence: number;
  /** True where a device that took part is emulated: the word says nothing about hardware. */
  readonly emulated: boolean;
  /** Why this word: a sentence. */
  readonly reason: string;
}

/**
 * All verdicts of a report at once: they share one correction for multiple comparisons, so judging them in parts is not the same.
 *
 * @returns in the order of `questions`
 */
export function verdicts<Label extends string>(
  questions: readonly Question<Label>[],
  confidence = CONFIDENCE,
): Verdict<Label>[] {
  const matches = questions.map(match);
  const pairs = matches.flatMap((found) => (typeof found === "string" ? [] : [found.pair]));
  const decisions = decide(pairs, confidence).values();
  return matches.map((found, i) => {
    const question = questions[i]!;
    if (typeof found === "string") return refused(question, found, confidence);
    return told(question, found, decisions.next().value!, confidence);
  });
}

/** The verdict as a sentence, for who reads nothing else. */
export function statement<Label extends string>(verdict: Verdict<Label>): string {
  const { subject, metric, word, emulated, reason } = verdict;
  const about = `${subject}, ${METRICS[metric].title}: ${word} (${reason})`;
  return emulated ? `${about}; an emulated device took part: it says nothing about hardware` : about;
}

/** The best of both sides. */
interface Match {
  readonly a: Group;
  readonly b: Group;
  readonly pair: Pair;
  /** Groups that could not take part, with the reason; empty where all could. */
  readonly without: string;
}

/** @returns why there is nothing to compare, else what is compared */
function match<Label extends string>({ metric: name, a, b }: Question<Label>): Match | string {
  const metric = METRICS[name];
  const left = fitting(a.groups, metric);
  const right = fitting(b.groups, metric);
  const without = [...left.unfit, ...right.unfit].join("; ");
  for (const [label, { fit, unfit }] of [[a.label, left] as const, [b.label, right] as const]) {
    if (fit.length === 0) return unfit.length === 0 ? `nothing was measured on ${label}` : unfit.join("; ");
  }
  const best = [bestOf(left.fit, metric), bestOf(right.fit, metric)] as const;
  const mixed = unlike(best[0], best[1], metric);
  if (mixed !== null) return mixed;
  const pair: Pair = {
    family: name,
    a: repeated(best[0].samples, metric),
    b: repeated(best[1].samples, metric),
    candidates: left.fit.length * right.fit.length,
    uncertainty: Math.hypot(uncertainty(best[0].samples, metric), uncertainty(best[1].samples, metric)),
  };
  return { a: best[0], b: best[1], pair, without };
}

function fitting(groups: readonly Group[], metric: Metric): { readonly fit: Group[]; readonly unfit: string[] } {
  const reasons = groups.map(({ samples }) => unfit(samples, metric));
  // One with too few repeats is no best, where another one has enough: it may look best by chance, and nothing could be said of it.
  const enough = groups.map(({ samples }) => new Set(samples.map(({ repeat }) => repeat)).size >= FEWEST_REPEATS);
  if (enough.some((is, i) => is && reasons[i] === null)) {
    for (const [i, is] of enough.entries()) if (!is) reasons[i] ??= `it has fewer than ${FEWEST_REPEATS} repeats`;
  }
  return {
    fit: groups.filter((_, i) => reasons[i] === null),
    unfit: groups.flatMap(({ name }, i) => (reasons[i] === null ? [] : [`${name}: ${reasons[i]}`])),
  };
}

/** By the median over its repeats. */
function bestOf(groups: readonly Group[], metric: Metric): Group {
  const sign = metric.better === "higher" ? 1 : -1;
  const values = groups.map(({ samples }) => sign * median(samples.map(metric.value)));
  return groups[values.indexOf(Math.max(...values))]!;
}

/** @returns why two groups that can be compared with others cannot be with each other; null: they can */
function unlike(a: Group, b: Group, metric: Metric): string | null {
  const kinds = [a, b].map(({ samples }) => samples[0]!.load.kind);
  if (kinds[0] !== kinds[1]) return `${a.name} was measured under ${kinds[0]} load, ${b.name} under ${kinds[1]}`;
  if (!metric.energy) return null;
  const meters = new Set([...metersOf(a.samples), ...metersOf(b.samples)]);
  return meters.size > 1 ? `energy is from different meters: ${[...meters].join(", ")}` : null;
}

function repeated(samples: readonly Sample[], metric: Metric): Repeated[] {
  return samples.map((sample) => ({ repeat: sample.repeat, value: metric.value(sample) }));
}

/** Of the meter, relative to the energy the metric is of; 0 where it is of none. Every repeat has the same one, so repeats do not lessen it. */
function uncertainty(samples: readonly Sample[], metric: Metric): number {
  if (!metric.energy) return 0;
  const net = metric.name === "gbps_per_net_watt";
  return median(
    samples.map(({ energy }) => {
      const watts = net ? netWattsOf(energy!) : wattsOf(energy!);
      return energy!.uncertainty_joules / (watts * energy!.seconds);
    }),
  );
}

function refused<Label extends string>(question: Question<Label>, reason: string, confidence: number): Verdict<Label> {
  const { metric, subject, a, b } = question;
  const emulated = [...a.groups, ...b.groups].some(({ samples }) => isEmulated(samples));
  return {
    ...{ metric, subject, word: "not comparable", a: null, b: null, ratio: null, margin: null, p: null },
    ...{ confidence, emulated, reason },
  };
}

function told<Label extends string>(
  { metric, subject, a, b }: Question<Label>,
  found: Match,
  decision: Decision,
  confidence: number,
): Verdict<Label> {
  const { margin, p } = decision;
  const ratio = turned(decision.ratio);
  const names = { a: found.a.name, b: found.b.name };
  const emulated = isEmulated(found.a.samples) || isEmulated(found.b.samples);
  const without = found.without === "" ? "" : `; left out: ${found.without}`;
  const common = { metric, subject, ...names, ratio, margin, p, confidence, emulated };
  if (decision.greater === "few") {
    const reason = `${ratio.samples.join(" and ")} repeats; fewer than ${FEWEST_REPEATS} decide nothing${without}`;
    return { ...common, word: "not comparable", margin: null, p: null, reason };
  }
  const reason = `${spoken(metric, names, ratio)}; ${why(decision, confidence)}${without}`;
  if (decision.greater === "undecided") return { ...common, word: "no difference", reason };
  const aWins = (decision.greater === "a") === (METRICS[metric].better === "higher");
  return { ...common, word: aWins ? a.label : b.label, reason };
}

function isEmulated(samples: readonly Sample[]): boolean {
  return samples.some(({ device }) => device?.emulated === true);
}

/** b / a instead of a / b. */
function turned(ratio: RatioEstimate): RatioEstimate {
  return { ...ratio, ratio: 1 / ratio.ratio, low: 1 / ratio.high, high: 1 / ratio.low };
}

function spoken(
  metric: MetricName,
  { a, b }: { readonly a: string; readonly b: string },
  { ratio, low, high, method, pairs, samples }: RatioEstimate,
) {
  const many = method === "paired" ? `${pairs} pairs` : `${samples[1]} against ${samples[0]} repeats, unpaired`;
  const range = `${low.toPrecision(3)} to ${high.toPrecision(3)}, ${many}`;
  return `${b} has ${ratio.toPrecision(3)} times (${range}) the ${METRICS[metric].title} of ${a}`;
}

function why({ greater, margin, p }: Decision, confidence: number): string {
  const beyond = `${(100 * margin).toPrecision(2)} %`;
  if (greater !== "undecided") return `beyond the ${beyond} this session can tell apart, p = ${p.toPrecision(1)}`;
  return `not beyond the ${beyond} this session can tell apart, at ${100 * confidence} % for the whole report`;
}
