/** Power by load: a curve for each policy, of each placement. */
import type { Interval } from "../../experiment/compare-result.js";
import type { PowerPoint, PowerResult } from "../../experiment/power-result.js";
import { pointOf } from "../compare/words.js";
import type { Plot, Section } from "../document.js";
import { formatNumber } from "../numbers.js";
import { type CurveScales, curves } from "../plots.js";
import { called, capital, NANO } from "./words.js";

interface Curve {
  readonly id: string;
  readonly title: string;
  readonly caption: string;
  /** Of the y axis. */
  readonly name: string;
  readonly unit: string;
  readonly of: (point: PowerPoint) => Interval | null;
  /** Units of the figure in one of the axis. */
  readonly scale: number;
  readonly scales?: CurveScales;
}

export function plotSection(result: PowerResult): Section | null {
  if (result.points.length === 0) return null;
  return {
    heading: capital(called(result, "energy by load and waiting policy")),
    text: [
      "All policies of a placement get the same packets per second; at 100 % each takes what it can. At 0 % one packet a second comes.",
    ],
    plots: curvesOf(result).flatMap((curve) => drawn(result, curve)),
  };
}

function curvesOf(result: PowerResult): Curve[] {
  const { idle } = result;
  const beside = idle === null ? "" : ` The idle machine takes ${formatNumber(idle.watts)} W.`;
  const power = called(result, "power");
  return [
    {
      ...{ id: "watts", title: `${power} by load`, name: power, unit: "W", scale: 1 },
      caption: `All that the meter sees.${beside}`,
      of: ({ watts }) => watts,
    },
    {
      ...{ id: "joules-per-packet", title: `${called(result, "energy")} of a packet by load` },
      ...{ name: called(result, "energy per packet"), unit: "nJ", scale: NANO },
      caption: "Watts over packets received per second. Lower is better. Log scale.",
      of: ({ joules_per_packet }) => joules_per_packet,
      scales: { y: "log" },
    },
    {
      ...{ id: "gbps-per-watt", title: `throughput per ${called(result, "watt")} by load` },
      ...{ name: `throughput per ${power}`, unit: "Gbps/W", scale: 1 },
      caption: "Frame bits received over watts. Higher is better.",
      of: ({ gbps_per_watt }) => gbps_per_watt,
    },
    {
      ...{ id: "latency", title: "p99 latency by load", name: "p99 latency", unit: "µs", scale: 1e-3 },
      caption: "What saving costs: from when a packet was due; at 100 % it is queueing. Log scale.",
      of: ({ p99 }) => p99,
      scales: { y: "log" },
    },
  ];
}

function drawn({ points }: PowerResult, { id, title, caption, name, unit, of, scale, scales }: Curve): Plot[] {
  const several = new Set(points.map((point) => point.name)).size > 1;
  const shown = points.flatMap((point) => {
    const interval = of(point);
    const series = several ? `${point.name}, ${point.wait}` : point.wait;
    return interval === null ? [] : [{ series, x: point.load_percent, ...pointOf(interval, scale) }];
  });
  const [least] = [...shown].sort((a, b) => a.y - b.y);
  const [most] = [...shown].sort((a, b) => b.y - a.y);
  if (least === undefined || most === undefined) return [];
  const words = (one: typeof least) => `${formatNumber(one.y)} ${unit} (${one.series} at ${one.x} %)`;
  const alt = `${capital(title)}. From ${words(least)} to ${words(most)}.`;
  const text = { id, title: capital(title), caption: `${caption} Bands are 95 % confidence intervals.`, alt };
  return [curves(text, { name: "load", unit: "% of saturation" }, { name, unit }, shown, scales)];
}
