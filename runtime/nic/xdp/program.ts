/**
 * The XDP program that hands an interface's packets to AF_XDP sockets, by bpf(2). It is attached by a BPF link, which lives as long as
 * its descriptor: whatever ends the process, nothing stays attached.
 */
import { RunError } from "../../errors.js";
import { block } from "../../native/block.js";
import { probeHost } from "../host/port.js";
import { hostRefused, openHostSide } from "../host/program.js";
import { BPF_MAP, createMap, deleteFromMap, type Instruction, linkXdp, loadXdp, updateMap, XDP } from "../net/bpf.js";
import { type NetInterface, noRight } from "../net/interface.js";
import { awaitReceivers, close, ERRNO, errno, errorName } from "../net/syscalls.js";
import type { HostAccess } from "../port.js";

const XDP_FLAGS_SKB_MODE = 2;
const XDP_FLAGS_DRV_MODE = 4;
/** Ms that the mark is still taken off at the end: with receive packet steering the last frames wait for another processor's turn. */
const STEERED_MS = 20;

/** Native: in the driver; skb: generic, behind the driver, in any kernel with XDP. */
export type XdpMode = "native" | "skb";

/** What other threads of the process need of a program: plain data. */
export interface ProgramShare {
  readonly mode: XdpMode;
  /** Descriptor of the socket map. */
  readonly map: number;
  /** One word: 0, 2 from when no socket more may be entered, 1 when no packet goes to a socket any more. */
  readonly detached: SharedArrayBuffer;
}

export interface XdpProgram {
  readonly mode: XdpMode;
  readonly share: ProgramShare;
  /** How the host's own stack gets frames after all, where that was wanted. */
  readonly host: HostAccess | undefined;
  /** Sends the packets of a queue to a socket. */
  redirect(queue: number, socket: number): void;
  /** No packet goes to a socket any more. */
  detach(): void;
  close(): void;
}

/**
 * Loads the program and attaches it to an interface.
 * @param wanted auto: native where the driver can, else skb, with a line that says so
 * @param hostThreads threads that hand frames to the host's own stack
 * @throws RunError without the rights, where another program is attached, or where the stack takes no frames
 */
export function attachProgram(
  device: NetInterface,
  wanted: "auto" | XdpMode,
  hostThreads: number,
  where: string,
  warn: (line: string) => void,
): XdpProgram {
  const open: { close(): void }[] = [];
  const opened = (fd: number) => {
    open.push({ close: () => close(fd) });
    return fd;
  };
  // The link first, so that no packet looks for a map that is gone.
  const closeAll = () => {
    for (const one of open.splice(0).reverse()) one.close();
  };
  try {
    const map = createMap(BPF_MAP.XSKMAP, 4, device.queues);
    if (map < 0) throw noRight(where, "XDP programs", errno());
    opened(map);
    const hostSide = hostThreads > 0 ? openHostSide(hostThreads, where) : undefined;
    if (hostSide !== undefined) open.push(hostSide);
    const load = (mode: XdpMode) => {
      const begin = hostSide?.instructions(mode === "skb") ?? [];
      return opened(loadProgram([...begin, ...redirectProgram(map)], hostSide !== undefined, where));
    };
    const { program, link, mode } = attach(load, device, wanted, where, warn);
    const attached = { close: () => close(link) };
    open.push(attached);
    const host = hostSide?.access(device, program, mode === "skb");
    if (host !== undefined) probeHost(host, where);
    const share: ProgramShare = { mode, map, detached: new SharedArrayBuffer(4) };
    return {
      ...joinProgram(share, where),
      host,
      detach() {
        const detached = new Int32Array(share.detached);
        if (Atomics.compareExchange(detached, 0, 0, 2) !== 0) return;
        if (host === undefined) {
          open.splice(open.indexOf(attached), 1);
          attached.close();
        } else {
          // Frames go on to the host until the last: what comes meanwhile passes, for there is no socket in the map.
          for (let queue = 0; queue < device.queues; queue++) deleteFromMap(map, queue);
        }
        awaitReceivers();
        Atomics.store(detached, 0, 1);
      },
      close() {
        if (host?.mark !== undefined && open.length > 0) block(STEERED_MS);
        closeAll();
      },
    };
  } catch (error) {
    closeAll();
    throw error;
  }
}

