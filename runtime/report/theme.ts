/**
 * Colours and type of a report, once for its page and its plots. Plots are drawn in the light colours; on the page each colour stands for a
 * CSS variable of its name, so that it follows the reader's light or dark setting.
 */
import type { Config } from "vega-lite";

interface Tone {
  readonly light: string;
  readonly dark: string;
}

/** Each light colour is another: the page finds the variable by it. Text has a contrast of 4.5 and more, marks have 3 and more (WCAG 2.2). */
export const TONES = {
  background: { light: "#ffffff", dark: "#15181d" },
  panel: { light: "#f4f6f8", dark: "#1e232a" },
  text: { light: "#1b2128", dark: "#e6e9ed" },
  muted: { light: "#56606b", dark: "#a7b0ba" },
  axis: { light: "#7a848e", dark: "#8a939d" },
  line: { light: "#d5dae0", dark: "#363d46" },
  link: { light: "#0b57a4", dark: "#7ab8f5" },
  warning: { light: "#8a4b00", dark: "#f5b964" },
  "warning-panel": { light: "#fff5e3", dark: "#33270f" },
  marked: { light: "#e6f1fa", dark: "#1c3145" },
} as const satisfies Record<string, Tone>;

/**
 * Of series, in this order. The palette of Okabe and Ito (Color Universal Design, 2008), which people with any kind of colour vision tell
 * apart; the light ones are darker here, for a white page. Series also differ in shape and dash.
 */
export const SERIES: readonly Tone[] = [
  { light: "#0072b2", dark: "#4ba3e3" },
  { light: "#d55e00", dark: "#f5843d" },
  { light: "#009270", dark: "#2fc79d" },
  { light: "#bd8400", dark: "#f2bc3d" },
  { light: "#b8568c", dark: "#e293bf" },
  { light: "#2f97cf", dark: "#90d3fa" },
  { light: "#4a4f55", dark: "#c3c9d0" },
  { light: "#8a7d00", dark: "#efe34a" },
];

export const SHAPES = [
  "circle",
  "square",
  "triangle-up",
  "diamond",
  "triangle-down",
  "cross",
  "triangle-right",
  "triangle-left",
];
export const DASHES = [[], [7, 3], [2, 2], [10, 3, 2, 3], [5, 2, 1, 2, 1, 2], [12, 4], [1, 3], [4, 4]];

/** What plots are set in where they are pictures. On the page: {@link PAGE_FONT}. */
export const FONT = "DejaVu Sans";
/** DejaVu Sans is the widest of them, so what was laid out for it fits in any. */
export const PAGE_FONT = `system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", "DejaVu Sans", sans-serif`;

const { text, muted, axis, line } = TONES;

/** For every plot; what is in a plot's own spec goes before it. */
export const CONFIG: Config = {
  background: "transparent",
  font: FONT,
  padding: 8,
  view: { stroke: null },
  title: { anchor: "start", color: text.light, fontSize: 16, fontWeight: "bold", offset: 14, limit: 700 },
  axis: {
    domainColor: axis.light,
    tickColor: axis.light,
    gridColor: line.light,
    labelColor: text.light,
    labelFontSize: 12,
    labelLimit: 220,
    titleColor: muted.light,
    titleFontSize: 12,
    titleFontWeight: "normal",
    titlePadding: 10,
  },
  axisX: { grid: false, labelAngle: 0 },
  axisY: { domain: false, ticks: false, labelPadding: 6 },
  legend: {
    orient: "top",
    direction: "horizontal",
    columns: 3,
    columnPadding: 24,
    rowPadding: 4,
    labelColor: text.light,
    labelFontSize: 12,
    labelLimit: 300,
    symbolSize: 110,
    symbolStrokeWidth: 2,
    titleColor: muted.light,
    titleFontSize: 12,
    titleFontWeight: "normal",
    offset: 12,
  },
  header: {
    labelColor: text.light,
    labelFontSize: 12,
    labelFontWeight: "bold",
    titleColor: muted.light,
    titleFontSize: 12,
    titleFontWeight: "normal",
  },
  text: { color: text.light, fontSize: 11 },
};

/** Every colour a plot may have, with its variable on the page. */
export function variables(): { readonly name: string; readonly tone: Tone }[] {
  const named = Object.entries(TONES).map(([name, tone]) => ({ name: `--${name}`, tone }));
  return [...named, ...SERIES.map((tone, index) => ({ name: `--series-${index + 1}`, tone }))];
}
