/** The device of a run: opened as `--device` says, and announced in one line. */
import type { LoadedChain } from "../chain/load.js";
import { type DeviceRequest, type OpenClCandidate, openForRun } from "../device/choose.js";
import type { Device, DeviceKind } from "../device/device.js";
import type { GpuJsMode } from "../device/gpujs/compile.js";
import { lackOf } from "../device/kinds.js";
import { openDevice } from "../device/open.js";
import { openCl } from "../device/opencl/library.js";
import { type FoundDevice, listDevices } from "../device/opencl/platform.js";
import { missingPocl, preparePocl, tryPocl } from "../device/opencl/pocl.js";
import { type Slice, sliceFor } from "../device/slice.js";
import { deviceNfs, slotsFor } from "../engine/device-plan.js";
import { RunError } from "../errors.js";
import { SystemFiles } from "../native/system-files.js";

export interface DeviceFlags {
  readonly request: DeviceRequest;
  /** Undefined: as many as the device likes. */
  readonly workgroups: number | undefined;
  /** ms; undefined: where the device's driver has a watchdog. */
  readonly sliceMs: number | undefined;
}

/**
 * @returns the device, which the run closes; undefined where every NF is to run on the CPU
 * @throws RunError where a device was named and is not there or does not open
 */
export async function openRunDevice(
  chain: LoadedChain,
  flags: DeviceFlags,
  warn: (line: string) => void,
): Promise<Device | undefined> {
  const { request, workgroups, sliceMs } = flags;
  const placed = chain.nfs.filter((nf) => nf.place === "gpu").map((nf) => nf.name);
  const able = chain.nfs.filter((nf) => nf.module.gpu !== undefined).map((nf) => nf.name);
  // Here and now: PoCL reads its environment when the first device is listed.
  preparePocl(workgroups);
  let nfs: ReturnType<typeof deviceNfs> | undefined;
  const open = async ({ found, persistent }: OpenClCandidate): Promise<Device> => {
    await tryPocl(found.device);
    const slice = persistent ? sliceFor(found.device, sliceMs, new SystemFiles()) : undefined;
    nfs ??= deviceNfs(chain);
    const device = await openDevice({
      kind: "opencl",
      found,
      mode: persistent ? "persistent" : "rounds",
      slots: slotsFor,
      nfs,
      ...(workgroups !== undefined && { workgroups }),
      ...(slice !== undefined && { sliceMs: slice.ms }),
      warn,
    });
    if (request.kind === "auto") await startOrClose(device);
    warn(announce(device, slice, placed));
    return device;
  };
  const openGpuJs = async (gpuJsMode: GpuJsMode): Promise<Device> => {
    nfs ??= deviceNfs(chain);
    const device = await openDevice({
      kind: "gpujs",
      gpuJsMode,
      slots: slotsFor,
      nfs,
      ...(workgroups !== undefined && { workgroups }),
      warn,
    });
    if (request.kind === "auto") await startOrClose(device);
    warn(announce(device, undefined, placed));
    return device;
  };
  const kernels = chain.nfs.flatMap(({ name, type, place, module: { gpu } }) =>
    place === "gpu" && gpu !== undefined ? [{ ...gpu, name, type, plain: gpu.plain !== undefined }] : [],
  );
  const lack = (kind: DeviceKind) => {
    for (const kernel of kernels) {
      const why = lackOf(kernel, kind);
      if (why !== undefined) return why;
    }
    return undefined;
  };
  const device = await openForRun(request, placed, able, { list, open, openGpuJs, lack, warn });
  sayIdle(flags, device, warn);
  return device;
}

/** @throws RunError where there is none, and it is known why */
function list(): FoundDevice[] {
  const found = listDevices(openCl());
  const lack = found.length === 0 ? missingPocl() : undefined;
  if (lack !== undefined) throw new RunError("opencl", `there is no device: ${lack.problem}`, lack.remedy);
  return found;
}

/** A device that opens and does not serve is one more to go past, and that shows only now. */
async function startOrClose(device: Device): Promise<void> {
  try {
    await device.start();
  } catch (error) {
    await device.close();
    throw error;
  }
}

function announce(device: Device, slice: Slice | undefined, placed: readonly string[]): string {
  const { info, shape } = device.handle;
  const traits = [
    info.emulated ? "emulated on the CPU" : "hardware",
    info.persistent ? "persistent kernel" : "launched in rounds",
    info.zeroCopy ? "zero-copy" : "packets copied",
    `${shape.workgroups} workgroup${shape.workgroups === 1 ? "" : "s"} of ${shape.workgroupSize}`,
  ];
  if (slice !== undefined && slice.ms > 0) {
    traits.push(`sliced every ${slice.ms} ms${slice.watchdog === undefined ? "" : ` (${slice.watchdog})`}`);
  }
  return `device ${info.name}: ${traits.join(", ")}; runs ${placed.join(", ")}`;
}

/** Options that were given and have nothing to act on. */
function sayIdle(flags: DeviceFlags, device: Device | undefined, warn: (line: string) => void): void {
  if (flags.workgroups !== undefined && device === undefined) warn("--workgroups: there is no device in this run");
  if (flags.sliceMs !== undefined && flags.sliceMs > 0 && device?.handle.info.persistent !== true)
    warn("--slice: there is no persistent kernel in this run to be sliced");
}
