/** Lines for npf, in the form that compare-npf.ts describes: SIZE-64-RESULT-THROUGHPUT-fig6:g-chain 8.1e+9. */
import type { FigureResult, PaperPoint, PaperResult } from "../experiment/paper/result.js";
import { npfNumber, npfType } from "./compare-npf.js";

/** Name and the factor to units without a prefix, by panel. */
const PANELS: Readonly<Record<string, readonly [name: string, scale: number]>> = {
  throughput: ["THROUGHPUT", 1e9],
  latency: ["LATENCY50", 1e-6],
  dummies: ["DUMMYSHARE", 1e-2],
  "per-core": ["BITSPERCORESECOND", 1e9],
  "per-watt": ["BITSPERJOULE", 1e9],
};

/** Nominal energy is no result. */
export function paperNpfLines({ figures }: PaperResult): string {
  return figures
    .flatMap((figure) => figure.points.flatMap((point) => line(figure, point)))
    .map((text) => `${text}\n`)
    .join("");
}

function line({ id, panels }: FigureResult, { panel, series, size, value }: PaperPoint): string[] {
  const named = PANELS[panel];
  const nominal = panels.some((one) => one.id === panel && one.provenance === "nominal");
  if (named === undefined || nominal) return [];
  const [name, scale] = named;
  return [`SIZE-${size}-RESULT-${name}-${npfType(`${id}:${series}`)} ${npfNumber(value.median * scale)}`];
}
