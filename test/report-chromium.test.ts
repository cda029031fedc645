/** A report in the browser: it opens, soon, with its plots, tables and numbers, in light and dark, without asking the network. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { compareDocument } from "../runtime/report/compare-document.js";
import { formatNumber } from "../runtime/report/numbers.js";
import { SERIES, TONES } from "../runtime/report/theme.js";
import { writeReport } from "../runtime/report/write.js";
import { findProgram } from "../scripts/system.mjs";
import { folder } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { madeUpComparison } from "./support/compare-result.js";
import { decodePng, inked, type Picture } from "./support/png.js";

const chromium = findProgram("chromium");
const lack = "Chromium is not installed: wingbeat doctor --install=test brings it, as root";
const place = join(folder(), "report");
const comparison = madeUpComparison();
const { page } = await writeReport(compareDocument(comparison), place);

/** One browser from start to end, seconds and what it printed. */
function browser(...args: string[]): { readonly seconds: number; readonly out: string } {
  const profile = folder();
  // Root has no sandbox of its own; containers have little /dev/shm; nothing may be fetched for the browser itself.
  const options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
  const quiet = ["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"];
  const start = performance.now();
  const { status, stdout, stderr, error } = spawnSync(
    chromium!,
    [...options, ...quiet, `--user-data-dir=${profile}`, ...args],
    { encoding: "utf8", timeout: 150_000, killSignal: "SIGKILL", maxBuffer: 16 * 2 ** 20 },
  );
  assert.is(status, 0, `${error?.message ?? ""}\n${stderr}`);
  return { seconds: (performance.now() - start) / 1000, out: stdout + stderr };
}

function picture(name: string, ...args: string[]): Picture {
  const file = join(folder(), `${name}.png`);
  browser(`--screenshot=${file}`, "--window-size=1200,3000", ...args, `file://${page}`);
  assert.ok(existsSync(file), "the browser took no picture");
  return decodePng(readFileSync(file));
}

test("it opens, and its plots, tables and numbers are there", () => {
  if (skipUnless(chromium !== undefined, lack)) return;
  const empty = browser("--dump-dom", "about:blank").seconds;
  const { seconds, out } = browser("--dump-dom", "--enable-logging=stderr", `file://${page}`);
  console.log(
    `show: the report opened in ${(seconds - empty).toFixed(2)} s; with the browser's start ${seconds.toFixed(2)} s`,
  );
  // A busy machine is slow; a page that takes long on it takes many times as long as this.
  assert.ok(seconds < 10 + 5 * empty, `${seconds} s, and the browser's start ${empty} s`);
  const plots = compareDocument(comparison).sections.flatMap((section) => section.plots ?? []);
  assert.is(out.match(/<svg /g)?.length, plots.length);
  for (const { alt } of plots) assert.ok(out.includes(alt), alt);
  assert.ok((out.match(/<table>/g)?.length ?? 0) >= 8);
  for (const { gbps } of comparison.cells) assert.ok(out.includes(formatNumber(gbps.median)), `${gbps.median}`);
  assert.not.match(out, /Refused to|Content Security Policy directive|ERR_/);
});

test("light and dark, it is painted: the background, text, and plots in their series' colours", () => {
  if (skipUnless(chromium !== undefined, lack)) return;
  const [light, dark] = [picture("light"), picture("dark", "--blink-settings=preferredColorScheme=0")];
  const count = ({ pixels, channels }: Picture, colour: string) => {
    const rgb = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16)) as [number, number, number];
    let found = 0;
    for (let at = 0; at < pixels.length; at += channels) {
      if (pixels[at] === rgb[0] && pixels[at + 1] === rgb[1] && pixels[at + 2] === rgb[2]) found++;
    }
    return found;
  };
  for (const [shot, mode, other] of [
    [light, "light", "dark"],
    [dark, "dark", "light"],
  ] as const) {
    const half = (shot.width * shot.height) / 2;
    assert.ok(count(shot, TONES.background[mode]) > half, mode);
    for (const tone of SERIES.slice(0, 5)) {
      assert.ok(count(shot, tone[mode]) > 60, `${mode}: ${tone[mode]}`);
      assert.is(count(shot, tone[other]), 0, `${mode}: ${tone[other]}`);
    }
  }
  assert.ok(inked(light, 0, 0, light.width, light.height) > 50_000);
});

test("it is printed on pages", () => {
  if (skipUnless(chromium !== undefined, lack)) return;
  const file = join(folder(), "report.pdf");
  browser(`--print-to-pdf=${file}`, `file://${page}`);
  const pages = readFileSync(file, "latin1").match(/\/Type\s*\/Page\b/g)?.length ?? 0;
  assert.ok(pages >= 5 && pages <= 60, `${pages} pages`);
});

test.run();
