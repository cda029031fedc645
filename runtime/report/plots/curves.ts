/** Curves over a number, with bands: rate over frame size, latency over load, power over time. */
import type { Plot } from "../document.js";
import {
  type Axis,
  axisTitle,
  colourOf,
  dashOf,
  HEIGHT,
  inOrder,
  logAxis,
  type Point,
  plot,
  seriesOf,
  shapeOf,
  WIDTH,
  type Words,
  withIntervals,
} from "./common.js";

export interface CurvePoint extends Point {
  readonly x: number;
}

export interface CurveScales {
  /** log2: for frame sizes; a tick at each x that is there. Default: linear. */
  readonly x?: "linear" | "log2";
  /** log: for latencies; values have to be above 0. Default: linear, from zero. */
  readonly y?: "linear" | "log";
}

/** A line for each series, with a point at each value and a band over the confidence intervals. */
export function curves(words: Words, x: Axis, y: Axis, points: readonly CurvePoint[], scales: CurveScales = {}): Plot {
  const series = seriesOf(points);
  const log = scales.y === "log";
  const sizes = scales.x === "log2" ? inOrder(points.map((point) => point.x)).sort((a, b) => a - b) : undefined;
  const values = withIntervals(points).filter((point) => !log || point.y > 0);
  const yAxis = log ? logAxis(values.flatMap(({ y, low = y, high = y }) => [y, low, high])) : { scale: { zero: true } };
  const colour = colourOf(series);
  const value = { field: "y", type: "quantitative", ...yAxis, title: axisTitle(y) };
  return plot(words, {
    data: { values },
    width: WIDTH,
    height: HEIGHT,
    encoding: {
      x: {
        field: "x",
        type: "quantitative",
        title: axisTitle(x),
        scale: sizes === undefined ? { zero: false, nice: true } : { type: "log", base: 2, nice: false, padding: 12 },
        axis: sizes === undefined ? { tickCount: 8 } : { values: spaced(sizes), format: "d" },
      },
    },
    layer: [
      // A band whose end is 0 has none on a log axis.
      ...band(values, { ...value, field: "low" }, colour, log),
      {
        mark: { type: "line", strokeWidth: 2 },
        encoding: { y: value, color: colour, strokeDash: dashOf(series) },
      },
      {
        mark: { type: "point", filled: true, size: 60, opacity: 1 },
        encoding: { y: value, color: colour, shape: shapeOf(series) },
      },
    ],
  });
}

/** Lines without points, over seconds. */
export function timeLine(words: Words, y: Axis, points: readonly CurvePoint[]): Plot {
  const series = seriesOf(points);
  const values = withIntervals(points);
  const value = { field: "y", type: "quantitative", title: axisTitle(y), scale: { zero: true } };
  const colour = colourOf(series);
  return plot(words, {
    data: { values },
    width: WIDTH,
    height: HEIGHT,
    encoding: { x: { field: "x", type: "quantitative", title: "time (s)", scale: { zero: false, nice: false } } },
    layer: [
      ...band(values, { ...value, field: "low" }, colour, false),
      {
        mark: { type: "line", strokeWidth: 1.5 },
        encoding: { y: value, color: colour, strokeDash: dashOf(series) },
      },
    ],
  });
}

/** The confidence intervals, where there are any: a layer over nothing has no scale. */
function band(points: readonly { readonly interval: boolean }[], low: object, colour: object, log: boolean): object[] {
  if (!points.some(({ interval }) => interval)) return [];
  return [
    {
      transform: [{ filter: `datum.interval${log ? " && datum.low > 0" : ""}` }],
      mark: { type: "area", opacity: 0.2 },
      encoding: { y: low, y2: { field: "high" }, color: colour },
    },
  ];
}

/** Ticks that do not run into each other on a log axis: of two that are too close the larger one is left out. */
function spaced(sizes: readonly number[]): number[] {
  const span = Math.log2(sizes.at(-1)! / sizes[0]!) || 1;
  const kept: number[] = [];
  for (const size of sizes) if (kept.length === 0 || Math.log2(size / kept.at(-1)!) > span / 16) kept.push(size);
  return kept;
}
