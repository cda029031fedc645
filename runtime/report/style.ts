/** The page's style sheet: light, dark, narrow and printed. */
import { PAGE_FONT, variables } from "./theme.js";

const light = variables()
  .map(({ name, tone }) => `${name}: ${tone.light};`)
  .join(" ");
const dark = variables()
  .map(({ name, tone }) => `${name}: ${tone.dark};`)
  .join(" ");

export const STYLE = `
:root { color-scheme: light dark; ${light} }
@media screen and (prefers-color-scheme: dark) { :root { ${dark} } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--background); color: var(--text); font: 16px/1.55 ${PAGE_FONT}; overflow-wrap: anywhere; }
.page { max-width: 70rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
a { color: var(--link); }
a:focus-visible, .scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 3px; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .35rem; letter-spacing: -.01em; }
h2 { font-size: 1.4rem; line-height: 1.3; margin: 3.5rem 0 1rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; line-height: 1.4; margin: 0 0 .35rem; }
p { margin: 0 0 .9rem; max-width: 46rem; }
.skip { position: absolute; left: -99rem; }
.skip:focus { position: static; }
.subtitle { color: var(--muted); margin: 0 0 2rem; }
.answer { display: grid; gap: 1.25rem; align-items: start; }
@media (min-width: 52rem) { .answer.both { grid-template-columns: 1.55fr 1fr; } }
.answer section, .answer aside { border-radius: .5rem; padding: 1.25rem 1.5rem; }
.answer section { background: var(--panel); border-left: 4px solid var(--series-1); }
.answer aside { background: var(--warning-panel); border-left: 4px solid var(--warning); font-size: .94rem; }
.answer h2 { border: 0; padding: 0; margin: 0 0 .6rem; font-size: .82rem; letter-spacing: .07em; text-transform: uppercase; color: var(--muted); }
.answer aside h2 { color: var(--warning); }
.answer section p { margin: 0 0 .6rem; }
.answer section p:first-of-type { font-size: 1.22rem; line-height: 1.4; font-weight: 600; }
.answer ul { margin: 0; padding-left: 1.1rem; }
.answer li + li { margin-top: .45rem; }
nav { margin: 1.75rem 0 0; font-size: .94rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; list-style: none; margin: 0; padding: 0; }
figure { margin: 1.75rem 0 2.25rem; }
figcaption { color: var(--muted); font-size: .92rem; max-width: 46rem; margin-top: .5rem; }
figure svg { display: block; width: 100%; max-width: 58rem; height: auto; }
figure svg text { font-family: ${PAGE_FONT}; }
figure .scroll > div { min-width: 34rem; }
.scroll { overflow-x: auto; }
.table { margin: 1.75rem 0 2.25rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; line-height: 1.4; }
th, td { padding: .4rem .7rem; text-align: left; vertical-align: baseline; overflow-wrap: break-word; }
.text { overflow-wrap: anywhere; }
th:first-child, td:first-child { padding-left: .5rem; }
thead th { border-bottom: 2px solid var(--axis); vertical-align: bottom; font-weight: 600; }
thead .unit { display: block; color: var(--muted); font-weight: 400; font-size: .92em; }
tbody td, tbody th { border-bottom: 1px solid var(--line); font-weight: 400; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number, tbody .short { white-space: nowrap; }
tbody tr.first:not(:first-child) > * { border-top: 1px solid var(--axis); }
tbody .again { color: var(--muted); }
tbody .text { min-width: 8.5rem; }
.wide table { font-size: .84rem; }
.wide th, .wide td { padding-inline: .45rem; }
tr.marked > * { background: var(--marked); font-weight: 600; }
tr.marked > :first-child { box-shadow: inset 3px 0 0 var(--series-1); }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.note { color: var(--muted); font-size: .92rem; margin-top: .5rem; }
dl { display: grid; grid-template-columns: minmax(8rem, 14rem) 1fr; margin: 0; font-size: .94rem; }
dt, dd { padding: .45rem 0; border-bottom: 1px solid var(--line); }
dt { color: var(--muted); padding-right: 1rem; }
dd { margin: 0; }
dd ul { margin: 0; padding: 0; list-style: none; }
code { font: .92em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
footer { margin-top: 3rem; color: var(--muted); font-size: .88rem; }
@media (max-width: 40rem) {
  .page { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.55rem; }
  .answer section, .answer aside { padding: 1rem 1.1rem; }
  dl { grid-template-columns: 1fr; }
  dt { border: 0; padding-bottom: 0; }
  dd { padding-top: 0; }
}
@page { size: A4; margin: 14mm 13mm; }
@media print {
  html { font-size: 9.5pt; }
  body { font-size: 1rem; line-height: 1.4; }
  .page { max-width: none; padding: 0; }
  nav, .skip { display: none; }
  a { color: inherit; text-decoration: none; }
  .answer.both { grid-template-columns: 1.55fr 1fr; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h1 { font-size: 18pt; }
  h2 { font-size: 13pt; margin-top: 1.5rem; }
  h2, h3, thead { break-after: avoid; }
  figure, tr, .answer > *, dl > * { break-inside: avoid; }
  figure svg { max-height: 11cm; }
  thead { display: table-header-group; }
  .scroll { overflow: visible; }
  figure .scroll > div { min-width: 0; }
  table { font-size: 8pt; }
  .wide table { font-size: 7pt; }
  th, td { padding: .25rem .4rem; }
  .wide th, .wide td { padding-inline: .25rem; }
  td.number { white-space: normal; }
  tbody .text { min-width: 5rem; }
}
`;
