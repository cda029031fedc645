/**
 * What `compare` has to say, as plain JSON: `--json` writes it, a report is made from it, and nothing in it needs the run it came from.
 * Rates are of frames received per second; Gbps are frame bits, layer 2 without FCS. All times in ns, except where a name says ms.
 */
import type { MeterInfo, Provenance } from "../measure/energy/meter.js";
import type { Manifest } from "../report/document.js";
import type { Cell, FrameSize, NfShare, Placement, Sample, SampleDevice } from "./cell.js";

/** A median with its confidence interval; a bound is null where there are too few samples to say one at this confidence. */
export interface Interval {
  readonly median: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly confidence: number;
  readonly samples: number;
}

/** What was to be measured; what a resumed comparison has to have in common with the one it goes on with. */
export interface ComparePlan {
  /** SHA-256 over everything that decides what the samples mean: chain and files, input, cells, loads, timing, seed. */
  readonly hash: string;
  readonly chain: string;
  /** What port `in` receives: "generator:...", or a file. */
  readonly input: string;
  readonly sizes: readonly FrameSize[];
  readonly placements: readonly Placement[];
  /** Without `none`, which is always there as the baseline. */
  readonly devices: readonly string[];
  readonly cores: readonly string[];
  readonly repeats: number;
  readonly warm_up_ms: number;
  readonly window_ms: number;
  readonly seed: number;
  /** Whether NDR and PDR were searched. */
  readonly search: boolean;
  /** Percent of NDR (or, without a search, of the saturation rate) at which latency was measured. */
  readonly loads: readonly number[];
  readonly loads_of: "ndr" | "saturation";
  readonly quick: boolean;
  readonly cells: readonly Cell[];
  /** What was asked for and cannot be: a placement whose NF has no kernel for that device. */
  readonly left_out: readonly { readonly what: string; readonly why: string }[];
}

/** How one way to run the chain compares with the baseline in the untimed pass over one input. */
export interface EquivalenceCase {
  readonly size: FrameSize;
  /** "ipsec on gpu, opencl, d1". */
  readonly name: string;
  readonly placement: Placement;
  readonly device: string;
  readonly cores: string;
  readonly digest: string;
  readonly alerts_digest: string;
  /** What is not as in the baseline, a line each; empty where all is equal. */
  readonly differences: readonly string[];
}

export interface EquivalenceResult {
  readonly equal: boolean;
  /** Packets of each pass. */
  readonly packets: number;
  readonly cases: readonly EquivalenceCase[];
}

/** A rate found by search (RFC 2544 section 26.1, RFC 9411's loss limits). */
export interface FoundRate {
  readonly pps: number;
  readonly gbps: number;
  /** Loss allowed, as a share. */
  readonly loss: number;
  /** Found rates of the repeats, as an interval in packets per second. */
  readonly interval: Interval;
  /** Why it is no better known: the search ended at its limit of trials; null where it came to its end. */
  readonly note: string | null;
}

/** Latency under an offered load; from the intended time of sending. */
export interface LoadLatency {
  /** Percent of what `loads_of` says. */
  readonly percent: number;
  readonly pps: number;
  readonly gbps: number;
  readonly p50: Interval;
  readonly p90: Interval;
  readonly p99: Interval;
  readonly p999: Interval;
  /** Of all repeats. */
  readonly max: number;
  /** Share of packets missed at the receive ring. */
  readonly loss: Interval;
}

export interface CellEnergy {
  readonly meter: MeterInfo;
  readonly provenance: Provenance;
  readonly watts: Interval;
  /** Watts of the idle machine; null where they were not measured. Figures below are above it where it is there. */
  readonly idle_watts: number | null;
  readonly joules_per_packet: Interval;
  readonly gbps_per_watt: Interval;
  /** Watts by domain, medians. */
  readonly domains: readonly { readonly name: string; readonly within: string | null; readonly watts: number }[];
}

/** What was found of a cell. */
export interface CellResult {
  /** cellKey(cell). */
  readonly key: string;
  readonly cell: Cell;
  /** For people, unique among the cells of a size: "all on cpu", "ipsec on gpu (opencl)", with cores where there are several. */
  readonly name: string;
  /** True: it is what the others of its size and cores are compared with. */
  readonly baseline: boolean;
  readonly device: SampleDevice | null;
  /** Under saturation. */
  readonly gbps: Interval;
  readonly mpps: Interval;
  /** Cores' worth of processor time of the whole process. */
  readonly cpu_cores: Interval;
  /** Closed loop, under saturation: mostly queueing. */
  readonly saturated_latency: { readonly p50: Interval; readonly p99: Interval };
  /** Null where it was not searched, or not reached. */
  readonly ndr: FoundRate | null;
  readonly pdr: FoundRate | null;
  /** By percent, ascending; empty where it was not measured. */
  readonly latency: readonly LoadLatency[];
  readonly energy: CellEnergy | null;
  /** Share of the packets each NF saw; of the last sample. */
  readonly nfs: readonly NfShare[];
  /** Packets per device row, and dummies per entry; null on the CPU. */
  readonly rows: {
    readonly packets_per_row: number;
    readonly dummy_share: number;
    readonly bytes_copied_per_packet: number;
  } | null;
  readonly drops: Sample["drops"];
  /** (largest - smallest) / median of the Gbps of its samples. */
  readonly spread: number;
}

