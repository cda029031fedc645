/**
 * One AF_XDP socket: one queue of one interface, with the run's arena as its packet memory (UMEM). A chunk is a slot; what is received
 * begins 256 bytes into it, which is DATA_OFFSET.
 */
import { RunError } from "../../errors.js";
import { block } from "../../native/block.js";
import { type Arena, SLOT_SIZE } from "../../packet/arena.js";
import { MAX_BATCH } from "../../packet/batch.js";
import { type NetInterface, noRight } from "../net/interface.js";
import { bind, close, ERRNO, errno, errorName, getsockopt, setsockopt, socket } from "../net/syscalls.js";
import { makeRing, SOL_XDP, type XdpRing } from "./ring.js";
import type { SendingSocket } from "./sender.js";

const AF_XDP = 44;
const SOCK_RAW = 3;
/** Socket options of linux/if_xdp.h. */
const XDP_UMEM_REG = 4;
const XDP_STATISTICS = 7;
const XDP_OPTIONS = 8;
/** Frames a kernel that copies sends in one call, from Linux 6.18 on: 32 to the TX ring's entries, 32 where nothing is said. */
const XDP_MAX_TX_SKB_BUDGET = 9;
const XDP_OPTIONS_ZEROCOPY = 1;
/** Flags of sockaddr_xdp. */
export const XDP_SHARED_UMEM = 1;
const XDP_COPY = 2;
const XDP_USE_NEED_WAKEUP = 8;
/** Smallest ring: the kernel wants a fill and a completion ring, used or not. */
const UNUSED_RING = 2;
/** Ms that a queue may stay taken, and between two looks. */
const RELEASE_MS = 500;
const RELEASE_LOOK_MS = 5;

export interface SocketOptions {
  readonly rx: boolean;
  readonly tx: boolean;
  /** Another socket sends, and what it has sent comes back by this one's completion ring (lent.ts). */
  readonly lends: boolean;
  /** Entries of each ring in use, a power of two. */
  readonly ring: number;
  /** Never zero-copy: generic XDP has none. */
  readonly copy: boolean;
}

/** Counters of the kernel since the socket was made. */
export interface SocketStatistics {
  rxDropped: number;
  rxInvalid: number;
  txInvalid: number;
  rxRingFull: number;
  fillEmpty: number;
}

export class XdpSocket implements SendingSocket {
  readonly fill: XdpRing;
  readonly completion: XdpRing;
  readonly rx: XdpRing | undefined;
  readonly tx: XdpRing | undefined;
  bound = false;
  /** The program sends it what comes to its queue. */
  redirected = false;
  zeroCopy = false;
  readonly tellsWakeup = true;
  private closed = false;
  private readonly statistics = new Uint8Array(48);
  private readonly statisticsView = new DataView(this.statistics.buffer);
  private readonly statisticsBytes = new Uint8Array(Uint32Array.of(48).buffer);

  /** @throws RunError without the right, or where the arena cannot be packet memory */
  constructor(
    readonly fd: number,
    private readonly device: NetInterface,
    readonly queue: number,
    arena: Arena,
    private readonly options: SocketOptions,
    private readonly where: string,
  ) {
    const rings: XdpRing[] = [];
    const make = (...[kind, size]: [Parameters<typeof makeRing>[1], number]) => {
      const ring = makeRing(fd, kind, size, where);
      rings.push(ring);
      return ring;
    };
    try {
      registerMemory(fd, arena, where);
      const { rx, tx, lends, ring } = options;
      this.fill = make("fill", rx ? ring : UNUSED_RING);
      // Twice the TX ring: entries the kernel has consumed and not completed are bounded by it, not by the TX ring.
      this.completion = make("completion", tx || lends ? ring * 2 : UNUSED_RING);
      this.rx = rx ? make("rx", ring) : undefined;
      this.tx = tx ? make("tx", ring) : undefined;
      if (tx) sendBursts(fd, ring);
    } catch (error) {
      for (const ring of rings) ring.close();
      close(fd);
      throw error;
    }
  }

  /**
   * Binds the socket to its queue.
   * @returns false while the interface is down: try again
   * @throws RunError where the queue is taken or is not there
   */
  tryBind(): boolean {
    if (this.bound) return true;
    const { device, queue, where, options } = this;
    // Without a word on it the kernel takes zero-copy where the driver has it, else copies.
    const flags = XDP_USE_NEED_WAKEUP | (options.copy ? XDP_COPY : 0);
    const number = this.bindWhenFree(flags);
    if (number !== 0) {
      if (number === ERRNO.ENETDOWN) return false;
      if (number === ERRNO.EBUSY) {
        const problem = `queue ${queue} of ${device.name} is taken by another AF_XDP socket`;
        throw new RunError(where, problem, "end the other program, or take another queue: queue=N");
      }
      if (number === ERRNO.EINVAL) {
        const problem = `queue ${queue} of ${device.name} cannot be bound`;
        throw new RunError(where, problem, `it has ${device.queues}: see ethtool -l ${device.name}`);
      }
      throw noRight(where, "AF_XDP sockets", number);
    }
    this.bound = true;
    this.zeroCopy = isZeroCopy(this.fd);
    return true;
  }

