/**
 * Builds frames for tests, inside out: a segment (UDP, TCP...), wrapped in an IP packet, wrapped in Ethernet. Lengths and
 * checksums come out right unless an option lies about them on purpose. All fields are in network byte order.
 *
 *   ethernet({ vlans: [100] }, ipv4({ dst: "10.1.0.1" }, udp({ dport: 53 }, bytes)))
 *
 * Shares no code with runtime/packet: what tests measure must not be what they measure with.
 */
import { type Arena, DATA_OFFSET, MAX_FRAME, RX_ERROR } from "../../runtime/packet/arena.js";

/** What an IP packet carries: its protocol number, its bytes, and where its internet checksum stands, if it has one. */
export interface Segment {
  readonly proto: number;
  readonly bytes: Uint8Array;
  /** Offset of a checksum that the IP layer fills in (it needs the pseudo-header); undefined: none, or already written. */
  readonly checksumAt?: number | undefined;
  /** False for ICMP, whose checksum covers no pseudo-header. */
  readonly pseudoHeader?: boolean;
}

/** A packet and the EtherType that announces it. */
export interface Packet {
  readonly etherType: number;
  readonly bytes: Uint8Array;
}

export function concat(...parts: ReadonlyArray<Uint8Array | readonly number[]>): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const be16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
export const be32 = (value: number): number[] => [...be16(value >>> 16), ...be16(value & 0xffff)];

/** RFC 1071 over big-endian words, an odd last byte padded with zero: what goes into the checksum field. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return 0xffff - sum;
}

/** "10.1.2.3" or "2001:db8::1" to 4 or 16 bytes. */
export function addressBytes(text: string): Uint8Array {
  if (!text.includes(":")) return Uint8Array.from(text.split(".").map(Number));
  const [left = "", right] = text.split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)));
  const tail = right === undefined ? [] : groups(right);
  const head = groups(left);
  const zeros = new Array<number>(8 - head.length - tail.length).fill(0);
  return Uint8Array.from([...head, ...zeros, ...tail].flatMap(be16));
}

export interface EthernetOptions {
  readonly dst?: readonly number[];
  readonly src?: readonly number[];
  /** VLAN ids, outermost first; each with TPID 0x8100 unless given as [tpid, tci]. */
  readonly vlans?: ReadonlyArray<number | readonly [number, number]>;
  /** Bytes of padding behind the packet. */
  readonly padding?: number;
}

export function ethernet(options: EthernetOptions, packet: Packet): Uint8Array {
  const { dst = [2, 0, 0, 0, 0, 1], src = [2, 0, 0, 0, 0, 2], vlans = [], padding = 0 } = options;
  const tags = vlans.flatMap((tag) => {
    const [tpid, tci] = typeof tag === "number" ? [0x8100, tag] : tag;
    return [...be16(tpid), ...be16(tci)];
  });
  return concat(dst, src, tags, be16(packet.etherType), packet.bytes, new Uint8Array(padding));
}

export interface Ipv4Options {
  readonly src?: string;
  readonly dst?: string;
  readonly tos?: number;
  readonly ttl?: number;
  readonly id?: number;
  /** Flags and offset as they stand in the header: 0x4000 DF, 0x2000 MF, offset in units of 8 bytes. */
  readonly fragment?: number;
  /** Option bytes; padded with END to a multiple of 4. */
  readonly options?: readonly number[];
  /** Lies: what the fields say instead of the truth. */
  readonly totalLength?: number;
  readonly headerWords?: number;
  readonly version?: number;
  readonly checksum?: number;
}

/** RFC 791. */
export function ipv4(o: Ipv4Options, segment: Segment): Packet {
  const src = addressBytes(o.src ?? "10.0.0.1");
  const dst = addressBytes(o.dst ?? "10.1.0.1");
  const options = [...(o.options ?? [])];
  while (options.length % 4 !== 0) options.push(0);
  const words = 5 + options.length / 4;
  const header = concat(
    [((o.version ?? 4) << 4) | (o.headerWords ?? words), o.tos ?? 0],
    be16(o.totalLength ?? words * 4 + segment.bytes.length),
    be16(o.id ?? 1),
    be16(o.fragment ?? 0),
    [o.ttl ?? 64, segment.proto, 0, 0],
    src,
    dst,
    options,
  );
  header.set(be16(o.checksum ?? checksum(header)), 10);
  const pseudo = concat(src, dst, [0, segment.proto], be16(segment.bytes.length));
  return { etherType: 0x0800, bytes: concat(header, sealed(segment, pseudo)) };
}

