/** Where the better placement changes: the frame size, or the load, from which on the other one is better. */
import type { RatioEstimate } from "../measure/statistics/ratio.js";
import type { Verdict } from "./verdict.js";

export interface Measured<Label extends string = "cpu" | "gpu"> {
  /** Frame size in bytes, or load in packets per second: above 0. */
  readonly at: number;
  readonly verdict: Verdict<Label>;
}

export interface Crossing<Label extends string = "cpu" | "gpu"> {
  /** Better below, and above. */
  readonly below: Label;
  readonly above: Label;
  /** Where the ratio passes 1, interpolated. */
  readonly at: number;
  /** Where its interval's bounds do: what is known of it. Never beyond the nearest verdicts, which bound it. */
  readonly low: number;
  readonly high: number;
  /** Nearest measured points with a verdict. */
  readonly between: readonly [number, number];
}

export interface Crossover<Label extends string = "cpu" | "gpu"> {
  /** In order of `at`. Empty: none in the range. */
  readonly crossings: readonly Crossing<Label>[];
  /** One sentence. */
  readonly text: string;
  readonly emulated: boolean;
}

interface Known<Label extends string> {
  readonly at: number;
  readonly word: Label | "no difference";
  readonly ratio: RatioEstimate;
}

/**
 * Only between points whose verdicts differ; points of no difference between them are interpolated through. The logarithm of the ratio is
 * taken as linear in the logarithm of size or load between measured points.
 *
 * @param points of one metric, in any order; one for each `at`
 * @param unit "B", "pps"
 * @throws RangeError where `at` is not above 0, or is there twice
 */
export function crossover<Label extends string>(points: readonly Measured<Label>[], unit: string): Crossover<Label> {
  const sorted = [...points].sort((a, b) => a.at - b.at);
  for (const [i, { at }] of sorted.entries()) {
    if (!(at > 0 && at < Infinity)) throw new RangeError(`a crossover needs sizes or loads above 0, not ${at}`);
    if (at === sorted[i - 1]?.at) throw new RangeError(`two verdicts at ${at} ${unit}`);
  }
  const known = sorted.flatMap(({ at, verdict }): Known<Label>[] =>
    verdict.word === "not comparable" || verdict.ratio === null
      ? []
      : [{ at, word: verdict.word, ratio: verdict.ratio }],
  );
  const crossings: Crossing<Label>[] = [];
  let last = -1;
  for (const [i, { word }] of known.entries()) {
    if (word === "no difference") continue;
    const before = known[last]?.word;
    if (before !== undefined && before !== "no difference" && before !== word) {
      crossings.push(crossing(known.slice(last, i + 1), before, word));
    }
    last = i;
  }
  return { crossings, text: textOf(known, crossings, unit), emulated: points.some(({ verdict }) => verdict.emulated) };
}

/** @param span from the last verdict for one to the first for the other; the ratio passes 1 within */
function crossing<Label extends string>(span: readonly Known<Label>[], below: Label, above: Label): Crossing<Label> {
  const first = span[0]!;
  const last = span.at(-1)!;
  const inside = (x: number) => Math.min(Math.max(x, first.at), last.at);
  const crosses = (of: (ratio: RatioEstimate) => number) => passes(span, of).map(inside);
  const middle = crosses(({ ratio }) => ratio);
  const all = [...middle, ...crosses(({ low }) => low), ...crosses(({ high }) => high)];
  return {
    ...{ below, above },
    // Through noise it may pass more than once: then in the middle of it.
    at: Math.exp(middle.reduce((sum, x) => sum + Math.log(x), 0) / middle.length),
    low: Math.min(...all),
    high: Math.max(...all),
    between: [first.at, last.at],
  };
}

/** Where a curve through the points passes 1. One that does not is held to pass at the end it is nearest 1 at, so that bounds stay bounds. */
function passes<Label extends string>(
  span: readonly Known<Label>[],
  of: (ratio: RatioEstimate) => number,
): readonly number[] {
  const y = span.map(({ ratio }) => Math.log(of(ratio)));
  const found: number[] = [];
  for (let i = 1; i < span.length; i++) {
    const [y0, y1] = [y[i - 1]!, y[i]!];
    if (Math.sign(y0) === Math.sign(y1)) continue;
    const [x0, x1] = [Math.log(span[i - 1]!.at), Math.log(span[i]!.at)];
    // An infinite bound passes at once.
    const share = Number.isFinite(y0) && Number.isFinite(y1) ? y0 / (y0 - y1) : Number.isFinite(y0) ? 0 : 1;
    found.push(Math.exp(x0 + share * (x1 - x0)));
  }
  if (found.length > 0) return found;
  return [Math.abs(y[0]!) < Math.abs(y.at(-1)!) ? span[0]!.at : span.at(-1)!.at];
}

function textOf<Label extends string>(
  known: readonly Known<Label>[],
  crossings: readonly Crossing<Label>[],
  unit: string,
): string {
  if (crossings.length > 0) {
    return crossings
      .map(({ below, above, at, low, high }) => {
        const figure = (x: number) => Number(x.toPrecision(3));
        return `${below} up to ${figure(at)} ${unit} (${figure(low)} to ${figure(high)}), ${above} above`;
      })
      .join("; ");
  }
  const words = new Set(known.map(({ word }) => word));
  words.delete("no difference");
  const range = known.length === 0 ? "" : ` from ${known[0]!.at} to ${known.at(-1)!.at} ${unit}`;
  if (known.length === 0) return "none: there is no verdict";
  return words.size === 0
    ? `none in the range${range}: no difference anywhere`
    : `none in the range${range}: ${[...words][0]} wherever there is a difference`;
}
