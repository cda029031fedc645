/**
 * Which CPUs a thread runs on and how it is scheduled (sched(7)): affinity, class, priority, nice, timer slack. Everything here concerns the
 * calling thread alone: Linux keeps all of it by thread, and `0` names the caller.
 *
 * A thread of `worker_threads` is one thread of the system from its start to its exit (node::Worker has one of its own, uv_thread_create_ex),
 * so nothing outlives it. But threads inherit from the thread that makes them: libuv makes its pool when it is first used, in whichever thread
 * that is. So main uses it first ({@link startPool}), and real-time classes and negative nice are not inherited (SCHED_RESET_ON_FORK).
 */
import { stat } from "node:fs";
import koffi from "koffi";

/** In the order of a user's option; numbers are those of linux/sched.h. */
export const SCHED_CLASSES = { other: 0, batch: 3, rr: 2, fifo: 1 } as const;
export type SchedClass = keyof typeof SCHED_CLASSES;

/** What there is besides, and nobody may ask for. */
const CLASS_NAMES: readonly string[] = ["other", "fifo", "rr", "batch", "iso", "idle", "deadline", "ext"];

export interface SchedSpec {
  readonly class: SchedClass;
  /** Of rr and fifo: 1 to 99, the highest. */
  readonly priority?: number;
  /** Of other and batch: -20, the most time, to 19; absent: as it is. */
  readonly nice?: number;
}

/** How a thread really is scheduled. */
export interface Scheduling {
  readonly class: string;
  /** 0 in other and batch. */
  readonly priority: number;
  readonly nice: number;
}

/** rr and fifo go before every thread of the other classes, and leave the CPU only when they sleep. */
export const isRealTime = (name: string): boolean => name === "rr" || name === "fifo";

const libc = koffi.load("libc.so.6");
const gettid = libc.func("int gettid()") as () => number;
const schedGetScheduler = libc.func("int sched_getscheduler(int tid)") as (tid: number) => number;
const schedGetParam = libc.func("int sched_getparam(int tid, _Out_ int *priority)") as (
  tid: number,
  priority: Int32Array,
) => number;
const schedSetScheduler = libc.func("int sched_setscheduler(int tid, int policy, const int *priority)") as (
  tid: number,
  policy: number,
  priority: Int32Array,
) => number;
const getPriority = libc.func("int getpriority(int which, unsigned int tid)") as (which: number, tid: number) => number;
const setPriority = libc.func("int setpriority(int which, unsigned int tid, int nice)") as (
  which: number,
  tid: number,
  nice: number,
) => number;
const getAffinity = libc.func("int sched_getaffinity(int tid, size_t bytes, _Out_ uint8_t *mask)") as (
  tid: number,
  bytes: number,
  mask: Uint8Array,
) => number;
const setAffinityMask = libc.func("int sched_setaffinity(int tid, size_t bytes, const uint8_t *mask)") as (
  tid: number,
  bytes: number,
  mask: Uint8Array,
) => number;
const prctl = libc.func(
  "int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)",
) as (option: number, a: number, b: number, c: number, d: number) => number;

const PRIO_PROCESS = 0;
const RESET_ON_FORK = 0x4000_0000;
const PR_SET_TIMERSLACK = 29;
const MASK_BYTES = 1024;

/** The number by which the system knows this thread: /proc/PID/task/TID. */
export const threadId = (): number => gettid();

/** Of this thread. */
export function scheduling(): Scheduling {
  const priority = new Int32Array(1);
  schedGetParam(0, priority);
  const policy = schedGetScheduler(0) & ~RESET_ON_FORK;
  return {
    class: CLASS_NAMES[policy] ?? `class ${policy}`,
    priority: priority[0]!,
    nice: getPriority(PRIO_PROCESS, 0),
  };
}

/** Schedules this thread so. @returns 0, or the errno of what was refused */
export function schedule({ class: name, priority, nice }: SchedSpec): number {
  return setPolicy(SCHED_CLASSES[name], priority ?? 0) || (nice === undefined ? 0 : setNice(nice));
}

function setPolicy(policy: number, priority: number): number {
  return schedSetScheduler(0, policy | RESET_ON_FORK, Int32Array.of(priority)) === 0 ? 0 : koffi.errno();
}

function setNice(nice: number): number {
  return setPriority(PRIO_PROCESS, 0, nice) === 0 ? 0 : koffi.errno();
}

/** Back to what {@link scheduling} said. */
export function reschedule(before: Scheduling): void {
  setPolicy(CLASS_NAMES.indexOf(before.class), before.priority);
  // Without rights a thread that was made nicer stays so: it lasts as long as the thread.
  if (before.nice !== getPriority(PRIO_PROCESS, 0)) setNice(before.nice);
}

/** CPUs this thread may run on. */
export function affinity(): number[] {
  const mask = new Uint8Array(MASK_BYTES);
  if (getAffinity(0, mask.length, mask) < 0) return [];
  const cpus: number[] = [];
  for (let cpu = 0; cpu < mask.length * 8; cpu++) if ((mask[cpu >> 3]! & (1 << (cpu & 7))) !== 0) cpus.push(cpu);
  return cpus;
}

/** @returns 0, or the errno of what was refused */
export function setAffinity(cpus: readonly number[]): number {
  const mask = new Uint8Array(MASK_BYTES);
  for (const cpu of cpus) mask[cpu >> 3] = mask[cpu >> 3]! | (1 << (cpu & 7));
  return setAffinityMask(0, mask.length, mask) === 0 ? 0 : koffi.errno();
}

/** Sleeps of this thread end `ns` late at most by the kernel's own choice, not 50 us (prctl(2), PR_SET_TIMERSLACK); real-time classes have no slack. */
export function setTimerSlack(ns: number): void {
  prctl(PR_SET_TIMERSLACK, ns, 0, 0, 0);
}

/** Has libuv make its pool of threads, so that they inherit from this thread and not from one that is pinned. */
export function startPool(): void {
  stat("/", () => {});
}
