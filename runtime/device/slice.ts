/**
 * Slices: where a driver's watchdog resets kernels that run for long, the persistent kernel returns now and then, with its state in shared
 * memory, and is launched again. How long a slice is, and whether there are any.
 */

import type { SystemFiles } from "../native/system-files.js";
import { activeWatchdog, type WatchedVendor } from "../native/watchdogs.js";
import { type OpenClDevice, traitsOf } from "./opencl/platform.js";

/**
 * Milliseconds of a slice that nobody chose. i915 gives a context 640 ms to make room for another (its preempt_timeout_ms by default), xe 5 s,
 * amdgpu 10 s: less than half of the shortest.
 */
const SLICE_MS = 250;

export interface Slice {
  /** Milliseconds; 0: the kernel runs from start to stop. */
  readonly ms: number;
  /** The watchdog it is for, where nobody asked. */
  readonly watchdog: string | undefined;
}

/** The slice of a persistent kernel on a device: what `--slice` says, else one where the device's driver has a watchdog. */
export function sliceFor(device: OpenClDevice, asked: number | undefined, files: SystemFiles): Slice {
  if (asked !== undefined) return { ms: asked, watchdog: undefined };
  const vendor = vendorOf(device);
  const watchdog = vendor === undefined ? undefined : activeWatchdog(files, vendor);
  return { ms: watchdog === undefined ? 0 : SLICE_MS, watchdog };
}

/** Whose kernel driver serves a device; none serves emulation. */
function vendorOf(device: OpenClDevice): WatchedVendor | undefined {
  if (traitsOf(device).emulated) return undefined;
  const names = `${device.vendor} ${device.platform} ${device.name}`;
  if (/intel/i.test(names)) return "intel";
  return /\bamd\b|advanced micro devices|radeon/i.test(names) ? "amd" : undefined;
}
