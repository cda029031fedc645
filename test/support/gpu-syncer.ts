/**
 * GPUSyncer (Hummingbird, Algorithm 1, GpuIndex behind the barrier) a second time, in plain TypeScript and in the caller's thread, step
 * by step, and the host's part in launching it: so a test decides what happens when, and the kernel has something to be compared with.
 */
import type { DeviceHandle } from "../../runtime/device/device.js";
import { DUMMY, HOST, lineAt, ROW, ROW_HEADER, rowAt, TICKET, WG } from "../../runtime/device/queue.js";
import { attachRegion } from "../../runtime/packet/memory.js";

/** What a kernel does with a packet. */
export type Serve = (program: number, slot: number, table: number) => void;

/** A row as the device sees it, handed to {@link GpuSyncerOptions.onRow} before it is served. */
export interface SeenRow {
  readonly queue: number;
  readonly index: number;
  readonly program: number;
  readonly count: number;
  readonly table: number;
  readonly entries: Uint32Array;
}

export interface GpuSyncerOptions {
  readonly onRow?: (row: SeenRow) => void;
}

const enum LEFT {
  STOP = 1,
  LEAVE = 2,
}

/** A workgroup: waiting to start, polling its queue, with a row served whose GpuIndex has not moved yet, or returned. */
type State = "to start" | "polls" | "has served" | "returned";

interface Workgroup {
  state: State;
  queue: number;
  /** It has served a row in this launch. */
  served: boolean;
}

export class GpuSyncer {
  private readonly words: Uint32Array;
  private readonly atomic: Int32Array;
  private readonly workgroups: Workgroup[] = [];
  private resident = 0;

  constructor(
    private readonly handle: DeviceHandle,
    private readonly serve: Serve,
    private readonly options: GpuSyncerOptions = {},
  ) {
    const { buffer } = attachRegion(handle.queue);
    this.words = new Uint32Array(buffer);
    this.atomic = new Int32Array(buffer);
    for (let i = 0; i < handle.shape.workgroups; i++) {
      this.workgroups.push({ state: "returned", queue: 0, served: false });
    }
  }

  /**
   * Launches the kernel, once all have returned.
   * @param resident workgroups that run at once; the others start when one of them has returned
   */
  launch(resident = this.workgroups.length): void {
    if (!this.returned) throw new Error("launched while workgroups run");
    const { atomic } = this;
    const launch = (Atomics.load(atomic, HOST.LAUNCH) + 1) | 0;
    Atomics.store(atomic, TICKET, 0);
    Atomics.store(atomic, HOST.FIRST, (launch >>> 0) % this.queues);
    Atomics.store(atomic, HOST.LEAVE, 0);
    Atomics.store(atomic, HOST.LAUNCH, launch);
    this.resident = resident;
    for (const workgroup of this.workgroups) {
      workgroup.state = "to start";
      workgroup.served = false;
    }
  }

  leave(): void {
    Atomics.store(this.atomic, HOST.LEAVE, 1);
  }

  stop(): void {
    Atomics.store(this.atomic, HOST.STOP, 1);
  }

  /** True where no workgroup runs or will run before the next launch. */
  get returned(): boolean {
    return this.workgroups.every(({ state }) => state === "returned");
  }

  /**
   * A workgroup's next step: it starts, or serves a row, or moves GpuIndex behind a row it has served, or returns.
   * @returns false where it has nothing to do
   */
  step(workgroup: number): boolean {
    const me = this.workgroups[workgroup]!;
    if (me.state === "to start") return this.start(me);
    if (me.state === "polls") return this.poll(me);
    if (me.state === "has served") return this.advance(me);
    return false;
  }

  /** Steps until nothing is left to do. */
  run(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (let i = 0; i < this.workgroups.length; i++) while (this.step(i)) moved = true;
    }
  }

  private start(me: Workgroup): boolean {
    const running = this.workgroups.filter(({ state }) => state === "polls" || state === "has served").length;
    if (running >= this.resident) return false;
    if (this.mustStop() || this.mustLeave()) {
      me.state = "returned";
      return true;
    }
    const { atomic } = this;
    const first = Atomics.load(atomic, HOST.FIRST);
    const ticket = Atomics.add(atomic, TICKET, 1);
    if (ticket >= this.queues) {
      me.state = "returned";
      return true;
    }
    me.queue = (first + ticket) % this.queues;
    Atomics.store(atomic, lineAt(me.queue) + WG.LEFT, 0);
    Atomics.store(atomic, lineAt(me.queue) + WG.STARTED, Atomics.load(atomic, HOST.LAUNCH));
    me.state = "polls";
    return true;
  }

  private poll(me: Workgroup): boolean {
    const { atomic } = this;
    const line = lineAt(me.queue);
    const stop = this.mustStop();
    const leave = this.mustLeave();
    const index = Atomics.load(atomic, line + WG.GPU_INDEX);
    const work = ((Atomics.load(atomic, line + WG.CPU_INDEX) - index) | 0) !== 0;
    if (stop || (leave && (me.served || !work))) {
      Atomics.store(atomic, line + WG.LEFT, stop ? LEFT.STOP : LEFT.LEAVE);
      me.state = "returned";
      return true;
    }
    if (!work) return false;
    this.serveRow(me.queue, index >>> 0);
    me.state = "has served";
    return true;
  }

  private serveRow(queue: number, index: number): void {
    const { words, handle, options } = this;
    const row = rowAt(handle.shape, queue, index);
    const program = words[row + ROW.PROGRAM]!;
    const count = words[row + ROW.COUNT]!;
    const table = words[row + ROW.TABLE]!;
    const entries = words.slice(row + ROW_HEADER, row + ROW_HEADER + handle.shape.workgroupSize);
    options.onRow?.({ queue, index, program, count, table, entries });
    for (const slot of entries) if (slot !== DUMMY) this.serve(program, slot, table);
  }

  private advance(me: Workgroup): boolean {
    const at = lineAt(me.queue) + WG.GPU_INDEX;
    Atomics.store(this.atomic, at, (Atomics.load(this.atomic, at) + 1) | 0);
    me.served = true;
    me.state = "polls";
    return true;
  }

  /** Queues in use; memory that nobody has written says all. */
  private get queues(): number {
    return Atomics.load(this.atomic, HOST.QUEUES) || this.workgroups.length;
  }

  private mustStop(): boolean {
    return Atomics.load(this.atomic, HOST.STOP) !== 0;
  }

  private mustLeave(): boolean {
    return Atomics.load(this.atomic, HOST.LEAVE) !== 0;
  }
}
