/** What qualifies the figures, the gravest first. */
import type { MeterInfo } from "../../measure/energy/meter.js";
import { FEWEST_REPEATS } from "../../measure/statistics/decide.js";
import type { PaperPlan } from "./plan.js";
import type { FigureResult } from "./result.js";

/** Below it an interval supposes more than one would like: see medianEstimate. */
const ENOUGH_REPEATS = 6;

export function paperWarnings(
  plan: PaperPlan,
  figures: readonly FigureResult[],
  meter: MeterInfo | undefined,
  disturbances: readonly string[],
): string[] {
  const { repeats, quick, left_out } = plan;
  const emulated = new Set(
    figures.flatMap(({ series }) => series.flatMap(({ device }) => (device?.emulated ? [device.name] : []))),
  );
  const crowded = figures.flatMap(({ id, series }) => {
    const names = series.filter(({ oversubscribed }) => oversubscribed).map(({ name }) => name);
    return names.length === 0 ? [] : [`${id} (${names.join("; ")})`];
  });
  const warnings: string[] = [];
  for (const name of emulated) {
    warnings.push(
      `${name} is emulated on the CPU: its figures show that the experiment works, and say nothing about a GPU`,
    );
  }
  warnings.push(...disturbances);
  if (crowded.length > 0) warnings.push(`oversubscribed, with more threads than cores: ${crowded.join(", ")}`);
  const energy = figures.some(({ panels }) => panels.some(({ provenance }) => provenance !== null));
  if (energy && meter === undefined) warnings.push("no energy meter was running: nothing per watt");
  else if (energy && meter?.provenance === "nominal") {
    warnings.push(`energy is nominal, not measured: ${meter.note}; so there is no ratio of it`);
  }
  if (repeats < FEWEST_REPEATS) warnings.push(`${repeats} repeats are too few for an interval`);
  else if (repeats < ENOUGH_REPEATS)
    warnings.push(
      `${quick ? "--quick: " : ""}${repeats === 1 ? "1 repeat is" : `${repeats} repeats are`} few: intervals are wide`,
    );
  return [...warnings, ...left_out.map(({ what, why }) => `left out: ${what}: ${why}`)];
}
