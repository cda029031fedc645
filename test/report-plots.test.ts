/** Plots as pictures: whole, with their words, from nothing but what is in them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Plot } from "../runtime/report/document.js";
import { draw, rasterize } from "../runtime/report/draw.js";
import { plotFont } from "../runtime/report/font.js";
import { gallery } from "./support/gallery.js";
import { parseMarkup, textOf } from "./support/markup.js";
import { decodePng, inked } from "./support/png.js";

const HOSTILE = `<script>alert(1)</script>"];process.exit(9);//\u0001\u202e${"very-long-".repeat(40)}`;

test("each kind of plot is drawn without a remark, whole, with its title and words", async () => {
  for (const plot of gallery(HOSTILE)) {
    const { svg, png, remarks } = await draw(plot, plot.id);
    assert.equal(remarks, [], plot.id);
    const element = parseMarkup(`<!doctype html>\n${svg}`);
    assert.ok(textOf(element).includes("all on cpu") || plot.id === "single", plot.id);
    const picture = decodePng(png);
    const { width, height } = picture;
    // Nothing touches the edge, so nothing is cut off there.
    const inner = inked(picture, 3, 3, width - 3, height - 3);
    assert.is(inked(picture, 0, 0, width, height), inner, plot.id);
    assert.ok(inked(picture, 16, 16, 400, 52) > 500, `${plot.id} has its title`);
    assert.ok(width < 1700 && height < 1200, `${plot.id}: ${width} x ${height}`);
  }
});

test("pictures have their text from the font, and none without it", () => {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="40"><text x="5" y="25" font-family="DejaVu Sans">Mpps</text></svg>`;
  const ink = (files: string[]) => inked(decodePng(rasterize(svg, { files })), 0, 0, 400, 80);
  assert.is(ink([]), 0);
  assert.ok(ink([...plotFont().files]) > 300);
});

test("data that is not in the plot is not fetched", async () => {
  const spec = { data: { url: "file:///etc/passwd" }, mark: "point", encoding: { x: { field: "a", type: "nominal" } } };
  const { remarks, svg } = await draw({ ...gallery("x")[0]!, spec: spec as unknown as Plot["spec"] }, "x");
  assert.match(remarks.join("\n"), /inline/);
  assert.not.match(svg, /root/);
});

test.run();
