/** The result of a comparison for people: figures by size and placement, then what they come to. */
import Table from "cli-table3";
import { perWatt, usualLatency, usualLoad } from "../experiment/compare-best.js";
import { sizeName } from "../experiment/compare-plan.js";
import type {
  CellResult,
  CompareResult,
  FoundRate,
  Interval,
  Metric,
  ParetoEntry,
  SizeVerdict,
} from "../experiment/compare-result.js";
import { BEST_ON_GPU } from "../experiment/compare-verdicts.js";

/** @param report folder of the report, where one is written */
export function compareTable(result: CompareResult, report: string | undefined): string {
  const { state, cells } = result;
  const parts: string[] = [];
  if (state === "interrupted") parts.push(interruptedLine(result));
  parts.push(equivalenceLine(result));
  if (state === "refused") return `${parts.join("\n")}\n`;
  if (cells.length > 0) {
    parts.push(figures(result));
    parts.push(
      `medians of ${Math.max(...cells.map(({ gbps }) => gbps.samples))} samples, in brackets their ${confidence(cells)} confidence interval; ${legend(result)}`,
    );
    parts.push(...shares(result));
  }
  if (result.verdicts.length > 0) parts.push(verdictTable(result));
  // Of each placement only in the report.
  const crossed = result.crossovers.filter(({ name, axis }) => name === BEST_ON_GPU || axis === "load");
  if (crossed.length > 0)
    parts.push(
      list(
        "crossover",
        crossed.map(({ text }) => text),
      ),
    );
  if (result.pareto.length > 0) parts.push(list(`Pareto front (${objectives(result)})`, fronts(result)));
  if (result.best !== null) parts.push(bestLine(result, report));
  if (result.warnings.length > 0) parts.push(list("what qualifies this", result.warnings));
  return `${parts.join("\n")}\n`;
}

function interruptedLine({ progress: { done, planned } }: CompareResult): string {
  return done === 0
    ? "INTERRUPTED before the first sample"
    : `INTERRUPTED: of about ${planned} samples ${done} were taken`;
}

function figures({ cells, plan }: CompareResult): string {
  const has = (of: (cell: CellResult) => unknown) => cells.some((cell) => of(cell) != null);
  const columns: { head: string; of: (cell: CellResult) => string }[] = [
    { head: "size", of: ({ cell }) => sizeName(cell.size) },
    { head: "placement", of: ({ name }) => name },
    { head: "Gbps", of: ({ gbps }) => withBounds(gbps) },
    { head: "Mpps", of: ({ mpps }) => figure(mpps.median) },
    { head: "cores", of: ({ cpu_cores }) => figure(cpu_cores.median) },
  ];
  if (has(({ ndr }) => ndr)) {
    columns.push({ head: "NDR Mpps", of: ({ ndr }) => rate(ndr) }, { head: "PDR Mpps", of: ({ pdr }) => rate(pdr) });
  }
  if (has((cell) => usualLatency(cell, plan))) {
    const of = (cell: CellResult) => {
      const p99 = usualLatency(cell, plan)?.p99;
      return p99 === undefined ? "" : withBounds(p99, 1000);
    };
    columns.push({ head: `p99 us at ${usualLoad(plan)} % of ${plan.loads_of === "ndr" ? "NDR" : "saturation"}`, of });
  }
  if (has(({ energy }) => energy)) {
    const nominal = cells.some(({ energy }) => energy?.provenance === "nominal") ? ", nominal" : "";
    columns.push(
      { head: `W${nominal}`, of: ({ energy }) => (energy === null ? "" : figure(energy.watts.median)) },
      { head: `Gbps/W${nominal}`, of: (cell) => withBounds(perWatt(cell)) },
    );
  }
  const colAligns = columns.map((_, i) => (i < 2 ? ("left" as const) : ("right" as const)));
  const table = new Table({
    head: columns.map(({ head }) => head),
    colAligns,
    style: { head: [], border: [], compact: true },
  });
  for (const cell of cells) table.push(columns.map(({ of }) => of(cell)));
  return table.toString();
}

const METRICS: readonly (readonly [metric: Metric, head: string])[] = [
  ["gbps", "throughput"],
  ["p99", "p99 latency"],
  ["gbps_per_watt", "Gbps per watt"],
];

/** Who is better, and how many times; why nothing may be said stands below, once. */
function verdictTable({ verdicts, plan }: CompareResult): string {
  const several = plan.cores.length > 1;
  const columns = METRICS.filter(([metric]) => verdicts.some((one) => one.metric === metric));
  const head = ["verdict", ...columns.map(([, name]) => name)];
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  for (const size of plan.sizes) {
    for (const cores of plan.cores) {
      const here = verdicts.filter((one) => one.size === size && one.cores === cores);
      if (here.length === 0) continue;
      const words = columns.map(([metric]) => spoken(here.find((one) => one.metric === metric)));
      table.push([`${sizeName(size)}${several ? `, ${cores}` : ""}`, ...words]);
    }
  }
  const { confidence: sure } = verdicts[0]!;
  const lines = [
    table.toString(),
    `all on cpu against the best placement on a GPU; ${Math.round(100 * sure)} % confidence for all verdicts together`,
  ];
  if (verdicts.some(({ emulated }) => emulated)) lines.push("of an emulated device: no verdict on hardware");
  const silent = new Set(verdicts.flatMap(({ verdict, reason }) => (verdict === "none" && reason ? [reason] : [])));
  return [...lines, ...[...silent].map((reason) => `no verdict: ${reason}`)].join("\n");
}

