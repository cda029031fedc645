import { signal } from "../native/eventfd.js";

/** Words of a small shared array through which main and the threads of a run steer each other. */
export const enum CONTROL {
  /** 1 = stop receiving, drain, finish. Set by main (Ctrl-C), or with DEVICE_FAILED. */
  STOP = 0,
  /** 1 = something failed; leave at once. */
  ABORT = 1,
  /** Receiving threads whose slots are all back home; when it is all of them nothing will move any more. */
  DRAINED = 2,
  /** 1 = the GPU device has failed or come to a halt: what waits for it is taken back unserved. Set after STOP. */
  DEVICE_FAILED = 3,
  /** Receiving threads that will receive nothing any more, or have no slot left for the rest; what is under way is on its way out. */
  ENDED = 4,
  /** Sending threads that have opened every output; nothing is received before all of them have. */
  OUTPUTS_OPEN = 5,
  /** Stations that have gone, the first one not counted: what it has opened for others, too, it closes after them. */
  GONE = 6,
  /** Counts what concerns every thread (stop, abort, device failed): one that looked before does not fall asleep. */
  EVENTS = 15,
  /**
   * Plus thread number: {@link ASLEEP} while that thread sleeps until its doorbell rings. Behind these words, as many with {@link QUIET}, and
   * as many with the descriptor of the thread's doorbell, where it sleeps in poll(2).
   */
  WAITING = 16,
}

/** How a thread sleeps. Who rings makes it NO, and wakes it only where it was not. */
export const enum ASLEEP {
  NO = 0,
  /** By Atomics.wait on this word. */
  ON_WORD = 1,
  /** In poll(2), on sockets and an eventfd. */
  IN_POLL = 2,
}

/** What comes to a thread from upstream; kept only in runs with a device, whose syncers wait for more packets or do not. */
export const enum QUIET {
  /** Packets came in the last round. */
  NO = 0,
  /** Nothing came: input ended, not due, or not there yet. */
  YES = 1,
  /** Nothing came because no slot is free: more comes as soon as the device gives some back. */
  STARVED = 2,
}

export function controlMemory(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer((CONTROL.WAITING + 3 * threads) * 4);
}

function threadsOf(control: Int32Array): number {
  return (control.length - CONTROL.WAITING) / 3;
}

/** The word in which a thread keeps its {@link QUIET}. */
export function quietWord(control: Int32Array, thread: number): number {
  return CONTROL.WAITING + threadsOf(control) + thread;
}

/** The word with the eventfd of a thread that sleeps in poll(2). */
export function bellWord(control: Int32Array, thread: number): number {
  return CONTROL.WAITING + 2 * threadsOf(control) + thread;
}

/** Nothing more is coming only where nothing comes to any of the threads packets pass. */
export function quietOf(control: Int32Array, stations: number): QUIET {
  let quiet = QUIET.YES;
  const first = quietWord(control, 0);
  for (let t = 0; t < stations; t++) {
    const word = Atomics.load(control, first + t);
    if (word === QUIET.NO) return QUIET.NO;
    if (word === QUIET.STARVED) quiet = QUIET.STARVED;
  }
  return quiet;
}

/**
 * Wakes a thread that went to sleep; a thread that did not is not disturbed. To be called after what it is to see was stored: the sleeper
 * announces itself first and looks then (wait.ts), so one of the two sees the other.
 */
export function ring(control: Int32Array, thread: number): void {
  const word = CONTROL.WAITING + thread;
  const how = Atomics.load(control, word);
  if (how === ASLEEP.NO) return;
  // Of several that ring one wakes it.
  if (Atomics.compareExchange(control, word, how, ASLEEP.NO) !== how) return;
  if (how === ASLEEP.IN_POLL) signal(control[bellWord(control, thread)]!);
  else Atomics.notify(control, word);
}

/** To be called after a word above that concerns every thread was stored. */
export function ringAll(control: Int32Array): void {
  Atomics.add(control, CONTROL.EVENTS, 1);
  for (let t = threadsOf(control) - 1; t >= 0; t--) ring(control, t);
}

/** ms between looks at whether the run was aborted meanwhile. */
const LOOK_MS = 20;

/** Waits until the sending threads have opened every output: an NF is not to judge packets of a run that cannot start. */
export function awaitOutputs(control: Int32Array, senders: number): void {
  for (;;) {
    const open = Atomics.load(control, CONTROL.OUTPUTS_OPEN);
    if (open === senders || Atomics.load(control, CONTROL.ABORT) !== 0) return;
    Atomics.wait(control, CONTROL.OUTPUTS_OPEN, open, LOOK_MS);
  }
}

export function outputsOpen(control: Int32Array): void {
  Atomics.add(control, CONTROL.OUTPUTS_OPEN, 1);
  Atomics.notify(control, CONTROL.OUTPUTS_OPEN);
}

/** Told by main, which sees a thread go however it ends. */
export function stationGone(control: Int32Array): void {
  Atomics.add(control, CONTROL.GONE, 1);
  Atomics.notify(control, CONTROL.GONE);
}

/** Waits until as many stations beside the first have gone. */
export function awaitGone(control: Int32Array, others: number): void {
  for (let gone = Atomics.load(control, CONTROL.GONE); gone < others; gone = Atomics.load(control, CONTROL.GONE)) {
    Atomics.wait(control, CONTROL.GONE, gone, LOOK_MS);
  }
}

/** True where every slot is home, and no thread has anything to wait for. */
export function isDrained(control: Int32Array, receivers: number): boolean {
  return Atomics.load(control, CONTROL.DRAINED) === receivers;
}

/** Waits until that is so, or the run is aborted. */
export function awaitDrained(control: Int32Array, receivers: number): void {
  while (!isDrained(control, receivers) && Atomics.load(control, CONTROL.ABORT) === 0) {
    Atomics.wait(control, CONTROL.DRAINED, Atomics.load(control, CONTROL.DRAINED), LOOK_MS);
  }
}

/** What is under way comes to its end. */
export function stopReceiving(control: Int32Array): void {
  Atomics.store(control, CONTROL.STOP, 1);
  ringAll(control);
}

/** The device is given up: no slot it may still write to is used again, since nothing is received any more. */
export function failDevice(control: Int32Array): void {
  Atomics.store(control, CONTROL.STOP, 1);
  Atomics.store(control, CONTROL.DEVICE_FAILED, 1);
  ringAll(control);
}
