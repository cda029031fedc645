/** What OpenCL devices say of themselves, the order among them, their names, what doctor makes of it, and what PoCL needs. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openClFindings, poclFindings } from "../runtime/device/findings.js";
import {
  noDeviceRemedy,
  type OpenClDevice,
  pickDevice,
  ranked,
  svmKinds,
  traitsOf,
} from "../runtime/device/opencl/platform.js";
import { poclCache, poclCacheProblem, preparePocl, tryPocl } from "../runtime/device/opencl/pocl.js";
import { sliceFor } from "../runtime/device/slice.js";
import { RunError } from "../runtime/errors.js";
import { ask } from "../runtime/native/ask.js";
import { SystemFiles } from "../runtime/native/system-files.js";
import { skipUnless } from "./skip.js";
import { APU, device, fails, found, NVIDIA, POCL } from "./support/opencl-devices.js";
import { freshSeed, Random } from "./support/random.js";

test("persistent kernels need fine-grain SVM with atomics, and on hardware atomics of all devices' scope", () => {
  const persistent = (more: Partial<OpenClDevice>) => traitsOf(device(more)).persistent;
  assert.ok(persistent({}));
  assert.not(persistent({ svm: 0b0011 }), "no atomics");
  assert.not(persistent({ svm: 0b1001 }), "coarse grain");
  assert.not(persistent({ cVersion: "1.2" }), "no C11 atomics");
  assert.not(persistent({ cVersion: "" }), "no version");
  assert.not(persistent({ atomics: 0b011_0111 }), "device scope only");
  assert.ok(persistent({ atomics: 0b011_0111, features: ["__opencl_c_atomic_scope_all_devices"] }));
  assert.ok(persistent({ atomics: 0b011_0111, type: 2 }), "a processor that plays GPU shares its caches");
  assert.ok(traitsOf(APU).persistent, "OpenCL 2.0 has the scope with SVM atomics");
  assert.not(persistent({ version: "OpenCL 2.0", svm: 0b0011, atomics: 0 }));
  assert.is(traitsOf(NVIDIA).reason, "no fine-grain SVM, no SVM atomics");
  assert.match(traitsOf(device({ atomics: 0b011_0111 })).reason, /all-devices scope/);
});

test("a processor that plays GPU is emulation, whatever it calls itself", () => {
  assert.ok(traitsOf(POCL).emulated);
  assert.ok(traitsOf(device({ name: "llvmpipe (LLVM 15.0.6, 256 bits)", type: 4 })).emulated);
  assert.not(traitsOf(APU).emulated);
});

test("devices that cannot be used say why", () => {
  assert.is(traitsOf(device()).unusable, undefined);
  for (const more of [{ available: false }, { compiler: false }, { maxWorkgroupSize: 32 }] as const) {
    const one = device(more);
    assert.ok(traitsOf(one).unusable);
    assert.throws(
      () => pickDevice(found(one), undefined, "--device opencl"),
      (error: Error) =>
        error instanceof RunError && /cannot be used: .+\n {2}remedy: .*doctor --install/.test(error.message),
    );
  }
});

test("hardware goes before emulation, persistent before rounds, in whatever order the platforms name them", () => {
  const random = new Random(freshSeed());
  const small = device({ name: "small", computeUnits: 24 });
  const card = device({ name: "card", unifiedMemory: false, computeUnits: 512 });
  const fpga = device({ name: "fpga", type: 8, computeUnits: 1000 });
  const broken = device({ name: "broken", compiler: false });
  const best = [device(), small, card, fpga, NVIDIA, POCL, broken];
  for (let round = 0; round < 50; round++) {
    const shuffled = [...best];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = random.int(0, i);
      [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
    }
    assert.equal(
      ranked(found(...shuffled)).map((one) => one.device.name),
      best.map((one) => one.name),
    );
  }
});

test("a name is part of a device's or platform's name, in any case", () => {
  const all = found(NVIDIA, POCL, APU, device());
  const pick = (name: string) => pickDevice(all, name, "--device opencl").device.name;
  assert.is(pick("h200"), NVIDIA.name);
  assert.is(pick("PORTABLE computing"), POCL.name);
  assert.is(pick("PoCL"), POCL.name);
  assert.is(pick("amd"), APU.name, "the best of those that match: EPYC's emulation does, too");
  assert.throws(
    () => pickDevice(all, "gtx", "--device opencl:gtx"),
    (error: Error) =>
      error instanceof RunError &&
      error.message.startsWith("--device opencl:gtx: ") &&
      all.every((one) => error.message.includes(one.device.name)) &&
      error.message.includes("remedy: "),
  );
  assert.throws(
    () => pickDevice([], undefined, "--device opencl"),
    /no OpenCL platform.*\n {2}remedy: .*doctor --install/,
  );
});

test("a loader that was told where to look says so", () => {
  assert.match(
    noDeviceRemedy("/opt/vendors"),
    /^unset OCL_ICD_VENDORS, .* \/opt\/vendors alone; or .*doctor --install/,
  );
  for (const none of ["", undefined]) assert.match(noDeviceRemedy(none), /^npm run -s wingbeat -- doctor --install/);
});

test("PoCL's kernel cache: where it is, and what is wrong with it", () => {
  assert.is(poclCache({ POCL_CACHE_DIR: "/a", XDG_CACHE_HOME: "/b", HOME: "/c" }), "/a");
  assert.is(poclCache({ POCL_CACHE_DIR: "", XDG_CACHE_HOME: "/b", HOME: "/c" }), "/b/pocl/kcache");
  assert.is(poclCache({ HOME: "/c" }), "/c/.cache/pocl/kcache");
  assert.is(poclCache({}), "/tmp/pocl/kcache");
  const folder = mkdtempSync(join(tmpdir(), "wingbeat-cache-"));
  assert.is(poclCacheProblem(join(folder, "a", "b")), undefined);
  assert.equal(poclFindings(undefined), []);
  writeFileSync(join(folder, "file"), "");
  for (const wrong of [join(folder, "file"), join(folder, "file", "b"), "/proc/nobody"]) {
    const problem = poclCacheProblem(wrong)!;
    assert.ok(problem.problem.includes(`${wrong}, which cannot be written (E`), problem.problem);
    const [finding] = poclFindings(problem);
    assert.equal([finding!.detail, finding!.remedy], [problem.problem, problem.remedy]);
  }
  rmSync(folder, { recursive: true });
});

test("slices are for hardware whose driver has a watchdog, unless asked for", () => {
  const folder = mkdtempSync(join(tmpdir(), "wingbeat-slice-"));
  try {
    const file = (path: string, text: string) => {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    };
    const files = new SystemFiles(folder);
    const auto = (one: OpenClDevice) => sliceFor(one, undefined, files).ms;
    assert.is(auto(device()), 0, "no driver");
    const heartbeat = "/sys/class/drm/card0/engine/rcs0/heartbeat_interval_ms";
    file(heartbeat, "2500\n");
    assert.ok(auto(device()) > 0 && auto(device()) < 640);
    assert.is(sliceFor(device(), undefined, files).watchdog, "i915 heartbeat");
    assert.is(auto(POCL), 0, "emulation");
    assert.is(auto(APU), 0, "another vendor's");
    assert.is(sliceFor(device(), 0, files).ms, 0, "asked for none");
    assert.is(sliceFor(POCL, 7, files).ms, 7, "asked for");
    file(heartbeat, "0\n");
    assert.is(auto(device()), 0, "off");
    file("/sys/module/amdgpu/parameters/lockup_timeout", "\n");
    assert.ok(auto(APU) > 0);
    file("/sys/module/amdgpu/parameters/lockup_timeout", "-1\n");
    assert.is(auto(APU), 0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("doctor says of each device what it is good for, and the remedy of each lack", () => {
  const states = openClFindings("/lib/libOpenCL.so.1", [
    POCL,
    NVIDIA,
    device(),
    device({ compiler: false, name: "old" }),
  ]);
  assert.equal(
    states.map((one) => [one.name, one.state]),
    [
      [`opencl: ${device().name}`, "ok"],
      ["opencl: NVIDIA H200", "limited"],
      [`opencl: ${POCL.name}`, "limited"],
      ["opencl: old", "limited"],
    ],
  );
  const [iris, nvidia, pocl, old] = states;
  assert.match(iris!.detail, /hardware; persistent kernels, zero-copy .*96 compute units.*local memory 64 KiB/);
  assert.match(iris!.detail, /SVM: coarse-grain buffers, fine-grain buffers, atomics; OpenCL C 3\.0;/);
  assert.is(iris!.remedy, undefined);
  assert.match(nvidia!.detail, /hardware; rounds with copies \(no fine-grain SVM, no SVM atomics\)/);
  assert.match(nvidia!.remedy!, /fine-grain SVM/);
  assert.match(pocl!.detail, /emulated on the CPU.*persistent/);
  assert.is(pocl!.remedy, undefined, "hardware is there");
  assert.match(openClFindings("x", [POCL])[0]!.remedy!, /intel-opencl-icd/);
  assert.match(old!.detail, /cannot be used: its driver has no compiler/);
  assert.equal(
    openClFindings("x", [POCL, POCL]).map((one) => one.name),
    [`opencl: ${POCL.name}`, `opencl: ${POCL.name} (2)`],
  );
  const [none] = openClFindings("/lib/x.so", []);
  assert.equal([none!.state, none!.name], ["missing", "OpenCL loader"]);
  assert.match(none!.remedy!, /doctor --install/);
  const [hung] = openClFindings("/lib/x.so", new Error("no answer within 20 s"));
  assert.match(hung!.detail, /cannot be used: no answer within 20 s/);
  assert.ok(hung!.remedy);
});

test("SVM kinds in words", () => {
  assert.is(svmKinds(0), "none");
  assert.is(svmKinds(0b1111), "coarse-grain buffers, fine-grain buffers, fine-grain system, atomics");
});

test("PoCL gets as many threads as workgroups are asked for, unless the user says", () => {
  const names = ["POCL_MAX_PTHREAD_COUNT", "POCL_CPU_MAX_CU_COUNT"];
  const before = names.map((name) => process.env[name]);
  try {
    for (const name of names) delete process.env[name];
    preparePocl(undefined);
    preparePocl(1);
    assert.equal(
      names.map((name) => process.env[name]),
      [undefined, undefined],
    );
    process.env["POCL_CPU_MAX_CU_COUNT"] = "3";
    preparePocl(4096);
    assert.equal(
      names.map((name) => process.env[name]),
      ["4096", "3"],
    );
  } finally {
    names.forEach((name, i) => {
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
    });
  }
});

test("PoCL that nobody has installed is tried in another process before a run relies on it", async () => {
  await tryPocl(device({ name: "no such device" }), false);
  await tryPocl(POCL, true);
  await fails(tryPocl({ ...POCL, name: "no such device" }, false), /there is no device no such device.*remedy: /s);
  const answer = await ask<OpenClDevice[]>(new URL("../runtime/device/opencl/probe.js", import.meta.url));
  const real = answer instanceof Error ? undefined : answer.find((one) => /portable computing/i.test(one.platform));
  if (skipUnless(real !== undefined, "PoCL is not installed: wingbeat doctor --install as root")) return;
  await tryPocl(real!, false);
});

test.run();
