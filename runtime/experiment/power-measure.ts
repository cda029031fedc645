/**
 * Goes through the plan of `power`. The first round's saturation says which rate all policies of a placement reach; loads are shares of the
 * least of these, so that policies are compared at equal load and none is overloaded. All that follows is measured in turns.
 */
import { type Cell, type Load, RX_RING, type Sample, sampleKey } from "./cell.js";
import { type Measurements, Stopped } from "./measurements.js";
import { groupName, groupOf } from "./power-plan.js";
import type { PowerPlan } from "./power-result.js";
import { roundOrder } from "./schedule.js";

const SATURATION: Load = { kind: "saturation" };
/** The chain without packets: one a second, since a run begins with its first. */
const IDLE_PPS = 1;

/** A cell at a load of the plan. */
export interface PlannedPoint {
  readonly cell: Cell;
  readonly load: Load;
  readonly percent: number;
}

export interface PowerMeasured {
  readonly points: readonly PlannedPoint[];
  /** By sampleKey(), in order of repeats. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
  /** False where it was stopped. */
  readonly complete: boolean;
}

export async function measurePower(plan: PowerPlan, measurements: Measurements): Promise<PowerMeasured> {
  const { cells, loads, repeats, seed } = plan;
  const samples = new Map<string, Sample[]>();
  let points: PlannedPoint[] = [];
  measurements.planned = cells.length + cells.length * loads.length * repeats;
  const take = async (cell: Cell, load: Load, percent: number, repeat: number) => {
    const what = `round ${repeat + 1} of ${repeats}: ${groupName(cell)}, ${cell.wait}, ${percent} %`;
    const sample = await measurements.take(cell, load, repeat, what);
    const key = sampleKey(cell, load);
    const taken = samples.get(key) ?? [];
    // The first round's saturation comes twice, and is taken once.
    if (!taken.includes(sample)) samples.set(key, [...taken, sample]);
    return sample;
  };
  try {
    const rates = new Map<string, number>();
    for (const number of roundOrder(cells.length, 0, seed)) {
      const cell = cells[number]!;
      const { mpps } = await take(cell, SATURATION, 100, 0);
      const group = groupOf(cell);
      rates.set(group, Math.min(rates.get(group) ?? Number.POSITIVE_INFINITY, mpps * 1e6));
    }
    points = cells.flatMap((cell) =>
      loads.map((percent) => ({ cell, percent, load: loadAt(percent, rates.get(groupOf(cell))!) })),
    );
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const number of roundOrder(points.length, repeat, seed + 1)) {
        const { cell, load, percent } = points[number]!;
        await take(cell, load, percent, repeat);
      }
    }
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    return { points, samples, complete: false };
  }
  return { points, samples, complete: true };
}

function loadAt(percent: number, pps: number): Load {
  if (percent === 100) return SATURATION;
  return { kind: "offered", pps: Math.max(IDLE_PPS, Math.round((pps * percent) / 100)), ring: RX_RING };
}
