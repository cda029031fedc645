/** Main's end of a device: starts the device thread, puts tables into the device's memory, and passes on what the thread says. */
import { Worker } from "node:worker_threads";
import { ConfigError, type PlainError, RunError, reviveError } from "../errors.js";
import { arenaBytes } from "../packet/arena.js";
import { attachRegion } from "../packet/memory.js";
import type { Device, DeviceHandle, DeviceNf, DeviceNfHandle, DeviceReport } from "./device.js";
import { type Forwarding, routeTableAt, routeWords, writeRoutes } from "./forward.js";
import type { GpuJsMode } from "./gpujs/compile.js";
import type { FoundDevice } from "./opencl/platform.js";
import { preparePocl } from "./opencl/pocl.js";
import { endWithThread } from "./process-end.js";
import { HOST, type QueueShape } from "./queue.js";
import type { ServerRequest } from "./server.js";
import type { AnyRequest } from "./servers.js";
import { TableHeap } from "./tables.js";
import { WAKE_BYTES, wakeThread } from "./wake.js";
import { prepareVulkan } from "./webgpu/library.js";
import type { DeviceMessage, DeviceRequest, DeviceSetup, OpenedDevice } from "./worker.js";

export interface DeviceOptions {
  readonly kind: AnyRequest["kind"];
  /** gpujs; absent: webasm. */
  readonly gpuJsMode?: GpuJsMode;
  /** opencl: the device; absent: by `name`. */
  readonly found?: FoundDevice;
  /** Part of the device's, its platform's or its driver's name; absent: the best there is. */
  readonly name?: string;
  /** opencl: absent: persistent where the device can, else rounds. */
  readonly mode?: "persistent" | "rounds";
  /** Slots of the arena, or how many for this shape of the queues. */
  readonly slots: number | ((shape: QueueShape) => number);
  readonly nfs: readonly DeviceNf[];
  /** webgpu: where packets go on from NF to NF on the device itself; absent: they come back to the host from each. */
  readonly forwarding?: Forwarding | undefined;
  /** Absent: as many as the device runs at once, at most 8. */
  readonly workgroups?: number;
  /** Threads of a workgroup, a power of two; 64. */
  readonly workgroupSize?: number;
  /** Rows of a queue, a power of two; 8. */
  readonly depth?: number;
  /** Rounds under way at once, for experiments; absent: as many as are fastest. */
  readonly inFlight?: number;
  /** ms after which a persistent kernel returns and is launched again, for drivers whose watchdog resets long kernels; 0: never. */
  readonly sliceMs?: number;
  /** ms without a sign of life from this process after which a persistent kernel returns; 5000. */
  readonly patienceMs?: number;
  /** Folders that are looked through for .cl and .wgsl files before kernels/. */
  readonly kernelFolders?: readonly string[];
  /** For tests, webgpu and gpujs in mode webgpu: the device is destroyed once it has been given as many rounds (0: at the first launch), as if its driver had reset it. */
  readonly loseAfter?: number;
  /** For tests: the device computes wrongly, once, after as many rounds (of a persistent kernel: rows of a queue); see fault.ts. */
  readonly corruptAfter?: number;
  /** One line on stderr. */
  warn(line: string): void;
}

const WORKGROUP_SIZE = 64;
const DEPTH = 8;
const PATIENCE_MS = 5000;
const MOST_WORKGROUPS = 256;
const MOST_SIZE = 1024;
const MOST_DEPTH = 1024;
/** ms after which stop() takes the thread for one that hangs in the driver; the thread itself gives the device 2 s. */
const STOP_MS = 5000;
/** ms after which close() does. */
const CLOSE_MS = 3000;

/**
 * Opens a device and puts the tables into its memory.
 * @throws ConfigError for numbers out of range; RunError where there is no such device or the kernels do not compile
 */
export async function openDevice(options: DeviceOptions): Promise<Device> {
  const workgroupSize = inRange("workgroupSize", options.workgroupSize ?? WORKGROUP_SIZE, MOST_SIZE, true);
  const depth = inRange("depth", options.depth ?? DEPTH, MOST_DEPTH, true);
  const { workgroups } = options;
  if (workgroups !== undefined) inRange("workgroups", workgroups, MOST_WORKGROUPS, false);
  // Others have packets where the host has them, or one launch for each NF.
  const forwarding = options.kind === "webgpu" ? options.forwarding : undefined;
  const routes = Math.max(1, TableHeap.room(options.nfs.map((nf) => nf.tables)));
  const programs = [...new Set(options.nfs.map((nf) => nf.program))];
  const setup: DeviceSetup = {
    request: prepared(options, {
      name: options.name,
      workgroups,
      workgroupSize,
      depth,
      kernelFolders: options.kernelFolders ?? [],
      programs,
      nfs: options.nfs.map(({ program, writes }) => ({ program: programs.indexOf(program), writes })),
      inFlight: options.inFlight,
      tableWords: routes + (forwarding === undefined ? 0 : routeWords(forwarding)),
      forwarding,
      routes,
      corruptAfter: options.corruptAfter,
    }),
    wake: new SharedArrayBuffer(WAKE_BYTES),
  };
  const thread = new Thread(setup, options);
  const opened = await thread.opened;
  return new ThreadDevice(thread, opened, options, programs, setup.request);
}

