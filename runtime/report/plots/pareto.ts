/** What can be had of one quantity for how much of another. */
import type { Plot } from "../document.js";
import { TONES } from "../theme.js";
import {
  type Axis,
  axisTitle,
  colourOf,
  HEIGHT,
  logAxis,
  plot,
  seriesOf,
  shapeOf,
  WIDTH,
  type Words,
} from "./common.js";

export interface ParetoPoint {
  readonly series: string;
  /** The price: less is better. */
  readonly x: number;
  /** The yield: more is better. */
  readonly y: number;
  /** Nothing else is surely better; it may be in a quantity that is not in this plot. */
  readonly front: boolean;
}

/** Points; those of the front are ringed, and joined where they are its edge in this plot. @param log the price's axis */
export function pareto(words: Words, x: Axis, y: Axis, points: readonly ParetoPoint[], log = true): Plot {
  const series = seriesOf(points);
  const shown = points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y) && (x > 0 || !log));
  const front = shown.filter((point) => point.front);
  // With a third quantity a point can be on the front and have another above it here.
  const isEdge = ({ x, y }: ParetoPoint) =>
    !front.some((other) => other.x <= x && other.y >= y && (other.x < x || other.y > y));
  const values = shown.map((point) => ({ ...point, edge: point.front && isEdge(point) }));
  const onFront = [{ filter: "datum.front" }];
  const encoding = {
    x: {
      field: "x",
      type: "quantitative",
      title: `${axisTitle(x)}, less is better`,
      ...(log ? logAxis(values.map(({ x }) => x)) : { scale: { zero: false, padding: 24 }, axis: { tickCount: 6 } }),
    },
    y: {
      field: "y",
      type: "quantitative",
      title: `${axisTitle(y)}, more is better`,
      scale: { zero: true },
      axis: { tickCount: 6 },
    },
  };
  const ink = TONES.text.light;
  return plot(words, {
    data: { values },
    width: WIDTH,
    height: HEIGHT + 40,
    encoding,
    layer: [
      {
        transform: [{ filter: "datum.edge" }],
        mark: {
          type: "line",
          color: TONES.muted.light,
          strokeWidth: 1.5,
          strokeDash: [4, 3],
          interpolate: "step-after",
        },
        encoding: { order: { field: "x", type: "quantitative" } },
      },
      {
        mark: { type: "point", filled: true, size: 80, opacity: 1 },
        encoding: { color: colourOf(series), shape: shapeOf(series) },
      },
      {
        transform: onFront,
        mark: { type: "point", size: 230, shape: "circle", color: ink, strokeWidth: 1.5, opacity: 1 },
      },
    ],
  });
}
