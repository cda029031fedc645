/**
 * What serves the rows, as the device thread (worker.ts) sees it: a persistent kernel that has to be kept alive, or this thread itself
 * with the device's help. Every call returns soon.
 */
import type { RegionHandle } from "../packet/memory.js";
import type { DeviceInfo, DeviceKind, DeviceNf, DeviceNfHandle, DeviceReport } from "./device.js";
import type { AheadHandle, Forwarding } from "./forward.js";
import type { QueueShape } from "./queue.js";

/** More queues than this keep a core busy with filling rows, whatever the device could take; where nobody asks for more. */
export const MOST_WORKGROUPS = 8;

/** What of a {@link DeviceNf} a server has to know; the tables are in shared memory. */
export interface ServedNf {
  /** ROW.PROGRAM */
  readonly program: number;
  readonly writes: DeviceNf["writes"];
}

/** What main asks for, of a device of any kind; plain data. */
export interface ServerRequest {
  readonly kind: DeviceKind;
  /** Part of the device's name; undefined: the best device. */
  readonly name: string | undefined;
  /** Undefined: as many as the device likes. */
  readonly workgroups: number | undefined;
  readonly workgroupSize: number;
  readonly depth: number;
  readonly kernelFolders: readonly string[];
  /** Kernels in use, each once. */
  readonly programs: readonly string[];
  readonly nfs: readonly ServedNf[];
  /** Words of the tables' memory. */
  readonly tableWords: number;
  /** Rounds under way at once, of devices that packets are copied to; undefined: IN_FLIGHT of round-host.ts. For experiments. */
  readonly inFlight: number | undefined;
  /** Of devices that hand packets on from NF to NF by themselves; the routes lie behind the tables, from word `routes` on. */
  readonly forwarding?: Forwarding | undefined;
  readonly routes: number;
  /** For tests: rounds after which it computes wrongly, once. */
  readonly corruptAfter?: number | undefined;
}

/** Memory that host and server share. */
export interface SharedRegions {
  readonly arena: RegionHandle;
  readonly queue: RegionHandle;
  readonly tables: RegionHandle;
  /** Of a device that forwards. */
  readonly ahead?: AheadHandle;
}

/** A server that has nothing to do for so long is woken when a row is published; ms. */
export const LONG_MS = 100;

export interface DeviceServer {
  readonly info: DeviceInfo;
  readonly shape: QueueShape;
  readonly lockStep: boolean;
  /** Workgroups that can run at once, as far as the device tells. */
  readonly resident: number;
  readonly regions: SharedRegions;
  /**
   * True where promises of the driver are open: the thread takes a turn of its event loop between two looks, and does not sleep. Absent:
   * never.
   */
  readonly pending?: boolean;
  /** Begins serving. `nfs`: kernels and tables that rows will name. */
  launch(now: number, nfs: readonly DeviceNfHandle[]): void;
  /**
   * One look at everything there is to do.
   * @param now ms on a clock that does not go back
   * @returns ms until the next look; 0: at once; from {@link LONG_MS} on: or when a row is published
   * @throws RunError where the device has failed
   */
  step(now: number): number;
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
