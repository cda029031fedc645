/**
 * The XDP program that hands an interface's packets to AF_XDP sockets, by bpf(2). It is attached by a BPF link, which lives as long as
 * its descriptor: whatever ends the process, nothing stays attached.
 */
import { RunError } from "../../errors.js";
import { type NetInterface, noRight } from "../net/interface.js";
import { addressOf, bpf, close, ERRNO, errno, errorName } from "../net/syscalls.js";

/** linux/bpf.h */
const BPF = {
  MAP_CREATE: 0,
  MAP_UPDATE_ELEM: 2,
  PROG_LOAD: 5,
  LINK_CREATE: 28,
  MAP_TYPE_XSKMAP: 17,
  PROG_TYPE_XDP: 6,
  ATTACH_XDP: 37,
} as const;
const XDP_FLAGS_SKB_MODE = 2;
const XDP_FLAGS_DRV_MODE = 4;
const ATTRIBUTE_BYTES = 128;

/** Native: in the driver; skb: generic, behind the driver, in any kernel with XDP. */
export type XdpMode = "native" | "skb";

/** What other threads of the process need of a program: plain data. */
export interface ProgramShare {
  readonly mode: XdpMode;
  /** Descriptor of the socket map. */
  readonly map: number;
  /** One word: 1 when the program is off the interface. */
  readonly detached: SharedArrayBuffer;
}

export interface XdpProgram {
  readonly mode: XdpMode;
  readonly share: ProgramShare;
  /** Sends the packets of a queue to a socket. */
  redirect(queue: number, socket: number): void;
  /** Takes the program off the interface. */
  detach(): void;
  close(): void;
}

/**
 * Loads the program and attaches it to an interface.
 * @param wanted auto: native where the driver can, else skb, with a line that says so
 * @throws RunError without the rights, or where another program is attached
 */
export function attachProgram(
  device: NetInterface,
  wanted: "auto" | XdpMode,
  where: string,
  warn: (line: string) => void,
): XdpProgram {
  const map = createMap(device.queues, where);
  const open = [map];
  try {
    const program = loadProgram(map, where);
    open.push(program);
    const { link, mode } = attach(program, device, wanted, where, warn);
    open.push(link);
    const share: ProgramShare = { mode, map, detached: new SharedArrayBuffer(4) };
    return {
      ...joinProgram(share, where),
      detach() {
        const at = open.indexOf(link);
        if (at >= 0) close(open.splice(at, 1)[0]!);
        Atomics.store(new Int32Array(share.detached), 0, 1);
      },
      close() {
        // The link first, so that no packet looks for a map that is gone.
        for (const fd of open.splice(0).reverse()) close(fd);
      },
    };
  } catch (error) {
    for (const fd of open.reverse()) close(fd);
    throw error;
  }
}

/** The program that another thread has attached, and takes off. */
export function joinProgram(share: ProgramShare, where: string): XdpProgram {
  return {
    mode: share.mode,
    share,
    redirect(queue, socket) {
      if (updateMap(share.map, queue, socket) < 0) throw noRight(where, "XDP socket maps", errno());
    },
    detach() {},
    close() {},
  };
}

function createMap(queues: number, where: string): number {
  const attributes = new DataView(new ArrayBuffer(ATTRIBUTE_BYTES));
  [BPF.MAP_TYPE_XSKMAP, 4, 4, queues].forEach((word, i) => {
    attributes.setUint32(i * 4, word, true);
  });
  const fd = bpf(BPF.MAP_CREATE, new Uint8Array(attributes.buffer));
  if (fd < 0) throw noRight(where, "XDP programs", errno());
  return fd;
}

function updateMap(map: number, queue: number, socket: number): number {
  const key = new Uint8Array(Uint32Array.of(queue).buffer);
  const value = new Uint8Array(Uint32Array.of(socket).buffer);
  const attributes = new DataView(new ArrayBuffer(ATTRIBUTE_BYTES));
  attributes.setUint32(0, map, true);
  attributes.setBigUint64(8, addressOf(key), true);
  attributes.setBigUint64(16, addressOf(value), true);
  const status = bpf(BPF.MAP_UPDATE_ELEM, new Uint8Array(attributes.buffer));
  // Until here native code knew them by address alone.
  return key.length + value.length > 0 ? status : -1;
}

