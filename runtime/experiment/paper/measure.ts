/**
 * Goes through the figures one after the other, and in each through all series at all sizes in turns: first under saturation, then, where a
 * figure has latency, at loads that follow from it. What comes next follows from the plan and the samples alone, so that a resumed
 * experiment takes the same way.
 */
import { median } from "simple-statistics";
import { type Load, RX_RING, type Sample } from "../cell.js";
import type { Measurements } from "../measurements.js";
import { roundOrder } from "../schedule.js";
import { LATENCY_LOAD, type PaperFigure } from "./figure.js";
import type { PaperPlan, PlannedCell, PlannedFigure } from "./plan.js";

const SATURATION: Load = { kind: "saturation" };

/** A cell with what was measured of it, in order of repeats. */
export interface MeasuredCell extends PlannedCell {
  readonly saturation: Sample[];
  readonly offered: Sample[];
}

export function plannedSamples({ figures, repeats }: PaperPlan, declared: readonly PaperFigure[]): number {
  return figures.reduce((sum, { id, cells }) => sum + cells.length * repeats * (hasLatency(id, declared) ? 2 : 1), 0);
}

/**
 * @param found gets the cells of each figure, by its id, before they are measured; samples come into them one by one
 * @throws Stopped where somebody asked to stop; what {@link Measurements.take} throws
 */
export async function measurePaper(
  plan: PaperPlan,
  declared: readonly PaperFigure[],
  measurements: Measurements,
  found: Map<string, readonly MeasuredCell[]>,
): Promise<void> {
  for (const figure of plan.figures)
    await measureFigure(figure, plan, hasLatency(figure.id, declared), measurements, found);
}

async function measureFigure(
  { id, cells: planned }: PlannedFigure,
  { repeats, seed }: PaperPlan,
  latency: boolean,
  measurements: Measurements,
  found: Map<string, readonly MeasuredCell[]>,
): Promise<void> {
  const cells = planned.map((one): MeasuredCell => ({ ...one, saturation: [], offered: [] }));
  found.set(id, cells);
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const number of roundOrder(cells.length, repeat, seed)) {
      const { cell, series, saturation } = cells[number]!;
      const what = `${id}, round ${repeat + 1} of ${repeats}: ${series} at ${cell.size} B`;
      saturation.push(await measurements.take(cell, SATURATION, repeat, what));
    }
  }
  if (!latency) return;
  const loads = cells.map((one) => latencyLoad(one, cells));
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const number of roundOrder(cells.length, repeat, seed + 1)) {
      const { cell, series, offered } = cells[number]!;
      const what = `${id}, latency, round ${repeat + 1} of ${repeats}: ${series} at ${cell.size} B`;
      offered.push(await measurements.take(cell, loads[number]!, repeat, what));
    }
  }
}

function hasLatency(id: string, declared: readonly PaperFigure[]): boolean {
  return declared.some((figure) => figure.id === id && figure.panels.some(({ load }) => load === "offered"));
}

/** The same for all series of a chain at a size. */
function latencyLoad({ chain, cell }: MeasuredCell, cells: readonly MeasuredCell[]): Load {
  const rates = cells
    .filter((other) => other.chain === chain && other.cell.size === cell.size)
    .map(({ saturation }) => median(saturation.map(({ mpps }) => mpps)) * 1e6);
  return { kind: "offered", pps: Math.max(1, Math.round(Math.min(...rates) * LATENCY_LOAD)), ring: RX_RING };
}
