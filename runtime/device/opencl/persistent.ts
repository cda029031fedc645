/**
 * The persistent kernel (kernels/syncer.cl) and what keeps it alive: launch, heartbeat, slices, stop. It and the syncers share memory and
 * talk there; this thread only looks after it a few times a second, or at the end of every slice.
 */
import { RunError } from "../../errors.js";
import { Arena, arenaBytes } from "../../packet/arena.js";
import { attachRegion } from "../../packet/memory.js";
import type { DeviceInfo, DeviceReport } from "../device.js";
import { HOST, lineAt, type QueueShape, queueBytes, TICKET, WG } from "../queue.js";
import type { DeviceServer, ServedNf, SharedRegions } from "../server.js";
import type { OpenClContext } from "./context.js";
import { CL, check, type Handle, statusName } from "./library.js";
import { traitsOf } from "./platform.js";

export interface PersistentOptions {
  readonly shape: QueueShape;
  /** Kernels in use, each once. */
  readonly programs: readonly string[];
  readonly slots: number;
  /** Words of the tables' memory. */
  readonly tableWords: number;
  /** ms after which the kernel returns and is launched again; 0: never. */
  readonly sliceMs: number;
  /** ms without a heartbeat after which workgroups take this process for dead and return. */
  readonly patienceMs: number;
  readonly kernelFolders: readonly string[];
  readonly nfs?: readonly ServedNf[];
  /** For tests: rows of a queue after which the kernel computes wrongly, once; see kernels/syncer.cl. */
  readonly corruptAfter?: number | undefined;
  warn(line: string): void;
}

const BEAT_MS = 100;
/** Between looks at a kernel that runs: errors are noticed that late. */
const LOOK_MS = 10;
/** Between looks at a kernel that is about to return. */
const NAP_MS = 0.05;
/** ms within which all workgroups that will run in a launch have registered. */
const REGISTER_MS = 20;
/** The kernel's heartbeat counts polls. This many are not fewer than two beats take, however fast polls become all of a sudden. */
const MIN_PATIENCE = 1 << 20;
/** Until polls have been timed: minutes, or seconds where they are fast. */
const FIRST_PATIENCE = 1 << 27;
const MAX_PATIENCE = 0xffff_ff00;
/** WG.LEFT */
const HEARTBEAT_LOST = 3;

export class PersistentServer implements DeviceServer {
  readonly info: DeviceInfo;
  readonly shape: QueueShape;
  readonly lockStep: boolean;
  readonly resident: number;
  readonly regions: SharedRegions;
  private readonly words: Int32Array;
  private readonly kernel: Handle;
  private readonly sliceMs: number;
  private readonly patienceMs: number;
  private readonly warn: (line: string) => void;
  /** The launch under way. */
  private event: Handle | undefined;
  private readonly eventOut = new BigUint64Array(1);
  private readonly global: BigUint64Array;
  private readonly local: BigUint64Array;
  private halting = false;
  private leaving = false;
  /** When a workgroup of this launch was first seen; undefined before. */
  private runningSince: number | undefined;
  private lastBeat = Number.NEGATIVE_INFINITY;
  private readonly polls: Uint32Array;
  /** The most polls per ms that a workgroup has done. */
  private pollRate = 0;
  private launches = 0;

  constructor(
    private readonly device: OpenClContext,
    options: PersistentOptions,
  ) {
    const { shape, slots } = options;
    this.shape = shape;
    this.info = device.info(true);
    this.lockStep = !this.info.emulated;
    this.resident = traitsOf(device.found.device).emulated
      ? Math.min(shape.workgroups, device.found.device.computeUnits)
      : shape.workgroups;
    this.sliceMs = options.sliceMs;
    this.patienceMs = options.patienceMs;
    this.warn = options.warn;
    this.kernel = device.kernel(
      "gpu_syncer",
      {
        shape,
        programs: options.programs,
        entry: "syncer",
        folders: options.kernelFolders,
        defines: { ...(device.isPoclHere && { WB_YIELD: 1 }), ...faultDefines(options) },
      },
      true,
    );
    const arena = device.shared(arenaBytes(slots), "the arena", true);
    const queue = device.shared(queueBytes(shape), "the queues", true);
    // Main fills it with tables; what is kept for later ones need not take memory yet.
    const tables = device.shared(4 * options.tableWords, "the tables", false);
    this.regions = { arena, queue, tables };
    this.words = new Int32Array(attachRegion(queue).buffer);
    const { params } = Arena.attach({ slots, region: arena, owned: false });
    device.setShared(this.kernel, [arena.address, arena.address + params.byteOffset, queue.address, tables.address]);
    this.global = BigUint64Array.of(BigInt(shape.workgroups * shape.workgroupSize));
    this.local = BigUint64Array.of(BigInt(shape.workgroupSize));
    this.polls = new Uint32Array(shape.workgroups);
    Atomics.store(this.words, HOST.PATIENCE, FIRST_PATIENCE);
    Atomics.store(this.words, HOST.QUEUES, shape.workgroups);
  }

  get ended(): boolean {
    return this.event === undefined;
  }

  launch(now: number): void {
    const { words, device } = this;
    this.beat(now);
    Atomics.store(words, TICKET, 0);
    Atomics.store(words, HOST.FIRST, this.firstQueue());
    Atomics.add(words, HOST.LAUNCH, 1);
    // Last: syncers publish nothing while it is up.
    Atomics.store(words, HOST.LEAVE, 0);
    this.leaving = false;
    this.runningSince = undefined;
    const { enqueueKernel, flush } = device.cl;
    const status = enqueueKernel(device.queue, this.kernel, 1, null, this.global, this.local, 0, null, this.eventOut);
    check(status as number, "clEnqueueNDRangeKernel");
    this.event = this.eventOut[0]!;
    check(flush(device.queue) as number, "clFlush");
    this.launches++;
  }

