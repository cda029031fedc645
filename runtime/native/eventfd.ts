/** Doorbells that wake a thread which sleeps in poll(2) (eventfd(2)). */
import koffi from "koffi";
import { RunError } from "../errors.js";

const libc = koffi.load("libc.so.6");
const eventfd = libc.func("int eventfd(unsigned int value, int flags)") as (value: number, flags: number) => number;
const write = libc.func("long write(int fd, const void *data, size_t bytes)") as (
  fd: number,
  data: Uint8Array,
  bytes: number,
) => number;
const read = libc.func("long read(int fd, void *data, size_t bytes)") as (
  fd: number,
  data: Uint8Array,
  bytes: number,
) => number;
const close = libc.func("int close(int fd)") as (fd: number) => number;

/** EFD_NONBLOCK | EFD_CLOEXEC */
const FLAGS = 0o4000 | 0o2000000;
/** An eventfd counts in 64 bits, in host byte order: little-endian wherever native libraries of this project are. */
const given = new Uint32Array(2);
const givenBytes = new Uint8Array(given.buffer);
const taken = new Uint32Array(2);
const takenBytes = new Uint8Array(taken.buffer);

/** @throws RunError where no descriptor is left */
export function openEvent(): number {
  const fd = eventfd(0, FLAGS);
  if (fd >= 0) return fd;
  throw new RunError(
    "doorbell",
    `eventfd(2) fails: errno ${koffi.errno()}`,
    "raise the limit of open files (ulimit -n)",
  );
}

/** Ends the sleep of who polls the descriptor, now or next. @param count of signals, up to 2^32 - 1 */
export function signal(fd: number, count = 1): void {
  given[0] = count;
  write(fd, givenBytes, givenBytes.length);
}

/** What was signalled until now ends no sleep any more. @returns how many signals, modulo 2^32 */
export function takeSignals(fd: number): number {
  return read(fd, takenBytes, takenBytes.length) === takenBytes.length ? taken[0]! : 0;
}

export function closeEvent(fd: number): void {
  close(fd);
}
