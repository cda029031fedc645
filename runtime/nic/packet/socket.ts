/** AF_PACKET sockets (packet(7)): opening, counters and the end of receiving, for the drivers packet and mmsg. */
import { RunError } from "../../errors.js";
import type { NetInterface } from "../net/interface.js";
import { linkState, noRight, promiscuous } from "../net/interface.js";
import type { LinkWatch } from "../net/link-watch.js";
import {
  addressOf,
  awaitReceivers,
  bind,
  close,
  ERRNO,
  errno,
  getsockopt,
  setsockopt,
  socket,
} from "../net/syscalls.js";
import type { LiveRx, PortContext } from "../port.js";

const AF_PACKET = 17;
const SOCK_RAW = 3;
export const SOL_PACKET = 263;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const PACKET_STATISTICS = 6;
const PACKET_AUXDATA = 8;
const PACKET_QDISC_BYPASS = 20;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_FANOUT = 18;
const PACKET_FANOUT_HASH = 0;
/** The kernel finds a number that is free in the network namespace. */
const PACKET_FANOUT_FLAG_UNIQUEID = 0x2000;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_ATTACH_FILTER = 26;
const SO_DETACH_FILTER = 27;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
/** linux/if_ether.h, in network byte order as sockaddr_ll wants it. */
const ETH_P_ALL = 0x0300;
/** Bytes a socket may hold: 30 ms of small frames at 1 Mpps, as the kernel counts them (768 each). */
const BUFFER_BYTES = 32 << 20;

const word = (value: number) => new Uint8Array(Int32Array.of(value).buffer);

/** A socket that is not bound yet. @throws RunError without the right */
export function packetSocket(where: string): number {
  // Protocol 0: nothing comes in before it is bound.
  const fd = socket(AF_PACKET, SOCK_RAW, 0);
  if (fd < 0) throw noRight(where, "AF_PACKET sockets", errno());
  return fd;
}

/** Binds a socket to an interface, to receive everything or nothing. @throws RunError, and closes the socket */
export function bindPacket(fd: number, { index }: NetInterface, receives: boolean, where: string): void {
  const address = new DataView(new ArrayBuffer(20));
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, receives ? ETH_P_ALL : 0, true);
  address.setInt32(4, index, true);
  if (receives) {
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, word(1), 4);
    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, word(1), 4);
  } else {
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, word(1), 4);
  }
  grow(fd, receives ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, receives ? SO_RCVBUF : SO_SNDBUF);
  if (bind(fd, new Uint8Array(address.buffer), 20) === 0) return;
  const number = errno();
  close(fd);
  throw noRight(where, "AF_PACKET on this interface", number);
}

/** What the first of several receiving threads has opened for all: a group of sockets among which the kernel shares out flows. */
export interface PacketShare {
  readonly driver: "packet";
  /** Number of the group; undefined where there is one thread. */
  readonly group: number | undefined;
}

/** A socket that receives everything, or its share of the flows. @throws RunError, and closes the socket */
export function bindReceiver(fd: number, device: NetInterface, { name, receiver }: PortContext): PacketShare {
  const where = `port ${name}`;
  const several = receiver !== undefined && receiver.count > 1;
  const first = receiver?.share as PacketShare | undefined;
  // Before it has joined the group a socket gets what others get already.
  if (first !== undefined) rejectAll(fd);
  bindPacket(fd, device, true, where);
  if (!several) return { driver: "packet", group: undefined };
  const join = first?.group ?? PACKET_FANOUT_FLAG_UNIQUEID << 16;
  const group = new Uint8Array(4);
  const joined =
    setsockopt(fd, SOL_PACKET, PACKET_FANOUT, word(join | (PACKET_FANOUT_HASH << 16)), 4) === 0 &&
    getsockopt(fd, SOL_PACKET, PACKET_FANOUT, group, word(4)) === 0;
  if (!joined) {
    const number = errno();
    close(fd);
    // Kernels before 6.13 let no socket into a group while its interface is down.
    if (number === ERRNO.EINVAL && linkState(device.name) !== "up") {
      const problem = `the link of ${device.name} is down, where several cores cannot share its packets out`;
      throw new RunError(where, problem, "bring it up first, or use --cores d1, which waits for it");
    }
    throw noRight(where, "packet sockets in a group (PACKET_FANOUT)", number);
  }
  if (first !== undefined) setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, word(0), 4);
  return { driver: "packet", group: new DataView(group.buffer).getUint16(0, true) };
}

