/**
 * Goes through the plan of a comparison, in three parts: every cell under saturation, the search for NDR and PDR, and latency under loads
 * that are shares of what was found. In each of them cells take turns. What to measure next follows from the plan and the samples alone, so
 * that a resumed comparison takes the same way.
 */
import { median } from "simple-statistics";
import { type Cell, cellKey, type Load, onGpu, type Runner, RX_RING, type Sample, sampleKey } from "./cell.js";
import { cellName, isBaseline, sizeName } from "./compare-plan.js";
import type { ComparePlan } from "./compare-result.js";
import type { Measurements } from "./measurements.js";
import { roundOrder } from "./schedule.js";
import { type SearchResult, searchRates } from "./search.js";
import { inTurns } from "./turns.js";

/** Trials of a search before any is known, for the time left. */
const USUAL_TRIALS = 12;
/** Rates are told apart down to this, relative; an exact one would take a day. */
const RESOLUTION = 0.02;
/** Latency needs a rate of at least this. */
const LEAST_PPS = 1;
/**
 * A trial does not show an overload that its receive ring swallows: the ring holds this share of a trial's packets at most, so that slow
 * cells (emulated devices) are searched as well as fast ones.
 */
const RING_SHARE = RESOLUTION;
/** A burst. */
const LEAST_RING = 64;
const SATURATION: Load = { kind: "saturation" };

/** A load at which the latency of a cell is to be measured. */
export interface PlannedLoad {
  readonly cell: Cell;
  readonly load: Load & { readonly kind: "offered" };
  /** Percent of the cell's own rate; of the lower of two where it is measured for the sake of another cell. */
  readonly percent: number;
  /** Key of the cell with the lower rate, whose share it is. */
  readonly of: string;
}

/** What has been measured, as far as it went. */
export interface Measured {
  /** By key of the cell, in order of repeats; cells without a sample are not in it. */
  readonly saturated: ReadonlyMap<string, readonly Sample[]>;
  /** By key of the cell. */
  readonly searches: ReadonlyMap<string, SearchResult>;
  readonly loads: readonly PlannedLoad[];
  /** By {@link sampleKey}, in order of repeats. */
  readonly offered: ReadonlyMap<string, readonly Sample[]>;
  /** False where it was stopped. */
  readonly complete: boolean;
}

/**
 * @param tell gets what has been measured: at the end, and where it ends before that
 * @throws Stopped where somebody asked to stop; what {@link Measurements.take} throws
 */
export async function measurePlan(
  plan: ComparePlan,
  measurements: Measurements,
  tell: (measured: Measured) => void,
): Promise<void> {
  const measure = new CompareMeasure(plan, measurements);
  let complete = false;
  try {
    await measure.all();
    complete = true;
  } finally {
    tell({ ...measure.found, complete });
  }
}

class CompareMeasure {
  readonly found = {
    saturated: new Map<string, Sample[]>(),
    searches: new Map<string, SearchResult>(),
    loads: [] as PlannedLoad[],
    offered: new Map<string, Sample[]>(),
  };

  constructor(
    private readonly plan: ComparePlan,
    private readonly measurements: Measurements,
  ) {}

  async all(): Promise<void> {
    const { plan, measurements } = this;
    const { cells, repeats, loads } = plan;
    const baselines = cells.filter(isBaseline).length;
    // Own loads of every cell, and those of each pair that one of the two does not have yet.
    const latency = (cells.length + (cells.length - baselines)) * loads.length * repeats;
    measurements.planned = cells.length * repeats + (plan.search ? cells.length * USUAL_TRIALS : 0) + latency;
    await this.saturate();
    if (plan.search) await this.search();
    this.found.loads = this.plannedLoads();
    measurements.planned = measurements.done + this.found.loads.length * repeats;
    await this.offer();
  }

