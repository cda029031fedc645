/**
 * What `compare` has to say, as plain JSON: `--json` writes it, a report is made from it, and nothing in it needs the run it came from.
 * Rates are of frames received per second; Gbps are frame bits, layer 2 without FCS. All times in ns, except where a name says ms.
 */
import type { MeterInfo, Provenance } from "../measure/energy/meter.js";
import type { Manifest } from "../report/document.js";
import type { Cell, FrameSize, NfShare, Placement, Sample, SampleDevice } from "./cell.js";
import type { Proof } from "./equivalence.js";

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

/** A rate found by search (RFC 2544 section 26.1). */
export interface FoundRate {
  /** Greatest rate that passed, packets per second and frame bits. */
  readonly pps: number;
  readonly gbps: number;
  /** Loss allowed, as a share: 0 for NDR. */
  readonly loss: number;
  /** Least rate that failed: the limit lies between the two. Null where none did. */
  readonly failed_pps: number | null;
  /** Trials that lost at rates where another then passed: hiccups of the machine. */
  readonly hiccups: number;
  /** Why it is no better known: trials ran out; null where the two are within the resolution. */
  readonly note: string | null;
}

/**
 * Latency under an offered load; from the intended time of sending. Every cell is measured at shares of its own rate, and the baseline and
 * each cell with a GPU also at the same shares of the lower rate of the two: p99 is compared at equal load.
 */
export interface LoadLatency {
  /** Percent of this cell's own NDR, or saturation rate (`loads_of`). */
  readonly percent: number;
  /** Keys of the cells it is an equal load with, of whose rate it is such a share; empty where it is for this cell alone. */
  readonly shared_with: readonly string[];
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
  /** All the meter saw. */
  readonly watts: Interval;
  readonly joules_per_packet: Interval;
  readonly gbps_per_watt: Interval;
  /** Watts of the idle machine; null where they were not measured. */
  readonly idle_watts: number | null;
  /** Above the idle machine; null where that was not measured, or the meter shows no more. */
  readonly net_watts: Interval | null;
  readonly net_joules_per_packet: Interval | null;
  readonly gbps_per_net_watt: Interval | null;
  /** Of the energy, by the meter's own account, relative. Repeats do not lessen it. */
  readonly uncertainty: number;
  /** Watts by domain, of the last sample. */
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
  /** Closed loop, under saturation: mostly queueing. Null where no packet left. */
  readonly saturated_latency: { readonly p50: Interval; readonly p99: Interval } | null;
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

/** The answer for one size, metric and cell with NFs on a GPU: is it better than all on CPU? */
export interface Verdict {
  readonly size: FrameSize;
  readonly cores: string;
  readonly metric: Metric;
  /** For p99: the load it was taken at, the same for both: so many percent of the lower of the two rates, and pps. Else null. */
  readonly load: { readonly percent: number; readonly pps: number } | null;
  /** "no difference": none at that confidence. "none": nothing may be said, for the reason given. */
  readonly verdict: "cpu" | "gpu" | "no difference" | "none";
  /** Keys of the cells compared. */
  readonly cpu: string;
  readonly gpu: string;
  /** Name of the latter. */
  readonly name: string;
  /** The GPU cell's figure over the baseline's; null where there is none to be had. */
  readonly ratio: Interval | null;
  readonly confidence: number;
  /** True: of an emulated device, so it says nothing about hardware. */
  readonly emulated: boolean;
  /** What holds it back or qualifies it: "nominal energy", "3 repeats are too few"; null where nothing does. */
  readonly reason: string | null;
  /** In words: "1472 B, Gbps: CPU, 1.91 times the GPU's (emulated device: no verdict on hardware)". */
  readonly text: string;
}

/**
 * The answer for one size and metric: all on CPU against the best placement on a GPU. That it was chosen by its result is allowed for,
 * and one correction for multiple comparisons goes over all these verdicts; that of {@link Verdict} goes over those.
 */
export interface SizeVerdict {
  readonly size: FrameSize;
  readonly cores: string;
  readonly metric: Metric;
  readonly verdict: Verdict["verdict"];
  /** Key of the GPU's best cell (for p99: of the one with the highest rate); null where there is nothing to compare. */
  readonly best_gpu: string | null;
  /** As of {@link Verdict}. */
  readonly ratio: Interval | null;
  readonly load: Verdict["load"];
  readonly confidence: number;
  readonly emulated: boolean;
  readonly reason: string | null;
  readonly text: string;
}

/** Where CPU and GPU change places along an axis. */
export interface CrossoverResult {
  /** Cell of the GPU, by its name: "nids on gpu (opencl)"; "the best on gpu" for the verdicts per size. */
  readonly name: string;
  readonly cores: string;
  readonly metric: Metric;
  readonly axis: "size" | "load";
  /** For axis load. */
  readonly size: FrameSize | null;
  /** Bytes, or packets per second. Null: none in the range measured. */
  readonly at: number | null;
  /** What is known of it. */
  readonly low: number | null;
  readonly high: number | null;
  /** Between which measured points; null where there is none. */
  readonly between: readonly [number, number] | null;
  /** Who is ahead on the lower and on the upper side; the same where there is none. */
  readonly below: "cpu" | "gpu" | "no difference";
  readonly above: "cpu" | "gpu" | "no difference";
  readonly text: string;
}

/** A cell among the others of its size: off the front where another is nowhere worse and surely better in something. */
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
  /** perhaps: others seem better in everything, but their intervals overlap; it counts to the front. */
  readonly standing: "front" | "perhaps" | "dominated";
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
  /** Null where it was stopped before that was known. */
  readonly equivalence: Proof | null;
  /** In the order of the plan; those without a sample are not in it. */
  readonly cells: readonly CellResult[];
  /** Per size and metric. */
  readonly verdicts: readonly SizeVerdict[];
  /** What they come from: per cell with a GPU. */
  readonly comparisons: readonly Verdict[];
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
