/**
 * Goes through the plan of `power`. The first round's saturation says which rate all policies of a placement reach; loads are shares of the
 * least of these, so that policies are compared at equal load and none is overloaded. All that follows is measured in turns.
 */
import { type Cell, type Load, RX_RING, type Sample, sampleKey } from "./cell.js";
import type { Measurements } from "./measurements.js";
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

/** Samples that the plan takes; those of the first round's saturation are asked for twice. */
export function plannedSamples({ cells, loads, repeats }: PowerPlan): number {
  return cells.length + cells.length * loads.length * repeats;
}

/**
 * @param tell gets what has been measured: at the end, and where it ends before that
 * @throws Stopped where somebody asked to stop; what {@link Measurements.take} throws
 */
export async function measurePower(
  plan: PowerPlan,
  measurements: Measurements,
  tell: (measured: PowerMeasured) => void,
): Promise<void> {
  const { cells, loads, repeats, seed } = plan;
  const samples = new Map<string, Sample[]>();
  let points: PlannedPoint[] = [];
  let complete = false;
  const take = async ({ cell, load, percent }: PlannedPoint, repeat: number) => {
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
      const { mpps } = await take({ cell, load: SATURATION, percent: 100 }, 0);
      const group = groupOf(cell);
      rates.set(group, Math.min(rates.get(group) ?? Number.POSITIVE_INFINITY, mpps * 1e6));
    }
    points = cells.flatMap((cell) =>
      loads.map((percent) => ({ cell, percent, load: loadAt(percent, rates.get(groupOf(cell))!) })),
    );
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const number of roundOrder(points.length, repeat, seed + 1)) await take(points[number]!, repeat);
    }
    complete = true;
  } finally {
    tell({ points, samples, complete });
  }
}

function loadAt(percent: number, pps: number): Load {
  if (percent === 100) return SATURATION;
  return { kind: "offered", pps: Math.max(IDLE_PPS, Math.round((pps * percent) / 100)), ring: RX_RING };
}
