/** The measuring side of a thread that waits. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { controlMemory, ring, ringAll } from "../../../runtime/engine/control.js";
import type { WaitPolicy } from "../../../runtime/engine/plan.js";
import { closeEvent, openEvent, signal } from "../../../runtime/native/eventfd.js";
import { monotonicNs } from "../../device/cpu-time.js";
import { type WaitingReport, type WaitingSetup, type WaitingTurn, WORD } from "./thread.js";

export type Source = "doorbell" | "interface";

export class Sleeper {
  readonly name: string;
  private readonly control: Int32Array;
  private readonly words = new Int32Array(new SharedArrayBuffer(16));
  private readonly stamp = new Float64Array(new SharedArrayBuffer(8));
  private readonly descriptor: number | undefined;
  private readonly worker: Worker;
  private readonly ready: Promise<unknown>;

  constructor(
    readonly policy: WaitPolicy,
    readonly source: Source,
  ) {
    this.name = `${policy}, ${source}`;
    const control = controlMemory(1);
    this.control = new Int32Array(control);
    this.descriptor = source === "interface" ? openEvent() : undefined;
    const { words, stamp, descriptor } = this;
    const memory = { control, words: words.buffer as SharedArrayBuffer, stamp: stamp.buffer as SharedArrayBuffer };
    const setup: WaitingSetup = { policy, ...memory, descriptor };
    this.worker = new Worker(new URL("./thread.js", import.meta.url), { workerData: setup });
    this.ready = once(this.worker, "message");
  }

  /** Has the thread wait, and take what comes. @param drive gives it items, and returns when that is over */
  async turn(working: boolean, drive: () => void | Promise<void>): Promise<WaitingReport> {
    const { words, worker, control } = this;
    await this.ready;
    Atomics.store(words, WORD.STOP, 0);
    Atomics.store(words, WORD.GIVEN, 0);
    Atomics.store(words, WORD.DONE, 0);
    worker.postMessage({ working } satisfies WaitingTurn);
    await drive();
    Atomics.store(words, WORD.STOP, 1);
    ringAll(control);
    const [report] = (await once(worker, "message")) as [WaitingReport];
    return report;
  }

  /** Gives items, as another thread or a network interface does. */
  give(count: number): void {
    const { words, descriptor, control } = this;
    this.stamp[0] = monotonicNs();
    if (descriptor !== undefined) signal(descriptor, count);
    else {
      Atomics.add(words, WORD.GIVEN, count);
      ring(control, 0);
    }
  }

  get done(): number {
    return Atomics.load(this.words, WORD.DONE);
  }

  async close(): Promise<void> {
    await this.worker.terminate();
    if (this.descriptor !== undefined) closeEvent(this.descriptor);
  }
}
