/** Bars and points by category, with confidence intervals: figures as papers have them. */
import type { Plot } from "../document.js";
import { TONES } from "../theme.js";
import {
  type Axis,
  axisTitle,
  colourOf,
  HEIGHT,
  inOrder,
  type Point,
  plot,
  seriesOf,
  shapeOf,
  WIDTH,
  type Words,
  withIntervals,
} from "./common.js";

export interface BarPoint extends Point {
  /** The category: a frame size, a configuration. */
  readonly x: string | number;
}

/** A value from elsewhere, as the paper's: a black stroke across the bar of its series. */
export interface Reference {
  readonly x: string | number;
  readonly series: string;
  readonly y: number;
}

/** Bars side by side, one colour for each series, from zero. @param references called `referenceName` in the legend */
export function groupedBars(
  words: Words,
  x: Axis,
  y: Axis,
  points: readonly BarPoint[],
  references: readonly Reference[] = [],
  referenceName = "paper",
): Plot {
  const series = seriesOf(points);
  const bar = { mark: { type: "bar", cornerRadiusEnd: 1 }, encoding: { y: valueAxis(y), color: colourOf(series) } };
  const reference = {
    data: { values: references.map((one) => ({ ...one, x: String(one.x), name: referenceName })) },
    mark: { type: "tick", thickness: 3, opacity: 1, color: TONES.text.light },
    encoding: {
      y: valueAxis(y),
      stroke: {
        field: "name",
        type: "nominal",
        scale: { domain: [referenceName], range: [TONES.text.light] },
        legend: { title: null, symbolType: "stroke", symbolStrokeWidth: 3 },
      },
    },
  };
  return byCategory(words, x, points, [
    bar,
    ...whiskers(points, TONES.text.light),
    ...(references.length > 0 ? [reference] : []),
  ]);
}

/** Points with intervals, side by side: where differences matter more than sizes, as the axis need not begin at zero. */
export function intervalPoints(words: Words, x: Axis, y: Axis, points: readonly BarPoint[], zero = true): Plot {
  const series = seriesOf(points);
  const value = { ...valueAxis(y), scale: { zero } };
  const dot = {
    mark: { type: "point", filled: true, size: 70, opacity: 1 },
    encoding: { y: value, color: colourOf(series), shape: shapeOf(series) },
  };
  return byCategory(words, x, points, [...whiskers(points, colourOf(series)), dot]);
}

function valueAxis(y: Axis) {
  return { field: "y", type: "quantitative", title: axisTitle(y), axis: { tickCount: 6 } };
}

/** px across the end of a whisker. */
const CAP = 7;

function whiskers(points: readonly BarPoint[], colour: string | object) {
  if (!withIntervals(points).some(({ interval }) => interval)) return [];
  const encoding = typeof colour === "string" ? {} : { color: colour };
  const paint = typeof colour === "string" ? { color: colour } : {};
  const known = [{ filter: "datum.interval" }];
  const end = (field: string) => ({
    transform: known,
    mark: { type: "tick", thickness: 1.5, size: CAP, opacity: 1, ...paint },
    encoding: { y: { field, type: "quantitative" }, ...encoding },
  });
  const span = {
    transform: known,
    mark: { type: "rule", strokeWidth: 1.5, ...paint },
    encoding: { y: { field: "low", type: "quantitative" }, y2: { field: "high" }, ...encoding },
  };
  return [span, end("low"), end("high")];
}

function byCategory(words: Words, x: Axis, points: readonly BarPoint[], layer: readonly object[]): Plot {
  const values = withIntervals(points).map((point) => ({ ...point, x: String(point.x) }));
  const categories = inOrder(points.map((point) => String(point.x)));
  return plot(words, {
    data: { values },
    width: WIDTH,
    height: HEIGHT,
    encoding: {
      x: {
        field: "x",
        type: "nominal",
        title: axisTitle(x),
        scale: { domain: categories, paddingInner: seriesOf(points).length > 1 ? 0.25 : 0.5, paddingOuter: 0.15 },
        axis: { labelLimit: Math.max(60, WIDTH / categories.length - 6) },
      },
      xOffset: { field: "series", type: "nominal", scale: { domain: seriesOf(points) } },
    },
    layer,
  });
}
