import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkGpuPlaces } from "../runtime/chain/load.js";
import type { NfModule } from "../runtime/chain/nf.js";
import { parseSlice, parseWorkgroups } from "../runtime/cli/options.js";
import { type Candidate, candidates, openForRun, parseDevice } from "../runtime/device/choose.js";
import type { FoundDevice } from "../runtime/device/opencl/platform.js";
import type { AdapterFacts } from "../runtime/device/webgpu/adapter.js";
import { ConfigError, RunError } from "../runtime/errors.js";
import { device, fails, found, NVIDIA, POCL } from "./support/opencl-devices.js";

test("--device is parsed whole", () => {
  const parsed = (text: string) => {
    const { kind, name, rounds } = parseDevice(text);
    return [kind, name, rounds];
  };
  assert.equal(parsed("auto"), ["auto", undefined, false]);
  assert.equal(parsed("none"), ["none", undefined, false]);
  assert.equal(parsed("opencl"), ["opencl", undefined, false]);
  assert.equal(parsed("opencl:Iris"), ["opencl", "Iris", false]);
  assert.equal(parsed("opencl:rounds"), ["opencl", undefined, true]);
  assert.equal(parsed("opencl:gfx90c:xnack-:rounds"), ["opencl", "gfx90c:xnack-", true]);
  assert.equal(parsed("opencl:gfx90c:xnack-"), ["opencl", "gfx90c:xnack-", false]);
  assert.equal(parsed("webgpu:rounds"), ["webgpu", "rounds", false], "a name there");
  const routing = (text: string) => [parseDevice(text).name, parseDevice(text).hostRouting];
  assert.equal(routing("webgpu"), [undefined, false]);
  assert.equal(routing("webgpu:host-routing"), [undefined, true]);
  assert.equal(routing("webgpu:780M:host-routing"), ["780M", true]);
  assert.equal(routing("webgpu:host-routing:780M"), ["host-routing:780M", false]);
  assert.equal(routing("opencl:host-routing"), ["host-routing", false], "a name there");
  for (const text of [
    "",
    "cuda",
    "OpenCL",
    "auto:x",
    "none:",
    "none:rounds",
    "opencl:",
    "opencl::rounds",
    "opencl: ",
  ]) {
    assert.throws(
      () => parseDevice(text),
      (error: Error) => error instanceof ConfigError && error.message.includes(`found "${text}"`),
      text,
    );
  }
});

test("--slice and --workgroups take whole numbers in their range", () => {
  assert.is(parseSlice("0"), 0);
  assert.is(parseSlice("1"), 1);
  assert.is(parseSlice(undefined), undefined);
  assert.is(parseWorkgroups("64"), 64);
  assert.is(parseWorkgroups(undefined), undefined);
  for (const text of ["-1", "1.5", "10ms", "", "60001"]) assert.throws(() => parseSlice(text), /^--slice: /, text);
  for (const text of ["0", "65", "2x", "-4", ""]) assert.throws(() => parseWorkgroups(text), /^--workgroups: /, text);
});

interface Tried {
  readonly device: string | undefined;
  readonly opened: readonly string[];
  readonly said: readonly string[];
}

const NO_DAWN = new RunError("webgpu", "the npm package webgpu does not load", "npm ci");

function adapter(name: string, emulated: boolean): AdapterFacts {
  const limits = { maxBinding: 2 ** 30, maxBuffer: 2 ** 30, maxWorkgroupSize: 256, workgroupMemory: 2 ** 15 };
  return { name, driver: "a driver", emulated, ...limits };
}
const RADV = adapter("Radeon 780M", false);
const SWIFTSHADER = adapter("SwiftShader", true);

function nameOf(one: Candidate): string {
  if (one.kind === "webgpu") return `${one.facts.name} webgpu`;
  if (one.kind === "gpujs") return `gpujs ${one.mode}`;
  return `${one.found.device.name} ${one.persistent ? "persistent" : "rounds"}`;
}

/**
 * What a request comes to on a machine with these devices, of which those in `failing` ("NAME persistent", "NAME webgpu") do not open.
 */
