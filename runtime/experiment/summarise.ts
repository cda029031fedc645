/** What the repeats of one cell under one load say. */

import { median } from "simple-statistics";
import type { EnergySpan, MeterInfo } from "../measure/energy/meter.js";
import type { Estimate } from "../measure/statistics/interval.js";
import { CONFIDENCE, medianEstimate } from "../measure/statistics/median.js";
import { suspects } from "../measure/statistics/outliers.js";
import { type Cell, type Load, type NfShare, type Sample, type SampleDevice, sampleKey } from "./cell.js";
import { netWattsOf, wattsOf } from "./metric.js";
import { metersOf } from "./unfit.js";

/**
 * Figures per packet are null where a repeat has no packets, those per watt where it has no joules. Net is above the idle machine: null
 * where that was not measured, or the meter shows no more than it.
 */
export interface EnergySummary {
  readonly meter: MeterInfo;
  readonly watts: Estimate;
  readonly joules_per_packet: Estimate | null;
  readonly gbps_per_watt: Estimate | null;
  readonly net_watts: Estimate | null;
  readonly net_joules_per_packet: Estimate | null;
  readonly gbps_per_net_watt: Estimate | null;
  /** Of the energy, by the meter's own account: its median over the repeats, relative. Repeats do not lessen it. */
  readonly uncertainty: number;
}

export interface CellSummary {
  readonly key: string;
  readonly cell: Cell;
  readonly load: Load;
  /** Repeats there are, in order, and those that are missing of as many as were wanted. */
  readonly repeats: readonly number[];
  readonly missing: readonly number[];
  readonly gbps: Estimate;
  readonly mpps: Estimate;
  /** missed / (rx + missed) */
  readonly loss: Estimate;
  /** ns; null where no packet left in some repeat. */
  readonly latency_ns: { readonly p50: Estimate; readonly p99: Estimate; readonly p999: Estimate } | null;
  /** Processors kept busy: 2.5 is two and a half. */
  readonly cpus: Estimate;
  /** Null where a repeat was not metered. */
  readonly energy: EnergySummary | null;
  /** Medians over the repeats. */
  readonly nfs: readonly NfShare[];
  readonly device: SampleDevice | null;
  /** What a reader has to know: missing repeats, samples far from the others (which count), different meters. Sentences. */
  readonly notes: readonly string[];
}

/**
 * @param samples of one cell under one load, in any order
 * @param wanted repeats there should be: 0 .. wanted - 1
 * @throws RangeError where there is no sample, they are of several cells or loads, or a figure is not a number
 */
export function summarise(samples: readonly Sample[], wanted: number, confidence = CONFIDENCE): CellSummary {
  const first = samples[0];
  if (first === undefined) throw new RangeError("no sample to summarise");
  const key = sampleKey(first.cell, first.load);
  const other = samples.find(({ cell, load }) => sampleKey(cell, load) !== key);
  if (other !== undefined)
    throw new RangeError(`samples of ${key} and of ${sampleKey(other.cell, other.load)} together`);
  const ordered = [...samples].sort((a, b) => a.repeat - b.repeat);
  const repeats = [...new Set(ordered.map(({ repeat }) => repeat))];
  const missing = Array.from({ length: wanted }, (_, i) => i).filter((i) => !repeats.includes(i));
  const estimate = (of: (sample: Sample) => number) => medianEstimate(ordered.map(of), confidence);
  const latency = ordered.every(({ latency_ns }) => latency_ns.count > 0);
  return {
    ...{ key, cell: first.cell, load: first.load, repeats, missing },
    gbps: estimate(({ gbps }) => gbps),
    mpps: estimate(({ mpps }) => mpps),
    loss: estimate(({ loss }) => loss),
    latency_ns: latency
      ? {
          p50: estimate(({ latency_ns }) => latency_ns.p50),
          p99: estimate(({ latency_ns }) => latency_ns.p99),
          p999: estimate(({ latency_ns }) => latency_ns.p999),
        }
      : null,
    cpus: estimate(({ cpu_seconds, seconds }) => cpu_seconds / seconds),
    energy: energyOf(ordered, confidence),
    nfs: nfsOf(ordered),
    device: ordered.find(({ device }) => device !== null)?.device ?? null,
    notes: notesOf(ordered, missing),
  };
}

