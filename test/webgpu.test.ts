/** WebGPU adapters: which is taken, its limits, errors, and what doctor says. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type Adapter,
  type AdapterFacts,
  factsOf,
  listAdapters,
  openDevice,
  pickAdapter,
  scoped,
  tooSmall,
  type Wanted,
} from "../runtime/device/webgpu/adapter.js";
import { adapterFindings } from "../runtime/device/webgpu/findings.js";
import { prepareVulkan, systemDrivers } from "../runtime/device/webgpu/library.js";
import { writeWords } from "../runtime/device/webgpu/upload.js";
import { PROGRAM } from "../runtime/native/finding.js";
import { freshSeed, Random } from "./support/random.js";
import { adapterTests, SMALL, smallDevice } from "./support/webgpu.js";

const GPU: AdapterFacts = {
  name: "Radeon 780M",
  driver: "radv",
  emulated: false,
  maxBinding: 2 ** 30,
  maxBuffer: 2 ** 29,
  maxWorkgroupSize: 1024,
  workgroupMemory: 2 ** 15,
};
const CPU: AdapterFacts = { ...GPU, name: "SwiftShader", driver: "SwiftShader driver", emulated: true };

const adapterTest = await adapterTests();

/** A folder with these files. */
function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "wgsl-"));
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), text);
  return folder;
}

const asAdapter = (facts: AdapterFacts) => ({ facts }) as Adapter;

test("the best adapter is taken, or one by name; what is missing is named with the remedy", () => {
  const two = [asAdapter(GPU), asAdapter(CPU)];
  assert.is(pickAdapter(two).facts, GPU);
  assert.is(pickAdapter(two, "swift").facts, CPU);
  assert.is(pickAdapter(two, "RADV").facts, GPU);
  assert.throws(
    () => pickAdapter(two, "arc"),
    /webgpu:arc: no adapter has "arc".*\n.*remedy:.*Radeon 780M, SwiftShader/,
  );
  assert.throws(() => pickAdapter([]), /Dawn accepts no Vulkan driver.*\n.*remedy:.*doctor --install/);
});

test("limits: what does not reach is named with both numbers, what just reaches is taken", () => {
  assert.is(tooSmall(GPU, { ...SMALL, buffer: 2 ** 29, workgroupSize: 1024, workgroupMemory: 2 ** 15 }), undefined);
  const problem = (wanted: Partial<Wanted>) => tooSmall(GPU, { ...SMALL, ...wanted })?.problem ?? "";
  assert.match(problem({ buffer: 2 ** 29 + 4 }), /buffer of 512 MiB is needed.*at most 512 MiB/);
  assert.match(problem({ buffer: 2 ** 31 }), /2048 MiB is needed, and Radeon 780M takes at most 512 MiB/);
  assert.match(problem({ workgroupSize: 2048 }), /2048 threads.*at most 1024/);
  assert.match(problem({ workgroupMemory: 40_000 }), /40000 bytes.*has 32768/);
});

test("an adapter is emulated where it says so or bears an emulator's name", () => {
  const limits = { maxStorageBufferBindingSize: 1, maxBufferSize: 2, maxComputeWorkgroupSizeX: 9 };
  const adapter = (info: Partial<GPUAdapterInfo>) =>
    factsOf({
      info: { vendor: "", architecture: "", device: "", description: "", isFallbackAdapter: false, ...info },
      limits: { ...limits, maxComputeInvocationsPerWorkgroup: 8, maxComputeWorkgroupStorageSize: 3 },
    } as GPUAdapter);
  assert.is(adapter({ device: "llvmpipe (LLVM 19)", vendor: "mesa" }).emulated, true);
  assert.is(adapter({ isFallbackAdapter: true }).emulated, true);
  assert.equal(adapter({ device: "780M", vendor: "amd", description: "radv" }), {
    name: "780M",
    driver: "radv",
    emulated: false,
    maxBinding: 1,
    maxBuffer: 2,
    maxWorkgroupSize: 8,
    workgroupMemory: 3,
  });
});

