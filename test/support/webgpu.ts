/** For tests that need a WebGPU adapter. */
import { test } from "uvu";
import {
  listAdapters,
  type OpenedGpu,
  openDevice,
  pickAdapter,
  type Wanted,
} from "../../runtime/device/webgpu/adapter.js";
import { adaptersHere } from "../../runtime/device/webgpu/here.js";
import { prepareVulkan } from "../../runtime/device/webgpu/library.js";
import { skipUnless } from "../skip.js";
import { WgslRunner } from "./wgsl-runner.js";

export const SMALL: Wanted = { buffer: 1024, workgroupSize: 64, workgroupMemory: 16, storageBuffers: 4 };

/** A test that is skipped, with the reason, where there is no adapter. */
export async function adapterTests(): Promise<(name: string, body: () => Promise<void>) => void> {
  const lack = await WgslRunner.lack();
  return (name, body) =>
    test(name, async () => {
      if (!skipUnless(lack === undefined, lack ?? "")) await body();
    });
}

/** A device with little more than WebGPU's defaults. */
export async function smallDevice(): Promise<OpenedGpu> {
  prepareVulkan();
  return openDevice(pickAdapter(await listAdapters()), SMALL);
}

/** Why no device can be opened in a device thread; undefined where one can. Asks another process: Dawn is not loaded into this thread. */
export async function deviceLack(): Promise<string | undefined> {
  try {
    pickAdapter((await adaptersHere()).map((facts) => ({ facts })));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