/** An IPv6 extension header: its type, and its bytes behind the Next Header field (length byte included). */
export interface Extension {
  readonly type: number;
  readonly body: readonly number[];
}

/** Hop-by-hop (0), routing (43), destination options (60), mobility (135) with `units` x 8 further bytes, of PadN. */
export const options6 = (type: number, units = 0): Extension => {
  const pad = units * 8 + 4;
  return { type, body: [units, 1, pad, ...new Array<number>(pad).fill(0)] };
};
/** RFC 8200 section 4.4; addresses of a type-0 header, the first of them `finalDst`. */
export const routing6 = (segmentsLeft: number, finalDst: string): Extension => ({
  type: 43,
  body: [2, 0, segmentsLeft, 0, 0, 0, 0, ...addressBytes(finalDst)],
});
/** RFC 8200 section 4.5; offset in units of 8 bytes. */
export const fragment6 = (offset: number, more: boolean, id = 7): Extension => ({
  type: 44,
  body: [0, ...be16((offset << 3) | (more ? 1 : 0)), ...be32(id)],
});
/** RFC 4302 section 2; `icvBytes` a multiple of 4. */
export const ah6 = (icvBytes: number): Extension => ({
  type: 51,
  body: [(12 + icvBytes) / 4 - 2, 0, 0, ...be32(99), ...be32(1), ...new Array<number>(icvBytes).fill(0xa5)],
});

export interface Ipv6Options {
  readonly src?: string;
  readonly dst?: string;
  readonly trafficClass?: number;
  readonly hopLimit?: number;
  readonly extensions?: readonly Extension[];
  /** Destination in the pseudo-header where a routing header moves it (RFC 8200 section 8.1). */
  readonly finalDst?: string;
  readonly payloadLength?: number;
  readonly version?: number;
}

/** RFC 8200. */
export function ipv6(o: Ipv6Options, segment: Segment): Packet {
  const src = addressBytes(o.src ?? "2001:db8::1");
  const dst = addressBytes(o.dst ?? "2001:db8:1::1");
  const extensions = o.extensions ?? [];
  const types = [...extensions.map((e) => e.type), segment.proto];
  const chain = extensions.flatMap((e, i) => [types[i + 1]!, ...e.body]);
  const trafficClass = o.trafficClass ?? 0;
  const header = concat(
    [((o.version ?? 6) << 4) | (trafficClass >> 4), ((trafficClass & 15) << 4) | 0x3, 0x21, 0x09],
    be16(o.payloadLength ?? chain.length + segment.bytes.length),
    [types[0]!, o.hopLimit ?? 64],
    src,
    dst,
  );
  const last = o.finalDst === undefined ? dst : addressBytes(o.finalDst);
  const pseudo = concat(src, last, be32(segment.bytes.length), [0, 0, 0, segment.proto]);
  return { etherType: 0x86dd, bytes: concat(header, chain, sealed(segment, pseudo)) };
}

/** The segment with its checksum written; a UDP checksum that comes out as 0 is sent as 0xffff (RFC 768). */
function sealed(segment: Segment, pseudo: Uint8Array): Uint8Array {
  const bytes = segment.bytes.slice();
  if (segment.checksumAt === undefined) return bytes;
  bytes.set([0, 0], segment.checksumAt);
  const value = checksum(segment.pseudoHeader === false ? bytes : concat(pseudo, bytes));
  bytes.set(be16(value === 0 && segment.proto === 17 ? 0xffff : value), segment.checksumAt);
  return bytes;
}

export interface PortOptions {
  readonly sport?: number;
  readonly dport?: number;
  /** Written as given instead of the right checksum; 0 is UDP's "none". */
  readonly checksum?: number;
}

const sealing = (at: number, given: number | undefined) => ({ checksumAt: given === undefined ? at : undefined });