export type Metric = "gbps" | "p99" | "gbps_per_watt";

/**
 * The answer for one size and metric: is a placement with NFs on a GPU better than all on CPU? One line for each GPU cell, and one for
 * the best of them (`placement` null).
 */
export interface Verdict {
  readonly size: FrameSize;
  readonly cores: string;
  readonly metric: Metric;
  /** For p99: percent of `loads_of` it was taken at; else null. */
  readonly load: number | null;
  /** "no difference": none at that confidence. "none": nothing may be said, for the reason given. */
  readonly verdict: "cpu" | "gpu" | "no difference" | "none";
  /** Keys of the cells compared: the baseline, and the best one with an NF on a GPU. */
  readonly cpu: string;
  readonly gpu: string;
  /** gpu / cpu, of the medians' differences over repeats; above 1 the GPU's figure is the larger one. */
  readonly ratio: Interval | null;
  readonly confidence: number;
  /** True: of an emulated device, so it says nothing about hardware. */
  readonly emulated: boolean;
  /** What holds it back or qualifies it: "nominal energy", "3 repeats are too few"; null where nothing does. */
  readonly reason: string | null;
  /** In words: "1472 B, Gbps: CPU, 1.91 times the GPU's (emulated device: no verdict on hardware)". */
  readonly text: string;
}

/** Where CPU and GPU change places along an axis. */
export interface CrossoverResult {
  /** Cell of the GPU, by its name: "nids on gpu (opencl)". */
  readonly name: string;
  readonly cores: string;
  readonly metric: Metric;
  readonly axis: "size" | "load";
  /** For axis load. */
  readonly size: FrameSize | null;
  /** Bytes, or percent of load. Null: none in the range measured. */
  readonly at: number | null;
  /** Between which measured points; null where there is none. */
  readonly between: readonly [number, number] | null;
  /** Who is ahead on the lower and on the upper side; the same where there is none. */
  readonly below: "cpu" | "gpu" | "no difference";
  readonly above: "cpu" | "gpu" | "no difference";
  readonly text: string;
}

/** A cell among the others of its size: on the front where no other is at least as good in everything and better in something. */
export interface ParetoEntry {
  readonly size: FrameSize;
  readonly key: string;
  readonly name: string;
  readonly gbps: number;
  /** ns; null where latency under load was not measured. */
  readonly p99: number | null;
  /** Null without a meter, or where it is nominal. */
  readonly gbps_per_watt: number | null;
  readonly front: boolean;
}

/** The placement that is best over the sizes measured. */
export interface BestPlacement {
  readonly placement: Placement;
  readonly device: string;
  readonly cores: string;
  readonly name: string;
  /** Geometric mean over the sizes of its Gbps over the baseline's. */
  readonly ratio: number;
  readonly emulated: boolean;
  /** Why it: "no placement on a GPU was faster at 95 % confidence", ... */
  readonly why: string;
  /** Chain file with it, relative to the report's folder; null where none was written. */
  readonly file: string | null;
}

export interface CompareResult {
  readonly verb: "compare";
  readonly format: 1;
  /** refused: placements gave different packets, so there are no figures. interrupted: figures of what was measured until then. */
  readonly state: "complete" | "interrupted" | "refused";
  readonly plan: ComparePlan;
  readonly equivalence: EquivalenceResult;
  /** In the order of the plan; those without a sample are not in it. */
  readonly cells: readonly CellResult[];
  readonly verdicts: readonly Verdict[];
  readonly crossovers: readonly CrossoverResult[];
  readonly pareto: readonly ParetoEntry[];
  readonly best: BestPlacement | null;
  /** What qualifies the figures, a line each, the gravest first. */
  readonly warnings: readonly string[];
  /** Measured and to be measured, timed samples and trials of searches alike. */
  readonly progress: { readonly done: number; readonly planned: number };
  readonly manifest: Manifest;
  /** Every sample, in the order taken, trials of searches among them. */
  readonly samples: readonly Sample[];
}
