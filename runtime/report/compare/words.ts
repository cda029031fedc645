/** How comparisons are put in words. */

import type { FrameSize } from "../../experiment/cell.js";
import { sizeName } from "../../experiment/compare-plan.js";
import type { CellResult, CompareResult, Interval, Metric, Verdict } from "../../experiment/compare-result.js";
import type { Table } from "../document.js";
import { formatInterval, formatNumber } from "../numbers.js";
import { inOrder } from "../plots/common.js";

/** "64 B, 128 B and IMIX" */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? "") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** "64, 128 and 1472 B"; "64 to 512 B" where it is all from one to the other of those measured. */
export function sizesListed(sizes: readonly FrameSize[], measured: readonly FrameSize[] = []): string {
  const first = measured.indexOf(sizes[0] ?? Number.NaN);
  const isRun =
    sizes.length > 2 && sizes.every((size, at) => typeof size === "number" && measured[first + at] === size);
  if (isRun) return `${sizes[0]} to ${sizes.at(-1)} B`;
  if (sizes.length > 0 && sizes.every((size) => typeof size === "number")) return `${listed(sizes.map(String))} B`;
  return listed(sizes.map((size) => (size === "as-is" ? "the input as it is" : sizeName(size))));
}

/** What `loads_of` stands for. */
export function rateName({ plan }: CompareResult): string {
  return plan.loads_of === "ndr" ? "NDR" : "saturation rate";
}

export function metricName(metric: Metric, load: Verdict["load"], rate: string): string {
  if (metric === "gbps") return "throughput";
  if (metric === "gbps_per_watt") return "Gbps per watt";
  return load === null ? "p99 latency" : `p99 latency at ${load.percent} % of the lower ${rate}`;
}

export function intervalText(interval: Interval | null, digits?: number, scale = 1): string | null {
  if (interval === null) return null;
  const scaled = (value: number | null) => (value === null ? null : value * scale);
  return formatInterval(interval.median * scale, scaled(interval.low), scaled(interval.high), digits);
}

/** How many times better the better one is; null where that is not known. */
export function factor({ ratio }: Pick<Verdict, "ratio">): number | null {
  if (ratio === null || !(ratio.median > 0) || !Number.isFinite(ratio.median)) return null;
  return Math.max(ratio.median, 1 / ratio.median);
}

/** A table without the columns that say nothing: all empty, or of `Cores` where there is one number of them. */
export function compact(table: Table): Table {
  const kept = table.columns.flatMap(({ name }, at) => {
    const values = inOrder(table.rows.map((row) => row[at] ?? ""));
    const silent = values.every((value) => value === "") || (name === "Cores" && values.length < 2);
    return silent ? [] : [at];
  });
  return {
    ...table,
    columns: kept.map((at) => table.columns[at]!),
    rows: table.rows.map((row) => kept.map((at) => row[at] ?? null)),
  };
}

export function sizesOf({ cells }: CompareResult): FrameSize[] {
  return inOrder(cells.map(({ cell }) => cell.size));
}

/** The sizes that plots of one size each are made of: the first, the one in the middle, the last. */
export function shownSizes(sizes: readonly FrameSize[]): FrameSize[] {
  if (sizes.length <= 3) return [...sizes];
  return [sizes[0]!, sizes[sizes.length >> 1]!, sizes.at(-1)!];
}

/** What a point of a plot takes of an interval. */
export function pointOf(interval: Interval, scale = 1): { y: number; low?: number; high?: number } {
  const { median, low, high } = interval;
  const y = median * scale;
  return low === null || high === null ? { y } : { y, low: low * scale, high: high * scale };
}

/** The best cell and its figure, for plots' alt texts. */
export function largest(cells: readonly CellResult[], value: (cell: CellResult) => number | null): string {
  const best = cells
    .map((cell) => ({ cell, value: value(cell) }))
    .filter((one): one is { cell: CellResult; value: number } => one.value !== null && Number.isFinite(one.value))
    .sort((a, b) => b.value - a.value)[0];
  if (best === undefined) return "Nothing was measured.";
  return `The largest is ${formatNumber(best.value)}, ${best.cell.name} at ${sizeName(best.cell.cell.size)}.`;
}