/** Instructions of 8 bytes: operation, registers (source << 4 | target), offset of 16 bits, immediate of 32. */
function redirectProgram(map: number): Uint8Array {
  const instructions: readonly (readonly [number, number, number, number])[] = [
    // r2 = xdp_md->rx_queue_index
    [0x61, 0x12, 16, 0],
    // r1 = map: a load of 64 bits, marked as a map's descriptor
    [0x18, 0x11, 0, map],
    [0, 0, 0, 0],
    // r3 = XDP_PASS, for queues without a socket
    [0xb7, 0x03, 0, 2],
    // return bpf_redirect_map(r1, r2, r3)
    [0x85, 0, 0, 51],
    [0x95, 0, 0, 0],
  ];
  const view = new DataView(new ArrayBuffer(instructions.length * 8));
  instructions.forEach(([operation, registers, offset, immediate], i) => {
    view.setUint8(i * 8, operation);
    view.setUint8(i * 8 + 1, registers);
    view.setInt16(i * 8 + 2, offset, true);
    view.setInt32(i * 8 + 4, immediate, true);
  });
  return new Uint8Array(view.buffer);
}

function loadProgram(map: number, where: string): number {
  const instructions = redirectProgram(map);
  const license = Buffer.from("Dual MIT/GPL\0", "latin1");
  const log = Buffer.alloc(4096);
  const attributes = new DataView(new ArrayBuffer(ATTRIBUTE_BYTES));
  attributes.setUint32(0, BPF.PROG_TYPE_XDP, true);
  attributes.setUint32(4, instructions.length / 8, true);
  attributes.setBigUint64(8, addressOf(instructions), true);
  attributes.setBigUint64(16, addressOf(license), true);
  attributes.setUint32(24, 1, true);
  attributes.setUint32(28, log.length, true);
  attributes.setBigUint64(32, addressOf(log), true);
  const bytes = new Uint8Array(attributes.buffer);
  bytes.set(Buffer.from("wingbeat", "latin1"), 48);
  attributes.setUint32(68, BPF.ATTACH_XDP, true);
  const fd = bpf(BPF.PROG_LOAD, bytes);
  const number = errno();
  if (fd >= 0) return fd;
  if (number === ERRNO.EPERM) throw noRight(where, "XDP programs", number);
  const said = log.toString("latin1").split("\0")[0]!.trim();
  throw new RunError(where, `the kernel refused the XDP program: ${errorName(number)} ${said}`);
}

function attach(
  program: number,
  device: NetInterface,
  wanted: "auto" | XdpMode,
  where: string,
  warn: (line: string) => void,
): { link: number; mode: XdpMode } {
  const create = (flags: number) => {
    const attributes = new DataView(new ArrayBuffer(ATTRIBUTE_BYTES));
    attributes.setUint32(0, program, true);
    attributes.setUint32(4, device.index, true);
    attributes.setUint32(8, BPF.ATTACH_XDP, true);
    attributes.setUint32(12, flags, true);
    return bpf(BPF.LINK_CREATE, new Uint8Array(attributes.buffer));
  };
  const refused = (number: number): RunError => {
    if (number === ERRNO.EOPNOTSUPP && wanted === "native") {
      return new RunError(
        where,
        `${device.name} has no native XDP`,
        "leave mode=native out: generic XDP, or AF_PACKET",
      );
    }
    if (number !== ERRNO.EBUSY && number !== ERRNO.EEXIST) return noRight(where, "XDP on this interface", number);
    return new RunError(
      where,
      `another XDP program is attached to ${device.name}, or another wingbeat receives from it`,
      `see who: ip -details link show ${device.name}; take one off that nobody needs: ip link set dev ${device.name} xdp off`,
    );
  };
  if (wanted !== "skb") {
    const link = create(XDP_FLAGS_DRV_MODE);
    if (link >= 0) return { link, mode: "native" };
    const number = errno();
    if (wanted === "native" || number === ERRNO.EBUSY || number === ERRNO.EEXIST) throw refused(number);
    warn(`${where}: no native XDP (${errorName(number)}); generic XDP behind the driver instead, which is slower`);
  }
  const link = create(XDP_FLAGS_SKB_MODE);
  if (link < 0) throw refused(errno());
  return { link, mode: "skb" };
}
