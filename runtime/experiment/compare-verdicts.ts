/** CPU, GPU or no difference: asked per size and metric of the best placement on a GPU, and of each; and where the answer changes. */
import { type Cell, cellKey, type FrameSize, onGpu, type Sample, sampleKey } from "./cell.js";
import type { Measured, PlannedLoad } from "./compare-measure.js";
import { cellName, isBaseline, sizeName } from "./compare-plan.js";
import type { ComparePlan, CrossoverResult, Interval, Metric, SizeVerdict, Verdict } from "./compare-result.js";
import { type Crossing, crossover } from "./crossover.js";
import { METRICS, type MetricName } from "./metric.js";
import { type Question, verdicts, type Verdict as Word } from "./verdict.js";

/** The load p99 is judged at is the one nearest to it, percent. */
const JUDGED_LOAD = 80;
/** What the verdicts per size are of. */
export const BEST_ON_GPU = "the best on gpu";
/** Size stands for something that can be laid on an axis. */
const isNumber = (size: FrameSize): size is number => typeof size === "number";

/** One question with what it was asked of. */
interface Asked {
  readonly size: FrameSize;
  readonly cores: string;
  readonly metric: Metric;
  readonly load: Verdict["load"];
  readonly baseline: Cell;
  /** Those compared with it. */
  readonly cells: readonly Cell[];
  readonly question: Question;
}

export interface Judgement {
  readonly verdicts: readonly SizeVerdict[];
  readonly comparisons: readonly Verdict[];
  readonly crossovers: readonly CrossoverResult[];
}

export function judge(plan: ComparePlan, measured: Measured): Judgement {
  return new Judge(plan, measured).judge();
}

class Judge {
  /** Percent at which p99 is judged; undefined where there is no load. */
  private readonly percent: number | undefined;
  private readonly energyMetric: MetricName;

  constructor(
    private readonly plan: ComparePlan,
    private readonly measured: Measured,
  ) {
    this.percent = [...plan.loads].sort((a, b) => Math.abs(a - JUDGED_LOAD) - Math.abs(b - JUDGED_LOAD))[0];
    const samples = [...measured.saturated.values()].flat();
    const isNet = samples.length > 0 && samples.every(({ energy }) => energy?.idle_watts != null);
    this.energyMetric = isNet ? "gbps_per_net_watt" : "gbps_per_watt";
  }

  judge(): Judgement {
    const perSize = this.pairsBySize().flatMap((of) => this.askBest(of));
    const perCell = this.pairsBySize().flatMap((of) => of.cells.flatMap((cell) => this.askOne(of, cell)));
    const best = this.answer(perSize);
    const each = this.answer(perCell);
    const main = perCell.map((asked, i) => ({ asked, word: each[i]! }));
    const shown = main.filter(({ asked }) => asked.load === null || asked.load.percent === this.percent);
    return {
      verdicts: perSize.map((asked, i) => this.sizeVerdict(asked, best[i]!)),
      comparisons: shown.map(({ asked, word }) => this.comparison(asked, word)),
      crossovers: [
        ...this.sizeCrossovers(
          perSize.map((asked, i) => ({ asked, word: best[i]! })),
          () => BEST_ON_GPU,
        ),
        ...this.sizeCrossovers(shown, ({ cells }) => this.nameOf(cells[0]!)),
        ...this.loadCrossovers(main),
      ],
    };
  }

  /** Each baseline with the cells that are compared with it. */
  private pairsBySize(): { baseline: Cell; cells: Cell[] }[] {
    const { cells } = this.plan;
    return cells.filter(isBaseline).map((baseline) => ({
      baseline,
      cells: cells.filter(
        (cell) => cell.size === baseline.size && cell.cores === baseline.cores && onGpu(cell.placement).length > 0,
      ),
    }));
  }

  /** The questions of a size: the best of all placements on a GPU. p99 is asked of the one with the highest rate, at an equal load. */
  private askBest({ baseline, cells }: { baseline: Cell; cells: readonly Cell[] }): Asked[] {
    const asked: Asked[] = [this.ask("gbps", baseline, cells), this.ask("gbps_per_watt", baseline, cells)];
    const fastest = this.fastest(cells);
    const load = fastest && this.percent !== undefined ? this.equalLoad(baseline, fastest, this.percent) : undefined;
    if (fastest !== undefined && load !== undefined) asked.splice(1, 0, this.askAt(load, baseline, fastest));
    return asked;
  }

