/** Experiments of bench/device: each in its quick form, with turns so short that their figures mean nothing. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { earlyIndex } from "../bench/device/ablation-order.js";
import { whyNoAdapter } from "../bench/device/adapter.js";
import { whyNoDevice } from "../bench/device/bed.js";
import { SlotSource, twoClasses } from "../bench/device/source.js";
import { type CellOptions, Figures, type Finding } from "../bench/experiment.js";
import { seededRandom } from "../bench/frames.js";
import { deviceNote, renderFindings } from "../bench/report.js";
import { runExperiment } from "../bench/run-experiment.js";
import { kernelFolder } from "../runtime/device/kernel-files.js";
import { skipUnless } from "./skip.js";
import { of, runQuick } from "./support/bench-quick.js";

const BENCH = fileURLToPath(new URL("../bench/main.js", import.meta.url));
const missing = whyNoDevice(false);

function quick(name: string, expect: (findings: readonly Finding[]) => void): void {
  test(`${name}, quick`, async () => {
    if (skipUnless(missing === undefined, `${missing}`)) return;
    expect(await runQuick(name));
  });
}

quick("device-rows", (findings) => {
  const ratio = of(findings, /^persistent \/ launch/, /lock-step/);
  const expected = of(findings, /^persistent$/, /lock-step/) / of(findings, /^launch$/, /lock-step/);
  assert.ok(Math.abs(ratio / expected - 1) < 1e-9);
  assert.is(findings.find(({ figure }) => figure === "round trip p50")!.target!.value, 20);
});

quick("device-kernels", (findings) => {
  for (const cell of ["ipsec seal", "nids", "router"]) {
    const own = findings.filter((finding) => finding.cell === cell);
    assert.ok(own.some(({ target }) => target?.at === "least"));
    assert.ok(of(own, /^empty kernel/, /with its launch/) > 0);
  }
});

quick("device-chain", (findings) => {
  const own = findings.filter(({ cell }) => cell.startsWith("dynamic"));
  assert.ok(of(own, /^50 % past the NIDS/, /served by NFs/) > 0);
  assert.is(own.filter(({ target }) => target?.value === 0.9).length, 1);
});

quick("device-ablations", (findings) => {
  assert.is(of(findings, /^GpuIndex after the barrier/, /not written/), 0);
  assert.is(of(findings, /^no dummies/, /^dummies, saturated/), 0);
  assert.is(of(findings, /^no dummies/, /^dummies, paced/), 0);
  assert.is(of(findings, /^dummies by deadline/, /left waiting/), 0);
  assert.is(of(findings, /^rounds with copies/, /copied per packet/), 2 * 1472 + 64);
});

quick("device-slices", (findings) => {
  assert.ok(of(findings, /^slices of 5 ms$/, /launches/) > 1);
});

quick("device-lengths", (findings) => {
  assert.is(findings.length, 3);
});

test("device-webgpu-forwarding, quick", async () => {
  const lack = await whyNoAdapter();
  if (skipUnless(lack === undefined, `${lack}`)) return;
  const findings = await runQuick("device-webgpu-forwarding");
  assert.is(of(findings, /^forwarding on the device$/, /^published/), 1);
  assert.is(of(findings, /^host routing$/, /^published/), 3);
  assert.ok(of(findings, /^forwarding on the device$/, /^copied/) < of(findings, /^host routing$/, /^copied/));
});

test("the order of the paper is made of the product's kernel by moving one statement over the barrier", () => {
  const product = readFileSync(join(kernelFolder(), "syncer.cl"), "utf8");
  const early = earlyIndex(product);
  const lines = (text: string) => text.split("\n").sort();
  assert.equal(lines(early), lines(product));
  assert.ok(early.lastIndexOf("wb_store_release(line + WB_GPU_INDEX") < early.lastIndexOf("work_group_barrier("));
  assert.ok(product.lastIndexOf("wb_store_release(line + WB_GPU_INDEX") > product.lastIndexOf("work_group_barrier("));
  assert.throws(() => earlyIndex(product.replaceAll("work_group_barrier", "barrier")), /another form/);
});

test("packets come in the order of the sequence, whatever order they went back in", () => {
  const mix = twoClasses(200, 4, seededRandom(5));
  const source = new SlotSource(mix);
  const out = new Uint32Array(32);
  const held: number[] = [];
  let at = 0;
  const random = seededRandom(6);
  for (let round = 0; round < 2000; round++) {
    const count = source.take(out, random(33));
    for (let i = 0; i < count; i++) {
      assert.is(mix.classOf[out[i]!], mix.sequence[at++ % mix.sequence.length]);
      assert.not(held.includes(out[i]!), "a slot is given out once");
      held.push(out[i]!);
    }
    const back: number[] = [];
    for (let left = random(33); left > 0 && held.length > 0; left--) {
      back.push(...held.splice(random(held.length), 1));
    }
    source.give(Uint32Array.from(back), back.length);
  }
  assert.ok(at > 10_000);
});

test("figures: medians, ratios of one turn, targets from either side; tables name emulation", () => {
  const figures = new Figures();
  figures.add("a", "rate", "Mpps", [3, 1, 2], { least: 2 });
  figures.add("a", "time", "us", [3, 1, 2], { most: 1.5, beside: "paper: 1 | 2" });
  figures.ratio("a / b", "rate", [3, 1, 2], [1, 1, 4]);
  const [rate, time, ratio] = figures.list;
  assert.equal(rate!.value, { median: 2, min: 1, max: 3 });
  assert.is(rate!.reached, true);
  assert.is(time!.reached, false);
  assert.equal(ratio!.samples, [3, 1, 0.5]);
  assert.is(ratio!.reached, null);
  const device = { name: "pthread", emulated: true };
  const findings = figures.list.map((one) => ({ experiment: "device-x", cell: "c", device, ...one }));
  const markdown = renderFindings(findings, true);
  assert.match(markdown, /^\*\*device-x\*\*\n\n\| case \| subject \|.*\n\|---\|---\|---\|---:\|---:\|/);
  assert.match(markdown, /\| c \| a \| time \| 2\.00 \| 1\.00\.\.3\.00 \| us \| <= 1\.5: missed \| paper: 1 \\\| 2 \|/);
  assert.match(renderFindings(findings, false), /device-x.*a \/ b.*1\.00/);
  assert.match(deviceNote(device), /emulation on the CPU/);
  assert.not.match(deviceNote({ name: "gpu", emulated: false }), /emulation/);
});

test("an experiment whose check fails is reported, and fails the run", async () => {
  const names = { experiment: "device-none", cells: ["a", "b"] };
  const cells = names.cells.map((name) => ({ name, workgroups: 0, run: () => Promise.reject(new Error("not here")) }));
  const experiment = { name: names.experiment, about: "", cells: () => cells };
  const warn = () => {};
  const options: CellOptions = {
    quick: true,
    seed: 1,
    frames: 1,
    data: "",
    scratch: "",
    repeats: 1,
    turnMs: 1,
    warn,
  };
  // The process of its own finds no such experiment.
  const { findings, failed } = await runExperiment(experiment, options, ["b"]);
  assert.equal(findings, []);
  assert.is(failed.length, 1);
  assert.match(failed[0]!, /^device-none, b: .*there is no b of device-none/);
});

test("names: a group names all its experiments, an unknown name the good ones", () => {
  const bench = (...args: string[]) => spawnSync(process.execPath, [BENCH, ...args], { encoding: "utf8" });
  const unknown = bench("devices");
  assert.is(unknown.status, 2);
  assert.match(unknown.stderr, /no benchmark is named "devices".*device-ablations.*device-rows/s);
  const list = bench("--list");
  assert.is(list.status, 0);
  assert.match(list.stdout, /^device-rows: /m);
  assert.match(list.stdout, /^router$/m);
});

test.run();
