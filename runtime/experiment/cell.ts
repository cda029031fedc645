/**
 * What experiments measure: a cell is one way to run a chain, a load is how packets are offered to it, a sample is one measurement of a cell
 * under a load. `compare`, `power` and `paper` are made of these, and what is kept on disk is samples.
 */
import type { WaitPolicy } from "../engine/plan.js";
import type { EnergySpan } from "../measure/energy/meter.js";
import type { LatencyPercentiles } from "../measure/percentiles.js";

/** Where each NF of the chain runs, by its name in the chain. */
export type Placement = Readonly<Record<string, "cpu" | "gpu">>;

/** Frame size in bytes (layer 2 without FCS), `imix`, or `as-is`: the chain's own input as it stands. */
export type FrameSize = number | "imix" | "as-is";

export interface Cell {
  /** Which chain, and what for, where an experiment has several; absent where it has one. */
  readonly chain?: string;
  readonly placement: Placement;
  /** As `--device` takes it; `none` where nothing is placed on a GPU. */
  readonly device: string;
  readonly size: FrameSize;
  /** As `--cores` takes it. */
  readonly cores: string;
  /** Undefined: as the device likes. */
  readonly workgroups: number | undefined;
  readonly wait: WaitPolicy;
  /** Packets per burst. */
  readonly batch: number;
}

/**
 * How packets are offered.
 * saturation: as fast as the chain takes them.
 * offered: open loop. Packet k is due at start + k / pps, whether the chain is ready or not; its latency counts from then (no coordinated
 * omission). `ring` packets that are due wait, as in a NIC's receive ring; those beyond it are missed, and counted.
 */
export type Load =
  | { readonly kind: "saturation" }
  | { readonly kind: "offered"; readonly pps: number; readonly ring: number };

/** Descriptors of the receive ring in experiments: what NICs' drivers have by default, more or less. */
export const RX_RING = 4096;

export interface Timing {
  /** ms that are run before anything counts: code is compiled, caches and tables fill. */
  readonly warmUpMs: number;
  /** ms that count. */
  readonly windowMs: number;
}

/** What was found of an NF in a window. */
export interface NfShare {
  readonly name: string;
  readonly place: "cpu" | "gpu";
  readonly engine: string;
  /** Packets it saw, over packets received; above 1 where packets come back to it. */
  readonly share: number;
}

export interface SampleDevice {
  readonly kind: string;
  readonly name: string;
  readonly emulated: boolean;
  readonly persistent: boolean;
  readonly zero_copy: boolean;
  readonly workgroups: number;
}

/** One measurement. Plain JSON: it is kept as a line of a file. Rates are over the window, without the warm-up. */
export interface Sample {
  /** Identity of cell and load: {@link sampleKey}. */
  readonly key: string;
  readonly cell: Cell;
  readonly load: Load;
  /** 0, 1, ... */
  readonly repeat: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Of the window, really. */
  readonly seconds: number;
  /** Received, left (sent or handed to the kernel), dropped, and missed at the receive ring, in the window. */
  readonly packets: { readonly rx: number; readonly tx: number; readonly dropped: number; readonly missed: number };
  /** Frame bytes received. */
  readonly bytes: number;
  /** Received packets per second / 1e6, and frame bits received per second / 1e9 (layer 2 without FCS). */
  readonly mpps: number;
  readonly gbps: number;
  /** missed / (rx + missed) */
  readonly loss: number;
  /** ns; from the intended time under an offered load, else from rx. */
  readonly latency_ns: LatencyPercentiles;
  /** Seconds of processor time all threads of the process took in the window. */
  readonly cpu_seconds: number;
  readonly nfs: readonly NfShare[];
  readonly device: SampleDevice | null;
  /** Drops of the whole run, warm-up included. */
  readonly drops: readonly { readonly nf: string; readonly reason: string; readonly packets: number }[];
  readonly sync: {
    readonly rows: number;
    readonly packets: number;
    readonly dummies: number;
    readonly bytes_copied: number;
  };
  /** Null where no meter was running. */
  readonly energy: EnergySpan | null;
}

/** What measures cells; {@link ./runner.js} runs the chain itself, tests have others. */
export interface Runner {
  /**
   * @throws RunError where the device does not open or fails, an NF fails, or the ledger does not balance
   */
  measure(cell: Cell, load: Load, timing: Timing, repeat: number): Promise<Sample>;
  /** Of every frame size that was asked for so far, and of the chain's input: what is prepared for it. */
  close(): Promise<void>;
}

/** NFs of a placement that are on the GPU, in the order of the chain. */
export function onGpu(placement: Placement): string[] {
  return Object.keys(placement).filter((nf) => placement[nf] === "gpu");
}

/** "ipsec+nids on gpu", "all on cpu". */
export function placementName(placement: Placement): string {
  const gpu = onGpu(placement);
  return gpu.length === 0 ? "all on cpu" : `${gpu.join("+")} on gpu`;
}

/** Everything that tells a cell from another, readable and stable. */
export function cellKey(cell: Cell): string {
  const { chain, placement, device, size, cores, workgroups, wait, batch } = cell;
  const parts = [placementName(placement), device, String(size), cores, wait, `batch ${batch}`];
  if (chain !== undefined) parts.unshift(chain);
  if (workgroups !== undefined) parts.push(`${workgroups} workgroups`);
  return parts.join(", ");
}

export function sampleKey(cell: Cell, load: Load): string {
  const offered = load.kind === "saturation" ? "saturation" : `${load.pps} pps, ring ${load.ring}`;
  return `${cellKey(cell)}; ${offered}`;
}
