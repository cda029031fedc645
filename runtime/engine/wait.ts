import { yieldCpu } from "../native/yield-cpu.js";
import { CONTROL } from "./control.js";
import type { WaitPolicy } from "./plan.js";

/** Milliseconds of a sleeping poll: the figure that costs least throughput on a shared core. */
const SLEEP_MS = 0.15;
/** Fruitless polls before the adaptive policy sleeps. */
const SPINS = 100;
/** The doorbell wakes a sleeper; this bounds the sleep should a ring slip between its check and its sleep. */
const DOORBELL_MS = 2;

/** Sleep of a thread that waits for a network interface alone, which wakes it; bounds how late it hears of a stop. */
const INTERFACE_MS = 10;

/** What a thread that receives from network interfaces sleeps on. */
export interface Interfaces {
  /** Sleeps until packets come in, or `ms` are over. */
  wait(ms: number): void;
  /** Packets are under way in other threads, whose doorbell does not end the sleep. */
  readonly underWay: boolean;
}

/** How a thread with nothing to do passes the time (paper: idle polling is what burns watts). */
export class Waiter {
  private idleRounds = 0;
  private readonly word: number;

  constructor(
    private readonly policy: WaitPolicy,
    private readonly control: Int32Array,
    thread: number,
    /** True where packets fall due by the clock (`--rate`), which rings no doorbell. */
    private readonly paced: boolean,
  ) {
    this.word = CONTROL.WAITING + thread;
  }

  busy(): void {
    this.idleRounds = 0;
  }

  /** Called after a round in which nothing moved. */
  idle(hasWork: () => boolean, interfaces?: Interfaces): void {
    this.idleRounds++;
    if (this.policy === "spin") return;
    if (this.policy === "yield") {
      yieldCpu();
      return;
    }
    if (this.policy === "sleep") {
      Atomics.wait(this.control, this.word, 0, SLEEP_MS);
      return;
    }
    if (this.idleRounds < SPINS) return;
    if (interfaces !== undefined) {
      interfaces.wait(interfaces.underWay ? SLEEP_MS : INTERFACE_MS);
      return;
    }
    const { control, word } = this;
    // Announce the sleep first, look once more, then sleep: a producer either is seen here or sees the announcement.
    Atomics.store(control, word, 1);
    if (!hasWork()) Atomics.wait(control, word, 1, this.paced ? SLEEP_MS : DOORBELL_MS);
    Atomics.store(control, word, 0);
  }

  /**
   * The same while rows are at the device, which rings no doorbell. Rows are done within microseconds, so the thread does not sleep; but it
   * offers its core, since on an emulated device that is where the kernel runs.
   */
  poll(): void {
    if (this.policy === "spin") return;
    if (this.policy === "sleep") Atomics.wait(this.control, this.word, 0, SLEEP_MS);
    else yieldCpu();
  }
}
