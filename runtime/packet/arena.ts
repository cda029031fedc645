/**
 * The arena: fixed 2048-byte slots, one packet each, and the metadata of every slot beside them as parallel arrays.
 *
 * What moves between stages is a slot number (u32); passing it passes ownership of the bytes and of the metadata. The frame
 * starts at `off` within its slot (256 when a port has just written it: headroom for a tunnel header, the AF_XDP default) and is
 * `len` bytes long. All metadata offsets are relative to the START OF THE SLOT, so the absolute byte is
 * `slot * SLOT_SIZE + offset`, an index into {@link Arena.u8} and, halved, into {@link Arena.u16}.
 *
 * Multi-byte metadata is in native byte order; packet bytes are in network byte order.
 */
import { ConfigError } from "../errors.js";
import { attachRegion, mapRegion, type RegionHandle, unmapRegion } from "./memory.js";

/** Bytes per slot: the AF_XDP chunk. */
export const SLOT_SIZE = 2048;
export const SLOT_SHIFT = 11;
/** Where ports put the first byte of a frame. 256 is a multiple of 4, so IPv4 headers behind Ethernet are 2-byte aligned. */
export const DATA_OFFSET = 256;
/** The longest frame a port can put in a slot, in bytes without FCS; 32 bytes of tailroom are kept for an ESP trailer. */
export const MAX_FRAME = SLOT_SIZE - DATA_OFFSET - 32;
/** u32 words per slot that an NF's prepare hands to its transform. */
export const PARAM_WORDS = 8;
/** `portOut` before a router chose one. */
export const NO_PORT = 0xff;

/** Bits of {@link Arena.flags}, written by the gate. */
export const enum FLAG {
  IPV4 = 1,
  IPV6 = 2,
  /** Any fragment, the first one included. */
  FRAGMENT = 4,
  /** A fragment other than the first: no L4 header in it. */
  LATER_FRAGMENT = 8,
  VLAN = 16,
  /** The L4 header was validated; `l4`, `payload`, `sport` and `dport` are meaningful. Never set on fragments. */
  L4 = 32,
}

/** Bits of {@link Arena.rxError}, written by ports for the gate to judge. */
export const enum RX_ERROR {
  /** The capture holds fewer bytes than the packet had on the wire. */
  TRUNCATED = 1,
  /** The frame does not fit in a slot; only its first bytes were written. */
  TOO_LONG = 2,
}

export interface ArenaHandle {
  readonly slots: number;
  /** Slot 0 is its first byte; metadata follows the slots. */
  readonly region: RegionHandle;
  /** True where Arena.create mapped the region, so that free() unmaps it; false where a device owns it. */
  readonly owned: boolean;
}

const META_LINE = 64;
/** Three lines: the u16 metadata of a burst of 64 take two. */
const META_STAGGER = 3 * META_LINE;

/** Metadata bytes per slot: 11 u16, 8 u8, 4 u32, 2 f64, and the params. */
const META_BYTES = 11 * 2 + 8 + 4 * 4 + 2 * 8 + PARAM_WORDS * 4;
const META_ARRAYS = 26;
/** Byte offsets into the arena are computed with `slot << SLOT_SHIFT`, which must stay below 2^31. */
export const MAX_SLOTS = 2 ** 31 / SLOT_SIZE;

/** Bytes behind the metadata that NFs may take for scratch. */
const SCRATCH_BYTES = 512 * 1024;

/** Where the scratch begins: a line that says how much of it is taken, then the scratch itself. */
function scratchAt(slots: number): number {
  const end = slots * (SLOT_SIZE + META_BYTES) + META_ARRAYS * (META_LINE + META_STAGGER);
  return Math.ceil(end / META_LINE) * META_LINE;
}

/**
 * Bytes of region that `slots` slots, their metadata and the scratch take.
 * @throws ConfigError where `slots` is not a whole number of 1 to {@link MAX_SLOTS}
 */
export function arenaBytes(slots: number): number {
  if (!Number.isInteger(slots) || slots < 1 || slots > MAX_SLOTS) {
    throw new ConfigError("arena", `found ${slots} slots, expected a whole number of 1 to ${MAX_SLOTS}`);
  }
  return scratchAt(slots) + META_LINE + SCRATCH_BYTES;
}

/**
 * Hands out consecutive cache-line-aligned arrays; the order of calls in {@link Arena} is the layout. Slot counts are powers of two, so
 * the stagger keeps the arrays from all starting at one offset of a 4 KiB page, where one packet's metadata would share a cache set.
 * (On the processor of bench/README.md it made no difference; it costs nothing.)
 */
class MetaLayout {
  end: number;
  constructor(
    start: number,
    private readonly slots: number,
  ) {
    this.end = start;
  }
  take(bytesPerSlot: number): number {
    const at = this.end;
    this.end = Math.ceil((at + bytesPerSlot * this.slots) / META_LINE) * META_LINE + META_STAGGER;
    return at;
  }
}

export class Arena {
  readonly slots: number;
  readonly handle: ArenaHandle;
  readonly buffer: ArrayBuffer;
  /** Virtual address of slot 0, for native libraries. */
  readonly address: number;

  /** Packet bytes, all slots. */
  readonly u8: Uint8Array;
  /** The same bytes as native-order u16; index = byte offset / 2. Checksums work on it in either byte order (RFC 1071, 2.B). */
  readonly u16: Uint16Array;
  /** The same bytes as native-order u32. */
  readonly u32: Uint32Array;
  readonly view: DataView;

