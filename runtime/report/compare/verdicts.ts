/** The verdicts of a comparison as tables: one to see it at a glance, one to see what each rests on. */
import type { CompareResult, Verdict } from "../../experiment/compare-result.js";
import type { Section, Table } from "../document.js";
import { formatNumber } from "../numbers.js";
import { inOrder } from "../plots/common.js";
import { capital, factorAt, sideAt } from "./summary.js";
import { intervalText, metricName, sizeName } from "./words.js";

const ANSWERS = { cpu: "CPU", gpu: "GPU", "no difference": "no difference", none: "no verdict" } as const;

export function verdictSection(result: CompareResult): Section {
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
export function comparisonsSection(result: CompareResult): Section {
  return {
    heading: "Every comparison",
    text: [
      "Each placement on the GPU against all on the CPU. The ratio is the GPU's figure over the CPU's with its confidence interval; where that holds 1, no difference is shown. For latency less is better.",
    ],
    tables: [eachVerdict(result)],
  };
}

/** Sizes down, metrics across. */
function atAGlance({ verdicts, plan }: CompareResult): Table {
  const nameOf = ({ metric, load }: Verdict) => metricName(metric, load, plan.loads_of);
  const names = inOrder(verdicts.map(nameOf));
  const rows = inOrder(verdicts.map(({ size }) => size)).flatMap((size) =>
    inOrder(verdicts.map(({ cores }) => cores)).map((cores) => {
      const here = verdicts.filter((verdict) => verdict.size === size && verdict.cores === cores);
      return [
        sizeName(size),
        cores,
        ...names.map((name) => answer(here.filter((verdict) => nameOf(verdict) === name))),
      ];
    }),
  );
  return { title: "At a glance", columns: ["Size", "Cores", ...names.map(capital)].map((name) => ({ name })), rows };
}

function answer(verdicts: readonly Verdict[]): string | null {
  const said = verdicts.filter(({ verdict }) => verdict !== "none");
  const [first] = said;
  if (first === undefined) return verdicts.length === 0 ? null : `no verdict: ${verdicts[0]?.reason ?? "not measured"}`;
  const side = sideAt(said, first.size);
  const factor = side === "no difference" ? null : factorAt(said, side, first.size);
  const name = side === "gpu" && said.every(({ emulated }) => emulated) ? "emulated device" : ANSWERS[side];
  return factor === null ? name : `${name}, ${formatNumber(factor)} ×`;
}

function eachVerdict(result: CompareResult): Table {
  const names = new Map(result.cells.map(({ key, name }) => [key, name]));
  return {
    title: "Verdicts by size, placement and metric",
    columns: [
      { name: "Size" },
      { name: "Cores" },
      { name: "Placement on the GPU" },
      { name: "Of" },
      { name: "Better" },
      { name: "GPU / CPU", unit: "ratio of the figures" },
      { name: "What qualifies it" },
    ],
    rows: result.verdicts.map((verdict) => [
      sizeName(verdict.size),
      verdict.cores,
      names.get(verdict.gpu) ?? verdict.gpu,
      metricName(verdict.metric, verdict.load, result.plan.loads_of),
      ANSWERS[verdict.verdict],
      intervalText(verdict.ratio),
      [verdict.emulated ? "emulated device" : null, verdict.reason].filter((one) => one !== null).join("; "),
    ]),
    marked: result.verdicts.flatMap(({ verdict, emulated }, index) => (verdict === "gpu" && !emulated ? [index] : [])),
  };
}
