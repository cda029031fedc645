/**
 * Which placements nobody can beat in everything at once. Intervals decide: a placement is off the front only where another one is no
 * worse in any objective and surely better in one; what only seems beaten stays, and is marked.
 */
import type { Estimate } from "../measure/statistics/interval.js";

export interface Objective {
  readonly name: string;
  readonly better: "higher" | "lower";
}

export interface Candidate {
  readonly name: string;
  /** In the order of the objectives. */
  readonly values: readonly Estimate[];
}

export interface ParetoPoint {
  readonly name: string;
  /** front: no other is as good in everything. perhaps: others seem to be, but the intervals overlap. dominated: others surely are. */
  readonly standing: "front" | "perhaps" | "dominated";
  /** Names of those that dominate it, surely or (standing "perhaps") by their medians. */
  readonly by: readonly string[];
}

/**
 * @returns in the order of `candidates`; at least one is not dominated
 * @throws RangeError where a candidate lacks an objective or an estimate is NaN: leave it out, and say so
 */
export function paretoFront(objectives: readonly Objective[], candidates: readonly Candidate[]): ParetoPoint[] {
  for (const { name, values } of candidates) {
    if (values.length !== objectives.length || values.some(({ median }) => !Number.isFinite(median))) {
      throw new RangeError(
        `${name} has no figure for one of ${objectives.map((objective) => objective.name).join(", ")}`,
      );
    }
  }
  return candidates.map((candidate) => {
    const better = candidates.filter((other) => dominates(objectives, other, candidate));
    const surely = better.filter((other) => surelyInOne(objectives, other, candidate));
    if (surely.length > 0) return { name: candidate.name, standing: "dominated", by: names(surely) };
    return { name: candidate.name, standing: better.length > 0 ? "perhaps" : "front", by: names(better) };
  });
}

/** By medians: nowhere worse and somewhere better. An order, so its best exist. */
function dominates(objectives: readonly Objective[], a: Candidate, b: Candidate): boolean {
  const leads = objectives.map(({ better }, i) => {
    const lead = a.values[i]!.median - b.values[i]!.median;
    return better === "higher" ? lead : -lead;
  });
  return leads.every((lead) => lead >= 0) && leads.some((lead) => lead > 0);
}

function surelyInOne(objectives: readonly Objective[], a: Candidate, b: Candidate): boolean {
  return objectives.some(({ better }, i) => {
    const [x, y] = [a.values[i]!, b.values[i]!];
    return better === "higher" ? x.low > y.high : x.high < y.low;
  });
}

function names(candidates: readonly Candidate[]): string[] {
  return candidates.map(({ name }) => name);
}
