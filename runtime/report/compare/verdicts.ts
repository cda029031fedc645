/** The verdicts of a comparison as a table. */
import type { CompareResult } from "../../experiment/compare-result.js";
import type { Section } from "../document.js";
import { intervalText, metricName, sizeName } from "./words.js";

const ANSWERS = { cpu: "CPU", gpu: "GPU", "no difference": "no difference", none: "no verdict" } as const;

export function verdictSection(result: CompareResult): Section {
  const names = new Map(result.cells.map(({ key, name }) => [key, name]));
  const percent = Math.round((result.verdicts[0]?.confidence ?? 0.95) * 100);
  const crossed = result.crossovers.map(({ text }) => text);
  return {
    heading: "Verdicts",
    text: [
      `Who is better at each size, at ${percent} % confidence. The ratio is the GPU's figure over the CPU's, with its confidence interval; an interval that holds 1 shows no difference.`,
    ],
    tables: [
      {
        title: "CPU or GPU",
        columns: [
          { name: "Size" },
          { name: "Cores" },
          { name: "Of" },
          { name: "Better" },
          { name: "GPU / CPU", unit: "×" },
          { name: "Placement on the GPU" },
          { name: "What qualifies it" },
        ],
        rows: result.verdicts.map((verdict) => [
          sizeName(verdict.size),
          verdict.cores,
          metricName(verdict.metric, verdict.load, result.plan.loads_of),
          ANSWERS[verdict.verdict],
          intervalText(verdict.ratio),
          names.get(verdict.gpu) ?? verdict.gpu,
          [verdict.emulated ? "emulated device: nothing about hardware" : null, verdict.reason]
            .filter((one) => one !== null)
            .join("; "),
        ]),
        marked: result.verdicts.flatMap(({ verdict, emulated }, index) =>
          verdict === "gpu" && !emulated ? [index] : [],
        ),
      },
      ...(crossed.length === 0
        ? []
        : [
            {
              title: "Crossover: where CPU and GPU change places",
              columns: [{ name: "Placement" }, { name: "Cores" }, { name: "Finding" }],
              rows: result.crossovers.map(({ name, cores, text }) => [name, cores, text]),
            },
          ]),
    ],
  };
}
