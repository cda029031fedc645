/**
 * The system calls that ports of network interfaces are made of, through koffi: the one place that knows their prototypes. A call costs
 * 300 to 500 ns, so they are made per batch.
 *
 * Buffers are handed over for the time of a call only. What the kernel keeps (rings, packet memory) is mapped memory.
 */
import koffi from "koffi";
import { block } from "../../native/block.js";
import { MAP_LOW } from "../../packet/memory.js";

const libc = koffi.load("libc.so.6");

export const socket = libc.func("int socket(int domain, int type, int protocol)") as (
  domain: number,
  type: number,
  protocol: number,
) => number;
export const close = libc.func("int close(int fd)") as (fd: number) => number;
export const bind = libc.func("int bind(int fd, const void *address, unsigned int bytes)") as (
  fd: number,
  address: Uint8Array,
  bytes: number,
) => number;
export const setsockopt = libc.func(
  "int setsockopt(int fd, int level, int name, const void *value, unsigned int bytes)",
) as (fd: number, level: number, name: number, value: Uint8Array, bytes: number) => number;
/** `bytes` is in and out. */
export const getsockopt = libc.func("int getsockopt(int fd, int level, int name, void *value, void *bytes)") as (
  fd: number,
  level: number,
  name: number,
  value: Uint8Array,
  bytes: Uint8Array,
) => number;
export const ioctl = libc.func("int ioctl(int fd, unsigned long request, void *argument)") as (
  fd: number,
  request: number,
  argument: Uint8Array,
) => number;
/** Without data: what makes the kernel look at a TX ring. */
export const sendto = libc.func(
  "long sendto(int fd, const void *data, size_t bytes, int flags, const void *to, unsigned int toBytes)",
) as (fd: number, data: null, bytes: number, flags: number, to: null, toBytes: number) => number;
/** Without data: what makes the kernel look at a fill ring. */
export const recvfrom = libc.func(
  "long recvfrom(int fd, void *data, size_t bytes, int flags, void *from, void *fromBytes)",
) as (fd: number, data: null, bytes: number, flags: number, from: null, fromBytes: null) => number;
/** By address of an array of struct mmsghdr. */
export const sendmmsg = libc.func("int sendmmsg(int fd, uintptr_t messages, unsigned int count, int flags)") as (
  fd: number,
  messages: number,
  count: number,
  flags: number,
) => number;
export const recvmmsg = libc.func(
  "int recvmmsg(int fd, uintptr_t messages, unsigned int count, int flags, void *timeout)",
) as (fd: number, messages: number, count: number, flags: number, timeout: null) => number;
/** By address of pollfds and timespec. */
export const ppoll = libc.func(
  "int ppoll(uintptr_t descriptors, unsigned long count, uintptr_t timeout, void *signals)",
) as (descriptors: number, count: number, timeout: number, signals: null) => number;

const mmap = libc.func("uintptr_t mmap(void *at, size_t bytes, int protection, int flags, int fd, long offset)") as (
  at: null,
  bytes: number,
  protection: number,
  flags: number,
  fd: number,
  offset: number,
) => number | bigint;
const munmap = libc.func("int munmap(uintptr_t at, size_t bytes)") as (at: number, bytes: number) => number;

const PROT_READ_WRITE = 3;
const MAP_SHARED_POPULATE = 0x8001;

/** Memory of a descriptor (a ring), seen by both sides. */
export interface Mapping {
  readonly address: number;
  readonly bytes: number;
  readonly buffer: ArrayBuffer;
}

/** Maps `bytes` of a descriptor at an offset. @returns undefined where the kernel refuses; errno() says why */
export function mapDescriptor(fd: number, bytes: number, offset: number): Mapping | undefined {
  const map = (flags: number) => Number(mmap(null, bytes, PROT_READ_WRITE, flags, fd, offset));
  let address = map(MAP_SHARED_POPULATE | MAP_LOW);
  if (address > Number.MAX_SAFE_INTEGER) address = map(MAP_SHARED_POPULATE);
  if (address > Number.MAX_SAFE_INTEGER) return undefined;
  return mappedAt({ address, bytes });
}

/** What some thread of the process has mapped, for this one; good until it is unmapped there. */
export function mappedAt({ address, bytes }: Pick<Mapping, "address" | "bytes">): Mapping {
  return { address, bytes, buffer: koffi.view(BigInt(address), bytes) as ArrayBuffer };
}

/** No view of it may be touched afterwards. */
export function unmap({ address, bytes }: Mapping): void {
  munmap(address, bytes);
}

const BPF_CALL: { readonly [arch: string]: number } = { x64: 321, arm64: 280 };
const syscall = libc.func("long syscall(long number, int command, void *attributes, unsigned int bytes)") as (
  number: number,
  command: number,
  attributes: Uint8Array | null,
  bytes: number,
) => number;

/** bpf(2). @returns a descriptor or 0; negative: see errno() */
export function bpf(command: number, attributes: Uint8Array): number {
  const number = BPF_CALL[process.arch];
  if (number === undefined) throw new Error(`the number of bpf(2) on ${process.arch} is not known`);
  return syscall(number, command, attributes, attributes.length);
}

const MEMBARRIER_CALL: { readonly [arch: string]: number } = { x64: 324, arm64: 283 };
const MEMBARRIER_GLOBAL = 1;
/** What receiving takes on any CPU, where the kernel cannot tell: no nap of a virtual CPU is included. */
const GRACE_MS = 25;

/**
 * Waits until every CPU is done with packets that it was receiving (membarrier(2), MEMBARRIER_CMD_GLOBAL: an RCU grace period, some 20 ms).
 * So what has been taken off an interface before (a program, a map's entry, a filter let through) sees no packet afterwards.
 */
export function awaitReceivers(): void {
  const number = MEMBARRIER_CALL[process.arch];
  // Kernels with CPUs without ticks (nohz_full), and some sandboxes, refuse it.
  if (number === undefined || syscall(number, MEMBARRIER_GLOBAL, null, 0) !== 0) block(GRACE_MS);
}

/** Of the last call of this thread. */
export const errno = (): number => koffi.errno();

/** Address of a buffer, valid as long as the caller keeps the buffer. */
export const addressOf = (bytes: Uint8Array): bigint => koffi.address(bytes) as bigint;

/** Numbers of errno that ports tell apart (asm-generic/errno.h). */
export const ERRNO = {
  EPERM: 1,
  EBADF: 9,
  EAGAIN: 11,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENOSPC: 28,
  ERANGE: 34,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EAFNOSUPPORT: 97,
  ENETDOWN: 100,
  ENOBUFS: 105,
} as const;

/** "EBUSY (16)", or the number alone. */
export function errorName(number: number): string {
  const name = Object.entries(ERRNO).find(([, value]) => value === number)?.[0];
  return name === undefined ? `errno ${number}` : `${name} (${number})`;
}
