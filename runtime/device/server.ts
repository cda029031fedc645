/**
 * What serves the rows, as the device thread (worker.ts) sees it: a persistent kernel that has to be kept alive, or this thread itself
 * with the device's help. Every call returns soon.
 */
import type { RegionHandle } from "../packet/memory.js";
import type { DeviceInfo, DeviceNf, DeviceReport } from "./device.js";
import type { QueueShape } from "./queue.js";

/** What of a {@link DeviceNf} a server has to know; the tables are in shared memory. */
export interface ServedNf {
  /** ROW.PROGRAM */
  readonly program: number;
  readonly writes: DeviceNf["writes"];
}

/** Memory that host and server share. */
export interface SharedRegions {
  readonly arena: RegionHandle;
  readonly queue: RegionHandle;
  readonly tables: RegionHandle;
}

export interface DeviceServer {
  readonly info: DeviceInfo;
  readonly shape: QueueShape;
  readonly lockStep: boolean;
  /** Workgroups that can run at once, as far as the device tells. */
  readonly resident: number;
  readonly regions: SharedRegions;
  /** Begins serving. */
  launch(now: number): void;
  /**
   * One look at everything there is to do.
   * @param now ms on a clock that does not go back
   * @returns ms until the next look; 0: at once
   * @throws RunError where the device has failed
   */
  step(now: number): number;
  /** True where what is under way ends only while the event loop turns; absent: the server needs none. */
  readonly pending?: boolean;
  /** Serves no more rows; `step` goes on until {@link ended}. */
  halt(): void;
  /** True where nothing runs on the device and nothing of it will touch the memory any more. */
  readonly ended: boolean;
  /** The host has changed words [from, from + count) of the tables' memory. */
  uploadTables(from: number, count: number): void;
  report(): DeviceReport;
  /** Frees everything, memory too. Only where {@link ended}. */
  close(): void;
}
