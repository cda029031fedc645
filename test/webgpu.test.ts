/** WebGPU adapters, shader composition, and the kernels of several NFs in one shader. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { KEYS, OP, SA_SHIFT } from "../nfs/ipsec/layout.js";
import { gpuTables } from "../nfs/nids/gpu-tables.js";
import { PARAM_PLACE, type QueueShape } from "../runtime/device/queue.js";
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
import { compileShader, originOf, shaderSource } from "../runtime/device/webgpu/program.js";
import { writeWords } from "../runtime/device/webgpu/upload.js";
import { PARAM_WORDS, SLOT_SIZE } from "../runtime/packet/arena.js";
import { skipUnless } from "./skip.js";
import { firstDifference, shuffled, sideBySide } from "./support/offload-run.js";
import { freshSeed, Random } from "./support/random.js";
import { WgslRunner } from "./support/wgsl-runner.js";

const SHAPE: QueueShape = { workgroups: 1, workgroupSize: 64, depth: 1 };
const SMALL: Wanted = { buffer: 1024, workgroupSize: 64, workgroupMemory: 16, storageBuffers: 4 };
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

const lack = await WgslRunner.lack();
const adapterTest = (name: string, body: () => Promise<void>) =>
  test(name, async () => {
    if (!skipUnless(lack === undefined, lack ?? "")) await body();
  });

/** A folder with kernels of one's own. */
function kernels(files: Readonly<Record<string, string>>): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "wgsl-"));
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), text);
  return folder;
}

async function small() {
  prepareVulkan();
  return openDevice(pickAdapter(await listAdapters()), SMALL);
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
  const folder = kernels({ "b.json": "{}", "a.json": "{}", "readme.txt": "" });
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
  assert.is(drivers({ XDG_CACHE_HOME: folder }), "unset", "no SwiftShader there");
  const cache = path.join(folder, "wingbeat");
  fs.mkdirSync(cache);
  for (const name of ["libvk_swiftshader.so", "vk_swiftshader_icd.json", "libvulkan.so.1"]) {
    fs.writeFileSync(path.join(cache, name), "");
  }
  const found = drivers({ XDG_CACHE_HOME: folder }).split(":");
  assert.equal(found, [...systemDrivers(), path.join(cache, "vk_swiftshader_icd.json")]);
});

test("each line of a shader is led back to its file", () => {
  const source = shaderSource({ shape: SHAPE, programs: ["pass", "nids"], entry: "rounds" });
  const lines = source.code.split("\n");
  const where = (text: string) => originOf(source, lines.findIndex((line) => line.includes(text)) + 1);
  const lineIn = (name: string, text: string) => {
    const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../kernels");
    return (
      fs
        .readFileSync(path.join(folder, name), "utf8")
        .split("\n")
        .findIndex((line) => line.includes(text)) + 1
    );
  };
  for (const [file, text] of [
    ["common.wgsl", "fn wb_rotl("],
    ["nids.wgsl", "fn nf_nids("],
    ["rounds.wgsl", "fn rounds("],
    ["pass.wgsl", "// pass:"],
  ] as const) {
    assert.equal(where(text), { file, line: lineIn(file, text) });
  }
  assert.is(where("fn wb_serve(").file, "dispatch");
  assert.throws(
    () => shaderSource({ shape: SHAPE, programs: ["nothing"], entry: "rounds" }),
    /no kernel nothing\.wgsl/,
  );
});

adapterTest("a shader that does not compile: file, line and reason", async () => {
  const folder = kernels({
    "broken.wgsl":
      "// fine\nfn nf_broken(slot: u32, params_at: u32, table: u32) {\n  params[params_at] = 1;\n  nonsense();\n}\n",
  });
  const { device } = await small();
  const source = shaderSource({ shape: SHAPE, programs: ["pass", "broken"], entry: "rounds", folders: [folder] });
  const error = await compileShader(device, source).then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.match(error?.message ?? "it compiles", /broken\.wgsl:4:3: .*nonsense.*\n {4}nonsense\(\);/);
  assert.match(error!.message, /remedy/);
  device.destroy();
  await device.lost;
});

