/** The paper's experiments for people: the same tables as in the report, as text. */
import Table from "cli-table3";
import { PAPER_FIGURES } from "../experiment/paper/figures.js";
import type { FigureResult, PaperResult } from "../experiment/paper/result.js";
import type { Table as DocumentTable } from "../report/document.js";
import { formatCell, isNumeric } from "../report/numbers.js";
import { findingTable, marked, panelTable } from "../report/paper/tables.js";

export function paperTable(result: PaperResult): string {
  const { state, progress, figures, equivalence, warnings, plan, machine } = result;
  const parts: string[] = [];
  if (state === "interrupted") parts.push(`INTERRUPTED: of ${progress.planned} samples ${progress.done} were taken`);
  const cases = equivalence.flatMap(({ proof }) => proof.cases);
  if (state === "refused") parts.push("REFUSED, no figures: two ways to run a chain do not give the same packets");
  else if (cases.length > 0) {
    parts.push(`equivalence: ${cases.length} ways to run these chains gave the digests, alerts and drops of the CPU`);
  }
  for (const figure of figures) parts.push(...figureLines(figure));
  if (figures.length > 0) {
    parts.push(
      `medians of ${state === "complete" ? "" : "up to "}${plan.repeats} samples, in brackets their 95 % confidence interval`,
      `what differs: ${machine}`,
    );
  }
  if (warnings.length > 0) parts.push(["what qualifies this:", ...warnings.map((line) => `  ${line}`)].join("\n"));
  return `${parts.join("\n")}\n`;
}

function figureLines(figure: FigureResult): string[] {
  const tables = [...figure.panels.map((panel) => panelTable(figure, panel)), findingTable(figure)];
  const shown = tables.filter((table) => table !== null && table.rows.length > 0) as DocumentTable[];
  return [
    "",
    `${marked(figure.id, figure)}: ${figure.title}`,
    `paper: ${figure.paper}`,
    `here: ${figure.differs}`,
    ...shown.flatMap((table) => [table.title, textTable(table)]),
  ];
}

function textTable(table: DocumentTable): string {
  const text = new Table({
    head: table.columns.map(({ name, unit }) => (unit === undefined ? name : `${name} ${unit}`)),
    colAligns: table.columns.map((_, i) => (isNumeric(table, i) ? ("right" as const) : ("left" as const))),
    style: { head: [], border: [], compact: true },
  });
  for (const row of table.rows) text.push(row.map((value, i) => formatCell(value, table.columns[i]!)));
  return text.toString();
}

/** What `paper` without a figure says. */
export function figureList(): string {
  const lines = PAPER_FIGURES.map(({ id, shows, paper }) => `${id.padEnd(6)} ${shows}\n       ${paper}`);
  return `${lines.join("\n")}\nall    all of these, in one report\n`;
}