  private async saturate(): Promise<void> {
    const { cells, repeats, seed } = this.plan;
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const number of roundOrder(cells.length, repeat, seed)) {
        const cell = cells[number]!;
        const what = `round ${repeat + 1} of ${repeats}: ${this.nameOf(cell)}, saturation`;
        push(this.found.saturated, cellKey(cell), await this.measurements.take(cell, SATURATION, repeat, what));
      }
    }
  }

  private async search(): Promise<void> {
    const { cells, seed, warm_up_ms: warmUpMs, window_ms: windowMs } = this.plan;
    const { measurements } = this;
    // In another order than rounds of saturation, and always the same: trials of a search follow from those before.
    const order = roundOrder(cells.length, 0, seed + 1);
    let ended = 0;
    await inTurns<Sample, void>(
      order.map((number) => async (measure) => {
        const cell = cells[number]!;
        const attempts = new Map<number, number>();
        let trials = 0;
        const runner: Pick<Runner, "measure"> = {
          measure: (_, load) =>
            measure(() => {
              const pps = load.kind === "offered" ? load.pps : 0;
              const attempt = attempts.get(pps) ?? 0;
              attempts.set(pps, attempt + 1);
              trials++;
              if (trials > USUAL_TRIALS) measurements.planned++;
              const what = `rate search: ${this.nameOf(cell)}, ${(pps / 1e6).toFixed(3)} Mpps`;
              return measurements.take(cell, load, attempt, what);
            }),
        };
        const start = this.saturationPps(cell);
        if (start === undefined) return;
        const found = await searchRates(runner as Runner, cell, start, {
          timing: { warmUpMs, windowMs },
          resolution: RESOLUTION,
          ring: this.ringOf(start),
        });
        this.found.searches.set(cellKey(cell), found);
        ended++;
        measurements.planned -= Math.max(0, USUAL_TRIALS - trials);
        measurements.tell(`rate search: ${ended} of ${cells.length} cells done`);
      }),
    );
  }

  private async offer(): Promise<void> {
    const { repeats, seed } = this.plan;
    const { loads } = this.found;
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const number of roundOrder(loads.length, repeat, seed + 2)) {
        const { cell, load } = loads[number]!;
        const what = `round ${repeat + 1} of ${repeats}: ${this.nameOf(cell)}, latency at ${(load.pps / 1e6).toFixed(3)} Mpps`;
        const sample = await this.measurements.take(cell, load, repeat, what);
        push(this.found.offered, sampleKey(cell, load), sample);
      }
    }
  }

  /** Descriptors of the receive ring at a rate: a power of two. */
  private ringOf(pps: number): number {
    const { warm_up_ms, window_ms } = this.plan;
    const most = (RING_SHARE * pps * (warm_up_ms + window_ms)) / 1000;
    return Math.min(RX_RING, Math.max(LEAST_RING, 2 ** Math.floor(Math.log2(most))));
  }

  /** The rate of which loads are shares; undefined where there is none. */
  private rateOf(cell: Cell): number | undefined {
    if (!this.plan.search) return this.saturationPps(cell);
    return this.found.searches.get(cellKey(cell))?.ndr.pps ?? undefined;
  }

  private saturationPps(cell: Cell): number | undefined {
    const samples = this.found.saturated.get(cellKey(cell)) ?? [];
    const pps = samples.length === 0 ? 0 : median(samples.map(({ mpps }) => mpps)) * 1e6;
    return pps >= LEAST_PPS ? pps : undefined;
  }

  private plannedLoads(): PlannedLoad[] {
    const { cells, loads } = this.plan;
    const planned = new Map<string, PlannedLoad>();
    const add = (cell: Cell, rate: number, of: Cell) => {
      for (const percent of loads) {
        const pps = Math.max(LEAST_PPS, Math.round((rate * percent) / 100));
        const load = { kind: "offered", pps, ring: this.ringOf(pps) } as const;
        const key = sampleKey(cell, load);
        if (!planned.has(key)) planned.set(key, { cell, load, percent, of: cellKey(of) });
      }
    };
    for (const cell of cells) {
      const rate = this.rateOf(cell);
      if (rate !== undefined) add(cell, rate, cell);
    }
    for (const cell of cells.filter(({ placement }) => onGpu(placement).length > 0)) {
      const baseline = cells.find((other) => isBaseline(other) && isPair(other, cell))!;
      const [own, base] = [this.rateOf(cell), this.rateOf(baseline)];
      if (own === undefined || base === undefined) continue;
      // The one that has the lower rate has these loads already.
      add(own < base ? baseline : cell, Math.min(own, base), own < base ? cell : baseline);
    }
    return [...planned.values()];
  }

  private nameOf(cell: Cell): string {
    return `${sizeName(cell.size)}, ${cellName(cell, this.plan)}`;
  }
}

/** Whether one is the baseline of the other, or both have the same. */
export function isPair(a: Cell, b: Cell): boolean {
  return a.size === b.size && a.cores === b.cores;
}

function push(map: Map<string, Sample[]>, key: string, sample: Sample): void {
  const samples = map.get(key);
  if (samples === undefined) map.set(key, [sample]);
  else samples.push(sample);
}
