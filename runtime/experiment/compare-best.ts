/** Which placement to take: the front of those that nobody beats in everything, and the one that is best over all sizes. */
import type { Estimate } from "../measure/statistics/interval.js";
import { type Cell, type FrameSize, placementName } from "./cell.js";
import { cellName, sizeName } from "./compare-plan.js";
import type {
  BestPlacement,
  CellResult,
  ComparePlan,
  Interval,
  LoadLatency,
  ParetoEntry,
  Verdict,
} from "./compare-result.js";
import { type Candidate, type Objective, paretoFront } from "./pareto.js";

/** The share of its own rate at which a cell's latency stands for it, percent; of those measured the nearest. */
const USUAL_LOAD = 80;

/** Per size, over all cells of it. */
export function paretoEntries(plan: ComparePlan, cells: readonly CellResult[]): ParetoEntry[] {
  return plan.sizes.flatMap((size) =>
    front(
      plan,
      cells.filter(({ cell }) => cell.size === size),
    ),
  );
}

function front(plan: ComparePlan, cells: readonly CellResult[]): ParetoEntry[] {
  // An objective that one cell lacks is none: it would put that cell off the front, or on it.
  const metered = cells.every(({ energy }) => energy !== null && energy.provenance === "measured");
  const delayed = cells.every((cell) => usualLatency(cell, plan) !== undefined);
  const objectives: Objective[] = [
    { name: "Gbps", better: "higher" },
    ...(delayed ? [{ name: "p99", better: "lower" } as const] : []),
    ...(metered ? [{ name: "Gbps/W", better: "higher" } as const] : []),
  ];
  const candidates: Candidate[] = cells.map((cell) => ({
    name: cell.key,
    values: [
      estimateOf(cell.gbps),
      ...(delayed ? [estimateOf(usualLatency(cell, plan)!.p99)] : []),
      ...(metered ? [estimateOf(perWatt(cell)!)] : []),
    ],
  }));
  const points = paretoFront(objectives, candidates);
  return cells.map((cell, i) => {
    const { standing } = points[i]!;
    return {
      ...{ size: cell.cell.size, key: cell.key, name: cell.name, gbps: cell.gbps.median },
      p99: usualLatency(cell, plan)?.p99.median ?? null,
      gbps_per_watt: metered ? perWatt(cell)!.median : null,
      ...{ front: standing !== "dominated", standing },
    };
  });
}

/** Of the loads that were asked for, the one that stands for a cell, percent; undefined where there was none. */
export function usualLoad({ loads }: Pick<ComparePlan, "loads">): number | undefined {
  return nearest(loads, USUAL_LOAD, (percent) => percent);
}

/** At {@link usualLoad} of the cell's own rate; loads it shares with another cell, at whatever share of its own, are none of it. */
export function usualLatency({ latency }: CellResult, plan: Pick<ComparePlan, "loads">): LoadLatency | undefined {
  return nearest(latency, usualLoad(plan) ?? USUAL_LOAD, ({ percent }) => percent);
}

/** Percent by which a load may miss the share it was planned as: rates are whole packets per second. */
const ROUNDING = 0.5;

/** At a planned share of the cell's own rate; undefined where it was not measured, or the rate is too low for such a share. */
export function latencyAt({ latency }: CellResult, planned: number): LoadLatency | undefined {
  const found = nearest(latency, planned, ({ percent }) => percent);
  return found !== undefined && Math.abs(found.percent - planned) <= ROUNDING ? found : undefined;
}

function nearest<T>(all: readonly T[], to: number, of: (one: T) => number): T | undefined {
  return [...all].sort((a, b) => Math.abs(of(a) - to) - Math.abs(of(b) - to))[0];
}

/** Above the idle machine where that was measured. */
export function perWatt({ energy }: CellResult): Interval | undefined {
  return energy?.gbps_per_net_watt ?? energy?.gbps_per_watt;
}

function estimateOf({ median, low, high, confidence, samples }: Interval): Estimate {
  return { median, low: low ?? -Infinity, high: high ?? Infinity, confidence, samples };
}

/** A placement on its device and cores, at every size. */
interface Contender {
  readonly cell: Cell;
  readonly bySize: ReadonlyMap<FrameSize, CellResult>;
  /** Geometric mean of its Gbps over those of all on CPU with the first cores. */
  readonly ratio: number;
}

/**
 * By throughput, over all sizes. A placement on a GPU is taken only where it was surely better than all on CPU at some size.
 * @returns null where no placement was measured at every size
 */
export function bestPlacement(
  plan: ComparePlan,
  cells: readonly CellResult[],
  comparisons: readonly Verdict[],
): BestPlacement | null {
  const contenders = contendersOf(plan, cells);
  const gbps = comparisons.filter(({ metric }) => metric === "gbps");
  const wins = ({ bySize }: Contender, verdict: Verdict["verdict"]) =>
    [...bySize.values()].flatMap(({ key, cell }) =>
      gbps.some((one) => one.gpu === key && one.verdict === verdict) ? [sizeName(cell.size)] : [],
    );
  const fit = contenders.filter((one) => one.bySize.values().next().value!.baseline || wins(one, "gpu").length > 0);
  const [best] = [...fit].sort((a, b) => b.ratio - a.ratio);
  if (best === undefined) return null;
  const one = best.bySize.values().next().value!;
  const confidence = `${Math.round(100 * one.gbps.confidence)} %`;
  const better = wins(best, "gpu");
  const worse = wins(best, "cpu");
  const why = one.baseline
    ? `no placement on a GPU is better over these sizes, as far as can be told at ${confidence} confidence`
    : `${best.ratio.toFixed(2)} times the throughput of all on cpu (geometric mean over sizes); surely better at ${better.join(", ")}` +
      (worse.length > 0 ? `, worse at ${worse.join(", ")}` : "");
  const { placement, device, cores } = best.cell;
  const emulated = cells.some((cell) => cell.device?.emulated === true);
  const name = cellName(best.cell, plan);
  return { placement, device, cores, name, ratio: best.ratio, emulated, why, file: null };
}

function contendersOf({ sizes, cores }: ComparePlan, cells: readonly CellResult[]): Contender[] {
  const groups = new Map<string, CellResult[]>();
  for (const result of cells) {
    const { placement, device, cores: spec } = result.cell;
    const key = `${placementName(placement)};${device};${spec}`;
    groups.set(key, [...(groups.get(key) ?? []), result]);
  }
  const baseline = new Map(
    cells.filter((one) => one.baseline && one.cell.cores === cores[0]).map((one) => [one.cell.size, one.gbps.median]),
  );
  return [...groups.values()].flatMap((group): Contender[] => {
    const ratios = group.map(({ cell, gbps }) => gbps.median / (baseline.get(cell.size) ?? 0));
    if (group.length < sizes.length || ratios.some((ratio) => !(ratio > 0 && ratio < Infinity))) return [];
    const ratio = Math.exp(ratios.reduce((sum, one) => sum + Math.log(one), 0) / ratios.length);
    return [{ cell: group[0]!.cell, bySize: new Map(group.map((one) => [one.cell.size, one])), ratio }];
  });
}
