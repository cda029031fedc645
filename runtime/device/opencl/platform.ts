/**
 * The OpenCL devices of this machine: what each says of itself, what of that matters here, and which is taken.
 *
 * Source: OpenCL 3.0 API specification, section 4.2 (device queries) and 3.3.4 (memory scopes); numbers from cl.h.
 */
import { RunError } from "../../errors.js";
import { PROGRAM } from "../../native/finding.js";
import { CL, type Handle, handles, info, infoNumber, infoText, type OpenCl } from "./library.js";

/** Threads a workgroup has at least; a device with smaller ones cannot serve a row at once. */
const MIN_WORKGROUP = 64;
/** Bytes of a cl_name_version: a u32 version (10 bits major, 10 minor, 12 patch), then a name of 64 characters. */
const NAME_VERSION = 68;

/** What a device says of itself; plain data, so that a probe in another process can answer it as JSON. */
export interface OpenClDevice {
  readonly platform: string;
  readonly name: string;
  readonly vendor: string;
  /** CL_DEVICE_VERSION: "OpenCL 3.0 ...". */
  readonly version: string;
  readonly driver: string;
  /** Newest OpenCL C its compiler takes: "3.0". */
  readonly cVersion: string;
  /** Optional features of OpenCL C 3.0 it says it has, as the names of their macros. */
  readonly features: readonly string[];
  /** CL_DEVICE_TYPE: 2 CPU, 4 GPU, 8 accelerator. */
  readonly type: number;
  /** CL_DEVICE_SVM_CAPABILITIES: 1 coarse-grain buffers, 2 fine-grain buffers, 4 fine-grain system, 8 atomics. */
  readonly svm: number;
  /** CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES; 0 where the device is older than the question (OpenCL 2). */
  readonly atomics: number;
  readonly computeUnits: number;
  readonly maxWorkgroupSize: number;
  readonly localBytes: number;
  readonly globalBytes: number;
  /** Largest single allocation. */
  readonly maxAllocBytes: number;
  readonly unifiedMemory: boolean;
  readonly available: boolean;
  readonly compiler: boolean;
}

/** How a device can be used; found from what it says. */
export interface DeviceTraits {
  /** True where a CPU plays GPU. */
  readonly emulated: boolean;
  /** True where a kernel can run from start to stop and see what the host writes meanwhile. */
  readonly persistent: boolean;
  /** Why it is persistent, or is not. */
  readonly reason: string;
  /** Why it cannot be used at all; undefined where it can. */
  readonly unusable: string | undefined;
}

/** A device with its cl_device_id, which is good in every thread of this process. */
export interface FoundDevice {
  readonly handle: Handle;
  readonly device: OpenClDevice;
}

const SVM_KINDS = [
  [CL.SVM_COARSE_GRAIN_BUFFER, "coarse-grain buffers"],
  [CL.SVM_FINE_GRAIN_BUFFER, "fine-grain buffers"],
  [CL.SVM_FINE_GRAIN_SYSTEM, "fine-grain system"],
  [CL.SVM_ATOMICS, "atomics"],
] as const;

/** The SVM kinds in words: "fine-grain buffers, atomics", or "none". */
export function svmKinds(svm: number): string {
  const names = SVM_KINDS.filter(([bit]) => (svm & bit) !== 0).map(([, name]) => name);
  return names.length === 0 ? "none" : names.join(", ");
}

/** PoCL spells its name out, and is never called so. */
export function isPocl(device: OpenClDevice): boolean {
  return /portable computing language|pocl/i.test(device.platform);
}

/** CPU drivers, and Mesa's and Google's software rasterizers, which call themselves GPUs. */
function isEmulated(device: OpenClDevice): boolean {
  return (device.type & CL.DEVICE_TYPE_CPU) !== 0 || /llvmpipe|softpipe|swiftshader|lavapipe/i.test(device.name);
}

/**
 * Atomics of the device that the host sees in order, too. OpenCL 3.0 made that scope a feature; in 2.x it comes with SVM atomics.
 */
