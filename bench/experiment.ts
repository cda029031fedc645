/**
 * Experiments: what no comparison of NFs with C peers says (harness.ts): how long a row takes to a device and back, what each of the
 * device's design decisions is worth. An experiment is cut into cells, each run in a process of its own (cell.ts), because drivers read
 * their settings once, when they are loaded; what is compared with each other is measured in turns within one cell.
 *
 * A file bench/<group>/<name>.ts that exports `experiments`, a list of {@link Experiment}, takes part; main.ts finds it by that.
 */
import type { Plot } from "../runtime/report/document.js";
import { type BenchOptions, figure, range, type Spread, spread } from "./harness.js";

export interface CellOptions extends BenchOptions {
  readonly repeats: number;
  /** ms of a turn, about. */
  readonly turnMs: number;
}

/** A device that took part. */
export interface UsedDevice {
  readonly name: string;
  /** True where a CPU plays GPU. */
  readonly emulated: boolean;
}

export interface CellResult {
  readonly figures: readonly Figure[];
  readonly device: UsedDevice | null;
  /** What was done in this cell, where its name does not say it. */
  readonly notes: readonly string[];
}

export interface Cell {
  readonly name: string;
  /** Workgroups that have to run at once; 0: any number. */
  readonly workgroups: number;
  /** True where a device without persistent kernels will do. */
  readonly anyDevice?: boolean;
  /** What the cell needs of the machine; absent: an OpenCL device. */
  readonly needs?: "opencl" | "webgpu" | "wires" | "nothing";
  run(options: CellOptions): Promise<CellResult>;
}

export interface Experiment {
  /** "device-rows"; `device` names all whose names begin so. */
  readonly name: string;
  /** One line: what is measured. */
  readonly about: string;
  cells(quick: boolean): readonly Cell[];
  /** Its figures as pictures (`--figures`). @param cores processors of the machine they were measured on */
  plots?(figures: readonly Figure[], cores: number): readonly Plot[];
}

/** What has to be reached. */
export interface Target {
  readonly at: "least" | "most";
  readonly value: number;
}

export interface Figure {
  /** What was measured: "persistent", "ipsec seal, 64 B". */
  readonly subject: string;
  /** Which of its figures: "round trip p50". */
  readonly figure: string;
  /** "us", "Mpps", "%"; "x" for ratios. */
  readonly unit: string;
  readonly value: Spread;
  readonly samples: readonly number[];
  readonly target: Target | null;
  /** True where the median reaches the target; null without one. */
  readonly reached: boolean | null;
  /** What a paper, or an earlier measurement, says of the same; with its source. */
  readonly beside: string | null;
}

export interface FigureOptions {
  readonly least?: number;
  readonly most?: number;
  readonly beside?: string;
}

/** Collects the figures of a cell. */
export class Figures {
  readonly list: Figure[] = [];

  add(subject: string, name: string, unit: string, samples: readonly number[], options: FigureOptions = {}): void {
    const { least, most, beside } = options;
    const value = spread(samples);
    let target: Target | null = null;
    if (least !== undefined) target = { at: "least", value: least };
    else if (most !== undefined) target = { at: "most", value: most };
    const reached = target && (target.at === "least" ? value.median >= target.value : value.median <= target.value);
    this.list.push({ subject, figure: name, unit, value, samples, target, reached, beside: beside ?? null });
  }

  /** How many times `a` is `b`: the median over the ratios of neighbouring turns. */
  ratio(subject: string, name: string, a: readonly number[], b: readonly number[], options: FigureOptions = {}): void {
    this.add(
      subject,
      name,
      "x",
      a.map((sample, turn) => sample / b[turn]!),
      options,
    );
  }
}

const WARM_UPS = 1;

/** One of several things that are measured in turns: a turn gives all its figures at once. */
export interface Variant<Key extends string> {
  readonly name: string;
  turn(): Promise<Readonly<Record<Key, number>>>;
}

/**
 * Measures in turns (A, B, A, B...), so that what else the machine does meets all alike. First turns, in which code is compiled and
 * caches fill, do not count; who asks for one repeat wants to see that it works, and gets no other.
 * @returns by variant and figure: a sample for each turn
 */
export async function inTurns<Key extends string>(
  variants: readonly Variant<Key>[],
  repeats: number,
): Promise<Readonly<Record<Key, number[]>>[]> {
  const samples = variants.map(() => ({}) as Record<Key, number[]>);
  const warmUps = repeats === 1 ? 0 : WARM_UPS;
  for (let turn = -warmUps; turn < repeats; turn++) {
    for (const [i, variant] of variants.entries()) {
      const figures = await variant.turn();
      if (turn < 0) continue;
      for (const key of Object.keys(figures) as Key[]) {
        samples[i]![key] ??= [];
        samples[i]![key].push(figures[key]);
      }
    }
  }
  return samples;
}

/** A figure with where it is from, as it is reported. */
export type Finding = Figure & {
  readonly experiment: string;
  readonly cell: string;
  readonly device: UsedDevice | null;
};

export const FINDING_HEAD = [
  "experiment",
  "case",
  "subject",
  "figure",
  "median",
  "min..max",
  "unit",
  "target",
  "beside",
] as const;
export const FINDING_RIGHT: readonly number[] = [4, 5];

export function findingRow(finding: Finding): string[] {
  const { experiment, cell, subject, value, unit, target, reached, beside } = finding;
  const bound = target && `${target.at === "least" ? ">=" : "<="} ${target.value}: ${reached ? "reached" : "missed"}`;
  return [
    experiment,
    cell,
    subject,
    finding.figure,
    figure(value.median),
    range(value),
    unit,
    bound ?? "",
    beside ?? "",
  ];
}
