/** Parts of a whole. */
import type { Plot } from "../document.js";
import { TONES } from "../theme.js";
import { colourOf, inOrder, plot, seriesOf, WIDTH, type Words } from "./common.js";

export interface Share {
  readonly bar: string;
  /** What the bar is made of; in the same order in each. */
  readonly series: string;
  /** 0 to 1. */
  readonly share: number;
}

/** A bar of parts for each whole; those of 8 % and more have their figure in them. */
export function stackedShares(words: Words, shares: readonly Share[]): Plot {
  const bars = inOrder(shares.map(({ bar }) => bar));
  const series = seriesOf(shares);
  const values = shares.map((one) => ({ ...one, order: series.indexOf(one.series) }));
  return plot(words, {
    data: { values },
    width: WIDTH - 80,
    height: { step: 34 },
    encoding: {
      y: {
        field: "bar",
        type: "nominal",
        title: null,
        scale: { domain: bars, paddingInner: 0.3 },
        axis: { domain: false },
      },
      x: { field: "share", type: "quantitative", stack: "zero", title: "share", axis: { format: ".0%", tickCount: 5 } },
      order: { field: "order", type: "quantitative" },
    },
    layer: [
      { mark: { type: "bar", stroke: TONES.background.light, strokeWidth: 1 }, encoding: { color: colourOf(series) } },
      {
        transform: [{ filter: "datum.share >= 0.08" }],
        mark: { type: "text", color: TONES.background.light, fontWeight: "bold" },
        encoding: {
          x: { field: "share", type: "quantitative", stack: "zero", bandPosition: 0.5 },
          text: { field: "share", type: "quantitative", format: ".0%" },
          detail: { field: "series", type: "nominal" },
        },
      },
    ],
  });
}
