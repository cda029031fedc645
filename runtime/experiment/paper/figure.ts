/** What a figure of the paper is made of: declared in fig3.ts to fig8.ts, gone through by measure.ts, and told by result.ts. */
import type { Sample } from "../cell.js";
import { METRICS, type MetricName } from "../metric.js";
import { unfit } from "../unfit.js";
import type { PaperChain } from "./chains.js";

/** Sizes of the paper's figures, bytes of layer 2 without FCS. */
export const PAPER_SIZES = [64, 128, 256, 512, 1024, 1472] as const;
/** From here on the paper calls packets large. */
export const LARGE = 1024;

/** gpu: the device of `--device`. persistent and rounds: that one, with a resident kernel or a launch for each batch. */
export type SeriesDevice = "none" | "gpu" | "persistent" | "rounds" | "gpujs";

/** One curve. */
export interface Series {
  readonly name: string;
  readonly chain: PaperChain;
  /** NFs on the device; the others run on the CPU. */
  readonly gpu: readonly string[];
  readonly device: SeriesDevice;
  /** As `--cores` takes it; absent: what `--cores` says. */
  readonly cores?: string;
}

/** One y axis. */
export interface Panel {
  /** Letters, digits and hyphens, unique in the figure. */
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  /** Which samples it is taken from. offered: at {@link LATENCY_LOAD} of the lowest saturation rate of the chain's series. */
  readonly load: "saturation" | "offered";
  readonly energy?: boolean;
  /** NaN where a sample has none. */
  value(sample: Sample): number;
  /** Why samples of a series may not be compared with others; null where they may. */
  unfit(samples: readonly Sample[]): string | null;
}

/** Share of the lowest saturation rate at which latency is measured: no queue grows there. */
export const LATENCY_LOAD = 0.5;

/** What the paper says of two series of a panel. */
export interface Claim {
  /** "persistent over copies" */
  readonly text: string;
  readonly panel: string;
  /** ratio: a / b. difference: a - b. */
  readonly kind: "ratio" | "difference";
  readonly a: string;
  readonly b: string;
  /** The paper's number or words at a size; null where it says nothing of it. */
  paper(size: number): { readonly text: string; readonly value: number | null } | null;
}

/** A number that the paper's text gives; its plots are pictures. */
export interface PaperNumber {
  readonly panel: string;
  readonly series: string;
  readonly size: number;
  readonly value: number;
}

export interface PaperFigure {
  /** "fig3" */
  readonly id: string;
  readonly title: string;
  /** For the list of figures, a line. */
  readonly shows: string;
  /** What the paper found, with the section. */
  readonly paper: string;
  /** What is done otherwise here, besides the machine: a sentence. */
  readonly differs: string;
  readonly series: readonly Series[];
  readonly panels: readonly Panel[];
  readonly claims: readonly Claim[];
  readonly numbers: readonly PaperNumber[];
  /** Whether something is left of it without a device. */
  readonly withoutGpu?: boolean;
}

function ofMetric(name: MetricName, panel: Omit<Panel, "value" | "unfit">, scale = 1): Panel {
  const metric = METRICS[name];
  return { ...panel, value: (sample) => metric.value(sample) * scale, unfit: (samples) => unfit(samples, metric) };
}

export const THROUGHPUT = ofMetric("gbps", {
  id: "throughput",
  title: "Throughput",
  unit: "Gbps",
  load: "saturation",
});

export const LATENCY = ofMetric(
  "p50",
  { id: "latency", title: "Median latency at the same load", unit: "us", load: "offered" },
  1e-3,
);

export const PER_WATT = ofMetric("gbps_per_watt", {
  ...{ id: "per-watt", title: "Throughput per watt", unit: "Gbps/W", load: "saturation", energy: true },
});

/** By the processor time of all threads of the process. */
export const PER_CORE: Panel = {
  ...{ id: "per-core", title: "Throughput per busy CPU core", unit: "Gbps/core", load: "saturation" },
  value: ({ gbps, cpu_seconds, seconds }) => (cpu_seconds > 0 ? (gbps * seconds) / cpu_seconds : Number.NaN),
  unfit: (samples) => (samples.every(({ cpu_seconds }) => cpu_seconds > 0) ? null : "no processor time was counted"),
};

/** Entries of the device's rows that are no packets, of the whole run. */
export const DUMMIES: Panel = {
  ...{ id: "dummies", title: "Dummies", unit: "% of entries", load: "saturation" },
  value: ({ device, sync: { packets, dummies } }) =>
    device === null || packets + dummies === 0 ? Number.NaN : (100 * dummies) / (packets + dummies),
  unfit: () => null,
};

/** What the paper has as words. */
export const words = (text: string) => ({ text, value: null });
/** What the paper has as a number. */
export const number = (value: number, text = String(value)) => ({ text, value });
