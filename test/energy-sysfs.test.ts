/** Energy by what sysfs shows, on recorded machines and a clock of the test's own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ConfigError, RunError } from "../runtime/errors.js";
import { openRecorder, parseMeter } from "../runtime/measure/energy/choose.js";
import { energyFindings } from "../runtime/measure/energy/findings.js";
import { hwmonSensors } from "../runtime/measure/energy/hwmon.js";
import type { EnergyRecorder } from "../runtime/measure/energy/meter.js";
import { raplDomains } from "../runtime/measure/energy/rapl.js";
import type { SystemFiles } from "../runtime/native/system-files.js";
import {
  APU,
  CARD_LINKS,
  CARDS,
  FAM15H,
  Forbidden,
  INTEL_CLIENT,
  LAPTOP,
  Machine,
  SERVER,
  ZEN,
} from "./support/machines.js";

let root = "";
let now = 0;
const warnings: string[] = [];
const clock = () => now;

test.before.each(() => {
  root = mkdtempSync(join(tmpdir(), "wingbeat-energy-"));
  now = 1e6;
  warnings.length = 0;
});
test.after.each(() => rmSync(root, { recursive: true, force: true }));

/** @param wait what happens while the recorder lets time pass */
async function open(meter: string, files: SystemFiles, wait: (ms: number) => void = () => {}): Promise<EnergyRecorder> {
  const passing = async (ms: number) => {
    wait(ms);
    now += ms;
  };
  const recorder = await openRecorder(parseMeter(meter), (line) => warnings.push(line), {
    files,
    nvml: null,
    clock,
    wait: passing,
  });
  assert.ok(recorder !== undefined);
  return recorder!;
}

async function refused(
  promise: Promise<unknown>,
  kind: typeof RunError | typeof ConfigError,
  words: RegExp,
): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  assert.instance(error, kind);
  assert.match((error as Error).message, words);
}

const watts = (spend: Record<string, number>, machine: Machine) => (ms: number) =>
  machine.spend(Object.fromEntries(Object.entries(spend).map(([path, w]) => [path, w * ms * 1000])));

test("the tree of an Intel client: parts within their package, the package within psys, MMIO left out", () => {
  const { files } = new Machine(root, INTEL_CLIENT);
  assert.equal(
    raplDomains(files).map(({ name, within }) => [name, within]),
    [
      ["package-0", "psys"],
      ["package-0 core", "package-0"],
      ["package-0 uncore", "package-0"],
      ["psys", null],
    ],
  );
});

test("psys that rises with its parts is the sum; what is within it is shown and not added", async () => {
  const machine = new Machine(root, INTEL_CLIENT);
  const pass = watts({ "intel-rapl:1": 12, "intel-rapl:0": 8, "intel-rapl:0:0": 5, "intel-rapl:0:1": 1 }, machine);
  const recorder = await open("rapl", machine.files, pass);
  recorder.start();
  pass(2000);
  now += 2000;
  const span = recorder.stop();
  assert.ok(Math.abs(span.joules - 24) < 0.001, `${span.joules}`);
  assert.is(span.seconds, 2);
  assert.equal(
    span.domains.map(({ name, joules }) => [name, Math.round(joules * 1e3) / 1e3]),
    [
      ["package-0", 16],
      ["package-0 core", 10],
      ["package-0 uncore", 2],
      ["psys", 24],
    ],
  );
  assert.is(span.idle_watts, null);
  recorder.close();
});

test("psys that stands still, or stays behind its parts, is not believed", async () => {
  for (const psys of [0, 4]) {
    const machine = new Machine(join(root, String(psys)), INTEL_CLIENT);
    const pass = watts({ "intel-rapl:1": psys, "intel-rapl:0": 8 }, machine);
    const recorder = await open("rapl", machine.files, pass);
    assert.not.ok(recorder.info.domains.some(({ name }) => name === "psys"));
    assert.match(recorder.info.note, "psys is left out");
    recorder.start();
    pass(1000);
    now += 1000;
    assert.ok(Math.abs(recorder.stop().joules - 8) < 0.001);
    recorder.close();
  }
});

test("of several psys none counts, and a charged battery is no news beside RAPL", async () => {
  const twice = { "/sys/class/powercap/intel-rapl:3/name": "psys", "/sys/class/powercap/intel-rapl:3/energy_uj": 1 };
  const charging = { ...LAPTOP, "/sys/class/power_supply/AC/online": 1 };
  const machine = new Machine(root, { ...INTEL_CLIENT, ...twice, ...charging });
  const recorder = await open("auto", machine.files);
  assert.equal(
    recorder.info.domains.filter(({ within }) => within === null).map(({ name }) => name),
    ["package-0"],
  );
  assert.equal(warnings, []);
  recorder.close();
});

