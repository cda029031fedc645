/** Processor time of the busiest thread that works meanwhile: what a rate is to be related to on a machine that does other work, too. */
import { readdirSync, readFileSync } from "node:fs";

/** ms between looks; what the thread does after the last is not seen. */
const LOOK_MS = 5;

/** @returns ns on a processor, by thread (Documentation/scheduler/sched-stats.rst, first field); of a process that is gone, none */
export function threads(pid: number): Map<string, number> {
  const times = new Map<string, number>();
  try {
    for (const tid of readdirSync(`/proc/${pid}/task`)) {
      const [ns] = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "utf8").split(" ");
      times.set(tid, Number(ns));
    }
  } catch {
    // A thread, or all, have ended between the two.
  }
  return times;
}

/** Watches the threads of a process that are not its main thread and were not there before. */
export class ThreadTime {
  private readonly before: ReadonlySet<string>;
  private readonly times = new Map<string, number>();
  private readonly timer: NodeJS.Timeout;

  /** @param pid this process, or one that has just been started */
  constructor(private readonly pid: number) {
    this.before = new Set(pid === process.pid ? threads(pid).keys() : [String(pid)]);
    this.timer = setInterval(() => this.look(), LOOK_MS);
  }

  private look(): void {
    for (const [tid, ns] of threads(this.pid)) if (!this.before.has(tid)) this.times.set(tid, ns);
  }

  /** @returns seconds of the busiest thread */
  end(): number {
    this.look();
    clearInterval(this.timer);
    return Math.max(...this.times.values()) / 1e9;
  }
}
