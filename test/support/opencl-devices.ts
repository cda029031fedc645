/** OpenCL devices as their drivers describe them, for tests of what is made of that. */
import * as assert from "uvu/assert";
import type { FoundDevice, OpenClDevice } from "../../runtime/device/opencl/platform.js";
import { RunError } from "../../runtime/errors.js";

const ALL_ATOMICS = 0b111_0111;

/** An Intel iGPU with all that a persistent kernel needs, unless said otherwise. */
export function device(more: Partial<OpenClDevice> = {}): OpenClDevice {
  return {
    platform: "Intel(R) OpenCL Graphics",
    name: "Intel(R) Iris(R) Xe Graphics",
    vendor: "Intel(R) Corporation",
    version: "OpenCL 3.0 NEO",
    driver: "23.17",
    cVersion: "3.0",
    features: [],
    type: 4,
    svm: 0b1011,
    atomics: ALL_ATOMICS,
    computeUnits: 96,
    maxWorkgroupSize: 512,
    localBytes: 65536,
    globalBytes: 2 ** 33,
    maxAllocBytes: 2 ** 32,
    unifiedMemory: true,
    available: true,
    compiler: true,
    ...more,
  };
}

export const POCL = device({
  platform: "Portable Computing Language",
  name: "pthread-skylake-avx512-AMD EPYC",
  vendor: "AuthenticAMD",
  type: 2,
  computeUnits: 2,
});
/** As NVIDIA's driver says: coarse grain only, OpenCL C 1.2 in the old question, 3.0 in the new one. */
export const NVIDIA = device({
  platform: "NVIDIA CUDA",
  name: "NVIDIA H200",
  vendor: "NVIDIA Corporation",
  svm: 1,
  atomics: 0,
  computeUnits: 132,
  unifiedMemory: false,
});
/** A Carrizo APU's driver of the paper's time: OpenCL 2.0, which has no question about atomics. */
export const APU = device({
  platform: "AMD Accelerated Parallel Processing",
  name: "Carrizo",
  vendor: "Advanced Micro Devices, Inc.",
  version: "OpenCL 2.0 AMD-APP (1912.5)",
  cVersion: "2.0",
  atomics: 0,
  computeUnits: 8,
});
export const found = (...devices: OpenClDevice[]): FoundDevice[] =>
  devices.map((one, i) => ({ handle: BigInt(i + 1), device: one }));

export async function fails(work: Promise<unknown>, words: RegExp): Promise<void> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.instance(error, RunError);
  assert.match((error as Error).message, words);
}
