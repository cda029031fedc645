/**
 * A GPU device as the rest of the runtime sees it: shared memory, and somebody on the other side who serves the rows that are published
 * in it (queue.ts). CPUSyncer (syncer.ts) knows the memory and nothing else; whether a persistent kernel serves the rows, or a thread
 * that launches rounds, is the device's affair.
 *
 * A device lives in a worker thread of its own (worker.ts): drivers block, and main has to stay responsive. Main opens it (open.ts), puts
 * the NFs' tables into its memory, starts it before the data plane and stops it after.
 */
import type { RegionHandle } from "../packet/memory.js";
import type { AheadHandle } from "./forward.js";
import type { QueueShape } from "./queue.js";

export type DeviceKind = "opencl" | "webgpu" | "gpujs";

/** What `run` and `doctor` say of a device; found out, never assumed. */
export interface DeviceInfo {
  readonly kind: DeviceKind;
  readonly name: string;
  /** True where a CPU plays GPU: proves correctness, says nothing about the benefit of a GPU. */
  readonly emulated: boolean;
  /** One kernel runs from start to stop; else work is launched in rounds. */
  readonly persistent: boolean;
  /** The device reads and writes the slots themselves; else packets are copied there and back, and counted. */
  readonly zeroCopy: boolean;
}

/** An NF placed on the device. */
export interface DeviceNf {
  /** Its kernel: kernels/<program>.cl or .wgsl. */
  readonly program: string;
  /** Read-only tables, copied into the device's memory at the start. */
  readonly tables: Uint32Array;
  /** What the kernel changes, for devices that copy: the packet's PLACE and the params, or the params alone. */
  readonly writes: "packet" | "params";
}

/** Where an NF's kernel and tables ended up: what stands in its rows' headers. */
export interface DeviceNfHandle {
  /** ROW.PROGRAM */
  readonly program: number;
  /** ROW.TABLE */
  readonly table: number;
}

/** Everything a data-plane thread needs; plain data that can be posted. */
export interface DeviceHandle {
  readonly info: DeviceInfo;
  readonly shape: QueueShape;
  readonly queue: RegionHandle;
  readonly tables: RegionHandle;
  /** Words of wake.ts: to wake the device thread with when a row is published. */
  readonly wake: SharedArrayBuffer;
  /** In the order the NFs were given. */
  readonly nfs: readonly DeviceNfHandle[];
  /** True where threads of a workgroup run in lock-step, so that rows of packets of like length pay. */
  readonly lockStep: boolean;
  /** Present where the device hands packets on from NF to NF by itself. */
  readonly ahead?: AheadHandle;
}

/** What a device says when it has stopped. */
export interface DeviceReport {
  /** Packet bytes (and params with them) copied to and from the device; 0 with zero-copy. */
  readonly bytesCopied: number;
  /** ms the device thread has spent with copying them, as far as it does that itself and not the driver; 0 with zero-copy. */
  readonly copyMs: number;
  /** Kernel launches. */
  readonly launches: number;
}

export interface Device {
  readonly handle: DeviceHandle;
  /** The arena's memory, in which slots lie: the device's own where it is zero-copy. */
  readonly arena: RegionHandle;
  /**
   * Starts serving, once; resolves with the number of workgroups that run at once. As many queues, the first ones, are served.
   * @throws RunError where none does
   */
  start(): Promise<number>;
  /**
   * Puts a new table for an NF beside the old one; hand what it returns to the NF's syncers.
   * @throws RunError where the device's memory has no room for it
   */
  swapTable(nf: number, tables: Uint32Array): Promise<DeviceNfHandle>;
  /** Gives back the room of a table that no row names any more: those that named it are collected, and no syncer has it. */
  freeTable(handle: DeviceNfHandle): void;
  /**
   * Stops serving and frees nothing yet. Rows published and not served stay as they are.
   * @throws RunError where the device does not come to an end within its time limit
   */
  stop(): Promise<DeviceReport>;
  /** Frees all memory; no view of it may be touched afterwards. After a stop that failed nothing is freed: a kernel may still write. */
  close(): Promise<void>;
  /** Rejects when the device fails while it runs; never resolves, and does not keep the process alive. */
  readonly failed: Promise<never>;
}