  /** First byte of the frame. */
  readonly off: Uint16Array;
  /** Frame length in bytes, layer 2 without FCS. */
  readonly len: Uint16Array;
  /** First byte of the IP header; 0 where the frame is not IP. */
  readonly l3: Uint16Array;
  /** First byte behind the IP packet (l3 + total length): Ethernet padding lies beyond it. */
  readonly l3end: Uint16Array;
  /** First byte behind the IP header and IPv6 extension headers: the L4 header, or fragment data, or an unknown protocol. */
  readonly l4: Uint16Array;
  /** First byte of the L4 payload (TCP, UDP, ICMP, SCTP...); equals `l4` where FLAG.L4 is not set. */
  readonly payload: Uint16Array;
  /** First byte behind the L4 payload: bounded by the UDP length, else l3end. */
  readonly payloadEnd: Uint16Array;
  /** L4 ports, 0 where there are none. ICMP: type in sport, code in dport. */
  readonly sport: Uint16Array;
  readonly dport: Uint16Array;
  /** Outermost VLAN id, 0 where FLAG.VLAN is not set. */
  readonly vlan: Uint16Array;
  /** Policy target the packet goes to next (see chain/policy). */
  readonly next: Uint16Array;
  /** IP protocol behind extension headers. */
  readonly proto: Uint8Array;
  /** {@link FLAG} bits. */
  readonly flags: Uint8Array;
  /** {@link RX_ERROR} bits. */
  readonly rxError: Uint8Array;
  /** Packet type: index into the chain's types. */
  readonly type: Uint8Array;
  readonly portIn: Uint8Array;
  /** Egress port chosen by a router, or NO_PORT. */
  readonly portOut: Uint8Array;
  /** NFs the packet has been through; kept only under a cyclic policy. */
  readonly visits: Uint8Array;
  /** The receiving thread whose pool the slot is freed to: the one that has received it. Written only where there are several. */
  readonly home: Uint8Array;
  /** Bytes on the wire as the capture recorded them. */
  readonly wireLen: Uint32Array;
  /** Capture timestamp: seconds since the epoch, and nanoseconds. */
  readonly tsSec: Uint32Array;
  readonly tsNsec: Uint32Array;
  /** Hash of its flow on arrival; kept only where order within flows is audited. */
  readonly flow: Uint32Array;
  /**
   * Arrival number, from 1 as capture tools count (`pcap_cnt`). With several receiving threads no two packets have the same one, and those
   * of one thread are in order; where threads share a queue it is the number in the queue.
   */
  readonly arrival: Float64Array;
  /** When the port handed it over, in ns on the engine's clock. */
  readonly rxNs: Float64Array;
  /** PARAM_WORDS words per slot, from an NF's prepare to its transform. */
  readonly params: Uint32Array;

  private constructor(handle: ArenaHandle, buffer: ArrayBuffer) {
    const { slots } = handle;
    this.handle = handle;
    this.slots = slots;
    this.buffer = buffer;
    this.address = handle.region.address;
    const bytes = slots * SLOT_SIZE;
    this.u8 = new Uint8Array(buffer, 0, bytes);
    this.u16 = new Uint16Array(buffer, 0, bytes / 2);
    this.u32 = new Uint32Array(buffer, 0, bytes / 4);
    this.view = new DataView(buffer, 0, bytes);

    const layout = new MetaLayout(bytes, slots);
    const u16 = () => new Uint16Array(buffer, layout.take(2), slots);
    const u8 = () => new Uint8Array(buffer, layout.take(1), slots);
    const u32 = (words = 1) => new Uint32Array(buffer, layout.take(4 * words), slots * words);
    const f64 = () => new Float64Array(buffer, layout.take(8), slots);
    this.off = u16();
    this.len = u16();
    this.l3 = u16();
    this.l3end = u16();
    this.l4 = u16();
    this.payload = u16();
    this.payloadEnd = u16();
    this.sport = u16();
    this.dport = u16();
    this.vlan = u16();
    this.next = u16();
    this.proto = u8();
    this.flags = u8();
    this.rxError = u8();
    this.type = u8();
    this.portIn = u8();
    this.portOut = u8();
    this.visits = u8();
    this.home = u8();
    this.wireLen = u32();
    this.tsSec = u32();
    this.tsNsec = u32();
    this.flow = u32();
    this.arrival = f64();
    this.rxNs = f64();
    this.params = u32(PARAM_WORDS);
    if (layout.end > scratchAt(slots)) throw new Error("META_BYTES and META_ARRAYS leave out some metadata arrays");
  }

  /**
   * Takes scratch memory within the arena's own buffer, where bytes of packets get by copyWithin, without a view made for each. It is
   * never given back; any thread may ask.
   * @returns byte offset in `buffer`, a multiple of 64; undefined where there is not so much left
   */
  takeScratch(bytes: number): number | undefined {
    const at = scratchAt(this.slots);
    const size = Math.ceil(bytes / META_LINE) * META_LINE;
    const used = Atomics.add(new Int32Array(this.buffer, at, 1), 0, size);
    if (used + size <= SCRATCH_BYTES) return at + META_LINE + used;
    Atomics.sub(new Int32Array(this.buffer, at, 1), 0, size);
    return undefined;
  }

  /** Maps a new arena. */
  static create(slots: number): Arena {
    const region = mapRegion(arenaBytes(slots));
    const { address, size, hugePages } = region;
    return new Arena({ slots, region: { address, size, hugePages }, owned: true }, region.buffer);
  }

  /** The same arena in another thread; or one over memory a device allocated (`owned: false`). */
  static attach(handle: ArenaHandle): Arena {
    return new Arena(handle, attachRegion(handle.region).buffer);
  }

  /** Unmaps an arena made by {@link create}, once no thread touches it any more. */
  free(): void {
    if (this.handle.owned) unmapRegion(this.handle.region);
  }
}
