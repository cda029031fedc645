/** PoCL, which runs OpenCL kernels on the CPU: what it has to be told, and whether it works where nobody has installed it. */
import { availableParallelism } from "node:os";
import { RunError } from "../../errors.js";
import { ask } from "../../native/ask.js";
import { isInstalled } from "../../native/library-path.js";
import type { OpenClDevice } from "./platform.js";

/** What the trial kernel writes. */
const WRITTEN = 42;

export function isPocl(device: OpenClDevice): boolean {
  return /portable computing language|pocl/i.test(device.platform);
}

/**
 * Tells PoCL what it reads once, when it is loaded: it runs as many workgroups at once as it has threads, and makes one per processor
 * unless told otherwise. What the user has set stays. On the main thread only, and before devices are listed: a worker's process.env
 * never reaches native code.
 * @param workgroups how many have to run at once; undefined: as it likes
 */
export function preparePocl(workgroups: number | undefined): void {
  if (workgroups === undefined || workgroups <= availableParallelism()) return;
  // The name before PoCL 5, and since.
  for (const name of ["POCL_MAX_PTHREAD_COUNT", "POCL_CPU_MAX_CU_COUNT"]) process.env[name] ??= String(workgroups);
}

/**
 * PoCL that was unpacked and not installed (OCL_ICD_VENDORS leads there) may compile kernels and end the process when it links them, since
 * the paths in it are those of the package. So it is tried in another process first.
 * @throws RunError where it does not work
 */
export async function tryPocl(device: OpenClDevice, installed = isInstalled("PoCL")): Promise<void> {
  if (!isPocl(device) || installed) return;
  const answer = await ask<number>(new URL("./trial.js", import.meta.url), device.platform, device.name);
  if (answer === WRITTEN) return;
  const reason = answer instanceof Error ? answer.message : `a kernel wrote ${answer}, not ${WRITTEN}`;
  throw new RunError(
    device.name,
    `PoCL does not run kernels here (${reason}); it works where root has installed it`,
    "wingbeat doctor --install as root",
  );
}
