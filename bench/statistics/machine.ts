/**
 * A machine nobody has to themselves, as a model: what a session of interleaved repeats would measure on it. Verdicts are tried on it,
 * because only here the truth is known.
 *
 * The logarithm of a measurement is the sum of: the truth; drift of the whole machine (frequency, neighbours), which two measurements in
 * turn nearly share; drift of one side (what a device's threads meet and the others do not); white noise, different for each question; an
 * offset of the session for each side and question (layout of memory); and hiccups, which only ever lower a rate. Drifts are
 * Ornstein-Uhlenbeck processes in their stationary state, so sessions far apart are independent and neighbouring repeats are not.
 */
import type { Repeated } from "../../runtime/measure/statistics/ratio.js";
import type { Random } from "../../runtime/nic/generator/random.js";

export interface MachineModel {
  /** Standard deviations, relative. */
  readonly common: number;
  readonly side: number;
  readonly session: number;
  /** White noise: its median over questions, and the standard deviation of its logarithm among them. */
  readonly noise: number;
  readonly unlike: number;
  /** Measurements until a drift has forgotten 63 %. */
  readonly memory: number;
  /** Share of measurements with a hiccup, and its mean size as a logarithm. */
  readonly hiccups: number;
  readonly hiccupSize: number;
}

/** Quiet: pinned processors, a fixed frequency. Noisy: a shared virtual machine with two processors. Wild: worse than should be measured on. */
export const MACHINES: Readonly<Record<"quiet" | "noisy" | "wild", MachineModel>> = {
  quiet: {
    common: 0.01,
    side: 0.003,
    session: 0.003,
    noise: 0.01,
    unlike: 0.3,
    memory: 200,
    hiccups: 0.01,
    hiccupSize: 0.1,
  },
  noisy: {
    common: 0.05,
    side: 0.015,
    session: 0.01,
    noise: 0.03,
    unlike: 0.5,
    memory: 100,
    hiccups: 0.05,
    hiccupSize: 0.3,
  },
  wild: {
    common: 0.15,
    side: 0.05,
    session: 0.02,
    noise: 0.08,
    unlike: 0.7,
    memory: 60,
    hiccups: 0.1,
    hiccupSize: 0.5,
  },
};

export interface SessionPair {
  readonly a: Repeated[];
  readonly b: Repeated[];
}

/** Standard normal, by Box and Muller. */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.fraction())) * Math.cos(2 * Math.PI * random.fraction());
}

/** What is the same in every session: how noisy each question is. */
export function noiseLevels(model: MachineModel, questions: number, random: Random): number[] {
  return Array.from({ length: questions }, () => model.noise * Math.exp(model.unlike * normal(random)));
}

/**
 * One session: in each repeat a, then b, of every question.
 * @param truth logarithm of a / b for each question
 */
export function session(
  model: MachineModel,
  truth: readonly number[],
  levels: readonly number[],
  repeats: number,
  random: Random,
): SessionPair[] {
  const keep = Math.exp(-1 / model.memory);
  const fresh = Math.sqrt(1 - keep * keep);
  let common = normal(random);
  const sides = [normal(random), normal(random)];
  const offsets = truth.map(() => [normal(random), normal(random)]);
  const pairs: SessionPair[] = truth.map(() => ({ a: [], b: [] }));
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const [q, { a, b }] of pairs.entries()) {
      for (const side of [0, 1]) {
        common = keep * common + fresh * normal(random);
        for (const i of [0, 1]) sides[i] = keep * sides[i]! + fresh * normal(random);
        let log = side === 0 ? truth[q]! : 0;
        log += model.common * common + model.side * sides[side]! + model.session * offsets[q]![side]!;
        log += levels[q]! * normal(random);
        if (random.fraction() < model.hiccups) log += model.hiccupSize * Math.log(1 - random.fraction());
        (side === 0 ? a : b).push({ repeat, value: Math.exp(log) });
      }
    }
  }
  return pairs;
}
