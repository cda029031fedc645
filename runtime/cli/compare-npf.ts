/**
 * Lines for npf (https://github.com/tbarbette/npf), which takes from a script's output what matches
 *
 *   [KIND-NUMBER-]RESULT[-TYPE] VALUE
 *
 * TYPE of letters, digits and _:~.@()-. It reads a G behind a value as 2^30, so values are in units without a prefix: bits, packets and
 * seconds. What is measured comes first, then the cell: RESULT-THROUGHPUT-ipsec.nids@opencl 3.1e+9. The frame size is the KIND where there
 * are several: SIZE-64-RESULT-THROUGHPUT-cpu 1.2e+9; IMIX and the input as it stands, which are no numbers, go behind the cell.
 */
import type { FrameSize } from "../experiment/cell.js";
import { onGpu } from "../experiment/cell.js";
import { perWatt, usualLatency } from "../experiment/compare-best.js";
import type { CellResult, ComparePlan, CompareResult } from "../experiment/compare-result.js";

/** NaN is left out: npf knows no value that is not there. */
const FIGURES: readonly (readonly [name: string, of: (cell: CellResult, plan: ComparePlan) => number])[] = [
  ["THROUGHPUT", ({ gbps }) => gbps.median * 1e9],
  ["PPS", ({ mpps }) => mpps.median * 1e6],
  ["NDR", ({ ndr }) => ndr?.pps ?? Number.NaN],
  ["PDR", ({ pdr }) => pdr?.pps ?? Number.NaN],
  ["LATENCY50", (cell, plan) => (usualLatency(cell, plan)?.p50.median ?? Number.NaN) / 1e9],
  ["LATENCY99", (cell, plan) => (usualLatency(cell, plan)?.p99.median ?? Number.NaN) / 1e9],
  ["CORES", ({ cpu_cores }) => cpu_cores.median],
  ["WATT", ({ energy }) => (energy?.provenance === "measured" ? energy.watts.median : Number.NaN)],
  [
    "BITSPERJOULE",
    (cell) => (cell.energy?.provenance === "measured" ? (perWatt(cell)?.median ?? Number.NaN) * 1e9 : Number.NaN),
  ],
];

export function npfLines({ cells, plan }: CompareResult): string {
  const lines = cells.flatMap((cell) => {
    const { size } = cell.cell;
    const kind = plan.sizes.length > 1 && typeof size === "number" ? `SIZE-${size}-` : "";
    const type = `${cellType(cell, plan.cores.length > 1)}${plan.sizes.length > 1 ? sizeType(size) : ""}`;
    return FIGURES.flatMap(([name, of]) => {
      const value = of(cell, plan);
      return Number.isFinite(value) ? [`${kind}RESULT-${name}-${type} ${npfNumber(value)}`] : [];
    });
  });
  return lines.map((line) => `${line}\n`).join("");
}

/** "cpu", "ipsec.nids@opencl", with cores where there are several: "cpu~d1n2". */
function cellType({ cell, baseline }: CellResult, withCores: boolean): string {
  const where = baseline ? "cpu" : `${onGpu(cell.placement).join(".")}@${cell.device}`;
  return npfType(`${where}${withCores ? `~${cell.cores}` : ""}`);
}

/** With letters that npf does not know as underscores. */
export function npfType(text: string): string {
  return text.replace(/[^A-Za-z0-9_:~.@()-]/g, "_");
}

function sizeType(size: FrameSize): string {
  return typeof size === "number" ? "" : `:${size}`;
}

/** npf's numbers have a dot and an exponent with a sign and one digit at least. */
export function npfNumber(value: number): string {
  return Number(value.toPrecision(6)).toString();
}
