/** Samples on disk: what survives a killed program, a full disk and somebody else's folder. */
import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Cell, Sample } from "../runtime/experiment/cell.js";
import { LOCK_FILE } from "../runtime/experiment/folder-lock.js";
import { type Identity, SAMPLES_FILE, SampleStore } from "../runtime/experiment/sample-store.js";
import { folder } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { FakeRunner } from "./support/fake-runner.js";
import { freshSeed, Random } from "./support/random.js";

const PLAN: Identity = { format: 1, seed: 7, sizes: [64, "imix"] };
const CELL: Cell = {
  placement: { nids: "gpu" },
  device: "opencl",
  size: 64,
  cores: "d1",
  workgroups: undefined,
  wait: "adaptive",
  batch: 64,
};
const TIMING = { warmUpMs: 0, windowMs: 100 };

/** As it comes back from a file. */
const sampleOf = async (repeat: number): Promise<Sample> =>
  JSON.parse(JSON.stringify(await new FakeRunner().measure(CELL, { kind: "saturation" }, TIMING, repeat))) as Sample;

function unheard(line: string): void {
  assert.unreachable(line);
}

/** A store with so many samples, closed. */
async function filled(path: string, count: number): Promise<void> {
  const store = SampleStore.open(path, PLAN, false, unheard);
  for (let repeat = 0; repeat < count; repeat++) store.add(await sampleOf(repeat));
  store.addFinding("equivalence", { equal: true });
  store.close();
}

test("what was added is there again, samples and findings", async () => {
  const path = join(folder(), "new", "report");
  await filled(path, 3);
  const store = SampleStore.open(path, PLAN, true, unheard);
  assert.equal(store.samples, [await sampleOf(0), await sampleOf(1), await sampleOf(2)]);
  assert.equal(store.get((await sampleOf(1)).key, 1), await sampleOf(1));
  assert.is(store.get((await sampleOf(1)).key, 3), undefined);
  assert.equal(store.finding("equivalence"), { equal: true });
  store.add(await sampleOf(3));
  store.close();
  assert.is(readFileSync(join(path, SAMPLES_FILE), "utf8").split("\n").length, 1 + 3 + 1 + 1 + 1);
  assert.not.ok(existsSync(join(path, LOCK_FILE)));
});

test("a line that is JSON and no sample is measured again, and never a figure", async () => {
  const path = folder();
  await filled(path, 6);
  const file = join(path, SAMPLES_FILE);
  const lines = readFileSync(file, "utf8").split("\n");
  const changed = (line: string, change: object) =>
    JSON.stringify({ sample: { ...JSON.parse(line).sample, ...change } });
  lines[1] = changed(lines[1]!, { gbps: "x" });
  lines[2] = changed(lines[2]!, { key: "another" });
  lines[3] = changed(lines[3]!, { latency_ns: null });
  lines[4] = '{"sample":{"key":"x","repeat":0}}';
  lines[5] = "null";
  writeFileSync(file, lines.join("\n"));
  const said: string[] = [];
  const store = SampleStore.open(path, PLAN, true, (line) => said.push(line));
  store.close();
  assert.equal(store.samples, [await sampleOf(5)]);
  assert.is(said.length, 5);
});

test("cut off anywhere, the file gives every whole sample, and goes on behind them", async () => {
  const whole = folder();
  await filled(whole, 4);
  const bytes = readFileSync(join(whole, SAMPLES_FILE));
  const seed = freshSeed();
  const rng = new Random(seed);
  for (let i = 0; i < 40; i++) {
    const path = folder();
    const length = rng.int(0, bytes.length);
    writeFileSync(join(path, SAMPLES_FILE), bytes.subarray(0, length));
    const store = SampleStore.open(path, PLAN, true, unheard);
    const lines = bytes.subarray(0, length).toString().split("\n").length - 1;
    assert.is(store.samples.length, Math.max(0, Math.min(4, lines - 1)), `cut at ${length} (seed ${seed})`);
    for (let repeat = store.samples.length; repeat < 5; repeat++) store.add(await sampleOf(repeat));
    store.close();
    const again = SampleStore.open(path, PLAN, true, unheard);
    assert.is(again.samples.length, 5);
    again.close();
  }
});

