/** What the samples of a figure say. */
import { parseCores } from "../../engine/core-spec.js";
import { medianEstimate } from "../../measure/statistics/median.js";
import { ratioEstimate } from "../../measure/statistics/ratio.js";
import { onGpu, type Sample } from "../cell.js";
import { intervalOf } from "../compare-cells.js";
import type { Interval } from "../compare-result.js";
import type { Claim, Panel, PaperFigure } from "./figure.js";
import type { MeasuredCell } from "./measure.js";
import type { FigureResult, PaperFinding, PaperPanel, PaperPoint, PaperSeries } from "./result.js";

/** @param processors that this process may run on */
export function figureResult(figure: PaperFigure, cells: readonly MeasuredCell[], processors: number): FigureResult {
  const { id, title, shows, paper, differs, panels, claims } = figure;
  const measured = cells.filter(({ saturation }) => saturation.length > 0);
  const samples = measured.flatMap(({ saturation }) => saturation);
  const sizes = [...new Set(measured.map(({ cell }) => cell.size))];
  return {
    ...{ id, title, shows, paper, differs },
    emulated: samples.some(({ device }) => device?.emulated === true),
    series: seriesOf(measured, processors),
    panels: panels.map((panel) => panelOf(panel, samples)),
    points: panels.flatMap((panel) => measured.flatMap((one) => pointsOf(figure, panel, one))),
    findings: claims.flatMap((claim) => sizes.flatMap((size) => findingsOf(figure, claim, size, measured))),
  };
}

function seriesOf(cells: readonly MeasuredCell[], processors: number): PaperSeries[] {
  const found = new Map<string, PaperSeries>();
  for (const { series, chain, cell, saturation } of cells) {
    const { device } = saturation[0]!;
    const threads = threadsOf(cell.cores, onGpu(cell.placement).length > 0, device?.emulated === true);
    found.set(series, {
      ...{ name: series, chain, gpu: onGpu(cell.placement), cores: cell.cores, device },
      ...{ threads, oversubscribed: threads > processors },
    });
  }
  return [...found.values()];
}

/** Cores of CPUSyncers are not started without a GPU NF. An emulated device takes a core at least. */
function threadsOf(cores: string, isOnGpu: boolean, emulated: boolean): number {
  const { io, nf, sync } = parseCores(cores);
  return io + nf + (isOnGpu ? sync : 0) + (emulated ? 1 : 0);
}

function panelOf({ id, title, unit, energy }: Panel, samples: readonly Sample[]): PaperPanel {
  const nominal = samples.some((sample) => sample.energy?.meter.provenance === "nominal");
  return { id, title, unit, provenance: energy === true ? (nominal ? "nominal" : "measured") : null };
}

function pointsOf({ numbers }: PaperFigure, panel: Panel, cell: MeasuredCell): PaperPoint[] {
  const values = cell[panel.load].map((sample) => panel.value(sample));
  if (values.length === 0 || !values.every(Number.isFinite)) return [];
  const { size } = cell.cell;
  const said = numbers.find((one) => one.panel === panel.id && one.series === cell.series && one.size === size);
  const value = intervalOf(medianEstimate(values));
  return [{ panel: panel.id, series: cell.series, size, value, paper: said?.value ?? null }];
}

/** None where one of the two series is left out. */
function findingsOf(figure: PaperFigure, claim: Claim, size: number, cells: readonly MeasuredCell[]): PaperFinding[] {
  const panel = figure.panels.find(({ id }) => id === claim.panel)!;
  const [a, b] = [claim.a, claim.b].map((name) => cells.find((one) => one.series === name && one.cell.size === size));
  if (a === undefined || b === undefined) return [];
  const said = claim.paper(size);
  const common = {
    ...{ text: claim.text, panel: panel.id, kind: claim.kind, size },
    ...{ paper: said?.text ?? null, paper_value: said?.value ?? null },
  };
  const reason = unfitOf(a, panel) ?? unfitOf(b, panel);
  if (reason !== null) return [{ ...common, value: null, reason }];
  const value = claim.kind === "ratio" ? ratioOf(a, b, panel) : differenceOf(a, b, panel);
  return [{ ...common, value, reason: value === null ? "no repeat has both" : null }];
}

function unfitOf(cell: MeasuredCell, panel: Panel): string | null {
  const reason = panel.unfit(cell[panel.load]);
  return reason === null ? null : `${cell.series}: ${reason}`;
}

function ratioOf(a: MeasuredCell, b: MeasuredCell, panel: Panel): Interval {
  const repeated = (cell: MeasuredCell) =>
    cell[panel.load].map((sample) => ({ repeat: sample.repeat, value: panel.value(sample) }));
  const { ratio, low, high, confidence, pairs, samples } = ratioEstimate(repeated(a), repeated(b));
  return intervalOf({
    median: ratio,
    low: low === 0 ? -Infinity : low,
    high,
    confidence,
    samples: pairs || samples[0],
  });
}

/** Of repeats that both have: they were measured in the same round. */
function differenceOf(a: MeasuredCell, b: MeasuredCell, panel: Panel): Interval | null {
  const differences = a[panel.load].flatMap((sample) => {
    const other = b[panel.load].find(({ repeat }) => repeat === sample.repeat);
    const value = other === undefined ? Number.NaN : panel.value(sample) - panel.value(other);
    return Number.isFinite(value) ? [value] : [];
  });
  return differences.length === 0 ? null : intervalOf(medianEstimate(differences));
}