adapterTest("what the device refuses is an error with what was to be made; a lost device says so", async () => {
  const { device } = await small();
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
  const { device } = await small();
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

adapterTest("kernels of several NFs in one shader: each serves the rows that name it", async () => {
  const random = new Random(freshSeed());
  const tbl8 = 2 ** 23;
  const automaton = gpuTables([{ bytes: Uint8Array.from([1, 2, 3]), nocase: false }]);
  const tables = new Uint32Array(tbl8 + 128 + automaton.length);
  tables.fill(0x0007_0005, 0, 128); // prefixes 0.0.0.0/24, 0.0.1.0/24, ...: next hops 5 and 7 in turn
  tables.set(automaton, tbl8 + 128);
  const runner = await WgslRunner.open(["pass", "router", "ipsec", "nids"], tables, 64);
  const { arena } = runner;
  const slots = Uint32Array.from({ length: 64 }, (_, i) => i);
  arena.u8.fill(9);
  for (const slot of slots) {
    arena.params.set([0xbad, random.int(0, 255) << 8, 0, 0, 0, 0, 0, 256 | (100 << 16)], slot * PARAM_WORDS);
    if (slot % 3 === 0) arena.u8.set([1, 2, 3], slot * SLOT_SIZE + 256 + random.int(0, 97));
  }
  const bytes = arena.u8.slice();
  const first = () => Array.from(slots, (slot) => arena.params[slot * PARAM_WORDS]);
  await runner.run(slots, 64, 0, 0, 0);
  assert.equal(first(), Array(64).fill(0xbad), "pass");
  await runner.run(slots, 64, 0, 0, 2);
  assert.equal(first(), Array(64).fill(0xbad), "ipsec: 0xbad is neither SEAL nor OPEN");
  await runner.run(slots, 64, 0, 0, 1);
  const hops = Array.from(slots, (slot) => ((arena.params[slot * PARAM_WORDS + 1]! >> 8) & 1 ? 7 : 5));
  assert.equal(first(), hops, "router");
  await runner.run(slots, 64, 0, tbl8 + 128, 3);
  assert.equal(
    first(),
    Array.from(slots, (slot) => (slot % 3 === 0 ? 1 : 0)),
    "nids",
  );
  assert.ok(Buffer.from(arena.u8).equals(Buffer.from(bytes)), "no kernel of these writes to packets");
  await runner.close();
});

adapterTest(
  "packed rows, as devices that copy send them: what comes back is what the kernels make of whole slots",
  async () => {
    const seed = freshSeed();
    const random = new Random(seed);
    const slots = 256;
    const automaton = gpuTables([{ bytes: Uint8Array.of(7), nocase: false }]);
    const keys = Uint32Array.from({ length: 10 * KEYS.WORDS }, () => random.u32());
    const { all, at } = sideBySide([automaton, keys]);
    const whole = await WgslRunner.open(["nids", "ipsec"], all, slots);
    const packed = await WgslRunner.open(["nids", "ipsec"], all, slots, { packed: true });
    let hits = 0;
    for (let round = 0; round < 12; round++) {
      const program = round % 2;
      whole.arena.u8.set(random.bytes(whole.arena.u8.length));
      for (let slot = 0; slot < slots; slot++) {
        const blocks = random.int(1, random.pick([4, 100]));
        const bytes = program === 0 ? random.int(0, random.pick([40, 1500])) : 36 + 16 * blocks;
        const from = random.int(0, SLOT_SIZE - bytes);
        const params = Array.from({ length: PARAM_WORDS }, () => random.u32());
        params[0] = OP.SEAL | (random.int(0, 9) << SA_SHIFT);
        params[PARAM_PLACE] = from | (bytes << 16);
        whole.arena.params.set(params, slot * PARAM_WORDS);
      }
      packed.arena.u8.set(whole.arena.u8);
      packed.arena.params.set(whole.arena.params);
      const order = Uint32Array.from(shuffled(Array(slots).keys(), random));
      const count = random.pick([1, 63, 65, slots]);
      const from = random.int(0, 63);
      await whole.run(order, count, from, at[program]!, program);
      await packed.run(order, count, from, at[program]!, program);
      const story = `seed ${seed} round ${round} packets ${count} from column ${from}`;
      assert.is(firstDifference(packed.arena.u8, whole.arena.u8), -1, story);
      assert.equal(packed.arena.params, whole.arena.params, story);
      if (program === 0) for (const slot of order.subarray(0, count)) hits += whole.arena.params[slot * PARAM_WORDS]!;
    }
    assert.ok(hits > 5 && hits < 1000, `${hits} packets hold the pattern: vacuous`);
    await whole.close();
    await packed.close();
  },
);

test.run();
