/** What qualifies the figures of `power`, the gravest first. */

import type { MeterInfo } from "../measure/energy/meter.js";
import { FEWEST_REPEATS } from "../measure/statistics/decide.js";
import type { PowerPlan, PowerPoint } from "./power-result.js";

/** Share above which a meter's own account makes a figure doubtful. */
const DOUBTFUL = 0.1;

export function powerWarnings(
  plan: PowerPlan,
  meter: MeterInfo,
  points: readonly PowerPoint[],
  disturbances: readonly string[],
): string[] {
  const nominal = meter.provenance === "nominal";
  const emulated = new Set(points.flatMap(({ device }) => (device?.emulated === true ? [device.name] : [])));
  const doubtful = points.filter(({ uncertainty }) => uncertainty === null || uncertainty > DOUBTFUL).length;
  const lossy = points.filter(({ loss, offered_pps }) => offered_pps !== null && loss.median > 0).length;
  const of = `of ${points.length} points`;
  const warnings = [...disturbances];
  if (nominal) warnings.unshift(`energy is nominal, not measured: ${meter.note}; so there is no verdict`);
  for (const name of emulated) warnings.push(`${name} is emulated on the CPU: its energy says nothing about a GPU`);
  if (!nominal && doubtful > 0) {
    warnings.push(
      `the meter's own uncertainty is above ${100 * DOUBTFUL} % in ${doubtful} ${of}: longer windows (--window) lessen it`,
    );
  }
  if (lossy > 0)
    warnings.push(`packets were missed at the receive ring in ${lossy} ${of}: those had less load than was offered`);
  if (plan.repeats < FEWEST_REPEATS)
    warnings.push(`${plan.repeats} repeat${plan.repeats === 1 ? " is" : "s are"} too few for a verdict`);
  return warnings;
}