test("two sockets: packages and their memory are added, each once", async () => {
  const machine = new Machine(root, SERVER);
  const recorder = await open("auto", machine.files);
  assert.equal(
    recorder.info.domains.map(({ name, within }) => [name, within]),
    [
      ["package-0", null],
      ["package-0 dram", null],
      ["package-1", null],
      ["package-1 dram", null],
    ],
  );
  recorder.start();
  const pass = watts({ "intel-rapl:0": 100, "intel-rapl:0:0": 20, "intel-rapl:1": 80, "intel-rapl:1:0": 10 }, machine);
  pass(500);
  now += 500;
  const span = recorder.stop();
  assert.ok(Math.abs(span.joules - 105) < 0.001, `${span.joules}`);
  // One ms of each counter at its power, and its steps.
  assert.ok(span.uncertainty_joules > 0.21 && span.uncertainty_joules < 0.22, `${span.uncertainty_joules}`);
  assert.is(span.readings, 2);
  assert.equal(warnings, []);
  recorder.close();
});

test("Zen: cores are within the package", async () => {
  const machine = new Machine(root, ZEN);
  const recorder = await open("rapl", machine.files);
  recorder.start();
  machine.spend({ "intel-rapl:0": 7_000_000, "intel-rapl:0:0": 3_000_000 });
  now += 1000;
  assert.ok(Math.abs(recorder.stop().joules - 7) < 0.001);
  recorder.close();
});

test("idle is measured first, and every span names it, by domain, too", async () => {
  const machine = new Machine(root, ZEN);
  const idle = watts({ "intel-rapl:0": 30, "intel-rapl:0:0": 4 }, machine);
  const recorder = await open("rapl", machine.files, idle);
  await recorder.measureIdle(5000);
  recorder.start();
  watts({ "intel-rapl:0": 90, "intel-rapl:0:0": 50 }, machine)(2000);
  now += 2000;
  const span = recorder.stop();
  assert.ok(Math.abs(span.idle_watts! - 30) < 0.001);
  assert.ok(span.idle_uncertainty_watts! > 0);
  assert.ok(Math.abs(span.domains[1]!.idle_watts! - 4) < 0.001);
  assert.ok(Math.abs(span.joules - 180) < 0.001);
  recorder.close();
});

test("a counter that begins anew is seen through", async () => {
  const machine = new Machine(root, ZEN);
  machine.set({ "/sys/class/powercap/intel-rapl:0/energy_uj": 65_532_610_000 });
  const recorder = await open("rapl", machine.files);
  recorder.start();
  machine.spend({ "intel-rapl:0": 5_000_000 });
  assert.ok(machine.files.number("/sys/class/powercap/intel-rapl:0/energy_uj")! < 5_000_000, "it did begin anew");
  now += 1000;
  const { joules } = recorder.stop();
  assert.ok(Math.abs(joules - 5) < 5e-6, `${joules}`);
  recorder.close();
});

test("a counter that was set back is no consumption of kilojoules", async () => {
  const machine = new Machine(root, SERVER);
  machine.set({ "/sys/class/powercap/intel-rapl:0/energy_uj": 90_000_000_000 });
  const recorder = await open("rapl", machine.files);
  recorder.start();
  machine.set({ "/sys/class/powercap/intel-rapl:0/energy_uj": 1000 });
  now += 1000;
  assert.throws(() => recorder.stop(), /set back/);
  recorder.close();
});

test("readings so far apart that a counter may have begun anew twice are refused", async () => {
  const machine = new Machine(root, ZEN);
  const recorder = await open("rapl", machine.files);
  recorder.start();
  now += 60_000;
  assert.throws(() => recorder.stop(), /60\.0 s passed between two readings/);
  recorder.close();
});

test("a meter that vanishes within a span fails it: no zero, and it can begin again", async () => {
  const machine = new Machine(root, ZEN);
  const recorder = await open("rapl", machine.files);
  recorder.start();
  machine.remove("/sys/class/powercap/intel-rapl:0:0");
  now += 1000;
  assert.throws(
    () => recorder.stop(),
    (error: Error) => error instanceof RunError && /energy_uj is gone: the meter stopped answering/.test(error.message),
  );
  machine.set(ZEN);
  recorder.start();
  machine.spend({ "intel-rapl:0": 1_000_000 });
  now += 1000;
  assert.ok(Math.abs(recorder.stop().joules - 1) < 0.001);
  recorder.close();
});

