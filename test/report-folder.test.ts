/** Where a report is written: what is refused, what is replaced, and what a full disk or a killed process leaves behind. */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkReportFolder, MARK, PAGE, type ReportFile, replaceReport } from "../runtime/report/folder.js";
import { folder, ROOT } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { freshSeed, Random } from "./support/random.js";

/** A report of a version, with the mark that names its files. */
function report(version: string, paths: readonly string[], bytes = 100): ReportFile[] {
  const files = paths.map((path) => ({ path, content: `${version} ${path} ${"x".repeat(bytes)}` }));
  const listed = files.map(({ path, content }) => ({
    path,
    sha256: createHash("sha256").update(content).digest("hex"),
  }));
  return [...files, { path: MARK, content: JSON.stringify({ report: { files: listed } }) }];
}

function names(place: string): string[] {
  return readdirSync(place, { recursive: true, encoding: "utf8" }).sort();
}

test("a new folder, an empty one and one with a report are taken; a check leaves nothing behind", () => {
  const place = join(folder(), "deep", "report");
  checkReportFolder(place);
  assert.equal(names(place), []);
  replaceReport(place, report("1", [PAGE, "data/a.csv"]));
  checkReportFolder(place);
  assert.equal(names(place), ["data", "data/a.csv", PAGE, MARK].sort());
});

test("where no folder can be made, that is said", () => {
  // Node's recursive mkdir would not come back from there.
  assert.throws(() => checkReportFolder("/proc/wingbeat/report"), /cannot write to \/proc\/wingbeat\/report: ENOENT/);
});

test("a file, and a folder of something else, are refused before the work; what is the verb's own is not", () => {
  const place = folder({ "notes.txt": "mine", "samples.jsonl": "" });
  assert.throws(() => checkReportFolder(place), /holds .*notes\.txt.*, and no report[\s\S]*remedy: name a new/);
  assert.throws(() => checkReportFolder(join(place, "notes.txt")), /is a file/);
  assert.throws(() => checkReportFolder(join(place, "notes.txt", "deeper")), /cannot write to/);
  checkReportFolder(place, ["notes.txt", "samples.jsonl"]);
  writeFileSync(join(place, MARK), JSON.stringify({ name: "a web app's manifest" }));
  assert.throws(() => checkReportFolder(place), /no report/);
  assert.is(readFileSync(join(place, "notes.txt"), "utf8"), "mine");
});

test("the report before is replaced with all its files, what is not of it stays, whatever the mark says", () => {
  const outer = folder({ "precious.csv": "1" });
  const place = join(outer, "report");
  replaceReport(place, report("1", [PAGE, "data/old.csv", "data/same.csv", "plots/p.png"]));
  writeFileSync(join(place, "notes.txt"), "mine");
  const mark = JSON.parse(readFileSync(join(place, MARK), "utf8"));
  for (const path of ["../precious.csv", "data/../../precious.csv", "/etc/hostname", "notes.txt"])
    mark.report.files.push({ path });
  writeFileSync(join(place, MARK), JSON.stringify(mark));
  mkdirSync(join(place, ".partial-left"));
  replaceReport(place, report("2", [PAGE, "data/same.csv"]));
  assert.equal(names(place), ["data", "data/same.csv", PAGE, MARK, "notes.txt", "plots"].sort());
  assert.match(readFileSync(join(place, "data/same.csv"), "utf8"), /^2 /);
  assert.is(readFileSync(join(outer, "precious.csv"), "utf8"), "1");
});

test("a full disk is said with a remedy, and the report before stays as it was", () => {
  const place = folder();
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", place], { encoding: "utf8" });
  if (skipUnless(mounted.status === 0, "no small file system can be mounted to be filled: sudo npm test")) return;
  try {
    replaceReport(join(place, "report"), report("1", [PAGE, "data/a.csv"], 1000));
    const before = names(place);
    const large = report("2", [PAGE, "data/a.csv"], 400_000);
    assert.throws(() => replaceReport(join(place, "report"), large), /the disk is full\n {2}remedy: make room/);
    assert.equal(names(place), before);
    assert.match(readFileSync(join(place, "report", PAGE), "utf8"), /^1 /);
  } finally {
    spawnSync("umount", [place]);
  }
});

test("a killed process leaves no page, or one whose files are all there", async () => {
  const seed = freshSeed();
  console.log(`seed ${seed}`);
  const random = new Random(seed);
  const place = join(folder(), "report");
  const module = join(ROOT, "dist", "test", "report-folder.test.js");
  let whole = 0;
  for (let kill = 0; kill < 8; kill++) {
    const script = `process.env.WRITES_FOREVER = ${JSON.stringify(place)}; await import(${JSON.stringify(module)});`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    await sleep(random.int(0, 60));
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    if (!existsSync(join(place, PAGE))) continue;
    whole++;
    const { files } = JSON.parse(readFileSync(join(place, MARK), "utf8")).report as {
      files: { path: string; sha256: string }[];
    };
    for (const { path, sha256 } of files) {
      assert.is(
        createHash("sha256")
          .update(readFileSync(join(place, path)))
          .digest("hex"),
        sha256,
        `${path}, seed ${seed}`,
      );
    }
  }
  console.log(`a page was there after ${whole} of 8 kills`);
  replaceReport(place, report("end", [PAGE]));
  assert.equal(
    names(place).filter((name) => name.includes("partial")),
    [],
  );
});

/** The process that is killed: writes one report after the other, each with other files. */
function writeForever(place: string): never {
  for (let version = 0; ; version++) {
    const more = Array.from({ length: 3 + (version % 4) }, (_, at) => `data/d${at}.csv`);
    replaceReport(place, report(String(version), [PAGE, ...more], 20_000));
    if (version === 0) process.stdout.write("ready\n");
  }
}

const endless = process.env.WRITES_FOREVER;
if (endless !== undefined) writeForever(endless);

test.run();
