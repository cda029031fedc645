/** Words of a small shared array through which main and the threads of a run steer each other. */
export const enum CONTROL {
  /** 1 = stop receiving, drain, finish. Set by main (Ctrl-C). */
  STOP = 0,
  /** 1 = something failed; leave at once. */
  ABORT = 1,
  /** 1 = every slot is back home; nothing will move any more. Set by the receiving thread. */
  DRAINED = 2,
  /** Plus thread number: 1 while that thread sleeps until its doorbell rings. */
  WAITING = 16,
}

export function controlMemory(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer((CONTROL.WAITING + threads) * 4);
}

/** Wakes a thread that went to sleep; a thread that did not is not disturbed. */
export function ring(control: Int32Array, thread: number): void {
  if (Atomics.load(control, CONTROL.WAITING + thread) === 1) {
    Atomics.store(control, CONTROL.WAITING + thread, 0);
    Atomics.notify(control, CONTROL.WAITING + thread);
  }
}

export function ringAll(control: Int32Array): void {
  for (let t = 0; t < control.length - CONTROL.WAITING; t++) ring(control, t);
}
