/** What the samples of `power` say: figures by point, and which policy takes least. */
import { median } from "simple-statistics";
import type { EnergySpan } from "../measure/energy/meter.js";
import { decide, FEWEST_REPEATS, type Pair } from "../measure/statistics/decide.js";
import type { Estimate } from "../measure/statistics/interval.js";
import type { Repeated } from "../measure/statistics/ratio.js";
import { type Sample, sampleKey } from "./cell.js";
import { intervalOf } from "./compare-cells.js";
import { wattsOf } from "./metric.js";
import type { PlannedPoint, PowerMeasured } from "./power-measure.js";
import { groupName, groupOf } from "./power-plan.js";
import type { DomainPower, PowerPlan, PowerPoint, PowerVerdict } from "./power-result.js";
import { summarise } from "./summarise.js";

/** By placement, load and policy; those without a sample are not in it. @throws Error where a sample has no energy */
export function powerPoints(plan: PowerPlan, { points, samples }: PowerMeasured): PowerPoint[] {
  const groups = [...new Set(plan.cells.map(groupOf))];
  const group = ({ cell }: PlannedPoint) => groups.indexOf(groupOf(cell));
  // Stable: within a load policies stay in the order of the plan.
  const ordered = [...points].sort((a, b) => group(a) - group(b) || a.percent - b.percent);
  return ordered.flatMap((point) => {
    const taken = samples.get(sampleKey(point.cell, point.load)) ?? [];
    return taken.length === 0 ? [] : [powerPoint(plan, point, taken)];
  });
}

function powerPoint(plan: PowerPlan, { cell, load, percent }: PlannedPoint, samples: readonly Sample[]): PowerPoint {
  const { energy, ...summary } = summarise(samples, plan.repeats);
  if (energy === null) throw new Error(`no energy of one meter in ${summary.key}: ${summary.notes.join("; ")}`);
  const spans = samples.map((sample) => sample.energy!);
  // One packet a second is no traffic: figures of it would be those of waiting.
  const traffic = percent > 0;
  const figure = (estimate: Estimate | null) => (estimate === null || !traffic ? null : intervalOf(estimate));
  return {
    ...{ key: summary.key, cell, name: groupName(cell), wait: cell.wait, load_percent: percent },
    offered_pps: load.kind === "offered" ? load.pps : null,
    gbps: intervalOf(summary.gbps),
    mpps: intervalOf(summary.mpps),
    loss: intervalOf(summary.loss),
    p99: summary.latency_ns && figure(summary.latency_ns.p99),
    cpu_cores: intervalOf(summary.cpus),
    watts: intervalOf(energy.watts),
    net_watts: energy.net_watts && intervalOf(energy.net_watts),
    joules_per_packet: figure(energy.joules_per_packet),
    net_joules_per_packet: figure(energy.net_joules_per_packet),
    gbps_per_watt: figure(energy.gbps_per_watt),
    gbps_per_net_watt: figure(energy.gbps_per_net_watt),
    uncertainty: Number.isFinite(energy.uncertainty) ? energy.uncertainty : null,
    domains: domainsOf(spans),
    readings_per_second: median(spans.map(({ readings, seconds }) => readings / seconds)),
    device: summary.device,
    notes: summary.notes,
  };
}

function domainsOf(spans: readonly EnergySpan[]): DomainPower[] {
  return spans[0]!.domains.map(({ name, within, idle_watts }) => ({
    ...{ name, within, idle_watts: idle_watts ?? null },
    watts: median(
      spans.flatMap(({ domains, seconds }) => {
        const joules = domains.find((domain) => domain.name === name)?.joules;
        return joules === undefined ? [] : [joules / seconds];
      }),
    ),
  }));
}

/** One figure of each sample, to be compared between policies: watts without packets, else joules per packet. Lower is better. */
function priceOf(percent: number, sample: Sample): number {
  const watts = wattsOf(sample.energy!);
  return percent === 0 ? watts : watts / (sample.mpps * 1e6);
}

interface Contest {
  readonly points: readonly PowerPoint[];
  readonly lowest: PowerPoint;
  readonly others: readonly PowerPoint[];
  readonly reason: string | null;
}

