/** The device of a run: opened as `--device` says, and announced in one line. */
import type { LoadedChain } from "../chain/load.js";
import { type Candidate, type DeviceRequest, openForRun } from "../device/choose.js";
import type { Device, DeviceKind } from "../device/device.js";
import { lackOf } from "../device/kinds.js";
import { type DeviceOptions, openDevice } from "../device/open.js";
import { openCl } from "../device/opencl/library.js";
import { type FoundDevice, listDevices } from "../device/opencl/platform.js";
import { missingPocl, preparePocl, tryPocl } from "../device/opencl/pocl.js";
import { type Slice, sliceFor } from "../device/slice.js";
import { adaptersHere } from "../device/webgpu/here.js";
import { RunError } from "../errors.js";
import { SystemFiles } from "../native/system-files.js";
import { deviceNfs, leastSlots, slotsFor } from "./device-plan.js";
import { forwardingOf } from "./hops.js";

/** What no flag says of a device: for experiments, and for tests of what goes wrong. */
export type DeviceTuning = Partial<Pick<DeviceOptions, "workgroupSize" | "depth" | "kernelFolders" | "loseAfter">>;

export interface DeviceFlags {
  readonly request: DeviceRequest;
  /** Undefined: as many as the device likes. */
  readonly workgroups: number | undefined;
  /** ms; undefined: where the device's driver has a watchdog. */
  readonly sliceMs: number | undefined;
  readonly tuning?: DeviceTuning | undefined;
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
  const { request, workgroups, sliceMs, tuning } = flags;
  const placed = chain.nfs.filter((nf) => nf.place === "gpu").map((nf) => nf.name);
  const able = chain.nfs.filter((nf) => nf.module.gpu !== undefined).map((nf) => nf.name);
  // Here and now: PoCL reads its environment when the first device is listed.
  preparePocl(workgroups);
  let nfs: ReturnType<typeof deviceNfs> | undefined;
  const open = async (candidate: Candidate): Promise<Device> => {
    const { options, slice } = await optionsOf(candidate, sliceMs);
    nfs ??= deviceNfs(chain);
    const device = await openDevice({
      ...options,
      ...tuning,
      slots: (shape) => slotsFor(shape, leastSlots(chain)),
      nfs,
      ...(workgroups !== undefined && { workgroups }),
      ...(!request.hostRouting && { forwarding: forwardingOf(chain) }),
      warn,
    });
    if (request.kind === "auto") await startOrClose(device);
    warn(announce(device, slice, placed));
    return device;
  };
  const device = await openForRun(request, placed, able, {
    opencl: openClDevices,
    webgpu: adaptersHere,
    lack: (kind) => lackIn(chain, kind),
    open,
    warn,
  });
  sayIdle(flags, device, warn);
  return device;
}

/** Why devices of a kind cannot take all NFs that are placed on gpu; undefined where they can. */
function lackIn(chain: LoadedChain, kind: DeviceKind): string | undefined {
  for (const { name, type, place, module } of chain.nfs) {
    const { gpu } = module;
    if (place !== "gpu" || gpu === undefined) continue;
    const lack = lackOf({ ...gpu, name, type, plain: gpu.plain !== undefined }, kind);
    if (lack !== undefined) return lack;
  }
  return undefined;
}

/** @throws RunError where there is none, and it is known why */
export function openClDevices(): FoundDevice[] {
  const found = listDevices(openCl());
  const lack = found.length === 0 ? missingPocl() : undefined;
  if (lack !== undefined) throw new RunError("opencl", `there is no device: ${lack.problem}`, lack.remedy);
  return found;
}

type CandidateOptions = Pick<DeviceOptions, "kind" | "gpuJsMode" | "found" | "name" | "mode" | "sliceMs">;

/** What a candidate has to be opened with. @throws RunError where it is known that it will not do */
async function optionsOf(
  candidate: Candidate,
  sliceMs: number | undefined,
): Promise<{ options: CandidateOptions; slice?: Slice }> {
  if (candidate.kind === "webgpu") {
    const { name, driver } = candidate.facts;
    return { options: { kind: "webgpu", name: `${name} ${driver}` } };
  }
  if (candidate.kind === "gpujs") return { options: { kind: "gpujs", gpuJsMode: candidate.mode } };
  const { kind, found, persistent } = candidate;
  await tryPocl(found.device);
  if (!persistent) return { options: { kind, found, mode: "rounds" } };
  const slice = sliceFor(found.device, sliceMs, new SystemFiles());
  return { options: { kind, found, mode: "persistent", sliceMs: slice.ms }, slice };
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
    ...(info.kind === "webgpu" ? ["WebGPU"] : []),
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