function hasAllDevicesScope(device: OpenClDevice): boolean {
  if ((device.atomics & CL.ATOMIC_SCOPE_ALL_DEVICES) !== 0) return true;
  if (device.features.includes("__opencl_c_atomic_scope_all_devices")) return true;
  return /^OpenCL 2\./.test(device.version) && (device.svm & CL.SVM_ATOMICS) !== 0;
}

/** What a device is good for. */
export function traitsOf(device: OpenClDevice): DeviceTraits {
  const emulated = isEmulated(device);
  const fine = (device.svm & CL.SVM_FINE_GRAIN_BUFFER) !== 0;
  const atomics = (device.svm & CL.SVM_ATOMICS) !== 0;
  const c11 = Number(device.cVersion) >= 2;
  const lacks = [
    ...(fine ? [] : ["no fine-grain SVM"]),
    ...(atomics ? [] : ["no SVM atomics"]),
    // Where a CPU plays GPU, host and kernel share the caches, and device scope is as good.
    ...(fine && atomics && !emulated && !hasAllDevicesScope(device) ? ["no all-devices scope of atomics"] : []),
    ...(c11 ? [] : [`OpenCL C ${device.cVersion || "of no version"} has no C11 atomics`]),
  ];
  return {
    emulated,
    persistent: lacks.length === 0,
    reason: lacks.length === 0 ? "fine-grain SVM with atomics" : lacks.join(", "),
    unusable: unusable(device),
  };
}

function unusable(device: OpenClDevice): string | undefined {
  if (!device.available) return "the driver says it is not available";
  if (!device.compiler) return "its driver has no compiler";
  if (device.maxWorkgroupSize < MIN_WORKGROUP)
    return `its workgroups have at most ${device.maxWorkgroupSize} threads, ${MIN_WORKGROUP} are needed`;
  return undefined;
}

/**
 * Best first: hardware before emulation, persistent before rounds, GPUs before other hardware, memory shared with the host before
 * memory of its own, more compute units before fewer; else as the platforms name them. Devices that cannot be used come last.
 */
export function ranked<T extends { readonly device: OpenClDevice }>(found: readonly T[]): T[] {
  const key = ({ device }: T): readonly number[] => {
    const { emulated, persistent, unusable: never } = traitsOf(device);
    return [
      Number(never !== undefined),
      Number(emulated),
      Number(!persistent),
      Number((device.type & CL.DEVICE_TYPE_GPU) === 0),
      Number(!device.unifiedMemory),
      -device.computeUnits,
    ];
  };
  const keyed = found.map((one) => ({ one, key: key(one) }));
  keyed.sort((a, b) => a.key.map((n, i) => n - b.key[i]!).find((difference) => difference !== 0) ?? 0);
  return keyed.map(({ one }) => one);
}

/** What brings an OpenCL device. */
export function noDeviceRemedy(vendors = process.env.OCL_ICD_VENDORS): string {
  const unset = vendors ? `unset OCL_ICD_VENDORS, which makes the loader look in ${vendors} alone; or ` : "";
  return (
    `${unset}${PROGRAM} doctor --install as root (PoCL, an emulation on the CPU), or the GPU vendor's OpenCL package: ` +
    "intel-opencl-icd, mesa-opencl-icd"
  );
}

/**
 * The best device, or the best of those whose name or platform contains `name` (in any case); `pocl` is PoCL, too.
 * @param option what asks, for the error: `--device opencl:NAME`
 * @throws RunError where there is none; it lists what is there
 */
export function pickDevice<T extends { readonly device: OpenClDevice }>(
  found: readonly T[],
  name: string | undefined,
  option: string,
): T {
  if (found.length === 0) throw new RunError(option, "no OpenCL platform has a device here", noDeviceRemedy());
  const wanted = name?.toLowerCase();
  const matching = found.filter(
    ({ device }) =>
      wanted === undefined ||
      device.name.toLowerCase().includes(wanted) ||
      device.platform.toLowerCase().includes(wanted) ||
      (wanted === "pocl" && isPocl(device)),
  );
  const best = ranked(matching)[0];
  const there = ranked(found).map(({ device }) => `${device.name} (${device.platform})`);
  if (best === undefined)
    throw new RunError(option, `no OpenCL device is called so; there are: ${there.join("; ")}`, "name one of these");
  const { unusable: reason } = traitsOf(best.device);
  if (reason !== undefined) {
    const others = there.length > 1 ? `name another of: ${there.join("; ")}` : noDeviceRemedy();
    throw new RunError(option, `${best.device.name} cannot be used: ${reason}`, others);
  }
  return best;
}

