/** The summary of a comparison: where the GPU wins, where the CPU does, where neither; and what that is worth. */

import type { FrameSize } from "../../experiment/cell.js";
import { sizeName } from "../../experiment/compare-plan.js";
import type { CompareResult, Metric, SizeVerdict } from "../../experiment/compare-result.js";
import { formatNumber } from "../numbers.js";
import { inOrder } from "../plots/common.js";
import { factor, metricName, rateName, sizesListed } from "./words.js";

/** What crossovers of the sizes' verdicts are called. */
const BEST_ON_GPU = "the best on gpu";

export function summaryOf(result: CompareResult): string[] {
  const { state, equivalence, best, crossovers, progress, plan } = result;
  if (state === "refused") return refusal(result);
  const lines = [
    ...metricLines(result, "gbps"),
    ...metricLines(result, "p99"),
    ...metricLines(result, "gbps_per_watt"),
    // Of the sizes' verdicts; those of single placements are in the table.
    ...inOrder(
      crossovers.filter(({ at, name }) => at !== null && name === BEST_ON_GPU).map(({ text }) => sentence(text)),
    ),
  ];
  if (best !== null) lines.push(sentence(`Best over the sizes measured: ${best.name} (${best.why})`));
  if (result.verdicts.some(({ emulated }) => emulated)) {
    lines.push(
      "A device here is an emulation on the CPU: its figures show that placement works, and say nothing about what GPU hardware would gain or lose.",
    );
  }
  if (equivalence?.equal && equivalence.cases.length > 0) {
    lines.push(
      `Every placement gave the same packets, alerts, outcomes and drops as all on the CPU, over ${passes(equivalence.packets)}.`,
    );
  }
  if (state === "interrupted") {
    lines.push(
      `Interrupted: ${progress.done} of ${progress.planned} measurements were made, and these figures are of them.`,
    );
  }
  return lines.length > 0 ? lines : [`Nothing of ${plan.chain} was measured.`];
}

function refusal({ equivalence }: CompareResult): string[] {
  const wrong = equivalence?.cases.filter(({ differences }) => differences.length > 0) ?? [];
  return [
    "Refused: the placements did not give the same packets, so there is nothing to compare.",
    ...wrong.slice(0, 3).map(({ name, size, differences }) => `${name}, ${sizeName(size)}: ${differences[0]}`),
  ];
}

/** "20,000 packets at each size" */
export function passes(packets: number): string {
  return `${packets.toLocaleString("en")} packets at each size`;
}

/** A sentence for each metric: sizes by who is better there. */
function metricLines(result: CompareResult, metric: Metric): string[] {
  const verdicts = result.verdicts.filter((verdict) => verdict.metric === metric);
  const cores = inOrder(verdicts.map((verdict) => verdict.cores));
  return cores.map((spec) => {
    const group = verdicts.filter((verdict) => verdict.cores === spec);
    const load = group.find((verdict) => verdict.load !== null)?.load ?? null;
    const name = metricName(metric, load, rateName(result));
    return groupLine(group, name + (cores.length > 1 ? `, ${spec}` : ""), metric === "gbps" && cores.length === 1);
  });
}

/** @param asAnswer without the metric's name, as people ask for throughput first */
function groupLine(group: readonly SizeVerdict[], name: string, asAnswer: boolean): string {
  const said = group.filter(({ verdict }) => verdict !== "none");
  if (said.length === 0) {
    const reasons = inOrder(group.map(({ reason }) => reason ?? "not measured"));
    return sentence(`No verdict on ${name}: ${reasons.join("; ")}`);
  }
  const sizes = said.map(({ size }) => size);
  const where = (list: readonly FrameSize[]) => {
    if (list.length === sizes.length && sizes.length > 2) return "at every size";
    return `at ${sizesListed(list, sizes)}`;
  };
  const who = { gpu: said.every(({ emulated }) => emulated) ? "the emulated device" : "the GPU", cpu: "the CPU" };
  const ahead = (["gpu", "cpu"] as const).flatMap((side) => {
    const won = said.filter(({ verdict }) => verdict === side);
    return won.length === 0 ? [] : [{ who: who[side], where: where(won.map(({ size }) => size)) + by(won) }];
  });
  const same = said.filter(({ verdict }) => verdict === "no difference").map(({ size }) => size);
  const parts = ahead.map((one, index) => {
    if (asAnswer) return `${one.who}${index === 0 ? " is faster" : ""} ${one.where}`;
    return `${index === 0 ? "better " : ""}on ${one.who} ${one.where}`;
  });
  if (same.length > 0) parts.push(`no difference could be shown ${where(same).replace("every", "any")}`);
  const silent = group.filter(({ verdict }) => verdict === "none").map(({ size }) => size);
  if (silent.length > 0) parts.push(`no verdict at ${sizesListed(silent)}`);
  return sentence((asAnswer && ahead.length > 0 ? "" : `${name}: `) + parts.join("; "));
}

/** " by a factor of 1.2 to 3.4" */
function by(verdicts: readonly SizeVerdict[]): string {
  const factors = verdicts.map(factor).filter((value) => value !== null);
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
