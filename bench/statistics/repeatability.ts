/** How often two sessions on the same machine agree in their verdicts. */
import { decide } from "../../runtime/measure/statistics/decide.js";
import { Random } from "../../runtime/nic/generator/random.js";
import { type MachineModel, noiseLevels, session } from "./machine.js";

/** Metrics of a report. */
const FAMILIES = 3;

export interface Repeatability {
  /** Pairs of verdicts that were looked at. */
  readonly pairs: number;
  /** Of them, shares: opposite verdicts; one verdict and one "no difference"; the same verdict twice. */
  readonly contrary: number;
  readonly oneSided: number;
  readonly agreed: number;
  /** Of all single verdicts, the share for the wrong side. */
  readonly wrong: number;
  /** Of sessions, the share with a verdict for the wrong side, or for any where nothing differs: what the correction bounds. */
  readonly sessionsWrong: number;
}

export interface Trials {
  readonly model: MachineModel;
  /** Logarithms of a / b for the questions of a session; called for every pair of sessions. */
  truth(random: Random): readonly number[];
  readonly repeats: number;
  readonly sessions: number;
  readonly seed: number;
}

/** Runs pairs of sessions with the same truth. */
export function repeatability({ model, truth: truths, repeats, sessions, seed }: Trials): Repeatability {
  const random = new Random(seed);
  let pairs = 0;
  let contrary = 0;
  let oneSided = 0;
  let agreed = 0;
  let wrong = 0;
  let sessionsWrong = 0;
  for (let i = 0; i < sessions; i++) {
    const truth = truths(random);
    const levels = noiseLevels(model, truth.length, random);
    const words = [0, 1].map(() =>
      decide(
        session(model, truth, levels, repeats, random).map((pair, q) => ({
          family: String(q % FAMILIES),
          ...pair,
          candidates: 1,
          uncertainty: 0,
        })),
      ).map(({ greater }) => greater),
    );
    for (const side of words) {
      const bad = side.filter((word, q) => (word === "a" && truth[q]! <= 0) || (word === "b" && truth[q]! >= 0)).length;
      wrong += bad;
      if (bad > 0) sessionsWrong++;
    }
    for (let q = 0; q < truth.length; q++) {
      const [x, y] = [words[0]![q]!, words[1]![q]!];
      const told = [x, y].filter((word) => word === "a" || word === "b").length;
      pairs++;
      if (told === 1) oneSided++;
      else if (told === 2 && x === y) agreed++;
      else if (told === 2) contrary++;
    }
  }
  return {
    pairs,
    contrary: contrary / pairs,
    oneSided: oneSided / pairs,
    agreed: agreed / pairs,
    wrong: wrong / (2 * pairs),
    sessionsWrong: sessionsWrong / (2 * sessions),
  };
}
