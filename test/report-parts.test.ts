/** What pages are made of: escaped text, numbers, CSV, colours, the font. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { csv } from "../runtime/report/csv.js";
import { loadFont, plotFont } from "../runtime/report/font.js";
import { formatInterval, formatNumber, isNumeric } from "../runtime/report/numbers.js";
import { clean, fileName, Html, html } from "../runtime/report/text.js";
import { SERIES, TONES } from "../runtime/report/theme.js";
import { folder } from "./chain-support.js";
import { freshSeed, Random } from "./support/random.js";

test("what is put into markup is escaped, what is markup is not", () => {
  const name = `<script>alert("1" & '2')</script>`;
  const page = html`<p title="${name}">${[name, new Html("<br>"), null, undefined, false, 0]}</p>`;
  const text = "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;";
  assert.is(page.text, `<p title="${text}">${text}<br>0</p>`);
});

test("what XML cannot hold and what turns text around is replaced, the rest is not", () => {
  assert.is(clean("a\0b\x1bc\u202Ed\u2067e\ud800f\uffff"), "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf\ufffd");
  assert.is(clean("Zürich µs\t東京 😀\n"), "Zürich µs\t東京 😀\n");
});

test("names of files hold letters, digits and hyphens, and none is taken twice", () => {
  const taken = new Set<string>();
  const names = ["samples", "../../etc/passwd", "Samples", "<>", "x".repeat(300), "", "samples"];
  const made = names.map((name) => fileName(name, taken));
  assert.equal(made, ["samples", "etc-passwd", "Samples-2", "unnamed", "x".repeat(80), "unnamed-2", "samples-3"]);
});

test("numbers have the column's digits, or three significant ones at least", () => {
  for (const [value, digits, text] of [
    [0, undefined, "0"],
    [1.2345, undefined, "1.23"],
    [0.001234, undefined, "0.00123"],
    [99.96, undefined, "100.0"],
    [1234567.8, undefined, "1,234,568"],
    [1.5e-10, undefined, "1.50e-10"],
    [-12.34, 1, "−12.3"],
    [-0.001, 1, "0.0"],
    [1e21, 0, "1e+21"],
    [Number.NaN, undefined, "–"],
    [Number.POSITIVE_INFINITY, 2, "–"],
  ] as const)
    assert.is(formatNumber(value, digits), text, String(value));
  assert.is(formatInterval(8.46, 8.31, 8.6), "8.46 [8.31,\u00a08.60]");
  assert.is(formatInterval(8.46, null, 8.6), "8.46 [?,\u00a08.60]");
  assert.is(formatInterval(8.46, null, null), "8.46");
});

test("columns of numbers are known as such, with intervals and gaps too", () => {
  const table = {
    title: "",
    columns: [{ name: "a" }, { name: "b" }, { name: "c" }, { name: "d" }],
    rows: [
      [1, "1.00 [0.9,\u00a01.1]", "1 B", null],
      [null, "–", "2.0", ""],
      [-3, "−4.2 ×", null, null],
    ],
  };
  assert.equal(
    [0, 1, 2, 3].map((column) => isNumeric(table, column)),
    [true, true, false, false],
  );
});

test("CSV is read by another as it was written", () => {
  const seed = freshSeed();
  console.log(`seed ${seed}`);
  const random = new Random(seed);
  const pieces = ["a", '"', ",", "\n", "\r\n", " ", "é", "😀", "0", "'"];
  const columns = ["one", 'two "quoted", and more', "three"];
  const rows = Array.from({ length: 300 }, () =>
    columns.map(() => {
      if (random.chance(0.1)) return null;
      if (random.chance(0.3)) return (random.u32() - 2 ** 31) / 1000;
      return `a${Array.from({ length: random.int(0, 6) }, () => random.pick(pieces)).join("")}`;
    }),
  );
  const read = parse(csv({ columns, rows }), { record_delimiter: "\r\n" }) as string[][];
  assert.equal(
    read,
    [columns, ...rows.map((row) => row.map((value) => (value === null ? "" : String(value))))],
    `${seed}`,
  );
});

test("a text in CSV is no formula to a spreadsheet, a negative number is a number", () => {
  const text = csv({ columns: ["x"], rows: [["=1+1"], ["@a"], ["-x"], ["+2"], [-2.5], [Number.NaN]] });
  assert.is(text, "x\r\n'=1+1\r\n'@a\r\n'-x\r\n'+2\r\n-2.5\r\n\r\n");
});

/** WCAG 2.2, relative luminance and contrast ratio. */
function contrast(one: string, other: string): number {
  const luminance = (colour: string) => {
    const [r, g, b] = [1, 3, 5]
      .map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)) as [number, number, number];
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

test("text and series stand out from what they are on, in light and dark", () => {
  for (const mode of ["light", "dark"] as const) {
    for (const ground of [TONES.background, TONES.panel, TONES.marked]) {
      for (const tone of [TONES.text, TONES.muted, TONES.link])
        assert.ok(contrast(tone[mode], ground[mode]) >= 4.5, `${mode}: ${tone[mode]} on ${ground[mode]}`);
    }
    assert.ok(contrast(TONES.warning[mode], TONES["warning-panel"][mode]) >= 4.5, mode);
    for (const tone of [...SERIES, TONES.axis]) {
      const ratio = contrast(tone[mode], TONES.background[mode]);
      assert.ok(ratio >= 3, `${mode}: ${tone[mode]} has ${ratio.toFixed(2)}`);
    }
  }
  const light = [...Object.values(TONES), ...SERIES].map((tone) => tone.light);
  assert.is(new Set(light).size, light.length, "the page knows a colour by its light tone");
});

test("widths are the font's", () => {
  const font = plotFont();
  // Advances of DejaVu Sans 2.37, units of 1/2048 em, as fontTools prints them.
  const units = (text: string, bold = false) => Math.round(font.width(text, 2048, bold));
  assert.is(units("0"), 1303);
  assert.is(units("M"), 1767);
  assert.is(units("i"), 569);
  assert.is(units("µ"), 1303);
  assert.is(units("0", true), 1425);
  assert.is(units("Mi0"), 1767 + 569 + 1303);
});

test("a font that is missing or none is an error with the remedy, not a picture without words", () => {
  const place = folder();
  mkdirSync(place, { recursive: true });
  const broken = join(place, "broken.ttf");
  writeFileSync(broken, Buffer.alloc(4000, 7));
  for (const file of [join(place, "none.ttf"), broken])
    assert.throws(() => loadFont([file, file]), /cannot be used as a font[\s\S]*remedy: npm ci/);
});

test.run();
