/** Which kinds of device have a kernel for an NF: found by the names of files, as kernels are. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DeviceKind } from "./device.js";
import { hasGpuJs } from "./gpujs/program.js";
import { kernelFolder } from "./kernel-files.js";

export interface KernelNf {
  readonly name: string;
  readonly type: string;
  readonly program: string;
  readonly writes: "packet" | "params";
  /** A plain function. */
  readonly plain: boolean;
}

/** Why an NF does not run on devices of a kind; undefined where it does. */
export function lackOf({ name, type, program, writes, plain }: KernelNf, kind: DeviceKind): string | undefined {
  if (kind === "gpujs") {
    if (plain || hasGpuJs(program)) return undefined;
    const why =
      writes === "packet"
        ? "its kernel writes packets, and one of gpu.js answers with a single number that is exact to 2^24"
        : "it has no kernel for gpu.js";
    return `NF ${name} (${type}) does not run on gpujs: ${why}`;
  }
  if (plain)
    return `NF ${name} (${type}) does not run on ${kind}: its kernel is a plain function, for gpujs and the CPU`;
  const file = `${program}.${kind === "opencl" ? "cl" : "wgsl"}`;
  return existsSync(join(kernelFolder(), file)) ? undefined : `NF ${name} (${type}) has no kernel ${file}`;
}