/** The program that another thread has attached, and takes off. */
export function joinProgram(share: ProgramShare, where: string): XdpProgram {
  const detached = new Int32Array(share.detached);
  return {
    mode: share.mode,
    share,
    host: undefined,
    redirect(queue, socket) {
      if (Atomics.load(detached, 0) !== 0) return;
      if (updateMap(share.map, queue, socket) < 0) throw noRight(where, "XDP socket maps", errno());
      if (Atomics.load(detached, 0) !== 0) deleteFromMap(share.map, queue);
    },
    detach() {},
    close() {},
  };
}

function redirectProgram(map: number): Instruction[] {
  return [
    // r2 = xdp_md->rx_queue_index
    [0x61, 0x12, 16, 0],
    // r1 = map: a load of 64 bits, marked as a map's descriptor
    [0x18, 0x11, 0, map],
    [0, 0, 0, 0],
    // r3 = XDP_PASS, for queues without a socket
    [0xb7, 0x03, 0, XDP.PASS],
    // return bpf_redirect_map(r1, r2, r3)
    [0x85, 0, 0, 51],
    [0x95, 0, 0, 0],
  ];
}

function loadProgram(instructions: readonly Instruction[], forHost: boolean, where: string): number {
  const loaded = loadXdp(instructions);
  if (typeof loaded === "number") return loaded;
  if (loaded.errno === ERRNO.EPERM) throw noRight(where, "XDP programs", loaded.errno);
  // Before 5.18 the verifier misses bpf_xdp_store_bytes.
  if (forHost) throw hostRefused(where, loaded.errno, loaded.said);
  throw new RunError(where, `the kernel refused the XDP program: ${loaded.said}`);
}

/** A virtual wire's program has to take what the other end sends. */
const longFrames = ({ mtu }: NetInterface) => `this MTU: ${mtu}, or that of a virtual wire's other end`;

function attach(
  load: (mode: XdpMode) => number,
  device: NetInterface,
  wanted: "auto" | XdpMode,
  where: string,
  warn: (line: string) => void,
): { program: number; link: number; mode: XdpMode } {
  const refused = (number: number): RunError => {
    if (number === ERRNO.EOPNOTSUPP && wanted === "native") {
      return new RunError(
        where,
        `${device.name} has no native XDP`,
        "leave mode=native out: generic XDP, or AF_PACKET",
      );
    }
    // What drivers say whose native XDP wants a frame in one page.
    if (number === ERRNO.ERANGE) {
      const remedy = `ip link set dev ${device.name} mtu 1500, or leave mode=native out: generic XDP`;
      return new RunError(where, `native XDP of ${device.name} does not take frames of ${longFrames(device)}`, remedy);
    }
    if (number !== ERRNO.EBUSY && number !== ERRNO.EEXIST) return noRight(where, "XDP on this interface", number);
    return new RunError(
      where,
      `another XDP program is attached to ${device.name}, or another wingbeat receives from it`,
      `see who: ip -details link show ${device.name}; take one off that nobody needs: ip link set dev ${device.name} xdp off`,
    );
  };
  if (wanted !== "skb") {
    const program = load("native");
    const link = linkXdp(program, device.index, XDP_FLAGS_DRV_MODE);
    if (link >= 0) return { program, link, mode: "native" };
    const number = errno();
    if (wanted === "native" || number === ERRNO.EBUSY || number === ERRNO.EEXIST) throw refused(number);
    const why = number === ERRNO.ERANGE ? `not with frames of ${longFrames(device)}` : errorName(number);
    warn(`${where}: no native XDP (${why}); generic XDP behind the driver instead, which is slower`);
  }
  const program = load("skb");
  const link = linkXdp(program, device.index, XDP_FLAGS_SKB_MODE);
  if (link < 0) throw refused(errno());
  return { program, link, mode: "skb" };
}
