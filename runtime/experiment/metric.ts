/** What placements are judged by. */
import type { EnergySpan } from "../measure/energy/meter.js";
import type { Sample } from "./cell.js";

/** gbps_per_watt: all the meter saw; gbps_per_net_watt: above the idle machine. */
export type MetricName = "gbps" | "p50" | "p99" | "p999" | "gbps_per_watt" | "gbps_per_net_watt";

export interface Metric {
  readonly name: MetricName;
  readonly title: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  readonly energy: boolean;
  readonly latency: boolean;
  /** NaN where the sample has none. */
  value(sample: Sample): number;
}

export const METRICS: Readonly<Record<MetricName, Metric>> = {
  gbps: rate("gbps", "throughput", "Gbps", (sample) => sample.gbps),
  p50: latency("p50", "median latency"),
  p99: latency("p99", "p99 latency"),
  p999: latency("p999", "p99.9 latency"),
  gbps_per_watt: energy("gbps_per_watt", "throughput per watt", wattsOf),
  gbps_per_net_watt: energy("gbps_per_net_watt", "throughput per watt above idle", netWattsOf),
};

/** Watts over the span. */
export function wattsOf(span: EnergySpan): number {
  return span.joules / span.seconds;
}

/** Watts above the idle machine; NaN where that was not measured. May be negative: the meter's noise around an idle machine is. */
export function netWattsOf(span: EnergySpan): number {
  return span.idle_watts === null ? Number.NaN : wattsOf(span) - span.idle_watts;
}

function rate(name: MetricName, title: string, unit: string, value: (sample: Sample) => number): Metric {
  return { name, title, unit, better: "higher", energy: false, latency: false, value };
}

function latency(name: "p50" | "p99" | "p999", title: string): Metric {
  const value = ({ latency_ns }: Sample) => (latency_ns.count > 0 ? latency_ns[name] : Number.NaN);
  return { name, title, unit: "ns", better: "lower", energy: false, latency: true, value };
}

function energy(name: MetricName, title: string, watts: (span: EnergySpan) => number): Metric {
  const value = (sample: Sample) => (sample.energy === null ? Number.NaN : sample.gbps / watts(sample.energy));
  return { name, title, unit: "Gbps/W", better: "higher", energy: true, latency: false, value };
}
