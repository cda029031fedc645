/**
 * WebGPU adapters of this machine: which there are, which is taken, whether it is a GPU or a CPU that plays one, and a device with the
 * limits a run needs. WebGPU gives a device modest limits unless more is asked for, and never more than the adapter has.
 */
import { RunError } from "../../errors.js";
import { PROGRAM } from "../../native/finding.js";
import { dawn } from "./library.js";

/** An adapter as `doctor` shows it; plain data. */
export interface AdapterFacts {
  readonly name: string;
  readonly driver: string;
  /** A CPU plays GPU (SwiftShader, llvmpipe): proves correctness, says nothing about the benefit of a GPU. */
  readonly emulated: boolean;
  /** Bytes one binding may show a shader: the most that tables, or the slots of a round, can take. */
  readonly maxBinding: number;
  /** Bytes of the largest buffer. */
  readonly maxBuffer: number;
  /** Threads of the largest workgroup. */
  readonly maxWorkgroupSize: number;
  /** Bytes of a workgroup's shared memory. */
  readonly workgroupMemory: number;
}

/** What a run needs of a device. */
export interface Wanted {
  /** Bytes of the largest storage buffer. */
  readonly buffer: number;
  /** Threads of a workgroup. */
  readonly workgroupSize: number;
  /** Bytes of workgroup memory that all kernels together take. */
  readonly workgroupMemory: number;
  /** Storage buffers a shader sees. */
  readonly storageBuffers: number;
}

export interface Adapter {
  readonly facts: AdapterFacts;
  readonly adapter: GPUAdapter;
}

export interface OpenedGpu {
  readonly device: GPUDevice;
  readonly facts: AdapterFacts;
}

const EMULATORS = /swiftshader|llvmpipe|lavapipe|softpipe|microsoft basic render/i;
const INSTALL = `${PROGRAM} doctor --install`;

/** Ways of asking, the best answer first. WebGPU lists no adapters; it gives one for each wish. */
const WISHES: readonly GPURequestAdapterOptions[] = [
  { powerPreference: "high-performance" },
  { powerPreference: "low-power" },
  { forceFallbackAdapter: true },
];

export function factsOf(adapter: GPUAdapter): AdapterFacts {
  const { info, limits } = adapter;
  const { vendor, architecture, device, description } = info;
  const words = [vendor, architecture, device].filter((word) => word !== "").join(" ");
  return {
    name: /swiftshader/i.test(words) ? "SwiftShader" : device || words || "unnamed adapter",
    driver: description,
    emulated: info.isFallbackAdapter || EMULATORS.test(`${words} ${description}`),
    maxBinding: limits.maxStorageBufferBindingSize,
    maxBuffer: limits.maxBufferSize,
    maxWorkgroupSize: Math.min(limits.maxComputeWorkgroupSizeX, limits.maxComputeInvocationsPerWorkgroup),
    workgroupMemory: limits.maxComputeWorkgroupStorageSize,
  };
}

/** Adapters Dawn accepts, hardware before emulation. The main thread has called prepareVulkan(). @throws RunError without Dawn */
export async function listAdapters(): Promise<Adapter[]> {
  const gpu = await dawn();
  const found = new Map<string, Adapter>();
  for (const wish of WISHES) {
    const adapter = await gpu.requestAdapter(wish);
    if (adapter === null) continue;
    const facts = factsOf(adapter);
    const key = `${facts.name}\n${facts.driver}`;
    if (!found.has(key)) found.set(key, { facts, adapter });
  }
  return [...found.values()].sort((a, b) => Number(a.facts.emulated) - Number(b.facts.emulated));
}

/**
 * The first adapter, or the first whose name or driver has `name` in it.
 * @param where the option that asks for it, for messages
 * @throws RunError where there is none, naming those there are
 */
export function pickAdapter<T extends { readonly facts: AdapterFacts }>(
  found: readonly T[],
  name?: string,
  where = name === undefined ? "webgpu" : `webgpu:${name}`,
): T {
  if (found.length === 0) {
    throw new RunError(
      where,
      "Dawn accepts no Vulkan driver of this machine",
      `${INSTALL} (brings SwiftShader, which emulates one), or use --device opencl or none`,
    );
  }
  const wanted = name?.toLowerCase() ?? "";
  const one = found.find(({ facts }) => `${facts.name} ${facts.driver}`.toLowerCase().includes(wanted));
  if (one !== undefined) return one;
  const names = found.map(({ facts }) => facts.name).join(", ");
  throw new RunError(where, `no adapter has "${name}" in its name`, `name one of those that are there: ${names}`);
}

