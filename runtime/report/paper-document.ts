/** The document of `paper`: a section for each figure, with what the paper found before what was found here. */
import type { FigureResult, PaperResult } from "../experiment/paper/result.js";
import { sampleData } from "./compare/data.js";
import { equivalenceSection } from "./compare/proof.js";
import { listed } from "./compare/words.js";
import type { DataFile, ReportDocument, Section, Table } from "./document.js";
import { findingPlots, panelPlots } from "./paper/plots.js";
import { findingTable, marked, panelTable, seriesTable, summaryLines } from "./paper/tables.js";

const POINT_COLUMNS = "figure panel unit provenance series size median low high confidence samples paper emulated";
const FINDING_COLUMNS = "figure what panel kind size median low high confidence samples reason paper emulated";

export function paperDocument(result: PaperResult): ReportDocument {
  const { plan, manifest, figures, state } = result;
  const { machine } = manifest;
  const cores = `${machine.cores} ${machine.cores === 1 ? "core" : "cores"}`;
  const refused = state === "refused";
  return {
    title: `Hummingbird's experiments: ${listed(plan.figures.map(({ id }) => id))}`,
    subtitle: `paper on ${machine.cpu}, ${cores}, with ${plan.device ?? "no device"}; ${manifest.started.slice(0, 10)}`,
    summary: refused
      ? ["Refused: two ways to run the same chain gave different packets, so that no figures were taken."]
      : [...summaryLines(result), `What differs: ${result.machine}.`],
    warnings: result.warnings,
    sections: [...figures.map(figureSection), proofSection(result), measuredSection(result)],
    manifest,
    data: [sampleData(result), pointData(figures), findingData(figures)],
    result,
  };
}

function figureSection(figure: FigureResult): Section {
  const tables = [
    ...figure.panels.map((panel) => panelTable(figure, panel)).filter(({ rows }) => rows.length > 0),
    findingTable(figure),
    seriesTable(figure),
  ];
  return {
    heading: marked(`${figure.id}: ${figure.title}`, figure),
    text: [`The paper: ${figure.paper}`, `Here: ${figure.shows}; ${figure.differs}.`],
    plots: [...panelPlots(figure), ...findingPlots(figure)],
    tables: tables.filter((table) => table !== null),
  };
}

/** One table, whichever chain a line is of. */
function proofSection({ equivalence }: PaperResult): Section {
  if (equivalence.length === 0) return { heading: "Proof of equivalence", text: ["Nothing was compared on a device."] };
  const sections = equivalence.map(({ chain, proof }) => ({ chain, ...equivalenceSection({ equivalence: proof }) }));
  return {
    heading: sections[0]!.heading,
    text: [...new Set(sections.flatMap(({ text }) => text ?? []))],
    tables: sections.flatMap(({ chain, tables }) =>
      (tables ?? []).map((table): Table => ({ ...table, title: `${table.title}: ${chain}` })),
    ),
  };
}

function measuredSection({ plan, progress, machine, state }: PaperResult): Section {
  return {
    heading: "How it was measured",
    text: [
      `${plan.repeats} repeats of ${plan.window_ms} ms each after ${plan.warm_up_ms} ms of warm-up, all series and sizes of a figure in turns; seed ${plan.seed}; ${progress.done} of ${progress.planned} measurements were made${state === "interrupted" ? " before it was interrupted" : ""}.`,
      "Chains are made from a fixed seed: AES-128-CBC with HMAC-SHA1 over eight tunnels, 147 literals, DIR-24-8 over 10,000 routes. They lie in chains/ beside this page, for `wingbeat run`. Sizes are frames of layer 2 without FCS, and Gbps count their bits as received.",
      `What differs: ${machine}.`,
    ],
  };
}

function pointData(figures: readonly FigureResult[]): DataFile {
  const rows = figures.flatMap(({ id, panels, points, emulated }) =>
    points.map(({ panel, series, size, value, paper }) => {
      const { unit, provenance } = panels.find((one) => one.id === panel)!;
      const { median, low, high, confidence, samples } = value;
      return [
        id,
        panel,
        unit,
        provenance,
        series,
        size,
        median,
        low,
        high,
        confidence,
        samples,
        paper,
        String(emulated),
      ];
    }),
  );
  return { name: "points", columns: POINT_COLUMNS.split(" "), rows };
}

function findingData(figures: readonly FigureResult[]): DataFile {
  const rows = figures.flatMap(({ id, findings, emulated }) =>
    findings.map(({ text, panel, kind, size, value, reason, paper }) => [
      ...[id, text, panel, kind, size, value?.median ?? null, value?.low ?? null, value?.high ?? null],
      ...[value?.confidence ?? null, value?.samples ?? null, reason, paper, String(emulated)],
    ]),
  );
  return { name: "findings", columns: FINDING_COLUMNS.split(" "), rows };
}