/** For each placement and load: the policy that takes least, and whether the others surely take more. Nothing of nominal energy. */
export function powerVerdicts(points: readonly PowerPoint[], samples: PowerMeasured["samples"]): PowerVerdict[] {
  const contests = contestsOf(points, samples);
  const pairs: Pair[] = [];
  const pairAt = new Map<PowerPoint, number>();
  for (const { lowest, others, reason } of contests) {
    if (reason !== null) continue;
    for (const other of others) {
      const sides = [other, lowest].map((point) => repeated(point, samples));
      // That the lowest was chosen by its result is allowed for.
      const uncertainty = Math.max(other.uncertainty ?? 0, lowest.uncertainty ?? 0);
      pairAt.set(other, pairs.length);
      pairs.push({
        family: lowest.load_percent === 0 ? "watts" : "joules",
        a: sides[0]!,
        b: sides[1]!,
        candidates: others.length,
        uncertainty,
      });
    }
  }
  const decisions = decide(pairs);
  return contests.map(({ lowest, others, reason }) => {
    const percent = lowest.load_percent;
    const more = others.map((other) => {
      const at = pairAt.get(other);
      const decision = at === undefined ? undefined : decisions[at]!;
      const ratio = decision?.ratio.ratio ?? priceMedian(other, samples) / priceMedian(lowest, samples);
      return { wait: other.wait, ratio, sure: decision?.greater === "a" };
    });
    const metric = percent === 0 ? ("watts" as const) : ("joules_per_packet" as const);
    const verdict = { name: lowest.name, load_percent: percent, metric, lowest: lowest.wait, more, reason };
    return { ...verdict, text: textOf(verdict) };
  });
}

function contestsOf(points: readonly PowerPoint[], samples: PowerMeasured["samples"]): Contest[] {
  const groups = new Map<string, PowerPoint[]>();
  for (const point of points) {
    const key = `${groupOf(point.cell)} ${point.load_percent}`;
    groups.set(key, [...(groups.get(key) ?? []), point]);
  }
  return [...groups.values()]
    .filter((group) => group.length > 1)
    .map((group) => {
      const [lowest] = [...group].sort((a, b) => priceMedian(a, samples) - priceMedian(b, samples));
      const others = group.filter((point) => point !== lowest);
      return { points: group, lowest: lowest!, others, reason: reasonOf(group, samples) };
    });
}

function reasonOf(group: readonly PowerPoint[], samples: PowerMeasured["samples"]): string | null {
  const all = group.map((point) => samples.get(point.key)!);
  if (all.flat().some(({ energy }) => energy!.meter.provenance === "nominal"))
    return "energy is nominal, no measurement";
  const fewest = Math.min(...all.map(({ length }) => length));
  if (fewest < FEWEST_REPEATS) return `${fewest} repeat${fewest === 1 ? " is" : "s are"} too few`;
  const percent = group[0]!.load_percent;
  if (all.flat().some((sample) => !(priceOf(percent, sample) > 0 && priceOf(percent, sample) < Infinity)))
    return "the meter saw no energy, or the chain no packets";
  return null;
}

function repeated({ key, load_percent: percent }: PowerPoint, samples: PowerMeasured["samples"]): Repeated[] {
  return samples.get(key)!.map((sample) => ({ repeat: sample.repeat, value: priceOf(percent, sample) }));
}

function priceMedian({ key, load_percent: percent }: PowerPoint, samples: PowerMeasured["samples"]): number {
  return median(samples.get(key)!.map((sample) => priceOf(percent, sample)));
}

function textOf({ name, load_percent: percent, lowest, more, reason }: Omit<PowerVerdict, "text">): string {
  const where = percent === 0 ? `${name}, waiting for packets` : `${name} at ${percent} %`;
  if (reason !== null) return `${where}: no verdict, since ${reason}`;
  const sure = more.filter((one) => one.sure).map(({ wait, ratio }) => `${wait} (${percentMore(ratio)} more)`);
  if (sure.length === 0) return `${where}: no difference between the policies`;
  const rest = more.filter((one) => !one.sure).map(({ wait }) => wait);
  const like = rest.length === 0 ? "" : `; ${rest.join(" and ")} cannot be told from it`;
  return `${where}: ${lowest} takes less than ${sure.join(", ")}${like}`;
}

function percentMore(ratio: number): string {
  return ratio >= 2
    ? `${ratio.toPrecision(2)} times as much, that is ${Math.round(100 * (ratio - 1))} %`
    : `${(100 * (ratio - 1)).toPrecision(2)} %`;
}