/** In words: what limit of the adapter does not reach, and what would. @returns undefined where all do */
export function tooSmall(facts: AdapterFacts, wanted: Wanted): { problem: string; remedy: string } | undefined {
  const { buffer, workgroupSize, workgroupMemory } = wanted;
  const most = Math.min(facts.maxBinding, facts.maxBuffer);
  if (buffer > most) {
    return {
      problem: `a buffer of ${mebibytes(buffer)} is needed, and ${facts.name} takes at most ${mebibytes(most)} (${facts.maxBinding <= facts.maxBuffer ? "maxStorageBufferBindingSize" : "maxBufferSize"})`,
      remedy: "place the NF with the largest tables on the CPU, load fewer routes or rules, or use another --device",
    };
  }
  if (workgroupSize > facts.maxWorkgroupSize) {
    return {
      problem: `workgroups of ${workgroupSize} threads are needed, and ${facts.name} takes at most ${facts.maxWorkgroupSize} (maxComputeInvocationsPerWorkgroup)`,
      remedy: `use workgroups of at most ${facts.maxWorkgroupSize}`,
    };
  }
  if (workgroupMemory > facts.workgroupMemory) {
    return {
      problem: `the kernels take ${workgroupMemory} bytes of workgroup memory, and ${facts.name} has ${facts.workgroupMemory} (maxComputeWorkgroupStorageSize)`,
      remedy: "place fewer NFs on the GPU, or use another --device",
    };
  }
  return undefined;
}

/** @throws RunError where a limit is too small or the driver refuses a device */
export async function openDevice({ adapter, facts }: Adapter, wanted: Wanted): Promise<OpenedGpu> {
  const lack = tooSmall(facts, wanted);
  if (lack !== undefined) throw new RunError("webgpu", lack.problem, lack.remedy);
  const requiredLimits = {
    maxStorageBufferBindingSize: atLeast(wanted.buffer, 2 ** 27),
    maxBufferSize: atLeast(wanted.buffer, 2 ** 28),
    maxStorageBuffersPerShaderStage: atLeast(wanted.storageBuffers, 8),
    maxComputeInvocationsPerWorkgroup: atLeast(wanted.workgroupSize, 256),
    maxComputeWorkgroupSizeX: atLeast(wanted.workgroupSize, 256),
    maxComputeWorkgroupStorageSize: atLeast(wanted.workgroupMemory, 2 ** 14),
  };
  try {
    return { facts, device: await adapter.requestDevice({ label: "wingbeat", requiredLimits }) };
  } catch (error) {
    const reason = error instanceof Error && error.message !== "" ? error.message : "no reason given";
    throw new RunError("webgpu", `${facts.name} gives no device: ${reason}`, "use another --device");
  }
}

/** WebGPU's default, or what is wanted where that is more; multiples of 4, as bindings have to be. */
function atLeast(wanted: number, byDefault: number): number {
  return Math.max(byDefault, Math.ceil(wanted / 4) * 4);
}

/**
 * Makes something on the device in error scopes: WebGPU objects are made at once and turn out to be invalid later.
 * @param what it is, for the message
 * @throws RunError with the device's complaint
 */
export async function scoped<T>(device: GPUDevice, what: string, make: () => T): Promise<T> {
  device.pushErrorScope("out-of-memory");
  device.pushErrorScope("validation");
  device.pushErrorScope("internal");
  let made: T | undefined;
  let thrown: unknown;
  try {
    made = make();
  } catch (error) {
    thrown = error;
  }
  const errors = await Promise.all([device.popErrorScope(), device.popErrorScope(), device.popErrorScope()]);
  const error = thrown ?? errors.find((one) => one !== null);
  if (error === undefined) return made as T;
  const outOfMemory = errors[2] !== null;
  const reason = (error as { message?: string }).message || (outOfMemory ? "out of memory" : "no reason given");
  throw new RunError("webgpu", `${what} cannot be made: ${reason}`, "use another --device, or place fewer NFs on it");
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 3 : 0)} MiB`;
}