/** RFC 768. `length` lies. */
export function udp(o: PortOptions & { readonly length?: number }, payload: Uint8Array): Segment {
  const ports = [...be16(o.sport ?? 40000), ...be16(o.dport ?? 40001)];
  const bytes = concat(ports, be16(o.length ?? 8 + payload.length), be16(o.checksum ?? 0), payload);
  return { proto: 17, bytes, ...sealing(6, o.checksum) };
}

/** RFC 9293 section 3.1. `dataOffset` (in 4-byte words) lies; `options` are padded to a multiple of 4. */
export function tcp(
  o: PortOptions & {
    readonly seq?: number;
    readonly ack?: number;
    readonly flags?: number;
    readonly dataOffset?: number;
    readonly options?: readonly number[];
  },
  payload: Uint8Array,
): Segment {
  const options = [...(o.options ?? [])];
  while (options.length % 4 !== 0) options.push(0);
  const bytes = concat(
    be16(o.sport ?? 40000),
    be16(o.dport ?? 40001),
    be32(o.seq ?? 1),
    be32(o.ack ?? 0),
    [(o.dataOffset ?? 5 + options.length / 4) << 4, o.flags ?? 0x10],
    be16(65535),
    be16(o.checksum ?? 0),
    [0, 0],
    options,
    payload,
  );
  return { proto: 6, bytes, ...sealing(16, o.checksum) };
}

/** RFC 792 (proto 1), or RFC 4443 with `v6` (proto 58, with pseudo-header). */
export function icmp(o: { type?: number; code?: number; checksum?: number; v6?: boolean }, rest: Uint8Array): Segment {
  const bytes = concat([o.type ?? (o.v6 ? 128 : 8), o.code ?? 0], be16(o.checksum ?? 0), rest);
  return { proto: o.v6 ? 58 : 1, bytes, pseudoHeader: o.v6 === true, ...sealing(2, o.checksum) };
}

/** RFC 9260 section 3.1: common header (verification tag 1, CRC32c left 0) and chunks as given. */
export function sctp(o: PortOptions, chunks: Uint8Array): Segment {
  return { proto: 132, bytes: concat(be16(o.sport ?? 40000), be16(o.dport ?? 40001), be32(1), be32(0), chunks) };
}

/** RFC 4303: SPI, sequence number, then ciphertext as given. */
export function esp(spi: number, seq: number, rest: Uint8Array): Segment {
  return { proto: 50, bytes: concat(be32(spi), be32(seq), rest) };
}

/** Bytes under any protocol number: fragments' data, unknown protocols. */
export const raw = (proto: number, bytes: Uint8Array): Segment => ({ proto, bytes });

export interface PlaceOptions {
  /** Bytes on the wire; more than the frame has: RX_ERROR.TRUNCATED. */
  readonly wireLen?: number;
  readonly rxError?: number;
  readonly port?: number;
  /** Where in the slot instead of DATA_OFFSET, as after a tunnel header came off; even. */
  readonly offset?: number;
  /** The frame comes from an NF, not from a port: it may be longer than {@link MAX_FRAME}, up to the end of the slot. */
  readonly fromNf?: boolean;
}

/** Writes a frame into a slot the way a port does: bytes, off, len, wireLen, rxError and timestamp; and portIn as the engine does. */
export function place(arena: Arena, slot: number, frame: Uint8Array, options: PlaceOptions = {}): void {
  const offset = options.offset ?? DATA_OFFSET;
  const wireLen = options.wireLen ?? frame.length;
  const room = options.fromNf ? 2048 - offset : MAX_FRAME;
  const kept = frame.subarray(0, room);
  arena.u8.set(kept, slot * 2048 + offset);
  arena.off[slot] = offset;
  arena.len[slot] = kept.length;
  arena.wireLen[slot] = wireLen;
  const tooLong = frame.length > room ? RX_ERROR.TOO_LONG : 0;
  arena.rxError[slot] = options.rxError ?? (wireLen > frame.length ? RX_ERROR.TRUNCATED : 0) | tooLong;
  arena.tsSec[slot] = 0;
  arena.tsNsec[slot] = 0;
  arena.portIn[slot] = options.port ?? 0;
}
