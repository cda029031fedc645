/** Plots with the axes of the paper's figures, and its numbers in them where its text gives them. */
import type { FigureResult, PaperFinding } from "../../experiment/paper/result.js";
import { pointOf } from "../compare/words.js";
import type { Plot } from "../document.js";
import { formatNumber } from "../numbers.js";
import { groupedBars, intervalPoints } from "../plots.js";
import { marked, panelTitle, seriesLabel } from "./tables.js";

const SIZE = { name: "packet size", unit: "B" };

/** An interval beyond so many times the largest value is left to the table: it would press all others to the ground. */
const MOST = 2;
const LEFT_OUT = " Intervals that go far beyond the values are in the table alone.";

/** @param values that are to be seen @returns the points, wide intervals taken off, and what the caption has to say of that */
function readable<T extends { readonly y: number; readonly low?: number; readonly high?: number }>(
  points: readonly T[],
  values: readonly number[],
): { readonly points: T[]; readonly remark: string } {
  const limit = MOST * Math.max(...values);
  const shown = points.map((point) => {
    if (point.high === undefined || point.high <= limit) return point;
    const { low: _, high: __, ...plain } = point;
    return plain as T;
  });
  return { points: shown, remark: shown.every((point, i) => point === points[i]) ? "" : LEFT_OUT };
}

export function panelPlots(figure: FigureResult): Plot[] {
  return figure.panels.flatMap((panel) => {
    const points = figure.points.filter((point) => point.panel === panel.id);
    if (points.length === 0) return [];
    const largest = points.reduce((best, point) => (point.value.median > best.value.median ? point : best));
    const bars = readable(
      points.map(({ series, size, value }) => ({ series: seriesLabel(figure, series), x: size, ...pointOf(value) })),
      points.flatMap(({ value, paper }) => [value.median, paper ?? 0]),
    );
    const paper = points.flatMap(({ series, size, paper: y }) =>
      y === null ? [] : [{ x: size, series: seriesLabel(figure, series), y }],
    );
    const unit = panel.unit === "us" ? "µs" : panel.unit;
    const title = marked(`${figure.id}: ${panelTitle(panel)}`, figure);
    return [
      groupedBars(
        {
          id: `${figure.id}-${panel.id}`,
          title,
          caption: `${figure.title}. Medians; whiskers are 95 % confidence intervals.${paper.length > 0 ? " Black strokes: the paper's text." : ""}${bars.remark}`,
          alt: `${title}: the largest is ${formatNumber(largest.value.median)} ${unit}, ${largest.series} at ${largest.size} B.`,
        },
        SIZE,
        { name: lowerFirst(panelTitle(panel)), unit },
        bars.points,
        paper,
      ),
    ];
  });
}

const lowerFirst = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);

/** Ratios that the paper has as numbers, its own as another series. */
export function findingPlots(figure: FigureResult): Plot[] {
  const texts = [...new Set(figure.findings.filter((one) => one.paper_value !== null).map(({ text }) => text))];
  return texts.flatMap((text, i) => {
    const findings = figure.findings.filter((one) => one.text === text && one.value !== null);
    if (findings.length === 0) return [];
    const title = marked(`${figure.id}: ${text}`, figure);
    const all = findings.flatMap(pointsOf);
    const { points, remark } = readable(
      all,
      all.map(({ y }) => y),
    );
    return [
      intervalPoints(
        {
          id: `${figure.id}-finding-${i + 1}`,
          title,
          caption: `How many times; whiskers are 95 % confidence intervals. The paper's number stands where its text gives one.${remark}`,
          alt: `${title}: ${findings.map(({ size, value }) => `${formatNumber(value!.median)} at ${size} B`).join(", ")}.`,
        },
        SIZE,
        { name: text },
        points,
      ),
    ];
  });
}

function pointsOf({ size, value, paper_value }: PaperFinding) {
  const ours = { series: "here", x: size, ...pointOf(value!) };
  return paper_value === null ? [ours] : [ours, { series: "paper", x: size, y: paper_value }];
}
