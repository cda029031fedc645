/** Draws plots: as SVG for the page, whose colours follow it, and as PNG for slides and papers. */
import { Resvg } from "@resvg/resvg-js";
import * as vega from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { Plot } from "./document.js";
import { type Font, plotFont } from "./font.js";
import { forPage } from "./svg.js";
import { cleanAll } from "./text.js";
import { CONFIG, FONT, TONES } from "./theme.js";

export interface Drawing {
  /** An svg element for the page; without a title, which stands above it there. */
  readonly svg: string;
  /** The same as a picture of its own, with its title. */
  readonly standAlone: string;
  readonly png: Buffer;
  /** What the compiler of plots had to say against the spec. */
  readonly remarks: readonly string[];
}

/** Of PNGs, per px of the plot. */
const PNG_ZOOM = 2;

/** @param name unique on the page @throws RunError where the font is missing */
export async function draw(plot: Plot, name: string): Promise<Drawing> {
  const font = plotFont();
  const remarks: string[] = [];
  const spec = cleanAll(plot.spec) as TopLevelSpec;
  const bare = await svgOf(spec, font, remarks);
  const titled = await svgOf({ ...spec, title: cleanAll(plot.title) } as TopLevelSpec, font, []);
  return { svg: forPage(bare, name, plot.alt), standAlone: titled, png: rasterize(titled, font), remarks };
}

/** PNG of a stand-alone SVG, on white, with this font alone. */
export function rasterize(svg: string, font: Pick<Font, "files">): Buffer {
  const resvg = new Resvg(svg, {
    background: TONES.background.light,
    fitTo: { mode: "zoom", value: PNG_ZOOM },
    font: { fontFiles: [...font.files], loadSystemFonts: false, defaultFontFamily: FONT },
  });
  return resvg.render().asPng();
}

async function svgOf(spec: TopLevelSpec, font: Font, remarks: string[]): Promise<string> {
  const note = (...args: readonly unknown[]) => {
    remarks.push(args.map(String).join(" "));
    return logger;
  };
  const logger = { warn: note, error: note, info: () => logger, debug: () => logger, level: () => logger };
  const compiled = compile(spec, { config: CONFIG, logger: logger as never }).spec;
  // Ids and widths are the library's globals: both are set before each drawing, so that the same plot gives the same text.
  vega.resetSVGDefIds();
  const { textMetrics: metrics } = vega as unknown as { textMetrics: { width(item: TextItem, text: unknown): number } };
  // No wider than its limit: Vega cuts it there when it draws it.
  metrics.width = (item, text) =>
    Math.min(font.width(String(text), item.fontSize ?? 11, item.fontWeight === "bold"), item.limit || Infinity);
  const view = new vega.View(vega.parse(compiled), { renderer: "none", loader: noLoader(), logger: logger as never });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

interface TextItem {
  readonly fontSize?: number;
  readonly fontWeight?: string | number;
  /** px, 0 for none. */
  readonly limit?: number;
}

/** Data is inline: nothing is read from files or the network, whatever a spec says. */
function noLoader(): vega.Loader {
  const refuse = () => Promise.reject(new Error("a plot's data has to be inline"));
  return { ...vega.loader(), load: refuse, sanitize: refuse, http: refuse, file: refuse };
}
