/**
 * The gpu.js device: the device thread takes the rows that are there, hands each NF's packets to its kernel in one launch, and
 * copies the answers back. Modes cpu and webasm serve a round before `step` returns; webgpu while the event loop turns.
 */

import { RunError } from "../../errors.js";
import { yieldCpu } from "../../native/yield-cpu.js";
import { Arena, arenaBytes } from "../../packet/arena.js";
import { attachRegion, mapRegion, unmapRegion } from "../../packet/memory.js";
import type { DeviceInfo, DeviceNfHandle, DeviceReport } from "../device.js";
import { Fault } from "../fault.js";
import { HOST, type QueueShape, queueBytes } from "../queue.js";
import { Pace } from "../round-host.js";
import { RowTaker } from "../rounds.js";
import type { DeviceServer, SharedRegions } from "../server.js";
import type { GpuJs } from "./compile.js";
import { Launch, programOf, tableOf } from "./launch.js";
import type { GpuJsProgram } from "./program.js";

/** Threads of a launch at most. */
const MOST_THREADS = 1024;

export interface GpuJsOptions {
  readonly shape: QueueShape;
  readonly programs: readonly GpuJsProgram[];
  readonly slots: number;
  readonly tableWords: number;
  /** For tests: the device is lost once it has been given as many launches; 0: at the first. */
  readonly loseAfter?: number | undefined;
  /** For tests; see {@link Fault}. */
  readonly corruptAfter?: number | undefined;
}

/** ms between looks at the first launches, beside the turns of the event loop. */
const STARTING_MS = 1;

export class GpuJsServer implements DeviceServer {
  readonly info: DeviceInfo;
  readonly shape: QueueShape;
  readonly lockStep = false;
  readonly resident: number;
  readonly regions: SharedRegions;
  /** Launches compiled so far, by program and table. */
  private readonly launches = new Map<string, Launch>();
  private readonly programs: readonly GpuJsProgram[];
  private readonly arena: Arena;
  private readonly queueWords: Uint32Array;
  private readonly tables: Uint32Array;
  private readonly taker: RowTaker;
  private readonly fault: Fault | undefined;
  private readonly rows: Uint32Array;
  private readonly queues: Uint16Array;
  private readonly served: Uint8Array;
  private readonly threads: number;
  private count = 0;
  private readonly loseAfter: number | undefined;
  /** A round is under way. */
  private busy = false;
  /** Kernels are being compiled with their tables: nobody registers before that is done. */
  private starting = false;
  private failure: Error | undefined;
  private halting = false;
  private readonly pace = new Pace();
  /** Settles when gpu.js has let go of everything; undefined before {@link close}. */
  closed: Promise<void> | undefined;
  private closing = false;
  private launched = 0;
  /** Of launches that are no more. */
  private bytesCopied = 0;
  private copyMs = 0;

  constructor(
    private readonly gpu: GpuJs,
    { shape, programs, slots, tableWords, loseAfter, corruptAfter }: GpuJsOptions,
  ) {
    this.loseAfter = loseAfter;
    this.shape = shape;
    this.programs = programs;
    this.resident = shape.workgroups;
    this.info = { kind: "gpujs", name: gpu.name, emulated: gpu.emulated, persistent: false, zeroCopy: false };
    const regions = [arenaBytes(slots), queueBytes(shape), 4 * tableWords].map(mapRegion);
    const [arena, queue, tables] = regions.map(({ address, size, hugePages }) => ({ address, size, hugePages }));
    this.regions = { arena: arena!, queue: queue!, tables: tables! };
    this.arena = Arena.attach({ slots, region: arena!, owned: false });
    this.queueWords = new Uint32Array(attachRegion(queue!).buffer);
    this.tables = new Uint32Array(attachRegion(tables!).buffer, 0, tableWords);
    this.taker = new RowTaker(queue!, shape);
    // No kernel writes to packets here.
    const writes = new Uint8Array(programs.length);
    this.fault = corruptAfter === undefined ? undefined : new Fault(corruptAfter, this.arena, shape, writes);
    const most = Math.max(1, Math.min(shape.workgroups * shape.depth, Math.floor(MOST_THREADS / shape.workgroupSize)));
    this.rows = new Uint32Array(most);
    this.queues = new Uint16Array(most);
    this.served = new Uint8Array(most);
    this.threads = most * shape.workgroupSize;
  }

  /** Compiles every kernel once, without tables, so that one that gpu.js refuses is told before a packet is received. */
  async tryKernels(): Promise<void> {
    for (const program of this.programs) {
      const launch = new Launch(this.gpu, program, new Uint32Array(0), this.arena, this.shape, this.threads);
      await launch.trial();
      launch.free();
    }
  }

  get ended(): boolean {
    return !this.busy && !this.starting;
  }

  /** True while the event loop has to turn: for a round to end, a kernel to be compiled, or what gpu.js closes. */
  get pending(): boolean {
    return this.busy || this.starting || this.closing;
  }

