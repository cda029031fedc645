/** The summary of a comparison: where the GPU wins, where the CPU does, where neither; and what that is worth. */
import type { FrameSize } from "../../experiment/cell.js";
import type { CompareResult, Metric, Verdict } from "../../experiment/compare-result.js";
import { inOrder } from "../plots/common.js";
import { factor, metricName, sizeName, sizesListed, times } from "./words.js";

type Side = "cpu" | "gpu" | "no difference";

export function summaryOf(result: CompareResult): string[] {
  const { state, equivalence, best, crossovers, progress, plan } = result;
  if (state === "refused") {
    const wrong = equivalence.cases.filter(({ differences }) => differences.length > 0);
    return [
      "Refused: the placements did not give the same packets, so there is nothing to compare.",
      ...wrong.slice(0, 3).map(({ name, size, differences }) => `${name}, ${sizeName(size)}: ${differences[0]}`),
    ];
  }
  const lines = [
    ...metricLines(result, "gbps"),
    ...metricLines(result, "p99"),
    ...metricLines(result, "gbps_per_watt"),
    ...inOrder(crossovers.filter(({ at }) => at !== null).map(({ text }) => sentence(text))).slice(0, 2),
  ];
  if (best !== null) lines.push(sentence(`Best over the sizes measured: ${best.name} (${best.why})`));
  if (result.verdicts.some(({ emulated }) => emulated)) {
    lines.push(
      "A device here is an emulation on the CPU: its figures show that placement works, and say nothing about what GPU hardware would gain or lose.",
    );
  }
  if (equivalence.equal && equivalence.cases.length > 0) {
    const packets = equivalence.packets.toLocaleString("en");
    lines.push(
      `All placements gave the same packets, alerts, outcomes and drops over ${packets} packets at each size.`,
    );
  }
  if (state === "interrupted") {
    lines.push(
      `Interrupted: ${progress.done} of ${progress.planned} measurements were made, and these figures are of them.`,
    );
  }
  return lines.length > 0 ? lines : [`Nothing of ${plan.chain} was measured.`];
}

/** One sentence for each metric and load: sizes by who is better there. */
function metricLines(result: CompareResult, metric: Metric): string[] {
  const verdicts = result.verdicts.filter((verdict) => verdict.metric === metric);
  const loads = inOrder(verdicts.map(({ load }) => load));
  // Of several loads the middle one stands for the others; the verdicts' table has them all.
  const load = loads[(loads.length - 1) >> 1] ?? null;
  const cores = inOrder(verdicts.map((verdict) => verdict.cores));
  return cores.flatMap((spec) => {
    const group = verdicts.filter((verdict) => verdict.cores === spec && verdict.load === load);
    const name = metricName(metric, load, result.plan.loads_of) + (cores.length > 1 ? ` (${spec})` : "");
    return group.length === 0 ? [] : [groupLine(group, name, metric)];
  });
}

function groupLine(group: readonly Verdict[], name: string, metric: Metric): string {
  const said = group.filter(({ verdict }) => verdict !== "none");
  if (said.length === 0) {
    const reasons = inOrder(group.map(({ reason }) => reason ?? "not measured"));
    return sentence(`No verdict on ${name}: ${reasons.join("; ")}`);
  }
  const gpu = said.every(({ emulated }) => emulated) ? "the emulated device" : "the GPU";
  const sizes = inOrder(said.map(({ size }) => size));
  const at = (side: Side) => sizes.filter((size) => sideAt(said, size) === side);
  const where = (list: readonly FrameSize[]) => {
    return list.length === sizes.length && sizes.length > 1
      ? `at every size from ${sizesListed(ends(sizes))}`
      : `at ${sizesListed(list)}`;
  };
  const better = metric === "p99" ? "has the lower figure" : "has the higher figure";
  const parts = (["gpu", "cpu"] as const).flatMap((side) => {
    const list = at(side);
    if (list.length === 0) return [];
    const who = side === "gpu" ? `${gpu}` : "the CPU";
    return [`${who} ${better} ${where(list)}${by(said, side, list)}`];
  });
  const same = at("no difference");
  if (same.length > 0) parts.push(`no difference could be shown ${where(same)}`);
  return sentence(`${name}: ${parts.join("; ")}`);
}

/** Of a size: the GPU's where any placement on it is better, the CPU's where it is better than all of them. */
function sideAt(verdicts: readonly Verdict[], size: FrameSize): Side {
  const here = verdicts.filter((verdict) => verdict.size === size);
  if (here.some(({ verdict }) => verdict === "gpu")) return "gpu";
  return here.every(({ verdict }) => verdict === "cpu") ? "cpu" : "no difference";
}

/** ", by 1.2 to 3.4 times": of the best placement on the GPU at each size, as the others need nobody. */
function by(verdicts: readonly Verdict[], side: Side, sizes: readonly FrameSize[]): string {
  const factors = sizes.flatMap((size) => {
    const here = verdicts.filter((verdict) => verdict.size === size && verdict.verdict === side);
    const known = here.map(factor).filter((value) => value !== null);
    return known.length === 0 ? [] : [side === "gpu" ? Math.max(...known) : Math.min(...known)];
  });
  if (factors.length === 0) return "";
  const [low, high] = [Math.min(...factors), Math.max(...factors)];
  return times(low) === times(high)
    ? `, by ${times(high)}`
    : `, by ${times(low).replace(" times", "")} to ${times(high)}`;
}

function ends(sizes: readonly FrameSize[]): FrameSize[] {
  return sizes.every((size) => typeof size === "number") ? [sizes[0]!, sizes.at(-1)!] : [...sizes];
}

function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
