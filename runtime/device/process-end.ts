/** The end of a process whose device thread waits for a driver: Dawn aborts where a thread is ended while promises of its are open. */
import koffi from "koffi";
import { ENDING, PENDING, wakeThread } from "./wake.js";

/** ms that rounds under way, or a device that is being opened, have to end. */
const LIMIT_MS = 2000;

/**
 * Has the process wait at its end for the promises of a device thread, and where they stay open, since a kernel hangs, end without
 * asking its threads.
 * @param wake memory shared with the thread
 * @returns undoes it, when the thread has ended
 */
export function endWithThread(wake: Int32Array): () => void {
  let thrown: { readonly error: Error } | undefined;
  const remember = (error: Error) => {
    thrown = { error };
  };
  const end = (code: number) => {
    const limit = performance.now() + LIMIT_MS;
    // Before the look at PENDING; the thread raises PENDING before it looks at this.
    Atomics.store(wake, ENDING, 1);
    wakeThread(wake);
    while (Atomics.load(wake, PENDING) === 1) {
      const left = limit - performance.now();
      if (left > 0) {
        Atomics.wait(wake, PENDING, 1, left);
        continue;
      }
      // Node prints it only after this.
      if (thrown !== undefined) console.error(thrown.error);
      koffi.load("libc.so.6").func("void _exit(int status)")(code);
    }
  };
  process.on("uncaughtExceptionMonitor", remember);
  process.on("exit", end);
  return () => {
    process.off("uncaughtExceptionMonitor", remember);
    process.off("exit", end);
  };
}
