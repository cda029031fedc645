/** The experiment live-rx-patterns in its quick form: with turns so short that its figures mean nothing, and are all there. */
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type CellOptions, type Figure, Figures } from "../bench/experiment.js";
import { checkDrawn, makeFolder, readMeasured, writeFigures } from "../bench/figures.js";
import { findExperiments } from "../bench/find.js";
import { patternPlots } from "../bench/live/shared-queue/figures.js";
import { runExperiment } from "../bench/run-experiment.js";
import { draw } from "../runtime/report/draw.js";
import { folder } from "./chain-support.js";

test("live-rx-patterns, quick", async () => {
  const experiment = (await findExperiments()).find(({ name }) => name === "live-rx-patterns")!;
  const options: CellOptions = {
    ...{ quick: true, seed: 3, frames: 0, data: "", scratch: "", repeats: 1, turnMs: 20 },
    warn: (line) => console.log(line),
  };
  const { findings, skipped, failed } = await runExperiment(experiment, options);
  assert.equal([skipped, failed], [[], []]);
  const totals = findings.filter(({ subject, figure }) => figure === "received" && !subject.includes(":"));
  assert.equal(
    totals.map(({ subject }) => subject),
    [
      "default, 1 thread",
      ...["arbitration, 1 thread", "arbitration, 2 threads", "range, 1 thread", "range, 2 threads"],
      ...["parent, 1 worker", "parent, 2 workers"],
    ],
  );
  // In so short a turn a thread may not have had its processor; not all of them, though.
  assert.ok(totals.some(({ value }) => value.median > 0));
  for (const { subject, figure, value } of findings) assert.ok(value.median >= 0, `${subject}, ${figure}`);
  const stages = findings.filter(({ unit }) => unit === "ns/packet");
  for (const { subject } of stages) assert.match(subject, /: (thread \d|parent)$/);
  assert.ok(stages.length > 0);
});

const LIVE = { cell: "", device: null, experiment: "live-rx-patterns" };
const NAMES = ["hardware access", "CAS and join", "buffer", "rx", "entire"];

/** What a machine finds on which no thread waits for a processor; parent and workers differ. */
function complete(): Figure[] {
  const figures = new Figures();
  for (const pattern of ["default", "arbitration", "range", "parent"]) {
    for (const threads of pattern === "default" ? [1] : [1, 2, 4]) {
      const noun = pattern === "parent" ? "worker" : "thread";
      const name = `${pattern}, ${threads} ${noun}${threads === 1 ? "" : "s"}`;
      figures.add(name, "received", "Mpps", [15 + threads]);
      const workers = Array.from({ length: threads }, (_, i) => `thread ${pattern === "parent" ? i + 1 : i}`);
      for (const role of pattern === "parent" ? ["parent", ...workers] : workers) {
        const worker = role !== "parent";
        if (worker) figures.add(`${name}: ${role}`, "received", "Mpps", [15 / threads]);
        const shared = pattern === "parent" && worker;
        const ns = [shared ? 0 : 3, threads, worker ? 16 : 2, 22 + threads, ...(worker ? [40] : [])];
        for (const [i, value] of ns.entries()) figures.add(`${name}: ${role}`, NAMES[i]!, "ns/packet", [value]);
      }
    }
  }
  return figures.list;
}

interface Bar {
  readonly graph: string;
  readonly x: string;
  readonly core: string;
  readonly series: string;
  readonly y: number;
  readonly rx: number;
  readonly crowded: boolean;
}

test("Figure 6: a bar for each core in each graph, of the stages and what else there is; bars of too many threads are marked", () => {
  const [stages, rates] = patternPlots(complete(), 3);
  const { values } = (stages!.spec as unknown as { data: { values: Bar[] } }).data;
  const bars = new Map<string, Bar[]>();
  for (const value of values) {
    const key = `${value.graph} ${value.x} ${value.core}`;
    bars.set(key, [...(bars.get(key) ?? []), value]);
  }
  // The baseline, and 1 + 2 + 4 cores, in each of three graphs; three parents.
  assert.is(bars.size, 3 * (1 + 1 + 2 + 4) + 3);
  for (const [key, parts] of bars) {
    assert.equal(
      parts.map(({ series }) => series),
      ["hardware access", "CAS and join", "buffer", "rest of entire"],
    );
    const sum = parts.reduce((all, { y }) => all + y, 0);
    assert.is(sum, parts[0]!.core === "parent" ? 22 + Number(parts[0]!.x) : 40, key);
    // Three processors are enough for the NIC's thread and two more.
    const threads = { baseline: 1 }[parts[0]!.x] ?? Number(parts[0]!.x);
    const parent = parts[0]!.graph.startsWith("Parent") && parts[0]!.x !== "baseline" ? 1 : 0;
    assert.is(parts[0]!.crowded, threads + parent > 2, key);
  }
  const { values: received } = (rates!.spec as unknown as { data: { values: (Bar & { total?: number })[] } }).data;
  const workers = received.filter(
    ({ graph, x, total }) => graph.startsWith("Parent") && x === "4" && total === undefined,
  );
  assert.equal(
    workers.map(({ series, y }) => [series, y]),
    [1, 2, 3, 4].map((core) => [`core ${core}`, 15 / 4]),
  );
});

test("figures are drawn as SVG and PNG from what --json has written, and from nothing else", async () => {
  const experiments = (await findExperiments()).filter(({ name }) => name.startsWith("live-r"));
  const cwd = folder({ "empty.json": {}, "half.json": { cores: 2, findings: [null, { ...LIVE, subject: "" }] } });
  const measured = { cores: 8, findings: complete().map((one) => ({ ...one, ...LIVE })) };
  writeFileSync(join(cwd, "bench.json"), JSON.stringify(measured));
  const drawn = join(cwd, "a", "b");
  makeFolder(drawn);
  const files = await writeFigures(drawn, experiments, readMeasured(join(cwd, "bench.json")));
  assert.equal(
    files.map((file) => basename(file)).sort(),
    ["rx-patterns-stages", "rx-patterns-throughput"].flatMap((name) => [`${name}.png`, `${name}.svg`]),
  );
  for (const file of files) {
    const bytes = readFileSync(file);
    if (file.endsWith("png")) assert.ok(bytes.readUInt32BE(0) === 0x89504e47 && bytes.length > 20_000, file);
    else assert.match(bytes.toString(), /^<svg.*Only range division.*<\/svg>/s);
  }
  for (const plot of patternPlots(measured.findings, 8)) assert.equal((await draw(plot, plot.id)).remarks, []);
  assert.throws(() => readMeasured(join(cwd, "empty.json")), /findings: .*expected array/);
  assert.throws(() => readMeasured(join(cwd, "half.json")), /findings\[0\]: .*\n.*findings\[1\]\.figure: /);
  assert.throws(() => readMeasured(join(cwd, "nix.json")), /cannot be read/);
  assert.throws(() => makeFolder(join(cwd, "bench.json", "x")), /cannot be made/);
  checkDrawn(experiments);
  assert.throws(() => checkDrawn(experiments.filter(({ plots }) => plots === undefined)), /name live-rx-patterns/);
  const others = measured.findings.map((one) => ({ ...one, subject: "another" }));
  for (const findings of [[], others]) {
    let refusal = "";
    await writeFigures(drawn, experiments, { cores: 1, findings }).catch((error: Error) => {
      refusal = error.message;
    });
    assert.match(refusal, /there are no findings to draw/);
  }
});

test.run();
