/** Devices for experiments: the product's own, opened anew for each turn, with or without other kernels than the product's. */
import { fileURLToPath } from "node:url";
import type { Device, DeviceReport } from "../../runtime/device/device.js";
import { type DeviceOptions, openDevice } from "../../runtime/device/open.js";
import { openCl } from "../../runtime/device/opencl/library.js";
import { type FoundDevice, listDevices, pickDevice, traitsOf } from "../../runtime/device/opencl/platform.js";
import { RunError } from "../../runtime/errors.js";
import { Arena } from "../../runtime/packet/arena.js";
import type { UsedDevice } from "../experiment.js";

/** bench/kernels, from dist/bench/device. */
export const BENCH_KERNELS = fileURLToPath(new URL("../../../bench/kernels", import.meta.url));
/** Threads of a workgroup in all experiments, and rows of a queue: the product's own. */
export const SIZE = 64;
export const DEPTH = 8;

/** The OpenCL device that experiments run on: as `--device opencl` would choose. */
export function benchDevice(): FoundDevice {
  return pickDevice(listDevices(openCl()), undefined, "--device opencl");
}

export function usedDevice(): UsedDevice {
  const { device } = benchDevice();
  return { name: device.name, emulated: traitsOf(device).emulated };
}

/**
 * Why there is no device to experiment with; undefined where there is one.
 * @param any also one that cannot run a persistent kernel
 */
export function whyNoDevice(any: boolean): string | undefined {
  try {
    const { device } = benchDevice();
    const { persistent, reason } = traitsOf(device);
    return persistent || any ? undefined : `${device.name} cannot run a persistent kernel: ${reason}`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** A kind of device, as users name it: `opencl:rounds`, `gpujs:cpu`. */
export type DeviceForm = Pick<DeviceOptions, "kind" | "mode" | "gpuJsMode">;

export interface BedOptions extends Partial<DeviceForm & Pick<DeviceOptions, "sliceMs" | "inFlight" | "depth">> {
  readonly workgroups: number;
  readonly slots: number;
  readonly nfs: DeviceOptions["nfs"];
  /** Folder whose files stand in for the product's kernels: another syncer.cl. */
  readonly variant?: string;
  warn(line: string): void;
}

/**
 * Opens and starts a device, has it used, and stops it, whatever happens.
 * @param use what it returns, {@link withDevice} returns, with the device's report
 * @throws RunError where the device fails, or fewer workgroups than asked for run at once: the figures would be of something else
 */
export async function withDevice<T>(
  options: BedOptions,
  use: (device: Device, arena: Arena) => T | Promise<T>,
): Promise<{ readonly result: T } & DeviceReport> {
  const { variant, kind = "opencl", workgroups, ...rest } = options;
  const device = await openDevice({
    workgroupSize: SIZE,
    depth: DEPTH,
    ...rest,
    kind,
    workgroups,
    ...(kind === "opencl" && { found: benchDevice() }),
    kernelFolders: [...(variant === undefined ? [] : [variant]), BENCH_KERNELS],
  });
  try {
    const arena = Arena.attach({ slots: options.slots, region: device.arena, owned: false });
    const registered = await device.start();
    if (registered < workgroups) {
      const problem = `only ${registered} of ${workgroups} workgroups run at once`;
      throw new RunError("bench", problem, "unset POCL_MAX_PTHREAD_COUNT, or end what else uses the device");
    }
    const result = await use(device, arena);
    return { result, ...(await device.stop()) };
  } finally {
    await device.close();
  }
}
