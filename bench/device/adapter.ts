/** The WebGPU adapter that experiments run on: as `--device webgpu` would choose. */
import { type AdapterFacts, pickAdapter } from "../../runtime/device/webgpu/adapter.js";
import { adaptersHere } from "../../runtime/device/webgpu/here.js";
import type { UsedDevice } from "../experiment.js";

/** Another process looks, so that Dawn is loaded where it is used and nowhere else. */
async function best(): Promise<AdapterFacts> {
  return pickAdapter((await adaptersHere()).map((facts) => ({ facts }))).facts;
}

export async function usedAdapter(): Promise<UsedDevice> {
  const { name, emulated } = await best();
  return { name, emulated };
}

/** Why there is no adapter to experiment with; undefined where there is one. */
export async function whyNoAdapter(): Promise<string | undefined> {
  try {
    await best();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
