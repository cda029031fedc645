/** The summary of a comparison: where the GPU wins, where the CPU does, where neither; and what that is worth. */
import type { FrameSize } from "../../experiment/cell.js";
import type { CompareResult, Metric, Verdict } from "../../experiment/compare-result.js";
import { formatNumber } from "../numbers.js";
import { inOrder } from "../plots/common.js";
import { factor, metricName, sizeName, sizesListed } from "./words.js";

export type Side = "cpu" | "gpu" | "no difference";

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
  const sizes = inOrder(said.map(({ size }) => size));
  const where = (list: readonly FrameSize[]) => {
    if (list.length === sizes.length && sizes.length > 2) return "at every size";
    return `at ${sizesListed(list, sizes)}`;
  };
  const who = { gpu: said.every(({ emulated }) => emulated) ? "the emulated device" : "the GPU", cpu: "the CPU" };
  const ahead = (["gpu", "cpu"] as const).flatMap((side) => {
    const list = sizes.filter((size) => sideAt(said, size) === side);
    return list.length === 0 ? [] : [{ who: who[side], where: where(list) + by(said, side, list) }];
  });
  const same = sizes.filter((size) => sideAt(said, size) === "no difference");
  const parts = ahead.map((one, index) => {
    // The answer itself is said as people say it; the other metrics name themselves first.
    if (metric === "gbps") return `${one.who}${index === 0 ? " is faster" : ""} ${one.where}`;
    return `${index === 0 ? "better " : ""}on ${one.who} ${one.where}`;
  });
  if (same.length > 0) parts.push(`no difference could be shown ${where(same)}`);
  const beginning = metric === "gbps" && ahead.length > 0 && !name.includes("(") ? "" : `${name}: `;
  return sentence(beginning + parts.join("; "));
}

/** Of a size: the GPU's where any placement on it is better, the CPU's where it is better than all of them. */
export function sideAt(verdicts: readonly Verdict[], size: FrameSize): Side {
  const here = verdicts.filter((verdict) => verdict.size === size);
  if (here.some(({ verdict }) => verdict === "gpu")) return "gpu";
  return here.every(({ verdict }) => verdict === "cpu") ? "cpu" : "no difference";
}

/** How many times better a side is at a size: the GPU's best placement, or the CPU against it, as the others need nobody. */
export function factorAt(verdicts: readonly Verdict[], side: "cpu" | "gpu", size: FrameSize): number | null {
  const here = verdicts.filter((verdict) => verdict.size === size && verdict.verdict === side);
  const known = here.map(factor).filter((value) => value !== null);
  if (known.length === 0) return null;
  return side === "gpu" ? Math.max(...known) : Math.min(...known);
}

/** " by a factor of 1.2 to 3.4" */
function by(verdicts: readonly Verdict[], side: "cpu" | "gpu", sizes: readonly FrameSize[]): string {
  const factors = sizes.map((size) => factorAt(verdicts, side, size)).filter((value) => value !== null);
  if (factors.length === 0) return "";
  const [low, high] = [Math.min(...factors), Math.max(...factors)].map((value) => formatNumber(value));
  return low === high ? ` by a factor of ${high}` : ` by a factor of ${low} to ${high}`;
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? capital(text) : `${capital(text)}.`;
}

/** With a capital letter, unless that would be another thing: p99. */
export function capital(text: string): string {
  return /^[a-z]\d/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
}