/** Names and versions of a query that answers with cl_name_version structures. */
function nameVersions(bytes: Buffer): { name: string; version: string }[] {
  return Array.from({ length: Math.floor(bytes.length / NAME_VERSION) }, (_, i) => {
    const at = i * NAME_VERSION;
    const version = bytes.readUInt32LE(at);
    const name = bytes.toString("latin1", at + 4, at + NAME_VERSION).replace(/\0.*$/s, "");
    return { name, version: `${version >>> 22}.${(version >>> 12) & 0x3ff}` };
  });
}

/** Newest of OpenCL 3.0's list of versions, else what OpenCL 1 and 2 say: "OpenCL C 1.2 ...". */
function cVersionOf(cl: OpenCl, device: Handle): string {
  const all = nameVersions(info(cl.getDeviceInfo, device, CL.DEVICE_OPENCL_C_ALL_VERSIONS)).map((v) => v.version);
  if (all.length > 0) return all.sort((a, b) => Number(a) - Number(b)).at(-1)!;
  return /^OpenCL C (\d+\.\d+)/.exec(infoText(cl.getDeviceInfo, device, CL.DEVICE_OPENCL_C_VERSION))?.[1] ?? "";
}

/**
 * Asks every platform for its devices. A question that a device does not know leaves its answer 0 or empty.
 */
export function listDevices(cl: OpenCl): FoundDevice[] {
  const platforms = handles((count, out, found) => cl.getPlatformIDs(count, out, found) as number);
  return platforms.flatMap((platform) => {
    const platformName = infoText(cl.getPlatformInfo, platform, CL.PLATFORM_NAME);
    const devices = handles(
      (count, out, found) => cl.getDeviceIDs(platform, BigInt(CL.DEVICE_TYPE_ALL), count, out, found) as number,
    );
    return devices.map((handle) => ({ handle, device: describeDevice(cl, handle, platformName) }));
  });
}

function describeDevice(cl: OpenCl, handle: Handle, platform: string): OpenClDevice {
  const text = (what: number) => infoText(cl.getDeviceInfo, handle, what);
  const number = (what: number) => infoNumber(cl.getDeviceInfo, handle, what);
  return {
    platform,
    name: text(CL.DEVICE_NAME),
    vendor: text(CL.DEVICE_VENDOR),
    version: text(CL.DEVICE_VERSION),
    driver: text(CL.DRIVER_VERSION),
    cVersion: cVersionOf(cl, handle),
    features: nameVersions(info(cl.getDeviceInfo, handle, CL.DEVICE_OPENCL_C_FEATURES)).map((feature) => feature.name),
    type: number(CL.DEVICE_TYPE),
    svm: number(CL.DEVICE_SVM_CAPABILITIES),
    atomics: number(CL.DEVICE_ATOMIC_MEMORY_CAPABILITIES),
    computeUnits: number(CL.DEVICE_MAX_COMPUTE_UNITS),
    maxWorkgroupSize: number(CL.DEVICE_MAX_WORK_GROUP_SIZE),
    localBytes: number(CL.DEVICE_LOCAL_MEM_SIZE),
    globalBytes: number(CL.DEVICE_GLOBAL_MEM_SIZE),
    maxAllocBytes: number(CL.DEVICE_MAX_MEM_ALLOC_SIZE),
    unifiedMemory: number(CL.DEVICE_HOST_UNIFIED_MEMORY) === 1,
    available: number(CL.DEVICE_AVAILABLE) === 1,
    compiler: number(CL.DEVICE_COMPILER_AVAILABLE) === 1,
  };
}