  /**
   * The queue that is sure of a workgroup: the next one after the last launch's that wants one. Fewer workgroups may run than before, and
   * each queue has its turn.
   */
  private firstQueue(): number {
    const { words } = this;
    const last = Atomics.load(words, HOST.FIRST);
    const queues = Atomics.load(words, HOST.QUEUES);
    for (let i = 1; i <= queues; i++) {
      const queue = (last + i) % queues;
      if (this.waits(queue)) return queue;
    }
    return last % queues;
  }

  /** Rows wait in a queue, or its syncer has packets for it and no queue that is served. */
  private waits(queue: number): boolean {
    const { words } = this;
    const line = lineAt(queue);
    if (Atomics.load(words, line + WG.CPU_INDEX) !== Atomics.load(words, line + WG.GPU_INDEX)) return true;
    const wanted = Atomics.load(words, line + WG.WANTED);
    return wanted !== 0 && wanted === Atomics.load(words, HOST.LAUNCH);
  }

  private registered(queue: number): boolean {
    return Atomics.load(this.words, lineAt(queue) + WG.STARTED) === Atomics.load(this.words, HOST.LAUNCH);
  }

  step(now: number): number {
    if (this.event === undefined) return LOOK_MS;
    const status = this.device.status(this.event);
    if (status <= CL.COMPLETE) {
      this.device.cl.releaseEvent(this.event);
      this.event = undefined;
      this.returned(status, now);
      return 0;
    }
    if (now - this.lastBeat >= BEAT_MS) this.beat(now);
    if (this.halting || this.leaving) return NAP_MS;
    if (this.shouldLeave(now)) {
      this.leaving = true;
      Atomics.store(this.words, HOST.LEAVE, 1);
      return NAP_MS;
    }
    if (this.runningSince === undefined) return NAP_MS;
    const slice = this.sliceMs === 0 ? LOOK_MS : this.runningSince + this.sliceMs - now;
    return Math.max(Math.min(slice, LOOK_MS), NAP_MS);
  }

  /** The kernel has returned: as it should, or because it lost patience with this process, or by an error of the driver's. */
  private returned(status: number, now: number): void {
    if (status < 0) {
      throw new RunError(
        `device ${this.info.name}`,
        `the kernel ended with ${statusName(status)}`,
        "a driver's watchdog resets kernels that run for long: --slice 1000 makes it return every second",
      );
    }
    if (this.halting) return;
    if (!this.leaving) {
      if (!this.lostHeartbeat()) {
        throw new RunError(
          `device ${this.info.name}`,
          "the kernel ended although nobody stopped it",
          "a driver's watchdog may have reset it: --slice 1000 makes it return every second",
        );
      }
      this.warnHeartbeat();
    }
    this.launch(now);
  }

  private lostHeartbeat(): boolean {
    for (let queue = 0; queue < this.shape.workgroups; queue++) {
      if (this.registered(queue) && Atomics.load(this.words, lineAt(queue) + WG.LEFT) === HEARTBEAT_LOST) return true;
    }
    return false;
  }

  private warnHeartbeat(): void {
    const seconds = this.patienceMs / 1000;
    this.warn(
      `device ${this.info.name}: workgroups saw no heartbeat for about ${seconds} s and returned; they are launched again`,
    );
  }

  /** The slice is over; or a workgroup has left by itself; or a queue wants a workgroup and has got none in this launch. */
  private shouldLeave(now: number): boolean {
    let running = 0;
    let stranded = false;
    for (let queue = 0; queue < this.shape.workgroups; queue++) {
      if (this.registered(queue)) running++;
      else if (this.waits(queue)) stranded = true;
    }
    if (running === 0) return false;
    this.runningSince ??= now;
    const ms = now - this.runningSince;
    if (this.sliceMs > 0 && ms >= this.sliceMs) return true;
    if (stranded && ms >= REGISTER_MS) return true;
    if (!this.lostHeartbeat()) return false;
    this.warnHeartbeat();
    return true;
  }

  /** Shows the kernel that this process lives, and tells it how many polls its patience is. */
  private beat(now: number): void {
    const { words, polls } = this;
    const ms = now - this.lastBeat;
    this.lastBeat = now;
    Atomics.add(words, HOST.HEARTBEAT, 1);
    for (let queue = 0; queue < polls.length; queue++) {
      const count = Atomics.load(words, lineAt(queue) + WG.POLLS) >>> 0;
      // Counted from 0 in each launch.
      const since = count >= polls[queue]! ? count - polls[queue]! : count;
      polls[queue] = count;
      if (since / ms > this.pollRate) this.pollRate = since / ms;
    }
    if (this.pollRate === 0) return;
    const patience = Math.max(this.pollRate * this.patienceMs, MIN_PATIENCE);
    Atomics.store(words, HOST.PATIENCE, Math.min(patience, MAX_PATIENCE) | 0);
  }

  halt(): void {
    this.halting = true;
    Atomics.store(this.words, HOST.STOP, 1);
  }

  uploadTables(): void {
    // The kernel reads the host's memory.
  }

  report(): DeviceReport {
    return { bytesCopied: 0, copyMs: 0, launches: this.launches };
  }

  close(): void {
    this.device.close();
  }
}

/** Macros of wb_fault in kernels/syncer.cl; none without a fault. */
function faultDefines({ corruptAfter, nfs = [] }: PersistentOptions): Record<string, number> {
  if (corruptAfter === undefined) return {};
  let packets = 0;
  for (const { program, writes } of nfs) if (writes === "packet") packets |= 1 << program;
  return { WB_FAULT_AFTER: corruptAfter, WB_FAULT_PACKETS: packets >>> 0 };
}
