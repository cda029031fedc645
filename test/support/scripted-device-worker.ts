/** The thread of scripted-device.ts. */
import { parentPort, workerData } from "node:worker_threads";
import type { DeviceHandle } from "../../runtime/device/device.js";
import { Arena, PARAM_WORDS } from "../../runtime/packet/arena.js";
import type { RegionHandle } from "../../runtime/packet/memory.js";
import { GpuSyncer } from "./gpu-syncer.js";
import type { Script } from "./scripted-device.js";

export interface ScriptedWorkerData extends Script {
  readonly handle: DeviceHandle;
  readonly slots: number;
  readonly region: RegionHandle;
}

const data = workerData as ScriptedWorkerData;
const { handle, slots, region, workgroups, resident = workgroups } = data;
const { stallsAfter = Number.POSITIVE_INFINITY, failsAfter = Number.POSITIVE_INFINITY } = data;
const { params } = Arena.attach({ slots, region, owned: false });
let rows = 0;
const syncer = new GpuSyncer(
  handle,
  // A prefilter that lets everything through: the CPU decides.
  (_, slot) => {
    params[slot * PARAM_WORDS] = 1;
  },
  { onRow: () => rows++ },
);
syncer.launch(resident);
for (let w = 0; w < workgroups; w++) syncer.step(w);
const nap = new Int32Array(new SharedArrayBuffer(4));
for (;;) {
  let moved = false;
  for (let w = 0; w < workgroups && rows < Math.min(stallsAfter, failsAfter); w++) if (syncer.step(w)) moved = true;
  if (rows >= failsAfter) {
    parentPort!.postMessage(`its driver has given up after ${rows} rows`);
    break;
  }
  if (!moved) Atomics.wait(nap, 0, 0, 0.05);
}