async function tried(
  text: string,
  there: readonly FoundDevice[] | Error,
  failing: (name: string) => Error | undefined = () => undefined,
  nfs: readonly string[] = ["nids", "ipsec"],
  adapters: readonly AdapterFacts[] | Error | "not asked" = NO_DAWN,
): Promise<Tried> {
  const opened: string[] = [];
  const said: string[] = [];
  const chosen = await openForRun<string>(parseDevice(text), nfs, ["nids", "ipsec", "router"], {
    opencl() {
      if (there instanceof Error) throw there;
      return there;
    },
    async webgpu() {
      if (adapters === "not asked") throw new Error("WebGPU was asked for");
      if (adapters instanceof Error) throw adapters;
      return adapters;
    },
    lack: (kind) => (kind === "gpujs" ? "no kernel for gpu.js" : undefined),
    async open(one: Candidate) {
      const name = nameOf(one);
      opened.push(name);
      const error = failing(name);
      if (error !== undefined) throw error;
      return name;
    },
    warn: (line) => said.push(line),
  });
  for (const line of said) assert.not.match(line, /\n/, "one line each");
  return { device: chosen, opened, said };
}

const LOG = new RunError("opencl", "the kernels do not compile for this device:\nline one\nline two", "use another");

test("auto opens the best, and nothing where no NF is on a GPU", async () => {
  const there = found(POCL, NVIDIA, device());
  assert.equal(await tried("auto", there), {
    device: `${device().name} persistent`,
    opened: [`${device().name} persistent`],
    said: [],
  });
  assert.equal(await tried("auto", there, undefined, []), { device: undefined, opened: [], said: [] });
  assert.equal(await tried("none", there), { device: undefined, opened: [], said: [] });
});

test("auto goes from the best to the next, one line each, and ends at the CPU", async () => {
  const there = found(POCL, NVIDIA);
  const {
    device: chosen,
    opened,
    said,
  } = await tried("auto", there, (name) => (/pthread/.test(name) ? undefined : LOG));
  assert.is(chosen, `${POCL.name} persistent`);
  assert.equal(opened, [`${NVIDIA.name} rounds`, `${POCL.name} persistent`]);
  assert.is(said.length, 1);
  assert.match(said[0]!, /NVIDIA H200 \(rounds\) does not open, trying pthread.* \(persistent\): .*do not compile/);
  assert.match(said[0]!, /--device opencl shows all of it/);
  assert.match(said[0]!, /remedy: use another$/);
  assert.not.match(said[0]!, /line one/);

  const nothing = await tried("auto", there, () => new RunError("opencl", "no workgroup starts", "mend it"));
  assert.is(nothing.device, undefined);
  assert.is(nothing.opened.length, 3, "rounds of the persistent one, too");
  assert.is(nothing.said.length, 3);
  assert.match(nothing.said[2]!, /nids, ipsec on the CPU instead of the GPU: .*remedy: mend it$/);
});

test("auto says why there is nothing, with the remedy, and goes on", async () => {
  const loader = new RunError("opencl", "libOpenCL.so.1 is not on this machine", "wingbeat doctor --install");
  for (const there of [loader, [], found(device({ compiler: false }))]) {
    const { device: chosen, opened, said } = await tried("auto", there);
    assert.is(chosen, undefined);
    assert.equal(opened, []);
    assert.is(said.length, 1);
    assert.match(said[0]!, /^nids, ipsec on the CPU instead of the GPU: .*remedy: /);
  }
});

test("a device that was named is taken or the run fails", async () => {
  const there = found(POCL, device());
  assert.is((await tried("opencl:pthread", there)).device, `${POCL.name} persistent`);
  assert.is((await tried("opencl:pthread:rounds", there)).device, `${POCL.name} rounds`);
  assert.is((await tried("opencl:rounds", there)).device, `${device().name} rounds`);
  assert.is((await tried("opencl", found(NVIDIA))).device, `${NVIDIA.name} rounds`);
  await fails(
    tried("opencl", there, () => LOG),
    /^--device opencl: .*line two.*--device opencl:rounds launches/s,
  );
  await fails(
    tried("opencl:iris:rounds", there, () => LOG),
    /line two/,
  );
  await fails(tried("opencl:none-such", there), /there are: .*Iris.*pthread/);
  await fails(tried("opencl:none-such", there, undefined, []), /there are: /);
  await fails(tried("opencl", []), /no OpenCL platform/);
  const idle = await tried("opencl", there, undefined, []);
  assert.equal([idle.device, idle.opened], [undefined, []]);
  assert.match(idle.said[0]!, /nothing runs on it.*--place NF=gpu, for nids, ipsec, router/);
});