/** What the device thread is asked for. Drivers' environment is set here and now, since a worker's never reaches native code. */
function prepared(options: DeviceOptions, common: Omit<ServerRequest, "kind">): AnyRequest {
  const { kind, found, mode, sliceMs = 0, patienceMs = PATIENCE_MS, gpuJsMode = "webasm", loseAfter } = options;
  if (kind === "webgpu") {
    prepareVulkan();
    return { ...common, kind, loseAfter };
  }
  if (kind === "gpujs") {
    if (gpuJsMode === "webgpu") prepareVulkan();
    return { ...common, kind, mode: gpuJsMode, loseAfter };
  }
  preparePocl(common.workgroups);
  return { ...common, kind, found, mode, sliceMs, patienceMs };
}

function inRange(name: string, value: number, most: number, power: boolean): number {
  const fits = Number.isInteger(value) && value >= 1 && value <= most && (!power || (value & (value - 1)) === 0);
  if (fits) return value;
  const expected = power ? `a power of two of 1 to ${most}` : `a whole number of 1 to ${most}`;
  throw new ConfigError(`device ${name}`, `found ${value}, expected ${expected}`);
}

/** The device thread: one request at a time, and what it says unasked. It keeps the process alive only while a request is open. */
class Thread {
  readonly opened: Promise<OpenedDevice>;
  /** Rejects when the device fails. */
  readonly failed: Promise<never>;
  /** Words of wake.ts. */
  readonly shared: SharedArrayBuffer;
  private readonly worker: Worker;
  private readonly wake: Int32Array;
  private readonly gone: Promise<void>;
  private readonly letGo: () => void;
  private answer: { resolve(value: unknown): void; reject(error: Error): void } | undefined;
  private last: Promise<unknown> = Promise.resolve();
  private fail!: (error: Error) => void;
  /** Why no request can be answered any more. */
  private failure: Error | undefined;
  /** Told to end: that it does is no failure. */
  private closing = false;

  constructor(setup: DeviceSetup, options: DeviceOptions) {
    this.shared = setup.wake;
    this.wake = new Int32Array(setup.wake);
    this.letGo = endWithThread(this.wake);
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: setup });
    this.failed = new Promise((_, reject) => {
      this.fail = (error) => {
        this.failure ??= error;
        this.answer?.reject(error);
        this.answer = undefined;
        reject(error);
      };
    });
    this.failed.catch(() => {});
    this.gone = new Promise((resolve) => this.worker.on("exit", () => resolve()));
    void this.gone.then(this.letGo);
    this.worker.on("exit", (code) => {
      const ended = new RunError("device thread", `it has ended (exit code ${code})`, "report this as a bug");
      if (this.closing) this.failure ??= ended;
      else this.fail(ended);
    });
    this.worker.on("error", (error) => this.fail(error as Error));
    this.opened = this.expect() as Promise<OpenedDevice>;
    this.worker.on("message", (message: DeviceMessage) => this.hear(message, options));
  }

  private hear(message: DeviceMessage, options: DeviceOptions): void {
    if (message.kind === "warn") options.warn(message.line);
    else if (message.kind === "shape") this.tellSlots(options.slots, message.shape);
    else if (message.kind === "failed") this.fail(reviveError(message.error));
    else {
      const { answer } = this;
      this.answer = undefined;
      if (message.kind === "refused") answer?.reject(reviveError(message.error as PlainError));
      else answer?.resolve(message.kind === "opened" ? message.device : message.value);
    }
  }

  private tellSlots(slots: DeviceOptions["slots"], shape: QueueShape): void {
    try {
      const count = typeof slots === "number" ? slots : slots(shape);
      arenaBytes(count);
      this.send({ kind: "slots", slots: count });
    } catch (error) {
      this.fail(error as Error);
      void this.worker.terminate();
    }
  }

  private send(request: DeviceRequest): void {
    this.worker.postMessage(request);
    wakeThread(this.wake);
  }

  private expect(): Promise<unknown> {
    this.worker.ref();
    const answered = new Promise<unknown>((resolve, reject) => {
      this.answer = { resolve, reject };
    });
    return answered.finally(() => this.worker.unref());
  }

  /**
   * Sends a request when those before it are answered.
   * @param limit ms from now until the thread counts as hanging
   */
  ask(request: DeviceRequest, limit?: number): Promise<unknown> {
    const next = this.last
      .catch(() => {})
      .then(() => {
        if (this.failure !== undefined) throw this.failure;
        const answered = this.expect();
        this.send(request);
        return answered;
      });
    this.last = next;
    if (limit === undefined) return next;
    const timer = setTimeout(() => {
      const problem = `the driver has not answered to "${request.kind}" within ${limit / 1000} s`;
      this.fail(new RunError("device thread", problem, "end this process; the device may need a reset"));
    }, limit);
    return next.finally(() => clearTimeout(timer));
  }

  /** Ends the thread, also after a failure. */
  async close(): Promise<void> {
    await this.last.catch(() => {});
    this.closing = true;
    this.worker.ref();
    this.send({ kind: "close" });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    await Promise.race([this.gone, late]);
    clearTimeout(timer);
    this.worker.unref();
  }
}

