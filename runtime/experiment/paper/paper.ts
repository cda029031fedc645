/** The paper's experiments from the plan to the result: the proof that series do the same, the samples, and what they say. */
import { availableParallelism } from "node:os";
import type { EnergyRecorder } from "../../measure/energy/meter.js";
import type { Manifest } from "../../report/document.js";
import type { Cell, Runner } from "../cell.js";
import { cellKey, onGpu } from "../cell.js";
import { type Proof, refusal } from "../equivalence.js";
import type { ManifestBuilder } from "../manifest.js";
import { Measurements, type Progress } from "../measurements.js";
import type { SampleStore } from "../sample-store.js";
import type { PaperChain } from "./chains.js";
import type { PaperFigure } from "./figure.js";
import { figureResult } from "./figure-result.js";
import { type MeasuredCell, measurePaper, plannedSamples } from "./measure.js";
import { chainsOf, type PaperPlan } from "./plan.js";
import type { PaperResult } from "./result.js";
import { paperWarnings } from "./warnings.js";

export interface PaperParts {
  readonly plan: PaperPlan;
  readonly figures: readonly PaperFigure[];
  readonly files: Manifest["files"];
  readonly store: SampleStore;
  /** Of the chain that a cell names. */
  readonly runner: Runner;
  readonly manifest: ManifestBuilder;
  /** Undefined: none is running. */
  readonly recorder: EnergyRecorder | undefined;
  /** Ends it in order: what was measured until then is the result. */
  readonly signal: AbortSignal;
  prove(chain: PaperChain, cells: readonly Cell[]): Promise<Proof>;
  show(progress: Progress): void;
}

export interface PaperEnd {
  readonly result: PaperResult;
  /** Why it did not come to its end, or is refused: the verb fails with it. Undefined where it is complete, or somebody stopped it. */
  readonly error: unknown;
}

/** What goes wrong after the first sample is in `error`, beside the result of what went well. */
export async function runPaper(parts: PaperParts): Promise<PaperEnd> {
  const { plan, figures, store, runner, signal } = parts;
  const timing = { warmUpMs: plan.warm_up_ms, windowMs: plan.window_ms };
  const measurements = new Measurements(runner, store, timing, signal, (progress) => parts.show(progress));
  measurements.planned = plannedSamples(plan, figures);
  const equivalence: { chain: PaperChain; proof: Proof }[] = [];
  const found = new Map<string, readonly MeasuredCell[]>();
  let complete = false;
  let error: unknown;
  try {
    error = await proveAll(parts, equivalence);
    if (error === undefined) {
      await measurePaper(plan, figures, measurements, found);
      complete = true;
    }
  } catch (caught) {
    if (!signal.aborted) error = caught;
  }
  const { done, planned } = measurements;
  const refused = equivalence.some(({ proof }) => !proof.equal);
  const state = refused ? "refused" : complete ? "complete" : "interrupted";
  return { result: resultOf(parts, state, equivalence, found, { done, planned }), error };
}

/** Chain by chain. @returns why nothing may be compared; undefined where everything is equal */
async function proveAll(parts: PaperParts, equivalence: { chain: PaperChain; proof: Proof }[]): Promise<unknown> {
  const { plan, store, prove } = parts;
  for (const chain of chainsOf(plan)) {
    const cells = provenCells(plan, chain);
    if (cells.length === 0) continue;
    const name = `equivalence ${chain}`;
    const kept = store.finding<Proof>(name);
    const proof = kept ?? (await prove(chain, cells));
    equivalence.push({ chain, proof });
    if (!proof.equal) return refusal(proof);
    if (kept === undefined) store.addFinding(name, proof);
  }
  return undefined;
}

/** Each way to run a chain once, whichever figures it is of; all on one core of the CPU is what the proof compares with. */
function provenCells({ figures }: PaperPlan, wanted: PaperChain): Cell[] {
  const found = new Map<string, Cell>();
  for (const { cells } of figures) {
    for (const { chain, cell } of cells) {
      if (chain !== wanted || onGpu(cell.placement).length === 0) continue;
      const { chain: _, ...plain } = cell;
      found.set(cellKey(plain), plain);
    }
  }
  return [...found.values()];
}

function resultOf(
  { plan, figures, store, manifest, recorder, files }: PaperParts,
  state: PaperResult["state"],
  equivalence: PaperResult["equivalence"],
  found: ReadonlyMap<string, readonly MeasuredCell[]>,
  progress: PaperResult["progress"],
): PaperResult {
  const results = figures.flatMap((figure) => {
    const cells = found.get(figure.id);
    return cells?.some(({ saturation }) => saturation.length > 0)
      ? [figureResult(figure, cells, availableParallelism())]
      : [];
  });
  const samples = state === "refused" ? [] : store.samples;
  const warnings = paperWarnings(plan, results, recorder?.info, manifest.disturbances());
  if (state === "interrupted") warnings.unshift(`interrupted after ${progress.done} of ${progress.planned} samples`);
  const meters = recorder === undefined ? [] : [recorder.info];
  const facts = {
    ...{ verb: "paper", seed: plan.seed, files },
    meters: meters.map(({ name, provenance, note }) => ({ name, provenance, note })),
  };
  const ended = manifest.end(facts, warnings);
  return {
    ...{ verb: "paper", format: 1, state, plan, machine: machineLine(ended, results), equivalence, figures: results },
    ...{ warnings, progress, manifest: ended, samples },
  };
}

/** What the paper was measured on (section V). */
const PAPER_MACHINE =
  "the paper: AMD A12-9800 (Carrizo APU with integrated GPU), 32 GB, OpenCL 2.0, DPDK 18.08 on a 40 Gbps ConnectX-4 with a traffic generator beside it";

function machineLine({ machine }: Manifest, figures: PaperResult["figures"]): string {
  const devices = figures.flatMap(({ series }) =>
    series.flatMap(({ device }) => (device === null ? [] : [`${device.name}${device.emulated ? " (emulated)" : ""}`])),
  );
  const on = [...new Set(devices)].join(", ") || "no device";
  const cores = `${machine.cores} ${machine.cores === 1 ? "core" : "cores"}`;
  return `here: ${machine.cpu}${machine.virtual ? " (virtual)" : ""}, ${cores}, ${on}, packets from memory and to nowhere; ${PAPER_MACHINE}`;
}