test("counters that may not be read: refused where named, and done without where not; with the remedy", async () => {
  new Machine(root, { ...INTEL_CLIENT, "/proc/cpuinfo": "flags\t: sse" });
  const files = new Forbidden(root);
  await refused(open("rapl", files), RunError, /may not read .*energy_uj\n {2}remedy: sudo chmod a\+r/);
  const recorder = await open("auto", files);
  assert.is(recorder.info.provenance, "nominal");
  assert.ok(
    warnings.some((line) => /RAPL .*may not read them; remedy: sudo chmod a\+r/.test(line)),
    warnings.join("\n"),
  );
  // What the processor says of its TDP needs no rights.
  assert.match(recorder.info.note, /TDP of 15 W \(as the processor states\)/);
  recorder.close();
  const finding = energyFindings(files).find(({ name }) => name === "experiments (--meter auto)")!;
  assert.is(finding.state, "limited");
  assert.match(finding.detail, /^nominal for the processor: no measurement/);
  assert.match(finding.remedy!, /^sudo chmod a\+r .*--meter file:PATH or command:CMD/);
});

test("an APU's two means of one power are not added, and its compute units are within it", async () => {
  const machine = new Machine(root, { ...APU, ...FAM15H });
  const recorder = await open("auto", machine.files);
  assert.equal(
    recorder.info.domains.map(({ name, within }) => [name, within]),
    [
      ["fam15h_power power1", "amdgpu slowPPT"],
      ["amdgpu slowPPT", null],
      ["amdgpu fastPPT", "amdgpu slowPPT"],
    ],
  );
  recorder.close();
});

test("power is integrated: a constant exactly, a ramp by trapezoids, and the uncertainty covers a step", async () => {
  const machine = new Machine(root, FAM15H);
  const file = "/sys/class/hwmon/hwmon1/power1_average";
  const recorder = await open("hwmon", machine.files);
  assert.match(recorder.info.note, "the compute units alone");
  recorder.start();
  now += 3000;
  const constant = recorder.stop();
  assert.is(constant.joules, 60);
  assert.ok(constant.uncertainty_joules < 1e-5);
  recorder.start();
  machine.set({ [file]: 30_000_000 });
  now += 1000;
  const ramp = recorder.stop();
  assert.ok(Math.abs(ramp.joules - 25) < 1e-9);
  // Wherever in the second it went up by 10 W, the truth is in reach.
  assert.ok(ramp.uncertainty_joules >= 5, `${ramp.uncertainty_joules}`);
  recorder.close();
});

test("discrete cards are added to the processor, named apart; an average is taken before a moment's power", async () => {
  const machine = new Machine(root, { ...CARDS, ...ZEN }, CARD_LINKS);
  assert.equal(
    hwmonSensors(machine.files).map(({ name, file, covers }) => [name, file, covers]),
    [
      ["amdgpu PPT (0000:03:00.0)", "power1_average", "gpu"],
      ["amdgpu PPT (0000:83:00.0)", "power1_average", "gpu"],
    ],
  );
  const recorder = await open("auto", machine.files);
  assert.is(recorder.info.name, "RAPL (powercap) + amdgpu (hwmon)");
  recorder.start();
  machine.spend({ "intel-rapl:0": 10_000_000 });
  now += 1000;
  const span = recorder.stop();
  assert.ok(Math.abs(span.joules - 60) < 0.001, `${span.joules}`);
  recorder.close();
});

test("psys may include a card, so it does not count beside one", async () => {
  const machine = new Machine(root, { ...INTEL_CLIENT, ...CARDS }, CARD_LINKS);
  const recorder = await open("auto", machine.files, watts({ "intel-rapl:1": 30, "intel-rapl:0": 8 }, machine));
  assert.equal(
    recorder.info.domains.filter(({ within }) => within === null).map(({ name }) => name),
    ["package-0", "amdgpu PPT (0000:03:00.0)", "amdgpu PPT (0000:83:00.0)"],
  );
  recorder.close();
});

test("a card alone leaves the processor nominal, and the sum is called so", async () => {
  const machine = new Machine(root, CARDS, CARD_LINKS);
  const recorder = await open("auto", machine.files);
  assert.is(recorder.info.provenance, "nominal");
  assert.ok(warnings.some((line) => line.startsWith("energy is nominal, not measured: ")));
  recorder.close();
});

