/** What the samples of each cell of a comparison say of it, cell by cell. */
import { median } from "simple-statistics";
import type { Estimate } from "../measure/statistics/interval.js";
import { medianEstimate } from "../measure/statistics/median.js";
import { type Cell, cellKey, type Sample, sampleKey } from "./cell.js";
import type { Measured } from "./compare-measure.js";
import { cellName, isBaseline } from "./compare-plan.js";
import type { CellEnergy, CellResult, ComparePlan, FoundRate, Interval, LoadLatency } from "./compare-result.js";
import type { Rate } from "./search.js";
import { type EnergySummary, summarise } from "./summarise.js";

/** JSON knows no infinity. */
export function intervalOf({ median: middle, low, high, confidence, samples }: Estimate): Interval {
  const bound = (value: number) => (Number.isFinite(value) ? value : null);
  return { median: middle, low: bound(low), high: bound(high), confidence, samples };
}

/** In the order of the plan; cells without a sample are not in it. */
export function cellResults(plan: ComparePlan, measured: Measured): CellResult[] {
  return plan.cells.flatMap((cell) => {
    const samples = measured.saturated.get(cellKey(cell)) ?? [];
    return samples.length === 0 ? [] : [cellResult(plan, measured, cell, samples)];
  });
}

function cellResult(plan: ComparePlan, measured: Measured, cell: Cell, samples: readonly Sample[]): CellResult {
  const key = cellKey(cell);
  const { gbps, mpps, cpus, nfs, device, energy } = summarise(samples, plan.repeats);
  const search = measured.searches.get(key);
  const last = samples.at(-1)!;
  const figures = samples.map((sample) => sample.gbps);
  const middle = median(figures);
  return {
    ...{ key, cell, name: cellName(cell, plan), baseline: isBaseline(cell), device, nfs },
    gbps: intervalOf(gbps),
    mpps: intervalOf(mpps),
    cpu_cores: intervalOf(cpus),
    saturated_latency: saturatedLatency(samples),
    ndr: foundRate(search?.ndr),
    pdr: foundRate(search?.pdr),
    latency: latencies(plan, measured, cell),
    energy: energyOf(energy, last),
    rows: device === null ? null : rowsOf(last),
    drops: last.drops,
    spread: middle > 0 ? (Math.max(...figures) - Math.min(...figures)) / middle : 0,
  };
}

/** A chain may drop all it receives, or hand it to the kernel: it has no latency then, which is not one of 0. */
function saturatedLatency(all: readonly Sample[]): CellResult["saturated_latency"] {
  const samples = all.filter(({ latency_ns }) => latency_ns.count > 0);
  if (samples.length === 0) return null;
  return {
    p50: interval(samples, ({ latency_ns }) => latency_ns.p50),
    p99: interval(samples, ({ latency_ns }) => latency_ns.p99),
  };
}

function interval(samples: readonly Sample[], of: (sample: Sample) => number): Interval {
  return intervalOf(medianEstimate(samples.map(of)));
}

function foundRate(rate: Rate | undefined): FoundRate | null {
  if (rate === undefined || rate.pps === null) return null;
  const { pps, gbps, loss, failed_pps, hiccups, converged } = rate;
  return { pps, gbps: gbps ?? 0, loss, failed_pps, hiccups, note: converged ? null : "the search ran out of trials" };
}

/** Loads at which packets came through, ascending. */
function latencies(plan: ComparePlan, { loads, offered, saturated, searches }: Measured, cell: Cell): LoadLatency[] {
  const key = cellKey(cell);
  const own = plan.search
    ? (searches.get(key)?.ndr.pps ?? 0)
    : median((saturated.get(key) ?? []).map(({ mpps }) => mpps)) * 1e6;
  return loads
    .filter((planned) => cellKey(planned.cell) === key)
    .flatMap(({ load }) => {
      const samples = (offered.get(sampleKey(cell, load)) ?? []).filter(({ latency_ns }) => latency_ns.count > 0);
      if (samples.length === 0) return [];
      const shared = loads.filter((other) => other.load.pps === load.pps && cellKey(other.cell) !== key);
      const found: LoadLatency = {
        percent: own > 0 ? (100 * load.pps) / own : 0,
        shared_with: shared.filter(({ cell: other }) => other.size === cell.size).map((other) => cellKey(other.cell)),
        pps: load.pps,
        gbps: median(samples.map(({ gbps }) => gbps)),
        p50: interval(samples, ({ latency_ns }) => latency_ns.p50),
        p90: interval(samples, ({ latency_ns }) => latency_ns.p90),
        p99: interval(samples, ({ latency_ns }) => latency_ns.p99),
        p999: interval(samples, ({ latency_ns }) => latency_ns.p999),
        max: Math.max(...samples.map(({ latency_ns }) => latency_ns.max)),
        loss: interval(samples, ({ loss }) => loss),
      };
      return [found];
    })
    .sort((a, b) => a.pps - b.pps);
}

function energyOf(summary: EnergySummary | null, last: Sample): CellEnergy | null {
  // Where nothing was received in some repeat, there is no energy of a packet.
  if (summary?.joules_per_packet == null || summary.gbps_per_watt === null || last.energy === null) return null;
  const { seconds, domains, idle_watts } = last.energy;
  const maybe = (estimate: Estimate | null) => (estimate === null ? null : intervalOf(estimate));
  return {
    meter: summary.meter,
    provenance: summary.meter.provenance,
    watts: intervalOf(summary.watts),
    joules_per_packet: intervalOf(summary.joules_per_packet),
    gbps_per_watt: intervalOf(summary.gbps_per_watt),
    idle_watts,
    net_watts: maybe(summary.net_watts),
    net_joules_per_packet: maybe(summary.net_joules_per_packet),
    gbps_per_net_watt: maybe(summary.gbps_per_net_watt),
    uncertainty: summary.uncertainty,
    domains: domains.map(({ name, within, joules }) => ({ name, within, watts: joules / seconds })),
  };
}

/** Of the whole run, warm-up included. */
function rowsOf({ sync }: Sample): CellResult["rows"] {
  const entries = sync.packets + sync.dummies;
  return {
    packets_per_row: sync.rows === 0 ? 0 : sync.packets / sync.rows,
    dummy_share: entries === 0 ? 0 : sync.dummies / entries,
    bytes_copied_per_packet: sync.packets === 0 ? 0 : sync.bytes_copied / sync.packets,
  };
}
