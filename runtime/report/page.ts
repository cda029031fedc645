/** The page: one HTML file without scripts that fetches nothing, as its Content-Security-Policy says. */
import { createHash } from "node:crypto";
import type { Column, ReportDocument, Section, Table } from "./document.js";
import { manifestList } from "./manifest.js";
import { formatCell, isNumeric } from "./numbers.js";
import { STYLE } from "./style.js";
import { Html, html } from "./text.js";

/** What stands beside the page, and is linked from it; paths relative to it. */
export interface Beside {
  /** By a plot's place in the document: its svg, or undefined where the page would be too large with it, and the path of its PNG. */
  readonly plots: readonly { readonly svg: string | undefined; readonly png: string }[];
  readonly files: readonly { readonly path: string; readonly what: string; readonly bytes: number }[];
}

/** Columns from which on a table is set smaller. */
const WIDE = 8;

/** @param maxRows longer tables are cut there, and say so */
export function page(document: ReportDocument, beside: Beside, maxRows: number): string {
  const { title, subtitle, summary, warnings, sections, manifest } = document;
  const hash = createHash("sha256").update(STYLE).digest("base64");
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  const plots = beside.plots[Symbol.iterator]();
  const body = sections.map((section, index) => sectionOf(section, index, plots, maxRows));
  const contents = [
    ...sections.map(({ heading }, index) => [`section-${index + 1}`, heading]),
    ["files", "Files"],
    ["manifest", "Manifest"],
  ];
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="wingbeat ${manifest.version}">
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<div class="page">
<a class="skip" href="#main">Skip to the results</a>
<header>
<h1>${title}</h1>
<p class="subtitle">${subtitle}</p>
<div class="answer ${warnings.length > 0 && "both"}">
<section aria-labelledby="summary"><h2 id="summary">Summary</h2>${summary.map((line) => html`<p>${line}</p>\n`)}</section>
${
  warnings.length > 0 &&
  html`<aside aria-labelledby="warnings"><h2 id="warnings">What qualifies this</h2><ul>${warnings.map((line) => html`<li>${line}</li>\n`)}</ul></aside>`
}
</div>
<nav aria-label="Contents"><ul>${contents.map(([id, name]) => html`<li><a href="#${id}">${name}</a></li>\n`)}</ul></nav>
</header>
<main id="main">
${body}
<section aria-labelledby="files"><h2 id="files">Files</h2>
${tableOf({ title: "Beside this page", columns: [{ name: "File" }, { name: "What it holds" }, { name: "Size", unit: "bytes" }], rows: [] }, maxRows, filesRows(beside))}
</section>
<section aria-labelledby="manifest"><h2 id="manifest">Manifest</h2>
<p>Where, with what and how this was measured: what it takes to repeat it.</p>
${manifestList(manifest)}
</section>
</main>
<footer><p>wingbeat ${manifest.version}, ${manifest.verb}</p></footer>
</div>
</body>
</html>
`.text;
}

function sectionOf(section: Section, index: number, plots: Iterator<Beside["plots"][number]>, maxRows: number): Html {
  const id = `section-${index + 1}`;
  return html`<section aria-labelledby="${id}"><h2 id="${id}">${section.heading}</h2>
${section.text?.map((line) => html`<p>${line}</p>\n`)}
${section.plots?.map(({ title, caption, alt }) => {
  const { svg, png } = plots.next().value!;
  // Wider than a phone, it is scrolled there, by keyboard too.
  const picture =
    svg === undefined
      ? html`<p class="note">Too large for this page: see the PNG. ${alt}</p>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="${title}"><div>${new Html(svg)}</div></div>`;
  return html`<figure><h3>${title}</h3>${picture}<figcaption>${caption} <a href="${png}">PNG</a></figcaption></figure>\n`;
})}
${section.tables?.map((table) => tableOf(table, maxRows))}
</section>
`;
}

/** @param body rows that are made already, instead of the table's */
function tableOf(table: Table, maxRows: number, body?: readonly Html[]): Html {
  const { title, columns, rows, marked = [] } = table;
  const kinds = columns.map((column, index) => kindOf(table, index, column));
  const head = columns.map(({ name, unit }, index) => {
    return html`<th scope="col" class="${kinds[index]}">${name}${unit !== undefined && html` <span class="unit">${unit}</span>`}</th>`;
  });
  // Rows of the same first cell belong together.
  const isAgain = (index: number) => index > 0 && rows[index]?.[0] === rows[index - 1]?.[0];
  const grouped = rows.some((_, index) => isAgain(index));
  const shown = rows.slice(0, maxRows).map((row, index) => {
    const again = isAgain(index);
    const cells = columns.map((column, at) => {
      const text = formatCell(row[at] ?? null, column);
      if (at > 0) return html`<td class="${kinds[at]}">${text}</td>`;
      const mark = marked.includes(index) && html`<span class="hidden">highlighted: </span>`;
      return html`<th scope="row" class="${kinds[at]}${again && " again"}">${mark}${text}</th>`;
    });
    return html`<tr class="${grouped && !again && "first"}${marked.includes(index) && " marked"}">${cells}</tr>\n`;
  });
  const cut =
    rows.length > maxRows &&
    html`<p class="note">${maxRows} of ${rows.length} rows: all are in result.json and the CSV files.</p>`;
  return html`<div class="table ${columns.length >= WIDE && "wide"}"><h3>${title}</h3>
<div class="scroll" tabindex="0" role="region" aria-label="${title}"><table><caption class="hidden">${title}</caption>
<thead><tr>${head}</tr></thead>
<tbody>${body ?? shown}</tbody></table></div>${cut}</div>
`;
}

function filesRows({ files }: Beside): Html[] {
  return files.map(({ path, what, bytes }) => {
    const size = formatCell(bytes, { name: "", digits: 0 });
    return html`<tr><th scope="row" class="text"><a href="${path}">${path}</a></th><td class="text">${what}</td><td class="number">${size}</td></tr>\n`;
  });
}

const SHORT = 16;

/** How a column is set: figures flush right, short names in one line, texts with room. */
function kindOf(table: Table, at: number, { unit }: Column): "number" | "short" | "text" {
  if (unit !== undefined || isNumeric(table, at)) return "number";
  return table.rows.length > 0 && table.rows.every((row) => String(row[at] ?? "").length <= SHORT) ? "short" : "text";
}
