// Tables of results of `wingbeat paper`, for bench/README.md: Markdown on stdout. Needs a build.
import { readFileSync } from "node:fs";
import { argv, exit, stderr, stdout } from "node:process";

const files = argv.slice(2);
if (files.length === 0) {
  stderr.write("usage: node scripts/paper-tables.mjs RESULT.json...\n");
  exit(2);
}
const { formatCell, isNumeric } = await import("../dist/runtime/report/numbers.js");
const { findingTable, panelTable } = await import("../dist/runtime/report/paper/tables.js");

const row = (cells) => `| ${cells.join(" | ")} |\n`;

function markdown(table) {
  const { title, columns, rows } = table;
  const head = columns.map(({ name, unit }) => (unit === undefined ? name : `${name} (${unit})`));
  const rule = columns.map((_, i) => (isNumeric(table, i) ? "---:" : "---"));
  const body = rows.map((values) => row(values.map((value, i) => formatCell(value, columns[i]))));
  return `\n**${title}**\n\n${row(head)}${row(rule)}${body.join("")}`;
}

for (const file of files) {
  const { figures, machine, plan, warnings, manifest } = JSON.parse(readFileSync(file, "utf8"));
  stdout.write(
    `\n### ${plan.device ?? "no device"}, ${manifest.started.slice(0, 10)}\n\nWhat differs: ${machine}.\n\n`,
  );
  for (const line of warnings) stdout.write(`- ${line}\n`);
  for (const figure of figures) {
    stdout.write(`\n${figure.id}, ${figure.title}. The paper: ${figure.paper}\n`);
    const tables = [...figure.panels.map((panel) => panelTable(figure, panel)), findingTable(figure)];
    for (const table of tables) if (table !== null && table.rows.length > 0) stdout.write(markdown(table));
  }
}