function energyOf(samples: readonly Sample[], confidence: number): EnergySummary | null {
  // Of different meters there is no one figure; notes say so.
  if (samples.some(({ energy }) => energy === null) || metersOf(samples).size > 1) return null;
  const metered = samples.map((sample) => ({ sample, span: sample.energy! }));
  const idle = metered.every(({ span }) => span.idle_watts !== null);
  const above = idle && metered.every(({ span }) => netWattsOf(span) > 0);
  const estimate = (of: (watts: number, sample: Sample) => number, watts: (span: EnergySpan) => number) =>
    medianEstimate(
      metered.map(({ sample, span }) => of(watts(span), sample)),
      confidence,
    );
  const plain = (watts: number) => watts;
  // From rates, not totals: a span may be a little longer than the window.
  const perPacket = (watts: number, { mpps }: Sample) => watts / (mpps * 1e6);
  const perWatt = (watts: number, { gbps }: Sample) => gbps / watts;
  const packets = samples.every(({ mpps }) => mpps > 0);
  const powered = metered.every(({ span }) => span.joules > 0);
  return {
    meter: metered[0]!.span.meter,
    watts: estimate(plain, wattsOf),
    joules_per_packet: packets ? estimate(perPacket, wattsOf) : null,
    gbps_per_watt: powered ? estimate(perWatt, wattsOf) : null,
    net_watts: idle ? estimate(plain, netWattsOf) : null,
    net_joules_per_packet: above && packets ? estimate(perPacket, netWattsOf) : null,
    gbps_per_net_watt: above ? estimate(perWatt, netWattsOf) : null,
    uncertainty: powered ? median(metered.map(({ span }) => span.uncertainty_joules / span.joules)) : Infinity,
  };
}

/** By name, as NFs of one cell are the same in every repeat. */
function nfsOf(samples: readonly Sample[]): NfShare[] {
  return samples[0]!.nfs.map((nf) => {
    const shares = samples.flatMap(({ nfs }) => nfs.filter(({ name }) => name === nf.name).map(({ share }) => share));
    return { ...nf, share: median(shares) };
  });
}

function notesOf(samples: readonly Sample[], missing: readonly number[]): string[] {
  const notes: string[] = [];
  if (missing.length > 0) notes.push(`repeats ${missing.join(", ")} are missing`);
  for (const { title, of, when } of WATCHED) {
    if (!samples.every(when)) continue;
    const far = suspects(samples.map(of)).map((i) => samples[i]!.repeat);
    if (far.length > 0) notes.push(`${title} of repeats ${far.join(", ")} is far from the others; all of them count`);
  }
  const empty = samples.filter(({ latency_ns }) => latency_ns.count === 0);
  if (empty.length > 0) notes.push(`no packet left in repeats ${namesOf(empty)}: no latency`);
  const unmetered = samples.filter(({ energy }) => energy === null);
  if (unmetered.length > 0 && unmetered.length < samples.length) {
    notes.push(`no meter was running in repeats ${namesOf(unmetered)}: no energy`);
  }
  const meters = [...metersOf(samples)];
  if (meters.length > 1) notes.push(`energy is from different meters (${meters.join(", ")}): no energy`);
  if (samples.some(({ energy }) => energy?.meter.provenance === "nominal")) {
    notes.push("energy is nominal: design power times processor time, no measurement");
  }
  return notes;
}

const WATCHED: readonly {
  readonly title: string;
  readonly of: (sample: Sample) => number;
  readonly when: (sample: Sample) => boolean;
}[] = [
  { title: "throughput", of: ({ gbps }) => gbps, when: () => true },
  { title: "p99 latency", of: ({ latency_ns }) => latency_ns.p99, when: ({ latency_ns }) => latency_ns.count > 0 },
  { title: "energy", of: ({ energy }) => wattsOf(energy!), when: ({ energy }) => energy !== null },
];

function namesOf(samples: readonly Sample[]): string {
  return samples.map(({ repeat }) => repeat).join(", ");
}
