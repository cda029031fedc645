/**
 * Which test files need an OpenCL device, for machines that a bundle is unpacked on: there the set-up that brings PoCL has not run. In a
 * clone these files run always, and fail where there is none: nothing about OpenCL is to go untested there unseen.
 */
import type { OpenClDevice } from "../runtime/device/opencl/platform.js";
import { ask } from "../runtime/native/ask.js";
import { findLibrary } from "../runtime/native/library-path.js";

const FILES =
  /(?:^|\/)(?:device|device-(?:exit|failures|heartbeat|rounds|run|choice|turns)|opencl-devices|gpu-(?:chain|chain-random|hang|failures)|.*-opencl)\.test\.js$/;

/** Whether this file is nothing without an OpenCL device. */
export function needsOpenCl(file: string): boolean {
  return FILES.test(file);
}

/** Why there is no OpenCL device, or undefined where there is one. */
export async function openClLack(): Promise<string | undefined> {
  if (findLibrary(["libOpenCL.so.1"]) === undefined) return "no OpenCL device: libOpenCL.so.1 is not on this machine";
  const answer = await ask<OpenClDevice[]>(new URL("../runtime/device/opencl/probe.js", import.meta.url));
  if (answer instanceof Error) return `no OpenCL device: ${answer.message}`;
  return answer.length === 0 ? "no OpenCL device: libOpenCL.so.1 finds none" : undefined;
}