test("doctor names what experiments would take", () => {
  const machine = new Machine(root, { ...SERVER, ...CARDS }, CARD_LINKS);
  const finding = energyFindings(machine.files).find(({ name }) => name === "experiments (--meter auto)")!;
  assert.is(finding.state, "ok");
  assert.is(finding.remedy, undefined);
  const cards = "amdgpu PPT (0000:03:00.0), amdgpu PPT (0000:83:00.0)";
  const packages = "package-0, package-0 dram, package-1, package-1 dram";
  assert.is(finding.detail, `RAPL (powercap): ${packages} + hwmon power sensors: ${cards}`);
});

test("meters that see the same thing are not added up", async () => {
  const machine = new Machine(root, { ...ZEN, ...FAM15H, ...LAPTOP });
  await refused(open("rapl+hwmon", machine.files), ConfigError, /both see the processor/);
  await refused(open("rapl+battery", machine.files), ConfigError, /battery sees the whole machine/);
  await refused(open("rapl+nominal:65", machine.files), ConfigError, /both see the processor/);
});

test("sensors of unknown drivers are taken by name alone", async () => {
  const machine = new Machine(root, {
    "/sys/class/hwmon/hwmon0/name": "ina3221",
    "/sys/class/hwmon/hwmon0/power1_input": 4_000_000,
    "/sys/class/hwmon/hwmon0/power1_label": "VDD_CPU",
    "/sys/class/hwmon/hwmon0/power2_input": 1_000_000,
    "/sys/class/hwmon/hwmon0/power2_label": "VDD_GPU",
  });
  await refused(open("hwmon", machine.files), ConfigError, /not known what ina3221 VDD_CPU, ina3221 VDD_GPU include/);
  await refused(open("hwmon:vdd_in", machine.files), ConfigError, /there are ina3221 VDD_CPU, ina3221 VDD_GPU/);
  const recorder = await open("hwmon:vdd_", machine.files);
  recorder.start();
  machine.set({ "/sys/class/hwmon/hwmon0/power2_input": 2_000_000 });
  now += 1000;
  const { joules, uncertainty_joules } = recorder.stop();
  assert.ok(Math.abs(joules - 5.5) < 1e-9);
  // Half the step for the second it may have come in, and the step for the lag at both ends: 100 ms.
  assert.ok(Math.abs(uncertainty_joules - 0.6) < 1e-5, `${uncertainty_joules}`);
  recorder.close();
});

test("a battery counts while it feeds the machine, with either sign of its current, and not the mouse's", async () => {
  const machine = new Machine(root, LAPTOP);
  const recorder = await open("auto", machine.files);
  assert.equal(
    recorder.info.domains.map(({ name }) => name),
    ["BAT0"],
  );
  assert.match(recorder.info.note, "slow");
  recorder.start();
  now += 10_000;
  assert.ok(Math.abs(recorder.stop().joules - 115) < 1e-6);
  recorder.start();
  machine.set({ "/sys/class/power_supply/AC/online": 1 });
  now += 1000;
  assert.throws(() => recorder.stop(), /AC is plugged in/);
  recorder.close();
  await refused(open("battery", machine.files), RunError, /remedy: unplug the charger/);
});

test("no meter: nominal, said so, with bounds as wide as the model's", async () => {
  const machine = new Machine(root, {});
  const recorder = await openRecorder(parseMeter("auto", "65"), (line) => warnings.push(line), {
    files: machine.files,
    nvml: null,
    clock,
  });
  assert.match(warnings.join(), /^energy is nominal, not measured: no measurement: TDP of 65 W \(as stated\)/);
  recorder!.start();
  now += 2000;
  const span = recorder!.stop();
  assert.is(span.meter.provenance, "nominal");
  assert.ok(span.joules > 0, "this process was awake");
  assert.ok(span.joules + span.uncertainty_joules >= 130);
  recorder!.close();
});

test("requests that make no sense are refused with what there is", () => {
  for (const [text, words] of [
    ["solar", /it takes none, auto, rapl/],
    ["rapl:0", /found "rapl:0"/],
    ["file", /says not which/],
    ["command:", /found "command:"/],
    ["rapl+file:x", /nobody knows what it includes/],
    ["rapl+rapl", /stands twice/],
    ["nominal:-3", /expected watts above 0, found "-3"/],
    ["nominal:0", /expected watts above 0/],
  ] as const) {
    assert.throws(
      () => parseMeter(text),
      (error: Error) => error instanceof ConfigError && words.test(error.message),
      text,
    );
  }
  assert.throws(() => parseMeter("auto", "hot"), /--tdp: expected watts/);
  assert.throws(() => parseMeter("nominal:5", "6"), /says the watts already/);
  assert.is(parseMeter("command:a+b").parts.length, 1);
});

test.run();
