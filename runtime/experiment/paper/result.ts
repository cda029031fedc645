/** What `paper` finds: plain JSON, the report's result.json and --json. */
import type { Manifest } from "../../report/document.js";
import type { Sample, SampleDevice } from "../cell.js";
import type { Interval } from "../compare-result.js";
import type { Proof } from "../equivalence.js";
import type { PaperChain } from "./chains.js";
import type { PaperPlan } from "./plan.js";

export interface PaperSeries {
  readonly name: string;
  readonly chain: PaperChain;
  /** NFs on the device. */
  readonly gpu: readonly string[];
  readonly cores: string;
  readonly device: SampleDevice | null;
  /** Threads that work at once, an emulated device's among them as one. */
  readonly threads: number;
  /** Whether these are more than the machine has cores. */
  readonly oversubscribed: boolean;
}

export interface PaperPanel {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  /** Of energy: by what it is known. Null for what is no energy. */
  readonly provenance: "measured" | "nominal" | null;
}

/** A point of a curve. */
export interface PaperPoint {
  readonly panel: string;
  readonly series: string;
  readonly size: number;
  readonly value: Interval;
  /** The paper's, where its text gives it. */
  readonly paper: number | null;
}

/** What the paper says of two series, and what was found. */
export interface PaperFinding {
  readonly text: string;
  readonly panel: string;
  readonly kind: "ratio" | "difference";
  readonly size: number;
  /** Null where `reason` says why there is none. */
  readonly value: Interval | null;
  readonly reason: string | null;
  /** The paper's words; null where it has none, and its number, where it has one. */
  readonly paper: string | null;
  readonly paper_value: number | null;
}

export interface FigureResult {
  readonly id: string;
  readonly title: string;
  readonly shows: string;
  readonly paper: string;
  readonly differs: string;
  /** Whether a device that took part is emulated: its figures say nothing about hardware. */
  readonly emulated: boolean;
  readonly series: readonly PaperSeries[];
  readonly panels: readonly PaperPanel[];
  readonly points: readonly PaperPoint[];
  readonly findings: readonly PaperFinding[];
}

export interface PaperResult {
  readonly verb: "paper";
  readonly format: 1;
  /** refused: two ways to run a chain gave different packets. */
  readonly state: "complete" | "interrupted" | "refused";
  readonly plan: PaperPlan;
  /** In one line: this machine and the paper's. */
  readonly machine: string;
  readonly equivalence: readonly { readonly chain: PaperChain; readonly proof: Proof }[];
  readonly figures: readonly FigureResult[];
  readonly warnings: readonly string[];
  readonly progress: { readonly done: number; readonly planned: number };
  readonly manifest: Manifest;
  readonly samples: readonly Sample[];
}
