/** Ctrl-C and its like: the first time what runs is ended in order, the second time at once. */
import { warn } from "./output.js";

const STOPPING = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * @param line said at the first signal
 * @returns a function that takes the handlers off again
 */
export function stopOnSignals(line: string, stop: () => void): () => void {
  let asked = false;
  const release = () => {
    for (const signal of STOPPING) process.off(signal, onSignal);
  };
  const onSignal = (signal: NodeJS.Signals) => {
    if (asked) {
      // Not process.exit: that waits for the threads, and one may hang in a system call (a pipe nobody reads).
      release();
      process.kill(process.pid, signal);
      return;
    }
    asked = true;
    warn(`${line} (again to leave at once)`);
    stop();
  };
  for (const signal of STOPPING) process.on(signal, onSignal);
  return release;
}
