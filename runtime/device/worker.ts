/**
 * The device thread: opens the device, then looks after its server and does what main asks for, until main closes it. Its life is one
 * loop that sleeps on a word of shared memory, so that it can nap for less than a timer's millisecond and main can wake it. While promises
 * of a driver are open, which settle in the thread's event loop alone, it takes turns of that loop instead.
 */
import { setTimeout as delay, setImmediate } from "node:timers/promises";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { type PlainError, RunError } from "../errors.js";
import { attachRegion } from "../packet/memory.js";
import type { DeviceInfo, DeviceNfHandle } from "./device.js";
import { HOST, lineAt, type QueueShape, WG } from "./queue.js";
import { type DeviceServer, LONG_MS, type SharedRegions } from "./server.js";
import { type AnyRequest, openServer, usesDawn } from "./servers.js";
import { ENDING, PENDING, WAKE } from "./wake.js";

export interface DeviceSetup {
  readonly request: AnyRequest;
  /** Words of wake.ts. */
  readonly wake: SharedArrayBuffer;
}

/** What main asks for; it waits for the answer to one before it sends the next. */
export type DeviceRequest =
  | { readonly kind: "slots"; readonly slots: number }
  /** `nfs`: where each NF's tables are, which lie in the memory by now. */
  | { readonly kind: "start"; readonly nfs: readonly DeviceNfHandle[] }
  | { readonly kind: "upload"; readonly from: number; readonly count: number }
  | { readonly kind: "stop" }
  | { readonly kind: "close" };

export interface OpenedDevice {
  readonly info: DeviceInfo;
  readonly shape: QueueShape;
  readonly lockStep: boolean;
  readonly regions: SharedRegions;
}

export type DeviceMessage =
  | { readonly kind: "warn"; readonly line: string }
  /** How the queues will be; answered by "slots". */
  | { readonly kind: "shape"; readonly shape: QueueShape }
  | { readonly kind: "opened"; readonly device: OpenedDevice }
  /** The answer to a request. */
  | { readonly kind: "done"; readonly value: unknown }
  | { readonly kind: "refused"; readonly error: PlainError }
  /** The device has failed, or could not be opened. */
  | { readonly kind: "failed"; readonly error: PlainError };

/** ms after the first workgroup within which all should register; the others may never. */
const START_ALL_MS = 1000;
/** ms within which one has to. PoCL compiles for the size of the workgroups only now: seconds, and more on a busy machine. */
const START_MS = 60_000;
/** ms within which the device has to come to an end. */
const STOP_MS = 2000;
/** Between turns of the event loop where no more rows are served. */
const IDLE_TURN_MS = 1;
/** Where nothing runs: main wakes the thread. */
const IDLE_MS = 1000;

const port = parentPort!;
const post = (message: DeviceMessage) => port.postMessage(message);
const { request, wake } = workerData as DeviceSetup;
const wakeWord = new Int32Array(wake);

const plain = ({ name, message, stack }: Error): PlainError => ({ name, message, stack });

function receive(): DeviceRequest | undefined {
  return receiveMessageOnPort(port)?.message as DeviceRequest | undefined;
}

/** Says to main whether the thread may be in a driver, or has promises of one open. */
function tellPending(pending: 0 | 1): void {
  if (Atomics.exchange(wakeWord, PENDING, pending) !== pending) Atomics.notify(wakeWord, PENDING);
}

/** Where main has ended the thread does not go on; its promises have settled. */
function stayIfEnding(): void {
  if (Atomics.load(wakeWord, ENDING) === 0) return;
  tellPending(0);
  Atomics.wait(wakeWord, ENDING, 1);
}

/** Asks main how many slots the arena is to have. No promise is open meanwhile. */
function askSlots(shape: QueueShape): number {
  post({ kind: "shape", shape });
  for (;;) {
    const seen = Atomics.load(wakeWord, WAKE);
    stayIfEnding();
    const message = receive();
    if (message?.kind === "slots") return message.slots;
    Atomics.wait(wakeWord, WAKE, seen, IDLE_MS);
  }
}

/** Opens the device. Dawn has promises open all the time: a process that ends waits for them, as it does for those of rounds. */
async function open(): Promise<DeviceServer> {
  if (usesDawn(request)) tellPending(1);
  stayIfEnding();
  try {
    return await openServer(request, askSlots, (line) => post({ kind: "warn", line }));
  } finally {
    stayIfEnding();
    tellPending(0);
  }
}

class DeviceThread {
  private phase: "opened" | "starting" | "running" | "stopping" | "over" = "opened";
  /** When the phase began. */
  private since = 0;
  private closed = false;
  /** The most workgroups that were registered at once. */
  private most = 0;
  /** ms from the start to the first workgroup that registered. */
  private firstMs: number | undefined;
  private readonly words: Int32Array;

  constructor(private readonly server: DeviceServer) {
    this.words = new Int32Array(attachRegion(server.regions.queue).buffer);
  }

