/** How far an experiment is, on stderr: a bar on a terminal, else a line now and then. */
import { Presets, SingleBar } from "cli-progress";
import type { Progress } from "../experiment/measurements.js";
import { warn } from "./output.js";

/** ms between lines of a log. */
const LOG_EVERY_MS = 15_000;

export interface ProgressView {
  show(progress: Progress): void;
  /** Before anything else is written to stderr, and at the end. */
  clear(): void;
}

export function experimentProgress(quiet: boolean): ProgressView {
  if (quiet) return { show: () => {}, clear: () => {} };
  return process.stderr.isTTY === true ? new Bar() : new Log();
}

class Bar implements ProgressView {
  private bar: SingleBar | undefined;

  show({ done, planned, secondsLeft, what }: Progress): void {
    if (this.bar === undefined) {
      const format = "{bar} {value} of {total}, {left} | {what}";
      this.bar = new SingleBar(
        { format, stream: process.stderr, clearOnComplete: true, hideCursor: true },
        Presets.rect,
      );
      this.bar.start(planned, done, { left: timeLeft(secondsLeft), what });
    }
    this.bar.setTotal(planned);
    this.bar.update(done, { left: timeLeft(secondsLeft), what });
  }

  clear(): void {
    this.bar?.stop();
    this.bar = undefined;
  }
}

class Log implements ProgressView {
  private last = Number.NEGATIVE_INFINITY;

  show({ done, planned, secondsLeft, what }: Progress): void {
    const now = performance.now();
    if (now - this.last < LOG_EVERY_MS) return;
    this.last = now;
    warn(`${done} of about ${planned} samples, ${timeLeft(secondsLeft)}; ${what}`);
  }

  clear(): void {}
}

/** "about 3 min left". */
export function timeLeft(seconds: number | undefined): string {
  if (seconds === undefined) return "time left not known yet";
  if (seconds < 90) return `about ${Math.ceil(seconds)} s left`;
  if (seconds < 5400) return `about ${Math.ceil(seconds / 60)} min left`;
  return `about ${(seconds / 3600).toFixed(1)} h left`;
}