test("what doctor says: hardware, emulation, no adapter, a driver that crashes", () => {
  const states = (facts: readonly AdapterFacts[]) => adapterFindings(facts, []).map(({ name, state }) => [name, state]);
  assert.equal(states([GPU, CPU]), [
    ["webgpu: Radeon 780M", "ok"],
    ["webgpu: SwiftShader", "limited"],
  ]);
  const [alone] = adapterFindings([CPU], ["/usr/share/vulkan/icd.d/lvp_icd.json"]);
  assert.match(alone!.detail, /emulated on the CPU.*buffers up to 512 MiB/);
  assert.match(alone!.remedy!, /refuses lvp_icd\.json/);
  const [none] = adapterFindings([], []);
  assert.equal([none!.state, /--install/.test(none!.remedy!)], ["missing", true]);
  const [crashed] = adapterFindings(new Error("it ended the process with SIGSEGV"), []);
  assert.match(crashed!.detail, /cannot be used: it ended the process with SIGSEGV/);
});

test("the system's drivers come before SwiftShader, and what the user has set stays", () => {
  const folder = folderOf({ "b.json": "{}", "a.json": "{}", "readme.txt": "" });
  assert.equal(systemDrivers(["/nonexistent", folder]), [path.join(folder, "a.json"), path.join(folder, "b.json")]);
  const script = `const { prepareVulkan } = await import(${JSON.stringify(new URL("../runtime/device/webgpu/library.js", import.meta.url).href)});
    prepareVulkan(); console.log(process.env.VK_ICD_FILENAMES ?? "unset");`;
  const drivers = (more: Record<string, string>) => {
    const env = { ...process.env, ...more };
    if (!("VK_ICD_FILENAMES" in more)) delete env.VK_ICD_FILENAMES;
    return execFileSync(process.execPath, ["--input-type=module", "-e", script], { env, encoding: "utf8" }).trim();
  };
  assert.is(drivers({ VK_ICD_FILENAMES: "/mine.json" }), "/mine.json");
  assert.is(drivers({ VK_DRIVER_FILES: "/mine.json" }), "unset");
  // A bundle may have a SwiftShader of its own.
  if (PROGRAM.startsWith("npm")) assert.is(drivers({ XDG_CACHE_HOME: folder }), "unset", "no SwiftShader there");
  const cache = path.join(folder, "wingbeat");
  fs.mkdirSync(cache);
  for (const name of ["libvk_swiftshader.so", "vk_swiftshader_icd.json", "libvulkan.so.1"]) {
    fs.writeFileSync(path.join(cache, name), "");
  }
  const found = drivers({ XDG_CACHE_HOME: folder }).split(":");
  assert.equal(found, [...systemDrivers(), path.join(cache, "vk_swiftshader_icd.json")]);
});

adapterTest("what the device refuses is an error with what was to be made; a lost device says so", async () => {
  const { device } = await smallDevice();
  const refused = await scoped(device, "the buffer of the test", () =>
    device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE }),
  ).then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.match(refused?.message ?? "it is made", /the buffer of the test cannot be made: \S+/);
  const made = await scoped(device, "a buffer", () => device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE }));
  assert.is(made.size, 16);
  device.destroy();
  assert.is((await device.lost).reason, "destroyed");
});

adapterTest(
  "limits beyond WebGPU's defaults are there where they were asked for, and refused beyond the adapter's",
  async () => {
    prepareVulkan();
    const one = pickAdapter(await listAdapters());
    const { maxBinding, maxBuffer } = one.facts;
    await openDevice(one, { ...SMALL, buffer: 2 ** 40 }).then(
      () => assert.unreachable("no adapter has that"),
      (error: Error) => assert.match(error.message, /a buffer of 1048576 MiB is needed/),
    );
    const { device } = await openDevice(one, { ...SMALL, buffer: Math.min(maxBinding, maxBuffer) });
    assert.is(device.limits.maxStorageBufferBindingSize, Math.min(maxBinding, maxBuffer));
    device.destroy();
    await device.lost;
  },
);

adapterTest("tables in shared memory arrive whole, at their place", async () => {
  const random = new Random(freshSeed());
  const { device } = await smallDevice();
  const words = 2 ** 22 + 1000;
  const buffer = device.createBuffer({
    size: 4 * (words + 8),
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  });
  const back = device.createBuffer({ size: buffer.size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const shared = new Uint32Array(new SharedArrayBuffer(4 * words));
  shared.set(new Uint32Array(random.bytes(4 * words).slice().buffer));
  writeWords(device.queue, buffer, 3, shared);
  writeWords(device.queue, buffer, 0, Uint32Array.of(1, 2));
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, back, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await back.mapAsync(GPUMapMode.READ);
  const found = Buffer.from(back.getMappedRange());
  const expected = new Uint32Array(words + 8);
  expected.set([1, 2, 0]);
  expected.set(shared, 3);
  assert.ok(found.equals(Buffer.from(expected.buffer)));
  device.destroy();
  await device.lost;
});

test.run();