function spoken(verdict: SizeVerdict | undefined): string {
  if (verdict === undefined) return "";
  const { verdict: word, ratio, load } = verdict;
  if (word === "none") return "no verdict";
  const at = load === null ? "" : ` at ${figure(load.pps / 1e6)} Mpps`;
  if (word === "no difference" || ratio === null) return `no difference${at}`;
  const times = Math.max(ratio.median, 1 / ratio.median);
  return `${word.toUpperCase()}, by a factor of ${figure(times)}${at}`;
}

function legend({ cells, plan }: CompareResult): string {
  const parts = ["cores: processor time of the whole process"];
  const idle = cells.find(({ energy }) => energy?.idle_watts != null)?.energy?.idle_watts;
  if (idle != null) parts.push(`Gbps/W above the idle machine's ${figure(idle)} W`);
  if (plan.search) parts.push("NDR: no loss, PDR: loss up to 0.5 %");
  return parts.join("; ");
}

function equivalenceLine({ equivalence, state }: CompareResult): string {
  if (equivalence === null) return "equivalence: not proven yet";
  const { cases, packets } = equivalence;
  if (state === "refused") {
    const wrong = cases.filter(({ differences }) => differences.length > 0);
    const lines = wrong.flatMap(({ name, size, differences }) =>
      differences.map((line) => `  ${name}, ${sizeName(size)}: ${line}`),
    );
    return `equivalence: REFUSED, no figures: placements do not give the same\n${lines.join("\n")}`;
  }
  return `equivalence: ${cases.length} ways to run it gave equal digests, alerts, outcomes and drops over ${packets} packets each`;
}

/** What share of the packets each NF saw; a line where it is the same at all sizes. */
function shares({ cells }: CompareResult): string[] {
  const lines = new Map<string, string[]>();
  for (const { baseline, cell, nfs } of cells) {
    if (!baseline || nfs.length === 0) continue;
    const line = nfs.map(({ name, share }) => `${name} ${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`).join(", ");
    const sizes = lines.get(line) ?? [];
    if (!sizes.includes(sizeName(cell.size))) lines.set(line, [...sizes, sizeName(cell.size)]);
  }
  if (lines.size === 1) return [`share of the packets each NF saw: ${[...lines.keys()][0]}`];
  return [...lines].map(([line, sizes]) => `share of the packets each NF saw at ${sizes.join(", ")}: ${line}`);
}

/** What the front is of; a cell that lacks one takes it out for its size. */
function objectives({ pareto }: CompareResult): string {
  const has = (of: (entry: ParetoEntry) => number | null) => pareto.some((entry) => of(entry) !== null);
  const latency = has(({ p99 }) => p99) ? ["p99 at a share of each one's own rate"] : [];
  return ["throughput", ...latency, ...(has((entry) => entry.gbps_per_watt) ? ["Gbps per watt"] : [])].join(", ");
}

function fronts({ pareto, plan }: CompareResult): string[] {
  return plan.sizes.flatMap((size) => {
    const here = pareto.filter((entry) => entry.size === size && entry.front);
    if (here.length === 0) return [];
    const names = here.map(({ name, standing }) => (standing === "perhaps" ? `${name} (perhaps)` : name));
    return [`${sizeName(size)}: ${names.join("; ")}`];
  });
}

function bestLine({ best, plan }: CompareResult, report: string | undefined): string {
  const { name, why, device, cores, file, emulated } = best!;
  const caution = emulated ? "; emulated device: no verdict on hardware" : "";
  const options = [
    ...(device === "none" ? [] : [`--device ${device}`]),
    ...(plan.cores.length > 1 || cores !== "d1" ? [`--cores ${cores}`] : []),
  ];
  const run =
    file === null || report === undefined
      ? ""
      : `\n  wingbeat run ${report}/${file}${options.map((one) => ` ${one}`).join("")}`;
  return `best over these sizes: ${name} (${why}${caution})${run}`;
}

function list(title: string, lines: readonly string[]): string {
  return [`${title}:`, ...lines.map((line) => `  ${line}`)].join("\n");
}

/** @param unit that the values are divided by */
function withBounds(interval: Interval | undefined, unit = 1): string {
  if (interval === undefined) return "";
  const { median, low, high } = interval;
  if (low === null || high === null) return figure(median / unit);
  return `${figure(median / unit)} [${figure(low / unit)}, ${figure(high / unit)}]`;
}

function rate(found: FoundRate | null): string {
  if (found === null) return "none";
  return `${figure(found.pps / 1e6)}${found.note === null ? "" : "+"}`;
}

/** Three significant digits, never as 1e+3. */
function figure(value: number): string {
  if (!Number.isFinite(value)) return "";
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 9));
}

function confidence(cells: readonly CellResult[]): string {
  return `${Math.round(100 * (cells[0]?.gbps.confidence ?? 0.95))} %`;
}
