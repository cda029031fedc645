/** What the kernel says of a network interface, by ioctl(2): /sys shows another network namespace's where one was entered without it. */
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { RunError } from "../../errors.js";
import { addressOf, close, ERRNO, errno, errorName, ioctl, setsockopt, socket } from "./syscalls.js";

const AF_INET = 2;
const AF_PACKET = 17;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
/** linux/sockios.h */
const SIOCGIFNAME = 0x8910;
const SIOCGIFFLAGS = 0x8913;
const SIOCGIFADDR = 0x8915;
const SIOCGIFNETMASK = 0x891b;
const SIOCGIFHWADDR = 0x8927;
const SIOCGIFMTU = 0x8921;
const SIOCGIFINDEX = 0x8933;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GCHANNELS = 0x3c;
const ETHTOOL_GRINGPARAM = 0x10;
/** struct ifreq: name, then a union. */
const IFREQ = { BYTES: 40, NAME: 16, VALUE: 16 } as const;
const IFF_UP = 0x1;
const IFF_RUNNING = 0x40;
/** linux/if_arp.h: interfaces whose frames have an Ethernet header. */
const ETHERNET_TYPES: readonly number[] = [1, 772];
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_MR_PROMISC = 1;

export interface NetInterface {
  readonly name: string;
  readonly index: number;
  /** Largest IP packet in bytes. */
  readonly mtu: number;
  /** Receive queues that are in use. */
  readonly queues: number;
}

function request(name: string, call: number, fill?: (view: DataView) => void): DataView | undefined {
  const bytes = new Uint8Array(IFREQ.BYTES);
  bytes.set(Buffer.from(name, "latin1").subarray(0, IFREQ.NAME - 1));
  const view = new DataView(bytes.buffer);
  fill?.(view);
  const fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0) return undefined;
  const status = ioctl(fd, call, bytes);
  close(fd);
  return status < 0 ? undefined : view;
}

/** The interface of this name in this network namespace, or undefined. */
export function findInterface(name: string): NetInterface | undefined {
  const index = name.length < IFREQ.NAME ? request(name, SIOCGIFINDEX) : undefined;
  const mtu = index && request(name, SIOCGIFMTU);
  if (index === undefined || mtu === undefined) return undefined;
  return {
    name,
    index: index.getInt32(IFREQ.VALUE, true),
    mtu: mtu.getInt32(IFREQ.VALUE, true),
    queues: queuesOf(name),
  };
}

/** What the interface with this index is called now: it may have been renamed. @returns undefined where it is gone */
export function nameOf(index: number): string | undefined {
  const view = request("", SIOCGIFNAME, (words) => words.setInt32(IFREQ.VALUE, index, true));
  if (view === undefined) return undefined;
  const name = Buffer.from(view.buffer, 0, IFREQ.NAME);
  return name.toString("latin1", 0, name.indexOf(0));
}

/** @param where the port, for the message. @throws RunError that lists those that are there; or for one without Ethernet frames */
export function requireInterface(name: string, where: string): NetInterface {
  const found = findInterface(name);
  if (found !== undefined) {
    const type = request(name, SIOCGIFHWADDR)?.getUint16(IFREQ.VALUE, true);
    if (type === undefined || ETHERNET_TYPES.includes(type)) return found;
    const problem = `${name} carries no Ethernet frames (link type ${type}: a tunnel's bare IP packets, say)`;
    throw new RunError(where, problem, "use the Ethernet interface below it, or in place of a tun device a tap one");
  }
  const names = interfaceNames();
  const there = names.length === 0 ? "none" : names.join(", ");
  throw new RunError(where, `there is no network interface "${name}"`, `name one that is there: ${there}`);
}

/** Names in this network namespace but lo. */
export function interfaceNames(): string[] {
  try {
    // Two lines of headings; /proc/net is this process's namespace, other than /sys.
    const lines = readFileSync("/proc/self/net/dev", "utf8").split("\n").slice(2);
    return lines.flatMap((line) => /^\s*([^\s:]+):/.exec(line)?.[1] ?? []).filter((name) => name !== "lo");
  } catch {
    return [];
  }
}

/** IPv4 address of an interface, the first where there are several, dotted; undefined: it has none. */
export function ipv4Of(name: string): string | undefined {
  const view = request(name, SIOCGIFADDR);
  if (view === undefined) return undefined;
  // struct sockaddr_in: family and port, then the address.
  const at = IFREQ.VALUE + 4;
  return [0, 1, 2, 3].map((i) => view.getUint8(at + i)).join(".");
}

/**
 * IPv4 addresses that stand for all hosts of the networks an interface is in, {network, -1} and {network, 0} (RFC 1122 section 3.2.1.3, RFC 1812
 * section 5.3.5), each as a number. Of an interface that is down its first network's alone.
 */
