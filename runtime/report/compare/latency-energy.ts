/** Latency by load, energy, and what of both can be had with what throughput. */
import type { CellEnergy, CellResult, CompareResult } from "../../experiment/compare-result.js";
import type { Plot, Section, Table } from "../document.js";
import { groupedBars, latencyByLoad, pareto } from "../plots.js";
import { intervalText, largest, pointOf, shownSizes, sizeName, sizesOf } from "./words.js";

const NS_TO_US = 1e-3;

export function latencySection(result: CompareResult): Section | null {
  const measured = result.cells.filter(({ latency }) => latency.length > 0);
  if (measured.length === 0) return null;
  const of = result.plan.loads_of === "ndr" ? "NDR" : "saturation";
  const sizes = shownSizes(sizesOf({ ...result, cells: measured }));
  const plots = sizes.map((size): Plot => {
    const points = measured
      .filter(({ cell }) => cell.size === size)
      .flatMap(({ name, latency }) =>
        latency.map(({ percent, p50, p90, p99, p999 }) => ({
          series: name,
          load: `${percent} % of ${of}`,
          ns: { p50: p50.median, p90: p90.median, p99: p99.median, "p99.9": p999.median },
        })),
      );
    return latencyByLoad(
      {
        id: `latency-${size}`,
        title: `Latency at ${sizeName(size)}`,
        caption: `Percentiles by load, each cell at its own ${of}; from the time a packet was due, so waiting counts (no coordinated omission). Log scale.`,
        alt: `Latency percentiles at ${sizeName(size)} by load and placement; the table below has the figures.`,
      },
      points,
    );
  });
  const us = (cell: CellResult["latency"][number]["p50"]) => intervalText(cell, undefined, NS_TO_US);
  return {
    heading: "Latency under load",
    text:
      sizes.length < sizesOf(result).length
        ? ["Plots are of the first, the middle and the last size; the table has all."]
        : [],
    plots,
    tables: [
      {
        title: "Latency by load: medians over repeats and 95 % confidence intervals",
        columns: [
          { name: "Size" },
          { name: "Placement" },
          { name: "Load", unit: `% of ${of}`, digits: 0 },
          { name: "Offered", unit: "Gbps" },
          { name: "p50", unit: "µs" },
          { name: "p90", unit: "µs" },
          { name: "p99", unit: "µs" },
          { name: "p99.9", unit: "µs" },
          { name: "Largest", unit: "µs" },
          { name: "Lost", unit: "%" },
        ],
        rows: measured.flatMap(({ cell, name, latency }) =>
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
          ]),
        ),
      },
    ],
  };
}

export function energySection({ cells }: CompareResult): Section {
  const measured = cells.filter(
    (cell): cell is CellResult & { energy: NonNullable<CellResult["energy"]> } => cell.energy !== null,
  );
  const first = measured[0]?.energy;
  if (first === undefined) {
    return {
      heading: "Energy",
      text: ["No energy was measured: no meter was found, and no nominal model was asked for."],
    };
  }
  const nominal = measured.some(({ energy }) => energy.provenance === "nominal");
  const kind = nominal ? "nominal, not measured" : "measured";
  const points = measured.map(({ name, cell, energy }) => ({
    series: name,
    x: sizeName(cell.size),
    ...pointOf(energy.gbps_per_watt),
  }));
  return {
    heading: `Energy (${kind})`,
    text: [
      `${first.meter.name}, ${kind}, every ${first.meter.intervalMs} ms: ${first.meter.note}.`,
      first.idle_watts === null
        ? "The idle machine was not measured: figures are of the whole machine as the meter sees it."
        : "Joules per packet and Gbps per watt are above the idle machine.",
    ],
    plots: [
      groupedBars(
        {
          id: "gbps-per-watt",
          title: `Gbps per watt by frame size (${kind})`,
          caption: `More is better. ${nominal ? "Thermal design power times the share of processor time: it says nothing about a GPU's energy." : "Medians with 95 % confidence intervals."}`,
          alt: `Gbps per watt by frame size and placement, ${kind}. ${largest(measured, (cell) => cell.energy?.gbps_per_watt.median ?? null)}`,
        },
        { name: "frame size" },
        { name: nominal ? "throughput per nominal power" : "throughput per power", unit: "Gbps/W" },
        points,
      ),
    ],
    tables: [
      {
        title: `Energy (${kind}): medians and 95 % confidence intervals`,
        columns: [
          { name: "Size" },
          { name: "Placement" },
          { name: "Power", unit: "W" },
          { name: "Idle", unit: "W" },
          { name: "Energy per packet", unit: "nJ" },
          { name: "Throughput per power", unit: "Gbps/W" },
          { name: "Provenance" },
        ],
        rows: measured.map(({ cell, name, energy }) => [
          sizeName(cell.size),
          name,
          intervalText(energy.watts),
          energy.idle_watts,
          intervalText(energy.joules_per_packet, undefined, 1e9),
          intervalText(energy.gbps_per_watt),
          energy.provenance,
        ]),
      },
      domainTable(measured, kind),
    ],
  };
}

/** A column for each domain that any cell has; one within another is part of it, and does not count again. */
function domainTable(
  cells: readonly { cell: CellResult["cell"]; name: string; energy: CellEnergy }[],
  kind: string,
): Table {
  const domains = [
    ...new Map(cells.flatMap(({ energy }) => energy.domains.map((domain) => [domain.name, domain]))).values(),
  ];
  return {
    title: `Power by domain (${kind}), idle machine included`,
    columns: [
      { name: "Size" },
      { name: "Placement" },
      ...domains.map(({ name, within }) => ({
        name: within === null ? name : `${name}, part of ${within}`,
        unit: "W",
      })),
    ],
    rows: cells.map(({ cell, name, energy }) => [
      sizeName(cell.size),
      name,
      ...domains.map((domain) => energy.domains.find((one) => one.name === domain.name)?.watts ?? null),
    ]),
  };
}

export function paretoSection({ pareto: entries, cells }: CompareResult): Section | null {
  if (entries.length === 0) return null;
  const sizes = shownSizes([...new Set(entries.map(({ size }) => size))]);
  const caption = "Ringed: the front, where nothing else is at least as good in everything and better in something.";
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
        rows: entries.map(({ size, name, gbps, p99, gbps_per_watt, front }) => [
          sizeName(size),
          name,
          gbps,
          p99 === null ? null : p99 * NS_TO_US,
          gbps_per_watt,
          front ? "yes" : "no",
        ]),
        marked: entries.flatMap(({ front }, index) => (front ? [index] : [])),
      },
    ],
  };
}
