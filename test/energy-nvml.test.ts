/** NVIDIA's meter, on a library that answers as NVML does. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RunError } from "../runtime/errors.js";
import { openRecorder, parseMeter } from "../runtime/measure/energy/choose.js";
import { nvmlFinding } from "../runtime/measure/energy/findings.js";
import { SystemFiles } from "../runtime/native/system-files.js";
import { skipUnless } from "./skip.js";
import { compileFakeNvml, NEEDS_CC } from "./support/fake-nvml.js";
import { Machine, ZEN } from "./support/machines.js";

const folder = mkdtempSync(join(tmpdir(), "wingbeat-nvml-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const library = compileFakeNvml(folder);
const control = join(folder, "readings");
process.env["FAKE_NVML"] = control;
const set = (mJ: bigint | number, mW: number, error = 0) => writeFileSync(control, `${mJ} ${mW} ${error}\n`);

let now = 1e6;
const open = (meter: string, files = new SystemFiles(join(folder, "nothing")), said: string[] = []) =>
  openRecorder(parseMeter(meter), (line) => said.push(line), { files, nvml: library!, clock: () => now });

const SKIP = library === undefined;

test("several GPUs: energy where it is counted, else power over time; what has neither is left out", async () => {
  if (skipUnless(!SKIP, NEEDS_CC)) return;
  // Above 2^32: the counter is 64 bits wide.
  set(5_000_000_000n, 40_000);
  const recorder = (await open("nvml"))!;
  assert.equal(
    recorder.info.domains.map(({ name }) => name),
    ["gpu-0 Fake A", "gpu-1 Fake B"],
  );
  assert.is(recorder.info.provenance, "measured");
  recorder.start();
  set(5_000_300_000n, 40_000);
  now += 2000;
  const span = recorder.stop();
  assert.equal(
    span.domains.map(({ joules }) => joules),
    [300, 80],
  );
  assert.is(span.joules, 380);
  // The counter may be 100 ms old at 150 W.
  assert.ok(span.uncertainty_joules > 15 && span.uncertainty_joules < 15.1, `${span.uncertainty_joules}`);
  recorder.close();
  assert.is(koffi.load(library!).func("int fakeUsers()")(), 0, "NVML was shut down as often as it was begun");
});

test("a GPU that is lost within a span fails it", async () => {
  if (skipUnless(!SKIP, NEEDS_CC)) return;
  set(1000, 40_000);
  const recorder = (await open("nvml"))!;
  recorder.start();
  set(1000, 40_000, 15);
  now += 1000;
  assert.throws(
    () => recorder.stop(),
    (error: Error) =>
      error instanceof RunError && /gpu-0 Fake A: .*GPU is lost \(15\).*\n {2}remedy:/.test(error.message),
  );
  recorder.close();
});

test("GPUs are added to the processor's package", async () => {
  if (skipUnless(!SKIP, NEEDS_CC)) return;
  set(0, 10_000);
  const machine = new Machine(join(folder, "zen"), ZEN);
  const said: string[] = [];
  for (const meter of ["auto", "rapl+nvml"]) {
    const recorder = (await open(meter, machine.files, said))!;
    assert.is(recorder.info.name, "RAPL (powercap) + NVML (NVIDIA)");
    recorder.start();
    machine.spend({ "intel-rapl:0": 20_000_000 });
    now += 1000;
    assert.ok(Math.abs(recorder.stop().joules - 30) < 0.001);
    recorder.close();
  }
  assert.equal(said, []);
});

test("doctor asks in a process of its own, and says what the driver says", async () => {
  if (skipUnless(!SKIP, NEEDS_CC)) return;
  set(0, 0);
  const there = await nvmlFinding(library);
  assert.is(there.state, "ok");
  assert.is(there.detail, "gpu-0 Fake A (energy), gpu-1 Fake B (power)");
  set(0, 0, 9);
  const without = await nvmlFinding(library);
  assert.is(without.state, "limited");
  assert.match(without.detail, /nvmlInit_v2: Driver Not Loaded \(9\)/);
  const broken = join(folder, "broken.so");
  writeFileSync(broken, "no library");
  assert.match((await nvmlFinding(broken)).detail, "cannot be used");
});

test("a driver that does not answer: refused where named, with what it says", async () => {
  if (skipUnless(!SKIP, NEEDS_CC)) return;
  set(0, 0, 9);
  try {
    await open("nvml");
    assert.unreachable();
  } catch (error) {
    assert.instance(error, RunError);
    assert.match((error as Error).message, /Driver Not Loaded/);
  }
});

test.run();