  /** The questions of one placement: as above, and p99 at every load. */
  private askOne({ baseline }: { baseline: Cell }, cell: Cell): Asked[] {
    const loads = this.plan.loads.flatMap((percent) => this.equalLoad(baseline, cell, percent) ?? []);
    return [
      this.ask("gbps", baseline, [cell]),
      ...loads.map((load) => this.askAt(load, baseline, cell)),
      this.ask("gbps_per_watt", baseline, [cell]),
    ];
  }

  private ask(metric: "gbps" | "gbps_per_watt", baseline: Cell, cells: readonly Cell[]): Asked {
    const { size, cores } = baseline;
    const group = (cell: Cell) => ({
      name: this.nameOf(cell),
      samples: this.measured.saturated.get(cellKey(cell)) ?? [],
    });
    const question: Question = {
      metric: metric === "gbps" ? metric : this.energyMetric,
      subject: this.subject(baseline),
      a: { label: "cpu", groups: [group(baseline)] },
      b: { label: "gpu", groups: cells.map(group) },
    };
    return { ...{ size, cores, metric, load: null, baseline, cells }, question };
  }

  private askAt({ percent, load }: PlannedLoad, baseline: Cell, cell: Cell): Asked {
    const { size, cores } = baseline;
    const group = (one: Cell) => ({ name: this.nameOf(one), samples: this.offered(one, load.pps) });
    const rate = this.plan.loads_of === "ndr" ? "NDR" : "saturation rate";
    const question: Question = {
      metric: "p99",
      subject: `${this.subject(baseline)} at ${mpps(load.pps)} (${percent} % of the lower ${rate})`,
      a: { label: "cpu", groups: [group(baseline)] },
      b: { label: "gpu", groups: [group(cell)] },
    };
    return { ...{ size, cores, metric: "p99", load: { percent, pps: load.pps }, baseline, cells: [cell] }, question };
  }

  private offered(cell: Cell, pps: number): readonly Sample[] {
    const planned = this.measured.loads.find((one) => one.load.pps === pps && cellKey(one.cell) === cellKey(cell));
    return planned === undefined ? [] : (this.measured.offered.get(sampleKey(cell, planned.load)) ?? []);
  }

  /** So many percent of the lower rate of the two. */
  private equalLoad(baseline: Cell, cell: Cell, percent: number): PlannedLoad | undefined {
    const own = [baseline, cell].flatMap(
      (one) =>
        this.measured.loads.find(
          (load) => load.percent === percent && load.of === cellKey(one) && cellKey(load.cell) === cellKey(one),
        ) ?? [],
    );
    if (own.length < 2) return undefined;
    return own[0]!.load.pps < own[1]!.load.pps ? own[0] : own[1];
  }

  private fastest(cells: readonly Cell[]): Cell | undefined {
    const rate = (cell: Cell) => this.measured.loads.find((load) => load.of === cellKey(cell))?.load.pps ?? 0;
    const [first] = [...cells].sort((a, b) => rate(b) - rate(a));
    return first !== undefined && rate(first) > 0 ? first : undefined;
  }

  private answer(asked: readonly Asked[]): Word[] {
    return verdicts(asked.map(({ question }) => question));
  }

  private sizeVerdict(asked: Asked, word: Word): SizeVerdict {
    const best = asked.cells.find((cell) => this.nameOf(cell) === word.b);
    return { ...this.common(asked, word), best_gpu: best === undefined ? null : cellKey(best) };
  }

  private comparison(asked: Asked, word: Word): Verdict {
    const cell = asked.cells[0]!;
    const keys = { cpu: cellKey(asked.baseline), gpu: cellKey(cell), name: this.nameOf(cell) };
    return { ...this.common(asked, word), ...keys };
  }

  private common({ size, cores, metric, load, question }: Asked, word: Word) {
    const { confidence, emulated, reason } = word;
    const verdict = word.word === "not comparable" ? ("none" as const) : word.word;
    const said = { cpu: "CPU", gpu: "GPU", "no difference": "no difference", none: "no verdict" }[verdict];
    const caution = emulated && verdict !== "none" ? "; emulated device: no verdict on hardware" : "";
    const text = `${question.subject}, ${METRICS[question.metric].title}: ${said} (${reason})${caution}`;
    return { size, cores, metric, load, verdict, ratio: ratioOf(word), confidence, emulated, reason, text };
  }

