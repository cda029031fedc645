/** A device with a thread of its own, which serves the nids' rows in TypeScript and fails as it is told. */
import { Worker } from "node:worker_threads";
import type { Device, DeviceReport } from "../../runtime/device/device.js";
import { HOST, lineAt, WG } from "../../runtime/device/queue.js";
import { slotsFor } from "../../runtime/engine/device-plan.js";
import { RunError } from "../../runtime/errors.js";
import { arenaBytes } from "../../runtime/packet/arena.js";
import { attachRegion, mapRegion } from "../../runtime/packet/memory.js";
import { fakeDevice } from "./fake-device.js";
import type { ScriptedWorkerData } from "./scripted-device-worker.js";

export interface Script {
  readonly nfs: number;
  readonly workgroups: number;
  /** Workgroups that run at once; all of them. */
  readonly resident?: number;
  /** Rows after which it serves no more. */
  readonly stallsAfter?: number;
  /** Rows after which the device says that it has failed. */
  readonly failsAfter?: number;
  readonly startFails?: boolean;
  readonly stopFails?: boolean;
}

export interface ScriptedDevice extends Device {
  /** What was asked of it, in this order. */
  readonly asked: string[];
}

export function scriptedDevice(script: Script): ScriptedDevice {
  const { workgroups, nfs } = script;
  const shape = { workgroups, workgroupSize: 16, depth: 4 };
  const fake = fakeDevice({ ...shape, nfs: Array.from({ length: nfs }, () => ({ program: 0, table: 0 })) });
  const slots = slotsFor(shape);
  const { address, size, hugePages } = mapRegion(arenaBytes(slots));
  const region = { address, size, hugePages };
  const queue = new Int32Array(attachRegion(fake.handle.queue).buffer);
  const asked: string[] = [];
  let worker: Worker | undefined;
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {});
  const registered = () =>
    Array.from({ length: workgroups }, (_, w) => queue[lineAt(w) + WG.STARTED]!).filter((started) => started !== 0);
  return {
    handle: fake.handle,
    arena: region,
    asked,
    failed,
    async start() {
      asked.push("start");
      if (script.startFails) throw new RunError("scripted device", "no workgroup has started");
      const resident = script.resident ?? workgroups;
      queue[HOST.QUEUES] = resident;
      const data: ScriptedWorkerData = { handle: fake.handle, slots, region, ...script };
      worker = new Worker(new URL("./scripted-device-worker.js", import.meta.url), { workerData: data });
      worker.on("message", (line: string) => fail(new RunError("scripted device", line)));
      const late = performance.now() + 10_000;
      while (registered().length < resident && performance.now() < late)
        await new Promise((resolve) => setTimeout(resolve, 1));
      return resident;
    },
    async stop(): Promise<DeviceReport> {
      asked.push("stop");
      await worker?.terminate();
      if (script.stopFails) throw new RunError("scripted device", "it has not come to an end");
      return { bytesCopied: 0, copyMs: 0, launches: 1 };
    },
    // The memory stays mapped: a test ends soon enough.
    async close() {
      asked.push("close");
    },
    async swapTable() {
      throw new Error("not in the script");
    },
    freeTable() {
      throw new Error("not in the script");
    },
  };
}
