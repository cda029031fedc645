/** Rates of a comparison: by saturation, and by search. */
import { sizeName } from "../../experiment/compare-plan.js";
import type { CellResult, CompareResult, FoundRate } from "../../experiment/compare-result.js";
import type { Plot, Section, Table, TableValue } from "../document.js";
import { inOrder } from "../plots/common.js";
import { curves, groupedBars } from "../plots.js";
import { intervalText, largest, pointOf, sizesOf } from "./words.js";

const GBPS = { name: "throughput", unit: "Gbps" };

export function throughputSection(result: CompareResult): Section | null {
  const { cells, plan } = result;
  if (cells.length === 0) return null;
  const gbps = (cell: CellResult) => cell.gbps.median;
  const known = cells.some((cell) => cell.gbps.low !== null && cell.gbps.high !== null);
  const words = {
    id: "throughput",
    title: "Throughput by frame size",
    caption: `Medians of ${plan.repeats} repeats under saturation, ${known ? "with 95 % confidence intervals" : "too few for confidence intervals"}; frame bits, layer 2 without FCS.`,
    alt: `Throughput by frame size and placement. ${largest(cells, gbps)}`,
  };
  const sizes = sizesOf(result);
  const numeric = cells.filter(({ cell }) => typeof cell.size === "number");
  const plots: Plot[] = [];
  if (sizes.length > 2 && numeric.length === cells.length) {
    const points = cells.map((cell) => ({ series: cell.name, x: cell.cell.size as number, ...pointOf(cell.gbps) }));
    plots.push(curves(words, { name: "frame size", unit: "bytes, log scale" }, GBPS, points, { x: "log2" }));
  } else {
    const points = cells.map((cell) => ({ series: cell.name, x: sizeName(cell.cell.size), ...pointOf(cell.gbps) }));
    plots.push(groupedBars(words, { name: "frame size" }, GBPS, points));
  }
  return { heading: "Throughput", plots, tables: [throughputTable(cells)] };
}

function throughputTable(cells: readonly CellResult[]): Table {
  return {
    title: "Under saturation: medians and 95 % confidence intervals",
    columns: [
      { name: "Size" },
      { name: "Placement" },
      { name: "Cores" },
      { name: "Throughput", unit: "Gbps" },
      { name: "Packets", unit: "Mpps" },
      { name: "Busy", unit: "cores" },
      { name: "p99, queueing", unit: "µs" },
      { name: "Spread", unit: "%", digits: 1 },
      { name: "Samples", digits: 0 },
    ],
    rows: cells.map((cell) => [
      sizeName(cell.cell.size),
      cell.name,
      cell.cell.cores,
      intervalText(cell.gbps),
      intervalText(cell.mpps),
      intervalText(cell.cpu_cores),
      intervalText(cell.saturated_latency?.p99 ?? null, undefined, 1e-3),
      cell.spread * 100,
      cell.gbps.samples,
    ]),
  };
}

export function foundRatesSection({ cells }: CompareResult): Section | null {
  const searched = cells.filter(({ ndr, pdr }) => ndr !== null || pdr !== null);
  if (searched.length === 0) return null;
  const points = searched.flatMap(({ name, cell, ndr }) =>
    ndr === null ? [] : [{ series: name, x: sizeName(cell.size), ...bracket(ndr) }],
  );
  const words = {
    id: "ndr",
    title: "Non-drop rate by frame size",
    caption: "Bars: the largest rate at which no packet was lost. Whiskers: up to the least rate that lost packets.",
    alt: `Non-drop rate in Gbps by frame size and placement. ${largest(searched, ({ ndr }) => ndr?.gbps ?? null)}`,
  };
  return {
    heading: "Rates without and with little loss",
    text: [
      "Found by search as in RFC 2544, section 26.1, with packets offered in an open loop: NDR is the largest rate without any loss, PDR the largest with 0.5 % loss or less. The limit lies between the rate that passed and the one that failed.",
    ],
    plots:
      points.length === 0 ? [] : [groupedBars(words, { name: "frame size" }, { name: "NDR", unit: "Gbps" }, points)],
    tables: [
      {
        title: "NDR and PDR",
        columns: [
          { name: "Size" },
          { name: "Placement" },
          { name: "Cores" },
          { name: "NDR", unit: "Gbps" },
          { name: "passed", unit: "Mpps" },
          { name: "failed", unit: "Mpps" },
          { name: "PDR", unit: "Gbps" },
          { name: "passed", unit: "Mpps" },
          { name: "failed", unit: "Mpps" },
          { name: "Hiccups", digits: 0 },
          { name: "Note" },
        ],
        rows: searched.map(({ cell, name, ndr, pdr }) => [
          sizeName(cell.size),
          name,
          cell.cores,
          ...found(ndr),
          ...found(pdr),
          (ndr?.hiccups ?? 0) + (pdr?.hiccups ?? 0),
          inOrder([ndr?.note, pdr?.note].filter((note) => typeof note === "string")).join("; "),
        ]),
      },
    ],
  };
}

function bracket({ pps, gbps, failed_pps }: FoundRate) {
  return failed_pps === null || pps <= 0 ? { y: gbps } : { y: gbps, low: gbps, high: (failed_pps * gbps) / pps };
}

function found(rate: FoundRate | null): TableValue[] {
  if (rate === null) return [null, null, null];
  return [rate.gbps, rate.pps / 1e6, rate.failed_pps === null ? null : rate.failed_pps / 1e6];
}