export function broadcastsOf(name: string, addresses = networkInterfaces()): number[] {
  const mask = request(name, SIOCGIFNETMASK);
  const first = ipv4Of(name);
  // As in struct sockaddr_in, in network byte order.
  const networks = mask && first !== undefined ? [{ address: first, mask: mask.getUint32(IFREQ.VALUE + 4) }] : [];
  for (const [label, some] of Object.entries(addresses)) {
    // An address with a label (ip address add ... label eth0:1) is listed by that.
    if (label.split(":")[0] !== name) continue;
    for (const { family, address, netmask } of some ?? [])
      if (family === "IPv4") networks.push({ address, mask: ipv4Number(netmask) });
  }
  return networks.flatMap((network) => broadcastsIn(ipv4Number(network.address), network.mask));
}

/** Of one network; none where there are only one or two addresses (RFC 3021). */
export function broadcastsIn(address: number, mask: number): number[] {
  const hosts = ~mask >>> 0;
  return hosts < 2 ? [] : [(address | hosts) >>> 0, (address & mask) >>> 0];
}

function ipv4Number(dotted: string): number {
  return dotted.split(".").reduce((number, octet) => number * 256 + Number(octet), 0);
}

/** linux/if_addr.h: an address that is not to be used, since somebody else may have it (RFC 4862 section 5.4), or has. */
const IFA_F_DADFAILED = 0x08;
const IFA_F_TENTATIVE = 0x40;

/** First IPv6 address of global scope that an interface has, in eight groups; undefined: it has none. */
export function ipv6Of(name: string): string | undefined {
  let text: string;
  try {
    text = readFileSync("/proc/self/net/if_inet6", "utf8");
  } catch {
    // A kernel without IPv6.
    return undefined;
  }
  for (const line of text.split("\n")) {
    // Address, index, prefix length, scope (0: global) and flags in hexadecimal, name.
    const [address, , , scope, flags, device] = line.trim().split(/\s+/);
    if (device !== name || Number.parseInt(scope!, 16) !== 0) continue;
    if ((Number.parseInt(flags!, 16) & (IFA_F_DADFAILED | IFA_F_TENTATIVE)) !== 0) continue;
    return address!.match(/.{4}/g)!.join(":");
  }
  return undefined;
}

export type LinkState = "up" | "down" | "gone";

/** Down: by the administrator, or without a carrier. */
export function linkState(name: string): LinkState {
  const view = request(name, SIOCGIFFLAGS);
  if (view === undefined) return "gone";
  const flags = view.getUint16(IFREQ.VALUE, true);
  return (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) !== 0 ? "up" : "down";
}

/** A request of linux/ethtool.h over words that it fills. @returns false where the driver has none */
function ethtool(name: string, words: Uint32Array): boolean {
  const bytes = new Uint8Array(words.buffer);
  return request(name, SIOCETHTOOL, (view) => view.setBigUint64(IFREQ.VALUE, addressOf(bytes), true)) !== undefined;
}

/** The answer to a request of one value (struct ethtool_value). */
export function ethtoolValue(name: string, command: number): number | undefined {
  const words = Uint32Array.of(command, 0);
  return ethtool(name, words) ? words[1]! : undefined;
}

/** Descriptors of the driver's receive ring, and the most it can have. */
export function ringSizes(name: string): { readonly rx: number; readonly rxMost: number } | undefined {
  // struct ethtool_ringparam: command, four maxima (rx, rx mini, rx jumbo, tx), then what is set.
  const words = new Uint32Array(9);
  words[0] = ETHTOOL_GRINGPARAM;
  return ethtool(name, words) ? { rx: words[5]!, rxMost: words[1]! } : undefined;
}

/** Receive queues in use; 1 where the driver does not say. */
export function queuesOf(name: string): number {
  // struct ethtool_channels: command, four maxima, then counts of rx, tx, other and combined.
  const channels = new Uint32Array(9);
  channels[0] = ETHTOOL_GCHANNELS;
  return ethtool(name, channels) ? Math.max(1, channels[5]! + channels[8]!) : 1;
}

/**
 * Turns promiscuous mode on for as long as the descriptor returned is open: membership of a packet socket, which ends with the process
 * however that ends.
 * @throws RunError without the right
 */
export function promiscuous({ name, index }: NetInterface, where: string): number {
  const fd = socket(AF_PACKET, SOCK_RAW, 0);
  if (fd < 0) throw noRight(where, "AF_PACKET sockets", errno());
  const request = new DataView(new ArrayBuffer(16));
  request.setInt32(0, index, true);
  request.setUint16(4, PACKET_MR_PROMISC, true);
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, new Uint8Array(request.buffer), 16) < 0) {
    const number = errno();
    close(fd);
    throw new RunError(where, `${name} refuses promiscuous mode: ${errorName(number)}`, "add promiscuous=false");
  }
  return fd;
}

/** An error for what the kernel refused, naming the capability where it is one that lacks. */
export function noRight(where: string, what: string, number: number): RunError {
  if (number === ERRNO.EPERM || number === ERRNO.EACCES) {
    const capability = what.startsWith("XDP") ? "CAP_BPF and CAP_NET_ADMIN" : "CAP_NET_RAW";
    const remedy = `run as root, or: sudo setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep ${process.execPath}`;
    return new RunError(where, `no right to use ${what}: this process lacks ${capability}`, remedy);
  }
  return new RunError(where, `the kernel refused ${what}: ${errorName(number)}`, "see wingbeat doctor, network");
}