  /** Per metric and cores, and of what `name` calls alike, along sizes. */
  private sizeCrossovers(
    answers: readonly { asked: Asked; word: Word }[],
    name: (asked: Asked) => string,
  ): CrossoverResult[] {
    const groups = new Map<string, { asked: Asked; word: Word }[]>();
    for (const answer of answers) {
      const { size, cores, metric } = answer.asked;
      if (!isNumber(size)) continue;
      const key = `${name(answer.asked)};${cores};${metric}`;
      groups.set(key, [...(groups.get(key) ?? []), answer]);
    }
    return [...groups.values()].flatMap((group) => {
      if (group.length < 2 || group.every(({ word }) => word.word === "not comparable")) return [];
      const { asked } = group[0]!;
      const points = group.map(({ asked: { size }, word }) => ({ at: size as number, verdict: word }));
      const { crossings, text, emulated } = crossover(points, "B");
      const title = METRICS[asked.question.metric].title;
      return crossoverResults(crossings, {
        ...{ name: name(asked), cores: asked.cores, metric: asked.metric, axis: "size", size: null },
        ...{ text: `${name(asked)}, ${title} by size: ${text}${emulated ? EMULATED : ""}`, group },
      });
    });
  }

  /** Of p99, per size and cell, along loads; those without a crossing are not told: with few loads there seldom is one. */
  private loadCrossovers(answers: readonly { asked: Asked; word: Word }[]): CrossoverResult[] {
    const groups = new Map<string, { asked: Asked; word: Word }[]>();
    for (const answer of answers) {
      if (answer.asked.load === null) continue;
      const key = cellKey(answer.asked.cells[0]!);
      groups.set(key, [...(groups.get(key) ?? []), answer]);
    }
    return [...groups.values()].flatMap((group) => {
      const { asked } = group[0]!;
      // Rates may be so low that two shares are one.
      const byLoad = new Map(group.map((one) => [one.asked.load!.pps, one.word]));
      const { crossings, text, emulated } = crossover(
        [...byLoad].map(([at, verdict]) => ({ at, verdict })),
        "pps",
      );
      const name = this.nameOf(asked.cells[0]!);
      if (crossings.length === 0) return [];
      return crossoverResults(crossings, {
        ...{ name, cores: asked.cores, metric: asked.metric, axis: "load", size: asked.size },
        ...{ text: `${name}, ${sizeName(asked.size)}, p99 latency by load: ${text}${emulated ? EMULATED : ""}`, group },
      });
    });
  }

  private subject({ size, cores }: Cell): string {
    return this.plan.cores.length > 1 ? `${sizeName(size)}, ${cores}` : sizeName(size);
  }

  private nameOf(cell: Cell): string {
    return cellName(cell, this.plan);
  }
}

const EMULATED = "; emulated device: no verdict on hardware";

function crossoverResults(
  crossings: readonly Crossing[],
  {
    group,
    ...common
  }: Pick<CrossoverResult, "name" | "cores" | "metric" | "axis" | "size" | "text"> & {
    readonly group: readonly { readonly word: Word }[];
  },
): CrossoverResult[] {
  if (crossings.length > 0) {
    return crossings.map(({ at, low, high, between, below, above }) => ({
      ...common,
      at,
      low,
      high,
      between,
      below,
      above,
    }));
  }
  const words = group.map(({ word }) => word.word).filter((word) => word === "cpu" || word === "gpu");
  const ahead = words[0] ?? "no difference";
  return [{ ...common, at: null, low: null, high: null, between: null, below: ahead, above: ahead }];
}

function ratioOf({ ratio }: Word): Interval | null {
  if (ratio === null) return null;
  const { low, high, confidence, pairs, samples } = ratio;
  return {
    median: ratio.ratio,
    low: low > 0 ? low : null,
    high: Number.isFinite(high) ? high : null,
    confidence,
    samples: ratio.method === "paired" ? pairs : Math.min(...samples),
  };
}

function mpps(pps: number): string {
  return pps >= 1e4 ? `${(pps / 1e6).toPrecision(3)} Mpps` : `${Math.round(pps)} pps`;
}