  async run(): Promise<void> {
    while (!this.closed) {
      const seen = Atomics.load(wakeWord, WAKE);
      this.enterDriver();
      for (let message = receive(); message !== undefined && !this.closed; message = receive()) this.obey(message);
      const ms = this.look();
      if (this.closed) break;
      if (this.pending()) await (this.phase === "over" ? delay(IDLE_TURN_MS) : setImmediate());
      else if (ms > 0 && this.maySleep(ms)) Atomics.wait(wakeWord, WAKE, seen, ms);
    }
    // A thread that ends while they are open aborts the process.
    while (this.pending()) await delay(IDLE_TURN_MS);
  }

  /** Before a long sleep it says so and looks once more: a row published after that look wakes it. */
  private maySleep(ms: number): boolean {
    return ms < LONG_MS || this.phase !== "running" || Atomics.exchange(this.words, HOST.ASLEEP, 1) === 1;
  }

  /**
   * Before a look, which may call the driver: a process that ends waits for that. It raises STOP before it looks at PENDING, and a server
   * looks at STOP before it begins anything, so one of the two sees the other.
   */
  private enterDriver(): void {
    if (this.server.pending !== undefined) Atomics.store(wakeWord, PENDING, 1);
  }

  /** Whether promises of the driver are open, which main is told. */
  private pending(): boolean {
    const pending = this.server.pending === true;
    tellPending(pending ? 1 : 0);
    return pending;
  }

  private enter(phase: "starting" | "running" | "stopping" | "over"): void {
    this.phase = phase;
    this.since = performance.now();
  }

  private obey(message: DeviceRequest): void {
    const { server } = this;
    try {
      if (message.kind === "start") {
        this.enter("starting");
        server.launch(performance.now(), message.nfs);
      } else if (message.kind === "upload") {
        server.uploadTables(message.from, message.count);
        post({ kind: "done", value: undefined });
      } else if (message.kind === "stop") {
        server.halt();
        this.enter("stopping");
      } else if (message.kind === "close") {
        this.closed = true;
        if (!server.ended) server.step(performance.now());
        // What has not come to an end may still write to the memory: it stays until the process ends.
        if (server.ended) server.close();
      }
    } catch (error) {
      post({ kind: "refused", error: plain(error as Error) });
      this.enter("over");
    }
  }

  /** @returns ms until the next look */
  private look(): number {
    if (this.phase === "opened" || this.phase === "over") return IDLE_MS;
    const now = performance.now();
    try {
      const ms = this.server.step(now);
      if (this.phase === "starting") this.starting(now - this.since);
      else if (this.phase === "stopping") this.stopping(now - this.since);
      return ms;
    } catch (error) {
      // A request that waits gets the error as its answer.
      post({ kind: this.phase === "running" ? "failed" : "refused", error: plain(error as Error) });
      this.server.halt();
      this.enter("over");
      return 0;
    }
  }

  private starting(ms: number): void {
    const { server } = this;
    // A slice may have ended just now, and nobody be registered.
    this.most = Math.max(this.most, this.registered());
    const { most } = this;
    if (most > 0) this.firstMs ??= ms;
    if (most < server.resident && ms < (this.firstMs === undefined ? START_MS : this.firstMs + START_ALL_MS)) return;
    if (most === 0) {
      throw new RunError(
        `device ${server.info.name}`,
        `no workgroup has started within ${START_MS / 1000} s`,
        "another program may be using the device; end it, or use --device none",
      );
    }
    // A queue that nobody serves while the others are served would be a row's end; and a launch has no turns where each queue has somebody.
    Atomics.store(this.words, HOST.QUEUES, most);
    post({ kind: "done", value: most });
    this.enter("running");
  }

  private registered(): number {
    const { words, server } = this;
    const launch = Atomics.load(words, HOST.LAUNCH);
    if (launch === 0) return 0;
    let count = 0;
    for (let workgroup = 0; workgroup < server.shape.workgroups; workgroup++) {
      if (Atomics.load(words, lineAt(workgroup) + WG.STARTED) === launch) count++;
    }
    return count;
  }

  private stopping(ms: number): void {
    const { server } = this;
    if (server.ended) {
      post({ kind: "done", value: server.report() });
      this.enter("over");
      return;
    }
    if (ms < STOP_MS) return;
    throw new RunError(
      `device ${server.info.name}`,
      `it has not come to an end within ${STOP_MS / 1000} s of being told to stop${this.rowsLeft()}`,
      "a kernel hangs: end this process, and report the chain and the input",
    );
  }

  /** Which workgroups are at a row that does not end. */
  private rowsLeft(): string {
    const { words, server } = this;
    let text = "";
    for (let workgroup = 0; workgroup < server.shape.workgroups; workgroup++) {
      const line = lineAt(workgroup);
      const cpuIndex = Atomics.load(words, line + WG.CPU_INDEX) >>> 0;
      const gpuIndex = Atomics.load(words, line + WG.GPU_INDEX) >>> 0;
      if (cpuIndex !== gpuIndex) text += `; workgroup ${workgroup}: CpuIndex ${cpuIndex}, GpuIndex ${gpuIndex}`;
    }
    return text;
  }
}

try {
  const server = await open();
  const { info, shape, lockStep, regions } = server;
  post({ kind: "opened", device: { info, shape, lockStep, regions } });
  await new DeviceThread(server).run();
} catch (error) {
  post({ kind: "failed", error: plain(error as Error) });
}