class ThreadDevice implements Device {
  readonly handle: DeviceHandle;
  readonly failed: Promise<never>;
  readonly arena: DeviceHandle["queue"];
  private readonly heap: TableHeap;
  private readonly tables: Uint32Array;
  private readonly queue: Int32Array;
  private stopped: Promise<DeviceReport> | undefined;
  private started: Promise<number> | undefined;

  constructor(
    private readonly thread: Thread,
    opened: OpenedDevice,
    options: DeviceOptions,
    programs: readonly string[],
    private readonly request: Pick<ServerRequest, "tableWords" | "forwarding" | "routes">,
  ) {
    const { info, shape, lockStep, regions } = opened;
    this.failed = thread.failed;
    this.arena = regions.arena;
    const { tableWords, forwarding, routes } = request;
    this.heap = new TableHeap(routes);
    this.tables = new Uint32Array(attachRegion(regions.tables).buffer, 0, tableWords);
    this.queue = new Int32Array(attachRegion(regions.queue).buffer);
    const nfs = options.nfs.map(({ program, tables }) => this.place(programs.indexOf(program), tables));
    if (forwarding !== undefined) writeRoutes(this.tables, routes, forwarding, nfs);
    const { queue, tables, ahead } = regions;
    this.handle = { info, shape, lockStep, queue, tables, wake: thread.shared, nfs, ...(ahead && { ahead }) };
    // Before the wait for what is under way.
    process.prependOnceListener("exit", this.raiseStop);
    // Nobody may be left to look after the kernel. The memory is there until close().
    thread.failed.catch(this.raiseStop);
  }

  /** A kernel on a real GPU outlives its process, until it misses the heartbeat: so it is told. */
  private readonly raiseStop = () => {
    Atomics.store(this.queue, HOST.STOP, 1);
  };

  private place(program: number, tables: Uint32Array): DeviceNfHandle {
    const table = this.heap.take(tables.length);
    this.tables.set(tables, table);
    return { program, table };
  }

  async swapTable(nf: number, tables: Uint32Array): Promise<DeviceNfHandle> {
    const handle = this.place(this.handle.nfs[nf]!.program, tables);
    await this.thread.ask({ kind: "upload", from: handle.table, count: tables.length });
    const { forwarding, routes } = this.request;
    if (forwarding !== undefined) {
      // What goes on to the NF on the device from now on meets the new table, as rows do that name it.
      const from = routes + routeTableAt(nf);
      this.tables[from] = handle.table;
      await this.thread.ask({ kind: "upload", from, count: 1 });
    }
    return handle;
  }

  freeTable(handle: DeviceNfHandle): void {
    this.heap.free(handle.table);
  }

  start(): Promise<number> {
    this.started ??= this.thread.ask({ kind: "start", nfs: this.handle.nfs }) as Promise<number>;
    return this.started;
  }

  stop(): Promise<DeviceReport> {
    this.stopped ??= this.thread.ask({ kind: "stop" }, STOP_MS) as Promise<DeviceReport>;
    return this.stopped;
  }

  async close(): Promise<void> {
    if (this.started !== undefined) await this.stop().catch(() => {});
    process.off("exit", this.raiseStop);
    await this.thread.close();
  }
}
