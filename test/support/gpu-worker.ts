/** A thread that plays the device: launches, serves rows, leaves and launches again, until the host says stop. */
import { workerData } from "node:worker_threads";
import type { DeviceHandle } from "../../runtime/device/device.js";
import { HOST } from "../../runtime/device/queue.js";
import { Arena, type ArenaHandle, PARAM_WORDS } from "../../runtime/packet/arena.js";
import { attachRegion } from "../../runtime/packet/memory.js";
import { GpuSyncer } from "./gpu-syncer.js";
import { Random } from "./random.js";

export interface GpuWorkerData {
  readonly handle: DeviceHandle;
  readonly arena: ArenaHandle;
  readonly seed: number;
}

/** What serving does to a packet's params: word 1 becomes this of word 0, and word 2 counts. */
export const served = (token: number, program: number, table: number): number =>
  (Math.imul(token, 2654435761) + 16 * table + program) >>> 0;

/** Milliseconds: on a busy machine a slice has to be longer than the other thread is kept waiting for its processor. */
const SLICE_MS = 20;

function main({ handle, arena: arenaHandle, seed }: GpuWorkerData): void {
  const { params } = Arena.attach(arenaHandle);
  const gpu = new GpuSyncer(handle, (program, slot, table) => {
    const at = slot * PARAM_WORDS;
    params[at + 1] = served(params[at]!, program, table);
    params[at + 2]!++;
  });
  const host = new Int32Array(attachRegion(handle.queue).buffer);
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  const random = new Random(seed);
  while (Atomics.load(host, HOST.STOP) === 0) {
    gpu.launch(random.int(1, handle.shape.workgroups));
    const end = performance.now() + random.int(1, SLICE_MS);
    while (performance.now() < end && Atomics.load(host, HOST.STOP) === 0) {
      let moved = false;
      for (let i = 0; i < handle.shape.workgroups; i++) if (gpu.step(i)) moved = true;
      if (!moved) Atomics.wait(sleeper, 0, 0, 0.05);
    }
    gpu.leave();
    while (!gpu.returned) gpu.run();
  }
}

if (workerData !== null) main(workerData as GpuWorkerData);
