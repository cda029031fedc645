/** `power` from its plan to its result: the idle machine, the samples, and what they say. */
import type { EnergyRecorder } from "../measure/energy/meter.js";
import type { Manifest } from "../report/document.js";
import type { Runner } from "./cell.js";
import type { ManifestBuilder } from "./manifest.js";
import { Measurements, type Progress } from "./measurements.js";
import { measurePower, type PowerMeasured, plannedSamples } from "./power-measure.js";
import { powerPoints, powerVerdicts } from "./power-points.js";
import type { PowerPlan, PowerResult } from "./power-result.js";
import { powerWarnings } from "./power-warnings.js";
import type { SampleStore } from "./sample-store.js";

export interface PowerParts {
  readonly plan: PowerPlan;
  readonly files: Manifest["files"];
  readonly store: SampleStore;
  /** It has the recorder, too. */
  readonly runner: Runner;
  readonly recorder: EnergyRecorder;
  readonly manifest: ManifestBuilder;
  /** Ends it in order: what was measured until then is the result. */
  readonly signal: AbortSignal;
  show(progress: Progress): void;
}

export interface PowerEnd {
  readonly result: PowerResult;
  /** Why it did not come to its end: the verb fails with it. Undefined where it is complete, or somebody stopped it. */
  readonly error: unknown;
}

/** What goes wrong after the first sample is in `error`, beside the result of what went well. */
export async function runPower(parts: PowerParts): Promise<PowerEnd> {
  const { plan, store, runner, recorder, signal } = parts;
  const timing = { warmUpMs: plan.warm_up_ms, windowMs: plan.window_ms };
  const measurements = new Measurements(runner, store, timing, signal, (progress) => parts.show(progress));
  measurements.planned = plannedSamples(plan);
  let measured: PowerMeasured = { points: [], samples: new Map(), complete: false };
  let error: unknown;
  try {
    measurements.tell("the idle machine");
    if (!signal.aborted) await recorder.measureIdle(plan.idle_ms);
    await measurePower(plan, measurements, (found) => {
      measured = found;
    });
  } catch (caught) {
    if (!signal.aborted) error = caught;
  }
  const { done, planned } = measurements;
  return { result: resultOf(parts, measured, { done, planned }), error };
}

function resultOf(
  { plan, store, manifest, recorder, files }: PowerParts,
  measured: PowerMeasured,
  progress: PowerResult["progress"],
): PowerResult {
  const { info: meter } = recorder;
  const points = powerPoints(plan, measured);
  const warnings = powerWarnings(plan, meter, points, manifest.disturbances());
  if (!measured.complete) warnings.unshift(`interrupted after ${progress.done} of ${progress.planned} samples`);
  const { name, provenance, note } = meter;
  const facts = { verb: "power", seed: plan.seed, files, meters: [{ name, provenance, note }] };
  return {
    ...{ verb: "power", format: 1, state: measured.complete ? "complete" : "interrupted", plan, meter },
    idle: idleOf(store),
    points,
    verdicts: powerVerdicts(points, measured.samples),
    warnings,
    progress,
    manifest: manifest.end(facts, warnings),
    samples: store.samples,
  };
}

/** Of the last sample: where an experiment was resumed, idle was measured again. */
function idleOf({ samples }: SampleStore): PowerResult["idle"] {
  const span = samples.at(-1)?.energy;
  if (span === undefined || span === null || span.idle_watts === null) return null;
  return { watts: span.idle_watts, uncertainty_watts: span.idle_uncertainty_watts ?? null };
}
