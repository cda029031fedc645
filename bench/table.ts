/** Tables of results: for the terminal, or as Markdown for a README. */
import Table from "cli-table3";

export interface TableText {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns of numbers. */
  readonly right: readonly number[];
}

export function terminalTable({ head, rows, right }: TableText): string {
  const table = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true },
    colAligns: head.map((_, column) => (right.includes(column) ? "right" : "left")),
  });
  for (const row of rows) table.push([...row]);
  return table.toString();
}

/** A table as GitHub reads it. Columns with nothing in them are left out. */
export function markdownTable({ head, rows, right }: TableText): string {
  const columns = head.map((_, column) => column).filter((column) => rows.some((row) => row[column] !== ""));
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const escaped = (text: string) => text.replaceAll("|", "\\|");
  return [
    line(columns.map((column) => escaped(head[column]!))),
    `|${columns.map((column) => (right.includes(column) ? "---:" : "---")).join("|")}|`,
    ...rows.map((row) => line(columns.map((column) => escaped(row[column]!)))),
  ].join("\n");
}
