/** Latency of the cells of a comparison by load, and what of it and of power goes with what throughput. */
import { latencyAt } from "../../experiment/compare-best.js";
import { sizeName } from "../../experiment/compare-plan.js";
import type { CellResult, CompareResult, Interval } from "../../experiment/compare-result.js";
import type { Plot, Section, Table } from "../document.js";
import { latencyByLoad, pareto } from "../plots.js";
import { intervalText, rateName, shownSizes, sizesOf } from "./words.js";

const NS_TO_US = 1e-3;

export function latencySection(result: CompareResult): Section | null {
  const measured = result.cells.filter(({ latency }) => latency.length > 0);
  if (measured.length === 0) return null;
  const rate = rateName(result);
  const sizes = shownSizes(sizesOf({ ...result, cells: measured }));
  const plots = sizes.flatMap((size): Plot[] => {
    const points = measured
      .filter(({ cell }) => cell.size === size)
      .flatMap((cell) =>
        result.plan.loads.flatMap((percent) => {
          const at = latencyAt(cell, percent);
          if (at === undefined) return [];
          const { p50, p90, p99, p999 } = at;
          const ns = { p50: p50.median, p90: p90.median, p99: p99.median, "p99.9": p999.median };
          return [{ series: cell.name, load: `${percent} % of ${rate}`, ns }];
        }),
      );
    if (points.length === 0) return [];
    const plot = latencyByLoad(
      {
        id: `latency-${size}`,
        title: `Latency at ${sizeName(size)}`,
        caption: `Percentiles by load, each placement at its own ${rate}; from the time a packet was due, so waiting counts (no coordinated omission). Log scale.`,
        alt: `Latency percentiles at ${sizeName(size)} by load and placement; the table below has the figures.`,
      },
      points,
    );
    return [plot];
  });
  const several = sizes.length < sizesOf(result).length;
  return {
    heading: "Latency under load",
    text: [
      `The table has each placement at shares of its own ${rate}, and for verdicts at shares of the lower rate of two, which is an equal load.${several ? " Plots are of the first, the middle and the last size." : ""}`,
    ],
    plots,
    tables: [latencyTable(result, measured, rate)],
  };
}

function latencyTable(result: CompareResult, cells: readonly CellResult[], rate: string): Table {
  const names = new Map(result.cells.map(({ key, name }) => [key, name]));
  const us = (cell: Interval) => intervalText(cell, undefined, NS_TO_US);
  return {
    title: "Latency by load: medians over repeats and 95 % confidence intervals",
    columns: [
      { name: "Size" },
      { name: "Placement" },
      { name: "Load", unit: `% of own ${rate}`, digits: 0 },
      { name: "Offered", unit: "Gbps" },
      { name: "p50", unit: "µs" },
      { name: "p90", unit: "µs" },
      { name: "p99", unit: "µs" },
      { name: "p99.9", unit: "µs" },
      { name: "Largest", unit: "µs" },
      { name: "Lost", unit: "%" },
      { name: "Equal load with" },
    ],
    rows: cells.flatMap(({ cell, name, latency }) =>
      latency.map((at) => [
        sizeName(cell.size),
        name,
        at.percent,
        at.gbps,
        us(at.p50),
        us(at.p90),
        us(at.p99),
        us(at.p999),
        at.max * NS_TO_US,
        at.loss.median * 100,
        at.shared_with.map((key) => names.get(key) ?? key).join(", "),
      ]),
    ),
  };
}

const STANDING = { front: "yes", perhaps: "perhaps: intervals overlap", dominated: "no" } as const;

export function paretoSection({ pareto: entries, cells }: CompareResult): Section | null {
  if (entries.length === 0) return null;
  const sizes = shownSizes([...new Set(entries.map(({ size }) => size))]);
  const caption = "Ringed: the front, where no other is nowhere worse and surely better in something.";
  const plots = sizes.flatMap((size) => {
    const here = entries.filter((entry) => entry.size === size);
    const front = here.filter((entry) => entry.front).map(({ name }) => name);
    const made: Plot[] = [];
    const draw = (
      id: string,
      of: string,
      x: { name: string; unit: string },
      price: (entry: (typeof here)[number]) => number | null,
    ) => {
      const points = here.flatMap((entry) => {
        const value = price(entry);
        return value === null ? [] : [{ series: entry.name, x: value, y: entry.gbps, front: entry.front }];
      });
      if (points.length < 2) return;
      const alt = `Throughput against ${of} at ${sizeName(size)}. On the front: ${front.join(", ")}.`;
      const words = { id: `${id}-${size}`, title: `Throughput against ${of} at ${sizeName(size)}`, caption, alt };
      made.push(pareto(words, x, { name: "throughput", unit: "Gbps" }, points));
    };
    draw("pareto-p99", "p99 latency", { name: "p99 latency under load", unit: "µs" }, ({ p99 }) =>
      p99 === null ? null : p99 * NS_TO_US,
    );
    draw("pareto-power", "power", { name: "power per throughput", unit: "W/Gbps" }, ({ gbps_per_watt: per }) =>
      per === null || per <= 0 ? null : 1 / per,
    );
    return made;
  });
  const names = new Set(cells.map(({ name }) => name));
  return {
    heading: "Pareto front",
    plots,
    tables: [
      {
        title: `What can be had: ${names.size} placements by size`,
        columns: [
          { name: "Size" },
          { name: "Placement" },
          { name: "Throughput", unit: "Gbps" },
          { name: "p99 under load", unit: "µs" },
          { name: "Throughput per power", unit: "Gbps/W" },
          { name: "On the front" },
        ],
        rows: entries.map(({ size, name, gbps, p99, gbps_per_watt, standing }) => [
          sizeName(size),
          name,
          gbps,
          p99 === null ? null : p99 * NS_TO_US,
          gbps_per_watt,
          STANDING[standing],
        ]),
        marked: entries.flatMap(({ front }, index) => (front ? [index] : [])),
      },
    ],
  };
}