test("a damaged line in the midst is told of, and its sample is measured again", async () => {
  const path = folder();
  await filled(path, 3);
  const file = join(path, SAMPLES_FILE);
  const lines = readFileSync(file, "utf8").split("\n");
  lines[2] = lines[2]!.replace('"repeat":1', '"repeat":');
  writeFileSync(file, lines.join("\n"));
  appendFileSync(file, '{"else":1}\n[3]\nnull\n');
  const said: string[] = [];
  const store = SampleStore.open(path, PLAN, true, (line) => said.push(line));
  assert.equal(
    store.samples.map(({ repeat }) => repeat),
    [0, 2],
  );
  assert.is(said.length, 4);
  assert.match(said[0]!, /samples\.jsonl:3: not a sample/);
  store.close();
});

test("samples in the way are refused, and those of another plan with what differs", async () => {
  const path = folder();
  await filled(path, 1);
  assert.throws(
    () => SampleStore.open(path, PLAN, false, unheard),
    /samples of an earlier experiment\n {2}remedy: --resume/,
  );
  assert.throws(
    () => SampleStore.open(path, { ...PLAN, seed: 8, cores: ["d1"] }, true, unheard),
    /is of another experiment:\n {2}seed: 7 there, 8 now\n {2}cores: nothing there, \["d1"\] now\n {2}remedy: /,
  );
  writeFileSync(join(path, SAMPLES_FILE), "something else\n");
  assert.throws(() => SampleStore.open(path, PLAN, true, unheard), /does not begin with a plan/);
  // Refusals leave neither a lock nor another content behind.
  assert.is(readFileSync(join(path, SAMPLES_FILE), "utf8"), "something else\n");
  assert.not.ok(existsSync(join(path, LOCK_FILE)));
});

test("two programs do not write into one folder, and a killed one does not lock it", async () => {
  const path = folder();
  const store = SampleStore.open(path, PLAN, false, unheard);
  assert.throws(() => SampleStore.open(path, PLAN, true, unheard), new RegExp(`process ${process.pid} is writing`));
  store.close();
  // A number that another process has by now.
  writeFileSync(join(path, LOCK_FILE), `${process.pid} 1`);
  SampleStore.open(path, PLAN, true, unheard).close();
  writeFileSync(join(path, LOCK_FILE), "");
  SampleStore.open(path, PLAN, true, unheard).close();
});

test("a folder that cannot be made is refused", () => {
  const path = folder({ file: "x" });
  assert.throws(() => SampleStore.open(join(path, "file", "r"), PLAN, false, unheard), /--report: cannot make/);
});

test("a full disk: the sample is refused, those before it stay, and there is no half line", async () => {
  const path = folder();
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=16k", "tmpfs", path]).status === 0;
  if (skipUnless(mounted, "a tmpfs cannot be mounted: run the tests as root")) return;
  try {
    const store = SampleStore.open(path, PLAN, false, unheard);
    let kept = 0;
    let error = "";
    for (; error === "" && kept < 1000; kept++) {
      try {
        store.add(await sampleOf(kept));
      } catch (caught) {
        error = (caught as Error).message;
      }
    }
    kept--;
    assert.match(error, new RegExp(`ENOSPC.*; ${kept} samples before it are kept\n {2}remedy: free space`));
    assert.is(store.samples.length, kept);
    store.close();
    assert.ok(readFileSync(join(path, SAMPLES_FILE), "utf8").endsWith("}\n"));
    const again = SampleStore.open(path, PLAN, true, unheard);
    assert.is(again.samples.length, kept);
    again.close();
  } finally {
    spawnSync("umount", [path]);
  }
});

test("a file that somebody emptied meanwhile begins anew", async () => {
  const path = folder();
  await filled(path, 2);
  truncateSync(join(path, SAMPLES_FILE), 0);
  const store = SampleStore.open(path, PLAN, false, unheard);
  assert.is(store.samples.length, 0);
  store.close();
});

test.run();
