/** What keeps samples from being compared by a metric. */
import { median } from "simple-statistics";
import type { Sample } from "./cell.js";
import type { Metric } from "./metric.js";

/** Loss above which latency speaks of the packets that were lucky: what RFC 2544 searches call partial drop rate in practice. */
export const MOST_LOSS = 0.005;

/** @returns null where the samples can be compared with others, else the reason, to be read after the group's name and a colon */
export function unfit(samples: readonly Sample[], metric: Metric): string | null {
  if (samples.length === 0) return "it was not measured";
  if (new Set(samples.map(({ load }) => load.kind)).size > 1) return "its samples are of different kinds of load";
  const reason = (metric.energy && unfitEnergy(samples, metric)) || (metric.latency && unfitLatency(samples));
  if (reason) return reason;
  const bad = samples.find((sample) => !(metric.value(sample) > 0 && metric.value(sample) < Infinity));
  if (bad === undefined) return null;
  return `${metric.title} of repeat ${bad.repeat} is ${metric.value(bad)}, which has no ratio`;
}

function unfitEnergy(samples: readonly Sample[], metric: Metric): string | null {
  const without = samples.filter(({ energy }) => energy === null);
  if (without.length > 0) {
    const all = without.length === samples.length;
    return `no meter was running${all ? "" : ` in repeats ${repeatsOf(without)}`}: see \`wingbeat doctor\` for what can be read here`;
  }
  if (samples.some(({ energy }) => energy!.meter.provenance === "nominal")) {
    return "its energy is nominal (design power times processor time), no measurement";
  }
  if (metersOf(samples).size > 1) return `its energy is from different meters: ${[...metersOf(samples)].join(", ")}`;
  if (metric.name !== "gbps_per_net_watt") return null;
  if (samples.some(({ energy }) => energy!.idle_watts === null)) return "the idle machine was not measured";
  const below = samples.filter((sample) => !(metric.value(sample) > 0));
  return below.length > 0 ? `the meter shows no more than the idle machine takes in repeats ${repeatsOf(below)}` : null;
}

function unfitLatency(samples: readonly Sample[]): string | null {
  const none = samples.filter(({ latency_ns }) => latency_ns.count === 0);
  if (none.length > 0) return `no packet left in repeats ${repeatsOf(none)}`;
  const loss = median(samples.map((sample) => sample.loss));
  if (loss <= MOST_LOSS) return null;
  return `it lost ${(100 * loss).toPrecision(2)} % of the packets, and latency counts those only that came through`;
}

export function metersOf(samples: readonly Sample[]): ReadonlySet<string> {
  return new Set(samples.flatMap(({ energy }) => (energy === null ? [] : [energy.meter.name])));
}

function repeatsOf(samples: readonly Sample[]): string {
  return samples.map(({ repeat }) => repeat).join(", ");
}
