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
  /** No other point is better in one and not worse in the other. */
  readonly front: boolean;
}

/** Points, with those of the front ringed and joined. @param log the price's axis */
export function pareto(words: Words, x: Axis, y: Axis, points: readonly ParetoPoint[], log = true): Plot {
  const series = seriesOf(points);
  const values = points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y) && (x > 0 || !log));
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
        transform: onFront,
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
