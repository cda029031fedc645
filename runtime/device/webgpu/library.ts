/**
 * Dawn (npm `webgpu`) and the Vulkan loader and drivers it goes through.
 *
 * What native code reads of the environment has to be set on the main thread, before the library is loaded: a worker's process.env never
 * reaches it. So the main thread calls {@link prepareVulkan}, then a worker may open the device.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";
import koffi from "koffi";
import { findSwiftShader } from "../../../scripts/system.mjs";
import { RunError } from "../../errors.js";
import { findLibrary } from "../../native/library-path.js";

/** Where the Vulkan loader looks for drivers' manifests by itself, as far as systems in use go. */
const DRIVER_FOLDERS = ["/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/usr/share/vulkan/icd.d"];
const SWIFTSHADER_MANIFEST = "vk_swiftshader_icd.json";
const LOADER = "libvulkan.so.1";

/** Keeps the loader in the process: Dawn asks for it by its soname and gets what is loaded already. */
let loader: ReturnType<typeof koffi.load> | undefined;

/** Manifests of the system's Vulkan drivers, absolute paths. */
export function systemDrivers(folders: readonly string[] = DRIVER_FOLDERS): string[] {
  return folders.flatMap((folder) => {
    if (!existsSync(folder)) return [];
    const manifests = readdirSync(folder).filter((name) => name.endsWith(".json"));
    return manifests.sort().map((name) => join(folder, name));
  });
}

/**
 * Lets Dawn find the system's Vulkan drivers and SwiftShader beside them, and a Vulkan loader. What the user has set
 * (VK_DRIVER_FILES, VK_ICD_FILENAMES) stays. On the main thread, before {@link dawn} in any thread.
 */
export function prepareVulkan(): void {
  if (process.platform !== "linux" || loader !== undefined) return;
  if (!isMainThread) throw new Error("prepareVulkan() has no effect in a worker");
  const swiftShader = findSwiftShader();
  const { VK_DRIVER_FILES, VK_ICD_FILENAMES } = process.env;
  if (swiftShader !== undefined && VK_DRIVER_FILES === undefined && VK_ICD_FILENAMES === undefined) {
    // The older name, which every loader knows. It replaces what the loader would find, so the system's come first.
    process.env.VK_ICD_FILENAMES = [...systemDrivers(), join(swiftShader, SWIFTSHADER_MANIFEST)].join(":");
  }
  // The system's own, else the one beside SwiftShader.
  const path = findLibrary([LOADER]);
  if (path !== undefined) loader = koffi.load(path);
}

/**
 * Dawn's toggles. The kernels are ours and get as many bytes as the gate has counted, as in OpenCL: bounds checks at every access cost a fifth to a
 * third of the speed of the nids on SwiftShader. They fill the workgroup memory they read, so it need not be zeroed before: that cost a
 * fifth of the speed of ipsec at 64 bytes.
 */
const TOGGLES = "enable-dawn-features=disable_robustness,disable_workgroup_init";

/** Kept as long as the thread lives: when what create() returned is collected before its devices, the process aborts or hangs. */
let gpu: GPU | undefined;

/**
 * Dawn, loaded into this thread. The main thread has called {@link prepareVulkan}.
 * @throws RunError where the package is missing or does not load on this system
 */
export async function dawn(): Promise<GPU> {
  if (gpu !== undefined) return gpu;
  try {
    const { create, globals } = await import("webgpu");
    // GPUBufferUsage and the like are looked up there by all code written for WebGPU.
    for (const [name, value] of Object.entries(globals)) {
      if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    }
    gpu ??= create(process.platform === "linux" ? ["backend=vulkan", TOGGLES] : [TOGGLES]);
    return gpu;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const missing = code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND";
    const problem = missing
      ? `the npm package webgpu has nothing for ${process.platform}-${process.arch} here`
      : `the npm package webgpu does not load: ${message}`;
    throw new RunError("webgpu", problem, missing ? "npm ci, or use another --device" : "use another --device");
  }
}