/** Promiscuous mode, which the first of several threads turns on for all. @returns a descriptor to close */
export function membershipOf(
  device: NetInterface,
  { name, receiver }: PortContext,
  wanted: boolean,
): number | undefined {
  return wanted && (receiver?.index ?? 0) === 0 ? promiscuous(device, `port ${name}`) : undefined;
}

/** ", core 1 of 2" where there are several. */
export function coreOf({ receiver }: PortContext): string {
  return receiver === undefined || receiver.count === 1 ? "" : `, core ${receiver.index + 1} of ${receiver.count}`;
}

/** Beyond the limit where CAP_NET_ADMIN is there, else up to it (net.core.rmem_max, wmem_max). */
function grow(fd: number, force: number, plain: number): void {
  if (setsockopt(fd, SOL_SOCKET, force, word(BUFFER_BYTES), 4) < 0)
    setsockopt(fd, SOL_SOCKET, plain, word(BUFFER_BYTES), 4);
}

/** What the kernel has counted for a socket since it was opened. */
class SocketCounters {
  /** Packets in the socket's queue or ring, or taken out of it. */
  received = 0;
  /** Packets that found no room there. */
  dropped = 0;
  private readonly statistics = new Uint32Array(3);
  private readonly bytes = new Uint8Array(this.statistics.buffer);
  private readonly length = new Uint8Array(4);

  constructor(private readonly fd: number) {}

  /** struct tpacket_stats: packets, drops among them; the kernel starts again from 0. */
  read(): void {
    this.length[0] = this.bytes.length;
    if (getsockopt(this.fd, SOL_PACKET, PACKET_STATISTICS, this.bytes, this.length) < 0) return;
    const dropped = this.statistics[1]!;
    this.dropped += dropped;
    this.received += this.statistics[0]! - dropped;
  }
}

/** Lets nothing more in: a filter of one instruction, "return 0". */
export function rejectAll(fd: number): void {
  const instruction = new Uint8Array([0x06, 0, 0, 0, 0, 0, 0, 0]);
  const program = new DataView(new ArrayBuffer(16));
  program.setUint16(0, 1, true);
  program.setBigUint64(8, addressOf(instruction), true);
  setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, new Uint8Array(program.buffer), 16);
  // Known by address alone until here.
  instruction.fill(0);
}

/** Where the kernel keeps a VLAN tag it has taken out of the frame: valid in `status`. */
export const TP_STATUS_VLAN_VALID = 0x10;
/** Bytes of a tag, and of the addresses before it. */
export const TAG_BYTES = 4;
const ADDRESSES = 12;

/**
 * Puts a tag back into a frame, whose addresses move into the headroom.
 * @param at first byte of the frame in `u8`; afterwards it begins TAG_BYTES before
 */
export function putTag(u8: Uint8Array, at: number, tpid: number, tci: number): void {
  u8.copyWithin(at - TAG_BYTES, at, at + ADDRESSES);
  const tag = at - TAG_BYTES + ADDRESSES;
  u8[tag] = tpid >> 8;
  u8[tag + 1] = tpid & 0xff;
  u8[tag + 2] = tci >> 8;
  u8[tag + 3] = tci & 0xff;
}

/** Ms after which packets that the kernel has counted and does not hand out are given up: a block's timer takes a few, on a busy host some 50. */
const SETTLE_MS = 2000;

/**
 * The live side of a port that keeps no slots: its frames lie in the kernel until they are copied into those it is asked to fill.
 * After `stop` it is settled when as many have been taken as the kernel counts; what does not come is missed, and counted so.
 * @param burst see LiveRx.burst
 * @param taken packets that the port has taken so far
 */
export function socketRx(fd: number, burst: number, watch: LinkWatch, taken: () => number): LiveRx {
  const counters = new SocketCounters(fd);
  const pending = word(0);
  const pendingLength = word(4);
  let deadline = 0;
  let lost = 0;
  return {
    descriptors: [fd],
    stock: 0,
    burst,
    supply() {},
    withdraw: () => 0,
    stop() {
      rejectAll(fd);
      awaitReceivers();
      counters.read();
      deadline = performance.now() + SETTLE_MS;
    },
    get settled() {
      const left = counters.received - taken();
      if (left > 0 && performance.now() < deadline) return false;
      // Below 0 where the kernel does not say what it has counted: then nothing is known to be lost.
      lost = Math.max(0, left);
      return true;
    },
    update() {
      counters.read();
      // ENETDOWN, which stays until it is read, and until then poll(2) does not sleep.
      getsockopt(fd, SOL_SOCKET, SO_ERROR, pending, pendingLength);
      watch.look();
    },
    get imissed() {
      return counters.dropped + lost;
    },
    ierrors: 0,
  };
}
