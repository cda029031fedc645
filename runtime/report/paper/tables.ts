/** Figures of the paper as tables: ours by size and series, the paper's number beside it. The command line shows the same ones. */
import type { FigureResult, PaperFinding, PaperPanel, PaperResult } from "../../experiment/paper/result.js";
import { compact, intervalText } from "../compare/words.js";
import type { Table, TableValue } from "../document.js";
import { formatNumber } from "../numbers.js";

/** Behind every title of what an emulated device took part in. */
export function marked(title: string, { emulated }: Pick<FigureResult, "emulated">): string {
  return emulated ? `${title} (emulated)` : title;
}

export function panelTitle({ title, provenance }: PaperPanel): string {
  return provenance === "nominal" ? `${title} (nominal, not measured)` : title;
}

/** As it is called in tables and legends. */
export function seriesLabel({ series }: FigureResult, name: string): string {
  return series.find((one) => one.name === name)?.oversubscribed ? `${name}, oversubscribed` : name;
}

/** A row for each size, a column for each series; where the paper's text has a number of a series, a column for it. */
export function panelTable(figure: FigureResult, panel: PaperPanel): Table {
  const points = figure.points.filter((point) => point.panel === panel.id);
  const names = figure.series.map(({ name }) => name).filter((name) => points.some(({ series }) => series === name));
  const sizes = [...new Set(points.map(({ size }) => size))];
  const unit = panel.unit === "us" ? "µs" : panel.unit;
  const table: Table = {
    title: `${marked(figure.id, figure)}: ${panelTitle(panel)}, ${unit}`,
    columns: [
      { name: "Size", unit: "B", digits: 0 },
      ...names.flatMap((name) => [{ name: seriesLabel(figure, name) }, { name: `paper: ${name}` }]),
    ],
    rows: sizes.map((size) => [
      size,
      ...names.flatMap((name): TableValue[] => {
        const point = points.find((one) => one.series === name && one.size === size);
        return [point === undefined ? null : intervalText(point.value), point?.paper ?? null];
      }),
    ]),
  };
  return compact(table);
}

export function findingTable(figure: FigureResult): Table | null {
  const { findings, panels } = figure;
  if (findings.length === 0) return null;
  const nominal = (panel: string) => panels.some(({ id, provenance }) => id === panel && provenance === "nominal");
  return {
    title: `${marked(figure.id, figure)}: what the paper says, and what was found`,
    columns: [{ name: "What" }, { name: "Size", unit: "B", digits: 0 }, { name: "Here" }, { name: "Paper" }],
    rows: findings.map((finding) => [
      `${finding.text}${nominal(finding.panel) ? " (nominal)" : ""}`,
      finding.size,
      found(finding),
      finding.paper ?? "says nothing",
    ]),
  };
}

function found({ value, reason }: PaperFinding): string | null {
  return value === null ? `none: ${reason}` : intervalText(value);
}

/** What each series is. */
export function seriesTable(figure: FigureResult): Table {
  return {
    title: `${marked(figure.id, figure)}: how it was run`,
    columns: [
      { name: "Series" },
      { name: "On the GPU" },
      { name: "Device" },
      { name: "Kernel" },
      { name: "Cores" },
      { name: "Threads", digits: 0 },
    ],
    rows: figure.series.map(({ name, gpu, device, cores, threads, oversubscribed }) => [
      name,
      gpu.length === 0 ? "nothing" : gpu.join(", "),
      device === null ? "" : `${device.name}${device.emulated ? " (emulated)" : ""}`,
      device === null
        ? ""
        : `${device.persistent ? "persistent" : "a launch per batch"}, ${device.zero_copy ? "zero-copy" : "copies"}`,
      cores,
      `${threads}${oversubscribed ? " (oversubscribed)" : ""}`,
    ]),
  };
}

/** A sentence for each figure, for who reads nothing else: what the paper has a number of comes first, then what it names first. */
export function summaryLines({ figures }: PaperResult): string[] {
  return figures.flatMap((figure) => {
    const { findings } = figure;
    const [main] = [...findings.filter((one) => one.paper_value !== null), ...findings];
    const shown = findings.findLast(({ text }) => text === main?.text);
    if (shown === undefined) return [];
    const { text, size, value, paper, reason } = shown;
    const ours = value === null ? `no figure (${reason})` : intervalText(value);
    const theirs = paper === null ? "" : `; the paper: ${paper}`;
    return [`${marked(figure.id, figure)}: ${text} at ${formatNumber(size, 0)} B: ${ours}${theirs}.`];
  });
}
