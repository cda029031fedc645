/** Standing still without giving the event loop a turn: for moments in which nothing else may happen in this thread. */
const never = new Int32Array(new SharedArrayBuffer(4));

/** Blocks this thread for so many ms. */
export function block(ms: number): void {
  Atomics.wait(never, 0, 0, ms);
}
