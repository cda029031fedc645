/** Conformance of kernels is tested by the same cases on every kind of device; a file per NF and device says on which. */
import { test } from "uvu";
import type { GpuJsMode } from "../../runtime/device/gpujs/compile.js";
import { EXACT } from "../../runtime/device/gpujs/program.js";
import type { Arena } from "../../runtime/packet/arena.js";
import { skipUnless } from "../skip.js";
import { GpuJsRunner } from "./gpujs-runner.js";
import { KernelRunner } from "./kernel-runner.js";
import { WgslRunner } from "./wgsl-runner.js";

export interface Runner {
  readonly arena: Arena;
  /**
   * Serves slots[0, count), rows filled with dummies; `from` is the column the first packet goes to, `table` the word at which the NF's
   * tables begin.
   */
  run(slots: Uint32Array, count: number, from?: number, table?: number): void | Promise<void>;
  close(): void | Promise<void>;
}

type Device = "opencl" | "webgpu" | `gpujs:${GpuJsMode}`;

let chosen: Device | undefined;

/**
 * Opens the device of the test file.
 * @param programs kernels; the first is the one that runs
 */
export async function openRunner(programs: readonly string[], tables: Uint32Array, slots: number): Promise<Runner> {
  if (chosen === undefined) throw new Error("cases are run by casesOn()");
  if (chosen.startsWith("gpujs:")) {
    return GpuJsRunner.open(chosen.slice("gpujs:".length) as GpuJsMode, programs[0]!, tables, slots);
  }
  return chosen === "opencl" ? KernelRunner.open(programs, tables, slots) : WgslRunner.open(programs, tables, slots);
}

/** Numbers below which a table's entries have to be for the device to take it. */
export function exactBelow(): number {
  return chosen?.startsWith("gpujs:") ? EXACT : 2 ** 32;
}

/** Runs a file of cases on a device; skipped with the reason where there is no WebGPU adapter. */
export async function casesOn(device: Device, cases: () => Promise<unknown>): Promise<void> {
  chosen = device;
  const lack = device === "webgpu" || device === "gpujs:webgpu" ? await WgslRunner.lack() : undefined;
  if (lack === undefined) {
    await cases();
    return;
  }
  test(`conformance on ${device}`, () => {
    skipUnless(false, lack);
  });
  test.run();
}