test("WebGPU is taken by name, or the run fails", async () => {
  const nfs = ["nids"];
  const webgpu = (text: string, adapters: readonly AdapterFacts[] | Error, failing?: (name: string) => Error) =>
    tried(text, new Error("OpenCL was asked for"), failing, nfs, adapters);
  assert.is((await webgpu("webgpu", [RADV, SWIFTSHADER])).device, "Radeon 780M webgpu");
  assert.is((await webgpu("webgpu:swift", [RADV, SWIFTSHADER])).device, "SwiftShader webgpu");
  assert.is((await webgpu("webgpu:A DRIVER", [SWIFTSHADER])).device, "SwiftShader webgpu");
  await fails(webgpu("webgpu:gtx", [RADV, SWIFTSHADER]), /^--device webgpu:gtx: no adapter .*\n.*Radeon 780M, SwiftS/);
  await fails(
    webgpu("webgpu", []),
    /^--device webgpu: Dawn accepts no Vulkan driver.*\n {2}remedy: .*doctor --install/,
  );
  await fails(webgpu("webgpu", NO_DAWN), /does not load/);
  await fails(
    webgpu("webgpu", [RADV], () => new RunError("webgpu", "the kernels do not compile:\nline two", "use another")),
    /^--device webgpu: the kernels do not compile:\nline two/,
  );
  const idle = await tried("webgpu", [], undefined, [], [RADV]);
  assert.equal([idle.device, idle.opened], [undefined, []]);
  assert.match(idle.said[0]!, /nothing runs on it/);
  await fails(tried("webgpu:gtx", [], undefined, [], [RADV]), /no adapter/);
});

test("auto: hardware before emulation, OpenCL before WebGPU, and WebGPU is not asked where it cannot matter", async () => {
  const auto = (
    there: readonly FoundDevice[] | Error,
    adapters: readonly AdapterFacts[] | Error | "not asked",
    failing?: (name: string) => Error | undefined,
  ) => tried("auto", there, failing, ["nids"], adapters);
  assert.is((await auto(found(POCL, NVIDIA), "not asked")).device, "NVIDIA H200 rounds");
  assert.equal(await auto(found(POCL), [SWIFTSHADER, RADV]), {
    device: "Radeon 780M webgpu",
    opened: ["Radeon 780M webgpu"],
    said: [],
  });
  assert.is((await auto(found(POCL), [SWIFTSHADER])).device, `${POCL.name} persistent`);
  const silent = await auto(found(POCL), NO_DAWN);
  assert.equal([silent.device, silent.said], [`${POCL.name} persistent`, []]);

  const nothing = await auto(found(POCL, device()), [SWIFTSHADER, RADV], () => LOG);
  const all = [`${device().name} persistent`, `${device().name} rounds`, "Radeon 780M webgpu"];
  assert.equal(nothing.opened, [...all, `${POCL.name} persistent`, `${POCL.name} rounds`, "SwiftShader webgpu"]);
  assert.is(nothing.said.length, 6);
  assert.match(
    nothing.said[2]!,
    /^Radeon 780M \(webgpu\) does not open, trying pthread.*--device webgpu shows all of it/,
  );
  assert.match(nothing.said[5]!, /^SwiftShader \(webgpu\) does not open, nids on the CPU instead of the GPU: /);

  const other = await auto(new RunError("opencl", "no loader", "install it"), [SWIFTSHADER]);
  assert.is(other.device, "SwiftShader webgpu");
  assert.equal(other.said, ["trying SwiftShader (webgpu): opencl: no loader; remedy: install it"]);
  const neither = await auto(new RunError("opencl", "no loader", "install it"), []);
  assert.is(neither.device, undefined);
  assert.is(neither.said.length, 1);
  assert.match(neither.said[0]!, /^nids on the CPU .*no loader; remedy: install it; webgpu: Dawn accepts no Vulkan/);
});