  /** The kernel lets go of a queue some time after its socket is closed: a run that follows another finds it taken. @returns errno, or 0 */
  private bindWhenFree(flags: number): number {
    const deadline = performance.now() + RELEASE_MS;
    for (;;) {
      const number = bindTo(this.fd, this.device.index, this.queue, flags, 0);
      if (number !== ERRNO.EBUSY || performance.now() > deadline) return number;
      block(RELEASE_LOOK_MS);
    }
  }

  /** Adds the kernel's counters to `sum`. */
  addStatistics(sum: SocketStatistics): void {
    const { statisticsView: view } = this;
    if (getsockopt(this.fd, SOL_XDP, XDP_STATISTICS, this.statistics, this.statisticsBytes) < 0) return;
    // Halves of u64: no BigInt, and exact to 2^53.
    const at = (i: number) => view.getUint32(i * 8, true) + view.getUint32(i * 8 + 4, true) * 2 ** 32;
    sum.rxDropped += at(0);
    sum.rxInvalid += at(1);
    sum.txInvalid += at(2);
    sum.rxRingFull += at(3);
    sum.fillEmpty += at(4);
  }

  /** Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const ring of [this.fill, this.completion, this.rx, this.tx]) ring?.close();
    close(this.fd);
  }
}

/** Opens a socket for a queue. @throws RunError */
export function openSocket(
  device: NetInterface,
  queue: number,
  arena: Arena,
  options: SocketOptions,
  where: string,
): XdpSocket {
  return new XdpSocket(makeSocket(where), device, queue, arena, options, where);
}

/** @returns its descriptor @throws RunError */
export function makeSocket(where: string): number {
  const fd = socket(AF_XDP, SOCK_RAW, 0);
  if (fd < 0) {
    const number = errno();
    if (number === ERRNO.EAFNOSUPPORT) {
      const remedy = "take the packet driver, or a kernel built with CONFIG_XDP_SOCKETS=y";
      throw new RunError(where, "this kernel has no AF_XDP", remedy);
    }
    throw noRight(where, "AF_XDP sockets", number);
  }
  return fd;
}

/**
 * bind(2) of a socket.
 * @param index of the interface
 * @param shared descriptor of the socket whose packet memory it takes, with XDP_SHARED_UMEM
 * @returns 0, or errno
 */
export function bindTo(fd: number, index: number, queue: number, flags: number, shared: number): number {
  const address = new DataView(new ArrayBuffer(16));
  address.setUint16(0, AF_XDP, true);
  address.setUint16(2, flags, true);
  address.setUint32(4, index, true);
  address.setUint32(8, queue, true);
  address.setUint32(12, shared, true);
  return bind(fd, new Uint8Array(address.buffer), 16) < 0 ? errno() : 0;
}

/** Of a socket that is bound. */
export function isZeroCopy(fd: number): boolean {
  const flags = new Uint8Array(4);
  const length = new Uint8Array(Uint32Array.of(4).buffer);
  return getsockopt(fd, SOL_XDP, XDP_OPTIONS, flags, length) === 0 && (flags[0]! & XDP_OPTIONS_ZEROCOPY) !== 0;
}

/** Has a kernel that copies send a burst in one call; an older kernel refuses and takes several. @param ring entries of the TX ring */
export function sendBursts(fd: number, ring: number): void {
  if (ring > MAX_BATCH) setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, u32(MAX_BATCH), 4);
}

const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);

function registerMemory(fd: number, arena: Arena, where: string): void {
  const bytes = arena.slots * SLOT_SIZE;
  const request = new DataView(new ArrayBuffer(32));
  request.setBigUint64(0, BigInt(arena.address), true);
  request.setBigUint64(8, BigInt(bytes), true);
  request.setUint32(16, SLOT_SIZE, true);
  if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, new Uint8Array(request.buffer), 32) === 0) return;
  const number = errno();
  const what = `${bytes >> 20} MiB of the arena as packet memory`;
  if (number === ERRNO.ENOBUFS) {
    const remedy = "sudo prlimit --pid $$ --memlock=unlimited:unlimited (this shell), or the capability CAP_IPC_LOCK";
    throw new RunError(where, `the limit of locked memory has no room for ${what}, once for each socket`, remedy);
  }
  if (number === ERRNO.EFAULT) {
    throw new RunError(where, `the kernel cannot lock ${what}, which a device driver owns`, "use --device none");
  }
  throw new RunError(where, `the kernel refused ${what}: ${errorName(number)}`);
}
