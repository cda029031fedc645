/** A comparison from its plan to its result: the proof that placements do the same, the samples, and what they say. */
import type { EnergyRecorder } from "../measure/energy/meter.js";
import type { Manifest } from "../report/document.js";
import type { Cell, Runner } from "./cell.js";
import { bestPlacement, paretoEntries } from "./compare-best.js";
import { cellResults } from "./compare-cells.js";
import { type Measured, measurePlan } from "./compare-measure.js";
import type { ComparePlan, CompareResult } from "./compare-result.js";
import { judge } from "./compare-verdicts.js";
import { compareWarnings } from "./compare-warnings.js";
import { type Proof, refusal } from "./equivalence.js";
import type { ManifestBuilder } from "./manifest.js";
import { Measurements, type Progress } from "./measurements.js";
import type { SampleStore } from "./sample-store.js";

/** Under which a proof is kept. */
const PROOF = "equivalence";

export interface CompareParts {
  readonly plan: ComparePlan;
  readonly files: Manifest["files"];
  readonly store: SampleStore;
  readonly runner: Runner;
  readonly manifest: ManifestBuilder;
  /** Undefined: none is running. */
  readonly recorder: EnergyRecorder | undefined;
  /** Ends it in order: what was measured until then is the result. The runner and the proof know of it, too. */
  readonly signal: AbortSignal;
  prove(cells: readonly Cell[]): Promise<Proof>;
  show(progress: Progress): void;
}

export interface CompareEnd {
  readonly result: CompareResult;
  /** Why it did not come to its end, or is refused: the verb fails with it. Undefined where it is complete, or somebody stopped it. */
  readonly error: unknown;
}

/** What goes wrong after the first sample is in `error`, beside the result of what went well. */
export async function runCompare(parts: CompareParts): Promise<CompareEnd> {
  const { plan, store, runner, signal } = parts;
  const timing = { warmUpMs: plan.warm_up_ms, windowMs: plan.window_ms };
  const measurements = new Measurements(runner, store, timing, signal, (progress) => parts.show(progress));
  let proof: Proof | null = null;
  let measured: Measured = { ...NOTHING };
  let error: unknown;
  try {
    proof = await prove(parts);
    error = refusal(proof);
    if (error === undefined) {
      await measurePlan(plan, measurements, (found) => {
        measured = found;
      });
    }
  } catch (caught) {
    if (!signal.aborted) error = caught;
  }
  const { done, planned } = measurements;
  return { result: resultOf(parts, proof, measured, { done, planned }), error };
}

const NOTHING: Measured = {
  saturated: new Map(),
  searches: new Map(),
  loads: [],
  offered: new Map(),
  complete: false,
};

async function prove({ plan, store, prove: find }: CompareParts): Promise<Proof> {
  const kept = store.finding<Proof>(PROOF);
  if (kept !== undefined) return kept;
  const proof = await find(plan.cells);
  // One that fails is asked for again: something will have been mended.
  if (proof.equal) store.addFinding(PROOF, proof);
  return proof;
}

function resultOf(
  { plan, store, manifest, recorder, files }: CompareParts,
  equivalence: Proof | null,
  measured: Measured,
  progress: CompareResult["progress"],
): CompareResult {
  const refused = equivalence?.equal === false;
  const cells = cellResults(plan, measured);
  const nothing = { verdicts: [], comparisons: [], crossovers: [] };
  const { verdicts, comparisons, crossovers } = cells.length === 0 ? nothing : judge(plan, measured);
  const samples = refused ? [] : store.samples;
  const warnings = compareWarnings(plan, cells, samples, measured, manifest.disturbances());
  const state = refused ? "refused" : measured.complete ? "complete" : "interrupted";
  if (state === "interrupted" && progress.done > 0)
    warnings.unshift(`interrupted after ${progress.done} of about ${progress.planned} samples`);
  const meters = recorder === undefined ? [] : [recorder.info];
  return {
    ...{ verb: "compare", format: 1, state, plan, equivalence, cells, verdicts, comparisons, crossovers },
    pareto: paretoEntries(plan, cells),
    best: bestPlacement(plan, cells, comparisons),
    warnings,
    progress,
    manifest: manifest.end(
      {
        verb: "compare",
        seed: plan.seed,
        files,
        meters: meters.map(({ name, provenance, note }) => ({ name, provenance, note })),
      },
      warnings,
    ),
    samples,
  };
}
