/** Words of the memory that main and the device thread share besides the device's. */

/** Changes with every message to the thread, which sleeps on it. */
export const WAKE = 0;
/** 1 while promises of a driver are open, which settle in the thread's event loop alone, and while the thread may be in that driver. */
export const PENDING = 1;
/** 1 from the moment main ends: whoever finds that goes into no driver any more. */
export const ENDING = 2;
export const WAKE_BYTES = 12;

/** Wakes the device thread. */
export function wakeThread(wake: Int32Array): void {
  Atomics.add(wake, WAKE, 1);
  Atomics.notify(wake, WAKE);
}