/** Opens OpenCL devices and gpu.js, but for those that `refuses` says something of. */
async function withGpuJs(
  request: string,
  there: readonly FoundDevice[],
  refuses: (name: string) => string | undefined,
) {
  const said: string[] = [];
  const open = async (name: string) => {
    const why = refuses(name);
    if (why !== undefined) throw new RunError("device", why);
    return name;
  };
  const device = await openForRun(parseDevice(request), ["mine"], ["mine"], {
    opencl: () => there,
    webgpu: async () => [],
    open: (one) => open(one.kind === "opencl" ? one.found.device.name : nameOf(one)),
    lack: (kind) => refuses(kind),
    warn: (line) => said.push(line),
  });
  return { device, said };
}

test("gpu.js: by its mode where it is named; for auto the last before the CPU, and the only one where kernels are plain functions", async () => {
  const all = () => undefined;
  assert.is((await withGpuJs("gpujs", [], all)).device, "gpujs webasm");
  assert.is((await withGpuJs("gpujs:webgpu", [], all)).device, "gpujs webgpu");
  assert.is((await withGpuJs("auto", found(POCL), all)).device, POCL.name);
  const none = await withGpuJs("auto", [], all);
  assert.is(none.device, "gpujs webasm");
  assert.match(none.said.join("\n"), /^trying gpu\.js \(webasm\): .*no OpenCL platform.*remedy: /);
  const broken = await withGpuJs("auto", found(POCL), (name) => (name === POCL.name ? "no memory" : undefined));
  assert.is(broken.device, "gpujs webasm");
  assert.match(broken.said.at(-1)!, /does not open, trying gpu\.js \(webasm\): .*no memory/);
  const plain = await withGpuJs("auto", found(POCL), (name) =>
    /^(opencl|webgpu)$/.test(name) ? "a plain function" : undefined,
  );
  assert.equal(plain, { device: "gpujs webasm", said: [] });
  const esp = await withGpuJs("auto", [], (name) => (name === "gpujs" ? "no ESP" : undefined));
  assert.is(esp.device, undefined);
  assert.match(esp.said.join("\n"), /^mine on the CPU instead of the GPU: .*no OpenCL platform/);
  const both = await withGpuJs("auto", found(POCL), (name) =>
    /gpujs|opencl|webgpu/.test(name) ? `no ${name}` : undefined,
  );
  assert.equal(both, {
    device: undefined,
    said: ["mine on the CPU instead of the GPU: no opencl; no webgpu; no gpujs"],
  });
  const refused = await withGpuJs("auto", [], (name) => (name === "gpujs webasm" ? "no kernel" : undefined));
  assert.is(refused.device, undefined);
  assert.match(
    refused.said.at(-1)!,
    /^gpu\.js \(webasm\) does not open, mine on the CPU instead of the GPU: .*no kernel/,
  );
  await fails(
    withGpuJs("gpujs", [], (name) => (name === "gpujs" ? "no ESP" : undefined)),
    /^--device gpujs: no ESP\n {2}remedy: --place/,
  );
  await fails(
    withGpuJs("opencl", found(POCL), (name) => (name === "opencl" ? "a plain function" : undefined)),
    /a plain function/,
  );
});

test("candidates of auto leave out what cannot be used", () => {
  const all = candidates(found(device({ available: false }), POCL), parseDevice("auto"));
  assert.equal(
    all.map((one) => [one.found.device.name, one.persistent]),
    [
      [POCL.name, true],
      [POCL.name, false],
    ],
  );
});

test("an NF without a kernel is not placed on a GPU, and those with one are named", () => {
  const nf = (name: string, place: "cpu" | "gpu", gpu: boolean) => ({
    name,
    type: `type-of-${name}`,
    place,
    module: (gpu ? { gpu: { program: name } } : {}) as unknown as NfModule,
  });
  const nfs = [nf("nids", "gpu", true), nf("router", "cpu", true), nf("meter", "gpu", false)];
  const words = /NF meter is of type type-of-meter, .*CPU only\n {2}remedy: .*: nids, router$/;
  for (const [places, where] of [
    [new Map([["meter", "gpu"]] as const), "--place: "],
    [new Map(), "chain.json: nfs.meter.place: "],
  ] as const) {
    assert.throws(
      () => checkGpuPlaces("chain.json", nfs, places),
      (error: Error) => error instanceof ConfigError && error.message.startsWith(where) && words.test(error.message),
    );
  }
  checkGpuPlaces("chain.json", nfs.slice(0, 2), new Map());
});

test.run();
