/** A plot of each kind, from made up points. */
import type { Plot } from "../../runtime/report/document.js";
import * as plots from "../../runtime/report/plots.js";

/** @param name of the first series: text of a user's */
export function gallery(name: string): Plot[] {
  const words = (id: string) => ({ id, title: `Title of ${id}`, caption: `Caption of ${id}`, alt: `Finding of ${id}` });
  const series = [name, "nids on gpu", "all on cpu"];
  const sizes = [64, 512, 1472];
  const of = <T>(make: (series: string, size: number, value: number) => T) =>
    series.flatMap((one, at) => sizes.map((size, index) => make(one, size, 1 + at + index * 2)));
  const bars = of((series, size, y) => ({ series, x: `${size} B`, y, low: y * 0.9, high: y * 1.2 }));
  const curve = of((series, x, y) => ({ series, x, y, low: y * 0.9, high: y * 1.2 }));
  const frame = { name: "frame size", unit: "bytes" };
  const rate = { name: "throughput", unit: "Gbps" };
  return [
    plots.groupedBars(words("bars"), frame, rate, bars, [{ x: "64 B", series: name, y: 2 }], "the paper"),
    plots.groupedBars(
      words("single"),
      frame,
      rate,
      bars.slice(0, 3).map(({ low: _, high: __, ...bar }) => bar),
    ),
    plots.intervalPoints(words("points"), frame, rate, bars, false),
    plots.curves(words("curves"), frame, rate, curve, { x: "log2" }),
    plots.curves(words("log"), frame, rate, curve, { y: "log" }),
    plots.timeLine(words("time"), { name: "power", unit: "W" }, curve),
    plots.latencyByLoad(
      words("latency"),
      of((series, load, value) => ({ series, load: `${load} % of NDR`, ns: { p50: value * 900, p99: value * 7e4 } })),
    ),
    plots.pareto(
      words("pareto"),
      { name: "p99", unit: "µs" },
      rate,
      of((series, size, y) => ({ series, x: y * size, y, front: y > 3 })),
    ),
    plots.stackedShares(
      words("shares"),
      of((series, size) => ({ bar: `${size} B`, series, share: 1 / 3 })),
    ),
  ];
}