  /** Compiles each kernel with its tables, which takes a second for those of a router: no packet is to wait for that. */
  launch(now: number, nfs: readonly DeviceNfHandle[]): void {
    this.pace.busy(now);
    this.starting = true;
    void this.compileAll(nfs).then(
      () => {
        this.starting = false;
        if (!this.halting) this.taker.register();
      },
      (error: Error) => {
        this.starting = false;
        this.fail(error);
      },
    );
  }

  private async compileAll(nfs: readonly DeviceNfHandle[]): Promise<void> {
    if (this.loseAfter === 0) this.gpu.loseDevice();
    for (const { program, table } of nfs) await this.launchFor(program, table).trial();
  }

  step(now: number): number {
    if (!this.busy) this.failure ??= this.loss();
    if (this.failure !== undefined) throw this.failure;
    if (this.starting) return STARTING_MS;
    // The process ends: main has no time to send a message.
    if (!this.halting && Atomics.load(this.queueWords, HOST.STOP) !== 0) this.halt();
    if (this.busy || this.halting || !this.takeRows()) {
      const ms = this.pace.next(now, this.busy);
      if (ms === 0 || this.busy) yieldCpu();
      return ms;
    }
    this.pace.busy(now);
    this.served.fill(0);
    this.busy = true;
    let rest: Promise<void> | undefined;
    try {
      rest = this.serve(0);
    } catch (error) {
      this.busy = false;
      throw error;
    }
    if (rest === undefined) this.done();
    else
      rest.then(
        () => this.done(),
        (error: Error) => this.fail(error),
      );
    return 0;
  }

  private takeRows(): boolean {
    this.count = this.taker.take(this.rows, this.queues);
    return this.count > 0;
  }

  /** The round's rows from one on, launch after launch; those of one NF together. */
  private serve(first: number): Promise<void> | undefined {
    const { queueWords, rows, count, served } = this;
    for (let i = first; i < count; i++) {
      if (served[i] === 1) continue;
      const program = programOf(queueWords, rows[i]!);
      const table = tableOf(queueWords, rows[i]!);
      const mine: number[] = [];
      for (let k = i; k < count; k++) {
        if (programOf(queueWords, rows[k]!) !== program || tableOf(queueWords, rows[k]!) !== table) continue;
        served[k] = 1;
        mine.push(rows[k]!);
      }
      const launch = this.launchFor(program, table);
      const answers = launch.run(queueWords, mine);
      this.launched++;
      if (this.launched === this.loseAfter) this.gpu.loseDevice();
      if (!(answers instanceof Promise)) launch.collect(answers);
      else
        return answers.then((arrived) => {
          launch.collect(arrived);
          return this.serve(i + 1);
        });
    }
    return undefined;
  }

  private launchFor(program: number, table: number): Launch {
    const key = `${program} ${table}`;
    let launch = this.launches.get(key);
    if (launch === undefined) {
      const { gpu, programs, tables, arena, shape, threads } = this;
      launch = new Launch(gpu, programs[program]!, tables.subarray(table), arena, shape, threads);
      this.launches.set(key, launch);
    }
    return launch;
  }

  private done(): void {
    this.fault?.served(this.queueWords, this.rows, this.count);
    this.taker.done(this.queues, this.count);
    this.busy = false;
  }

  /** Of a device that is lost, what a launch says is of no use. */
  private fail(error: Error): void {
    this.failure ??= this.loss() ?? error;
    this.busy = false;
  }

  private loss(): RunError | undefined {
    const { lost, name } = this.gpu;
    if (lost === undefined) return undefined;
    const problem = `it is lost (${lost}); ${this.busy ? this.count : 0} rows were in flight`;
    return new RunError(`device ${name}`, problem, "a driver resets kernels that run for long: use another --device");
  }

  halt(): void {
    this.halting = true;
    this.taker.leave();
  }

  /** What was compiled with an older table at the place is of no use any more. */
  uploadTables(from: number, count: number): void {
    for (const [key, launch] of this.launches) {
      const table = Number(key.split(" ")[1]);
      if (table < from || table >= from + count) continue;
      this.bytesCopied += launch.bytesCopied;
      this.copyMs += launch.copyMs;
      launch.free();
      this.launches.delete(key);
    }
  }

  report(): DeviceReport {
    let { bytesCopied, copyMs } = this;
    for (const launch of this.launches.values()) {
      bytesCopied += launch.bytesCopied;
      copyMs += launch.copyMs;
    }
    return { bytesCopied, copyMs, launches: this.launched };
  }

  close(): void {
    for (const launch of this.launches.values()) launch.free();
    this.closing = true;
    this.closed = this.gpu
      .close()
      .catch(() => {})
      .finally(() => {
        this.closing = false;
      });
    for (const region of Object.values(this.regions)) unmapRegion(region);
  }
}
