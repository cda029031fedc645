/**
 * Writes a report: a folder with
 *
 *   index.html      everything, in one page that needs nothing else
 *   plots/ID.png    the plots, for slides and papers
 *   data/NAME.csv   the samples
 *   result.json     the verb's result, as --json writes it
 *   manifest.json   where, with what and how it was measured, and the SHA-256 of the files beside it
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { csv } from "./csv.js";
import type { Plot, ReportDocument } from "./document.js";
import { type Drawing, draw } from "./draw.js";
import { MARK, MARK_KEY, PAGE, type ReportFile, replaceReport } from "./folder.js";
import { type Beside, page } from "./page.js";
import { fileName } from "./text.js";

export { checkReportFolder } from "./folder.js";

/** Bytes of a page at most. What does not fit stands beside it, and the page says so. */
export const PAGE_LIMIT = 1_000_000;
const MAX_ROWS = 400;
const MIN_ROWS = 25;

export interface WrittenReport {
  /** Path of index.html. */
  readonly page: string;
  /** What plots' specs were found to have wrong; the plots may lack something. */
  readonly remarks: readonly string[];
}

/**
 * @param folder where {@link checkReportFolder} had nothing against it: it is made, or the report in it is replaced
 * @throws RunError where a file cannot be written (no permission, full disk), or the plots' font is missing
 */
export async function writeReport(document: ReportDocument, folder: string): Promise<WrittenReport> {
  const plots = document.sections.flatMap((section) => section.plots ?? []);
  const taken = new Set<string>();
  const drawn: { readonly plot: Plot; readonly name: string; readonly drawing: Drawing }[] = [];
  // One after the other: the drawing library has global state.
  for (const plot of plots) {
    const name = fileName(plot.id, taken);
    drawn.push({ plot, name, drawing: await draw(plot, name) });
  }
  const names = new Set<string>();
  const described = [
    { path: "result.json", what: "the result, for programs", content: `${JSON.stringify(document.result, null, 2)}\n` },
    ...document.data.map((file) => ({
      path: `data/${fileName(file.name, names)}.csv`,
      what: `${file.name}: ${file.rows.length} rows`,
      content: csv(file),
    })),
    ...drawn.map(({ plot, name, drawing }) => ({ path: `plots/${name}.png`, what: plot.title, content: drawing.png })),
  ];
  const files = described.map(({ path, what, content }) => ({ path, what, bytes: Buffer.byteLength(content) }));
  const html = fitting(
    document,
    drawn.map(({ name, drawing }) => ({ svg: drawing.svg, png: `plots/${name}.png` })),
    files,
  );
  replaceReport(folder, withMark(document, [...described, { path: PAGE, content: html }]));
  return {
    page: join(folder, PAGE),
    remarks: drawn.flatMap(({ plot, drawing }) => drawing.remarks.map((remark) => `${plot.id}: ${remark}`)),
  };
}

/** The page in its limit: at first long tables are cut shorter, then the largest plots are left to their PNGs. */
function fitting(
  document: ReportDocument,
  plots: readonly { svg: string; png: string }[],
  besides: Beside["files"],
): string {
  const files = [...besides, { path: MARK, what: "the manifest, for programs", bytes: Number.NaN }];
  const largestFirst = plots.map((_, index) => index).sort((a, b) => plots[b]!.svg.length - plots[a]!.svg.length);
  for (let rows = MAX_ROWS, out = 0; ; ) {
    const left = new Set(largestFirst.slice(0, out));
    const shown = plots.map(({ svg, png }, index) => ({ svg: left.has(index) ? undefined : svg, png }));
    const html = page(document, { plots: shown, files }, rows);
    if (Buffer.byteLength(html) < PAGE_LIMIT || (rows === MIN_ROWS && out === plots.length)) return html;
    if (rows > MIN_ROWS) rows = Math.max(MIN_ROWS, rows >> 1);
    else out++;
  }
}

function withMark(document: ReportDocument, files: readonly ReportFile[]): ReportFile[] {
  const listed = files.map(({ path, content }) => ({
    path,
    bytes: Buffer.byteLength(content),
    sha256: createHash("sha256").update(content).digest("hex"),
  }));
  const mark = { ...document.manifest, [MARK_KEY]: { format: 1, title: document.title, files: listed } };
  return [
    ...files.map(({ path, content }) => ({ path, content })),
    { path: MARK, content: `${JSON.stringify(mark, null, 2)}\n` },
  ];
}
