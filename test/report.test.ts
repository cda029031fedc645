/** A report as it is written: the page, and the files beside it. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { compareDocument } from "../runtime/report/compare-document.js";
import type { Plot, ReportDocument } from "../runtime/report/document.js";
import { formatNumber } from "../runtime/report/numbers.js";
import { timeLine } from "../runtime/report/plots.js";
import { PAGE_LIMIT, writeReport } from "../runtime/report/write.js";
import { folder } from "./chain-support.js";
import { madeUpComparison, madeUpManifest } from "./support/compare-result.js";
import { elements, type MarkupElement, parseMarkup, textOf } from "./support/markup.js";

const HOSTILE = `<script>alert(1)</script>"];process.exit(9);//<img src=x onerror='x'>\u0001\u202e${"very-long-".repeat(40)}`;
const comparison = madeUpComparison();
const written = await write(compareDocument(comparison));
const hostile = await write(compareDocument(madeUpComparison({ nf: HOSTILE, sizes: [64, "imix"], emulated: true })));

async function write(document: ReportDocument) {
  const place = join(folder(), "report");
  const { remarks } = await writeReport(document, place);
  const text = readFileSync(join(place, "index.html"), "utf8");
  return { document, place, remarks, text, page: parseMarkup(text) };
}

function documentOf(plots: readonly Plot[], more: Partial<ReportDocument> = {}): ReportDocument {
  const base = { title: "Title", subtitle: "", summary: ["Answer."], warnings: [], data: [], result: {} };
  return { ...base, sections: [{ heading: "Plots", plots }], manifest: madeUpManifest(1), ...more };
}

function all(page: MarkupElement, name: string): MarkupElement[] {
  return [...elements(page)].filter((element) => element.name === name);
}

for (const [name, { page, text, place, remarks }] of Object.entries({ written, hostile })) {
  test(`${name}: the page has nothing that runs or is fetched, and forbids both`, () => {
    assert.equal(remarks, []);
    assert.ok(Buffer.byteLength(text) < PAGE_LIMIT, `${Buffer.byteLength(text)} bytes`);
    const style = textOf(all(page, "style")[0]!);
    const hash = createHash("sha256").update(style).digest("base64");
    const policy = all(page, "meta").find((meta) => meta.attributes.has("http-equiv"))!.attributes;
    assert.is(policy.get("http-equiv"), "Content-Security-Policy");
    assert.is(
      policy.get("content"),
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`,
    );
    assert.not.match(style, /url\(|@import/);
    for (const { name, attributes } of elements(page)) {
      assert.not.match(name, /^(?:script|link|img|image|iframe|object|embed|use|base|form|foreignObject)$/i);
      for (const [key, value] of attributes) {
        assert.not.match(key, /^(?:on|style|src|srcset|action|xlink)/i, `${name} ${key}`);
        // Beside the page, or in it.
        if (key === "href") assert.match(value, /^(?:#[\w-]+|(?:(?:data|plots)\/)?[\w-]+\.(?:csv|png|json))$/);
        if (key === "href" && !value.startsWith("#")) assert.ok(readFileSync(join(place, value)).length > 0);
      }
    }
    assert.not.match(text, /https?:(?!\/\/www\.w3\.org\/)/);
  });

  test(`${name}: it can be read with ears and fingers: landmarks, headings in order, names for all that is shown`, () => {
    const ids = [...elements(page)].flatMap(({ attributes }) => attributes.get("id") ?? []);
    assert.is(new Set(ids).size, ids.length, "ids are unique");
    for (const { attributes } of elements(page)) {
      for (const key of ["aria-labelledby", "href", "clip-path"]) {
        const target = /^(?:url\()?#([\w-]+)\)?$|^([\w-]+)$/.exec(attributes.get(key) ?? "");
        if (target !== null && key !== "href")
          assert.ok(ids.includes((target[1] ?? target[2])!), `${key} ${target[0]}`);
        if (target?.[1] !== undefined) assert.ok(ids.includes(target[1]), `${key} ${target[0]}`);
      }
    }
    assert.is(all(page, "html")[0]!.attributes.get("lang"), "en");
    for (const one of ["main", "header", "nav", "footer", "h1"]) assert.is(all(page, one).length, 1, one);
    const levels = [...elements(page)].flatMap(({ name }) => (/^h[1-6]$/.test(name) ? [Number(name[1])] : []));
    for (const [index, level] of levels.entries()) assert.ok(level - (levels[index - 1] ?? 0) <= 1, `${levels}`);
    for (const svg of all(page, "svg")) {
      assert.is(svg.attributes.get("role"), "img");
      assert.ok(svg.attributes.get("aria-label")!.length > 10);
    }
    for (const table of all(page, "table")) {
      assert.ok(textOf(all(table, "caption")[0]!).length > 3);
      const heads = all(all(table, "thead")[0]!, "th");
      assert.ok(heads.length > 0 && heads.every((head) => head.attributes.get("scope") === "col"));
      for (const row of all(all(table, "tbody")[0]!, "tr")) {
        const cells = row.children.filter((cell): cell is MarkupElement => typeof cell !== "string");
        assert.is(cells.length, heads.length);
        assert.is(cells[0]!.attributes.get("scope"), "row");
      }
    }
    for (const scroll of [...elements(page)].filter(({ attributes }) => attributes.get("class") === "scroll"))
      assert.is(scroll.attributes.get("tabindex"), "0");
  });

  test(`${name}: plots follow the page's colours`, () => {
    const parts = all(page, "svg").flatMap((svg) => [...elements(svg)]);
    const paints = parts.flatMap(({ attributes }) => [attributes.get("fill"), attributes.get("stroke")]);
    const odd = paints.filter((paint) => paint !== undefined && !/^(?:none|transparent|var\(--[\w-]+\))$/.test(paint));
    assert.equal([...new Set(odd)], []);
    const defined = textOf(all(page, "style")[0]!);
    for (const paint of new Set(paints))
      if (paint?.startsWith("var"))
        assert.is(defined.split(`${paint.slice(4, -1)}:`).length, 3, `${paint}, light and dark`);
  });
}

test("the page says what was found: summary first, warnings beside it, every figure with its interval", () => {
  const { page, document } = written;
  const header = textOf(all(page, "header")[0]!);
  for (const line of document.summary) assert.ok(header.includes(line), line);
  const text = textOf(page);
  for (const { gbps, ndr } of comparison.cells) {
    const [median, low, high] = [gbps.median, gbps.low!, gbps.high!].map((value) => formatNumber(value));
    assert.ok(text.includes(`${median} [${low},\u00a0${high}]`), `${median}`);
    assert.ok(text.includes(formatNumber(ndr!.gbps)));
  }
  const { page: other, document: emulated } = hostile;
  const aside = textOf(all(other, "aside")[0]!);
  for (const line of emulated.warnings) assert.ok(aside.includes(line), line);
  assert.match(textOf(all(other, "header")[0]!), /emulat/);
  const list = textOf(all(page, "dl")[0]!);
  for (const value of ["apu-lab-3", "6.12.0-amd64", "performance", comparison.manifest.config_hash, "'out/my report'"])
    assert.ok(list.includes(value), value);
});

test("a hostile name is shown, and does nothing", () => {
  const text = textOf(hostile.page);
  assert.ok(
    text.includes(`<script>alert(1)</script>"];process.exit(9);//<img src=x onerror='x'>\ufffd\ufffdvery-long-`),
  );
});

test("files beside the page: the result, the samples, and a manifest that names them all", () => {
  const { place, document } = written;
  assert.equal(
    JSON.parse(readFileSync(join(place, "result.json"), "utf8")),
    JSON.parse(JSON.stringify(document.result)),
  );
  for (const { name, columns, rows } of document.data) {
    const read = parse(readFileSync(join(place, "data", `${name}.csv`), "utf8")) as string[][];
    assert.equal(read[0], columns);
    assert.is(read.length, rows.length + 1, name);
    assert.ok(
      rows.every((row) => row.length === columns.length),
      name,
    );
  }
  assert.is(document.data.find(({ name }) => name === "samples")!.rows.length, comparison.samples.length);
  const { report, ...manifest } = JSON.parse(readFileSync(join(place, "manifest.json"), "utf8"));
  assert.equal(manifest, document.manifest);
  const there = readdirSync(place, { recursive: true, encoding: "utf8" }).filter((path) => path.includes("."));
  const listed = (report.files as { path: string; bytes: number; sha256: string }[]).map((file) => {
    const content = readFileSync(join(place, file.path));
    assert.is(content.length, file.bytes);
    assert.is(createHash("sha256").update(content).digest("hex"), file.sha256, file.path);
    return file.path;
  });
  assert.equal([...listed, "manifest.json"].sort(), there.sort());
});

test("the same document gives the same files", async () => {
  const { place } = await write(written.document);
  for (const path of ["index.html", "manifest.json", "plots/throughput.png", "data/samples.csv"])
    assert.ok(readFileSync(join(place, path)).equals(readFileSync(join(written.place, path))), path);
});

test("what would make the page too large is cut, and says so", async () => {
  const row = Array.from({ length: 12 }, (_, at) => `cell ${at} of a row that is long`);
  const table = {
    title: "Long",
    columns: row.map((name) => ({ name })),
    rows: Array.from({ length: 9000 }, () => row),
  };
  // A line of thousands of points is a path that long.
  const points = Array.from({ length: 30_000 }, (_, x) => ({ series: "power", x, y: (x * 7919) % 1000 }));
  const words = { title: "Time", caption: "", alt: "Power over time." };
  const plots = ["one", "two", "three"].map((id) => timeLine({ ...words, id }, { name: "power", unit: "W" }, points));
  const sections = [
    { heading: "Tables", tables: Array.from({ length: 4 }, () => table) },
    { heading: "Plots", plots },
  ];
  const { text } = await write(documentOf([], { sections }));
  assert.ok(Buffer.byteLength(text) < PAGE_LIMIT, `${Buffer.byteLength(text)}`);
  assert.match(text, /\d+ of 9000 rows/);
  assert.match(text, /Too large for this page: see the PNG\. Power over time\./);
});

test("a comparison that was refused says so first, and shows no figures", async () => {
  const equivalence = {
    ...comparison.equivalence!,
    equal: false,
    cases: comparison.equivalence!.cases.map((one, at) =>
      at === 3 ? { ...one, differences: ["digest differs"] } : one,
    ),
  };
  const refused = { ...comparison, state: "refused" as const, equivalence, cells: [], verdicts: [], comparisons: [] };
  const { page, document } = await write(
    compareDocument({ ...refused, crossovers: [], pareto: [], best: null, samples: [] }),
  );
  assert.match(document.summary[0]!, /^Refused/);
  assert.match(textOf(page), /digest differs/);
  assert.is(all(page, "svg").length, 0);
});

test.run();
