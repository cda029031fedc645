/** Clocks: time, and CPU time of this thread or of this process's other threads: what an emulated device has worked, whatever else the machine does meanwhile. */
import koffi from "koffi";

const MONOTONIC = 1;
const PROCESS = 2;
const THREAD = 3;

const clock = koffi.load("libc.so.6").func("int clock_gettime(int id, _Out_ int64_t *time)") as unknown as (
  id: number,
  time: BigInt64Array,
) => number;
const time = new BigInt64Array(2);

function seconds(id: number): number {
  if (clock(id, time) !== 0) throw new Error(`clock_gettime(${id}) fails`);
  return Number(time[0]) + Number(time[1]) / 1e9;
}

/** ns of a clock that all threads share to the last digit; performance.now() of each counts from a moment that is known less well. */
export function monotonicNs(): number {
  return seconds(MONOTONIC) * 1e9;
}

/** ns of CPU time that this thread has taken. */
export function threadNs(): number {
  return seconds(THREAD) * 1e9;
}

/** ns of CPU time that all threads but this one have taken. Linux. */
export function othersNs(): number {
  return (seconds(PROCESS) - seconds(THREAD)) * 1e9;
}
