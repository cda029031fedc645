/**
 * What `power` has to say, as plain JSON: `--json` writes it, a report is made from it. Gbps are frame bits received, layer 2 without FCS;
 * joules and watts are of what the meter covers, net ones above the idle machine.
 */
import type { WaitPolicy } from "../engine/plan.js";
import type { MeterInfo } from "../measure/energy/meter.js";
import type { Manifest } from "../report/document.js";
import type { Cell, Sample, SampleDevice } from "./cell.js";
import type { Interval } from "./compare-result.js";

/** What was to be measured. */
export interface PowerPlan {
  readonly chain: string;
  /** What the ports receive. */
  readonly input: string;
  /** Percent of the saturation rate, ascending; 0: the chain waits. */
  readonly loads: readonly number[];
  readonly waits: readonly WaitPolicy[];
  readonly cores: string;
  readonly repeats: number;
  readonly warm_up_ms: number;
  readonly window_ms: number;
  readonly idle_ms: number;
  readonly seed: number;
  readonly quick: boolean;
  readonly cells: readonly Cell[];
}

export interface DomainPower {
  readonly name: string;
  /** The domain whose watts include these; null: they count in the sum. */
  readonly within: string | null;
  /** Medians over the repeats. */
  readonly watts: number;
  /** Null where idle was not measured. */
  readonly idle_watts: number | null;
}

/** One way to run the chain under one load. */
export interface PowerPoint {
  /** sampleKey(cell, load). */
  readonly key: string;
  readonly cell: Cell;
  /** Of placement and device, without the policy: "all on cpu", "nids on gpu (opencl)". */
  readonly name: string;
  readonly wait: WaitPolicy;
  /** Percent of the rate that all policies of this placement reach. */
  readonly load_percent: number;
  /** Packets per second offered; null: as many as the chain takes. */
  readonly offered_pps: number | null;
  readonly gbps: Interval;
  readonly mpps: Interval;
  /** Share of packets missed at the receive ring. */
  readonly loss: Interval;
  /** ns; null where no packet left in some repeat. Under an offered load from when a packet was due. */
  readonly p99: Interval | null;
  /** Cores' worth of processor time of the whole process. */
  readonly cpu_cores: Interval;
  readonly watts: Interval;
  readonly net_watts: Interval | null;
  /** Figures per packet and per watt are null at load 0. */
  readonly joules_per_packet: Interval | null;
  readonly net_joules_per_packet: Interval | null;
  readonly gbps_per_watt: Interval | null;
  readonly gbps_per_net_watt: Interval | null;
  /** Of the energy, by the meter's own account, relative; null where the meter saw nothing. Repeats do not lessen it. */
  readonly uncertainty: number | null;
  readonly domains: readonly DomainPower[];
  /** Readings of the meter per second. */
  readonly readings_per_second: number;
  readonly device: SampleDevice | null;
  readonly notes: readonly string[];
}

/** Which policy takes least at a load. */
export interface PowerVerdict {
  readonly name: string;
  readonly load_percent: number;
  /** watts at load 0, else joules per packet; lower is better. */
  readonly metric: "watts" | "joules_per_packet";
  /** The policy with the lowest median. */
  readonly lowest: WaitPolicy;
  /** Those that surely take more, and those of which that cannot be said. */
  readonly more: readonly { readonly wait: WaitPolicy; readonly ratio: number; readonly sure: boolean }[];
  /** Why nothing may be said: "energy is nominal", "2 repeats are too few"; null where something may. */
  readonly reason: string | null;
  readonly text: string;
}

export interface PowerResult {
  readonly verb: "power";
  readonly format: 1;
  /** interrupted: figures of what was measured until then. */
  readonly state: "complete" | "interrupted";
  readonly plan: PowerPlan;
  readonly meter: MeterInfo;
  /** Watts of the idle machine, before the chain ran; what net figures are above. */
  readonly idle: { readonly watts: number; readonly uncertainty_watts: number | null } | null;
  readonly points: readonly PowerPoint[];
  readonly verdicts: readonly PowerVerdict[];
  /** What qualifies the figures, the gravest first. */
  readonly warnings: readonly string[];
  readonly progress: { readonly done: number; readonly planned: number };
  readonly manifest: Manifest;
  readonly samples: readonly Sample[];
}
