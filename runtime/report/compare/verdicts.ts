/** The verdicts of a comparison as tables: one to see it at a glance, one to see what each rests on. */
import { sizeName } from "../../experiment/compare-plan.js";
import type { CompareResult, SizeVerdict } from "../../experiment/compare-result.js";
import type { Section, Table } from "../document.js";
import { formatNumber } from "../numbers.js";
import { inOrder } from "../plots/common.js";
import { capital } from "./summary.js";
import { factor, intervalText, metricName, rateName } from "./words.js";

const ANSWERS = { cpu: "CPU", gpu: "GPU", "no difference": "no difference", none: "no verdict" } as const;

export function verdictSection(result: CompareResult): Section | null {
  if (result.verdicts.length === 0) return null;
  const percent = Math.round((result.verdicts[0]?.confidence ?? 0.95) * 100);
  const crossings: Table = {
    title: "Crossover: where CPU and GPU change places",
    columns: [{ name: "Placement" }, { name: "Cores" }, { name: "Finding" }],
    rows: result.crossovers.map(({ name, cores, text }) => [name, cores, text]),
  };
  return {
    heading: "Verdicts",
    text: [
      `Which is better at ${percent} % confidence: all on the CPU, or the best placement with something on the GPU; and by what factor.`,
    ],
    tables: [atAGlance(result), ...(crossings.rows.length === 0 ? [] : [crossings])],
  };
}

/** What the glance is a summary of. */
export function comparisonsSection(result: CompareResult): Section | null {
  if (result.comparisons.length === 0) return null;
  return {
    heading: "Every comparison",
    text: [
      "Each placement on the GPU against all on the CPU. The ratio is the GPU's figure over the CPU's with its confidence interval; the last column says why it is the verdict. For latency less is better.",
    ],
    tables: [eachVerdict(result)],
  };
}

/** Sizes down, metrics across. */
function atAGlance(result: CompareResult): Table {
  const { verdicts } = result;
  const nameOf = ({ metric, load }: SizeVerdict) => metricName(metric, load, rateName(result));
  // A load that could not be had at a size is no metric of its own.
  const metrics = inOrder(verdicts.map(({ metric }) => metric)).map((metric) => {
    const of = verdicts.filter((verdict) => verdict.metric === metric);
    return { metric, name: nameOf(of.find(({ load }) => load !== null) ?? of[0]!) };
  });
  const rows = inOrder(verdicts.map(({ size }) => size)).flatMap((size) =>
    inOrder(verdicts.map(({ cores }) => cores)).map((cores) => {
      const here = verdicts.filter((verdict) => verdict.size === size && verdict.cores === cores);
      return [sizeName(size), cores, ...metrics.map(({ metric }) => answer(here.find((one) => one.metric === metric)))];
    }),
  );
  const columns = ["Size", "Cores", ...metrics.map(({ name }) => capital(name))];
  return { title: "At a glance", columns: columns.map((name) => ({ name })), rows };
}

function answer(verdict: SizeVerdict | undefined): string | null {
  if (verdict === undefined) return null;
  if (verdict.verdict === "none") return `no verdict: ${verdict.reason ?? "not measured"}`;
  const name = verdict.verdict === "gpu" && verdict.emulated ? "emulated device" : ANSWERS[verdict.verdict];
  const known = verdict.verdict === "no difference" ? null : factor(verdict);
  return known === null ? name : `${name}, ${formatNumber(known)} ×`;
}

function eachVerdict(result: CompareResult): Table {
  const rate = rateName(result);
  return {
    title: "Verdicts by size, placement and metric",
    columns: [
      { name: "Size" },
      { name: "Cores" },
      { name: "Placement on the GPU" },
      { name: "Of" },
      { name: "Better" },
      { name: "GPU / CPU", unit: "ratio of the figures" },
      { name: "Why, and what qualifies it" },
    ],
    rows: result.comparisons.map((verdict) => [
      sizeName(verdict.size),
      verdict.cores,
      verdict.name,
      metricName(verdict.metric, verdict.load, rate),
      ANSWERS[verdict.verdict],
      intervalText(verdict.ratio),
      [verdict.emulated ? "emulated device" : null, verdict.reason].filter((one) => one !== null).join("; "),
    ]),
    marked: result.comparisons.flatMap(({ verdict, emulated }, index) =>
      verdict === "gpu" && !emulated ? [index] : [],
    ),
  };
}
