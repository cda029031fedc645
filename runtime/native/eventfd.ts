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
/** An eventfd counts in 64 bits, in host byte order. */
const ONE = new Uint8Array(BigUint64Array.of(1n).buffer);
const taken = new Uint8Array(8);

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

/** Ends the sleep of who polls the descriptor, now or next. */
export function signal(fd: number): void {
  write(fd, ONE, ONE.length);
}

/** What was signalled until now ends no sleep any more. */
export function takeSignals(fd: number): void {
  read(fd, taken, taken.length);
}

export function closeEvent(fd: number): void {
  close(fd);
}
