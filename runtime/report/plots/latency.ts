/** Latency percentiles by load. */
import type { Plot } from "../document.js";
import { axisTitle, colourOf, HEIGHT, inOrder, logAxis, plot, seriesOf, shapeOf, WIDTH, type Words } from "./common.js";

const LATENCY = { name: "latency", unit: "µs" };

export interface LatencyPoint {
  readonly series: string;
  /** "50 % of NDR": each has a panel. */
  readonly load: string;
  /** ns, by percentile in the order they are to stand: { p50: 2100, p99: 8000 }. */
  readonly ns: Readonly<Record<string, number>>;
}

/** A panel for each load, in it a line for each series from the median to the far tail, on a common log axis in us. */
export function latencyByLoad(words: Words, points: readonly LatencyPoint[]): Plot {
  const series = seriesOf(points);
  const loads = inOrder(points.map(({ load }) => load));
  const percentiles = inOrder(points.flatMap(({ ns }) => Object.keys(ns)));
  const values = points.flatMap(({ series, load, ns }) =>
    Object.entries(ns).flatMap(([percentile, value]) =>
      value > 0 ? [{ series, load, percentile, us: value / 1000 }] : [],
    ),
  );
  const us = { field: "us", type: "quantitative", ...logAxis(values.map(({ us }) => us)), title: axisTitle(LATENCY) };
  const colour = colourOf(series);
  return plot(words, {
    data: { values },
    facet: { column: { field: "load", type: "nominal", title: null, sort: loads, header: { labelOrient: "top" } } },
    spacing: 24,
    spec: {
      width: Math.floor(WIDTH / loads.length - 24),
      height: HEIGHT,
      encoding: { x: { field: "percentile", type: "ordinal", title: null, scale: { domain: percentiles } } },
      layer: [
        { mark: { type: "line", strokeWidth: 2 }, encoding: { y: us, color: colour } },
        {
          mark: { type: "point", filled: true, size: 60, opacity: 1 },
          encoding: { y: us, color: colour, shape: shapeOf(series) },
        },
      ],
    },
  });
}
