/**
 * Writes an ICMP error over the frame that it is about, in the frame's slot: what is quoted stays where it is, the new headers go in front of
 * it, and the layer 2 header with its VLAN tags moves towards the start of the slot, with the MAC addresses the other way round.
 *
 *   before            [ Ethernet, tags ][ IP packet ............................. ]
 *   after   [ Ethernet, tags ][ IP ][ ICMP ][ as much of the IP packet as is quoted ]
 */
import { type Arena, FLAG, NO_PORT, SLOT_SHIFT } from "../../packet/arena.js";
import { sum16, sumOf, swap16, writeIpv4Checksum } from "../../packet/checksum.js";
import { ETHERNET, IPPROTO, IPV4, IPV6 } from "../../packet/protocols.js";
import { type ArrivalNotes, NOTE } from "./notes.js";

/** RFC 792 */
export const enum TYPE4 {
  UNREACHABLE = 3,
  TIME_EXCEEDED = 11,
}
/** Of {@link TYPE4.UNREACHABLE}: fragmentation needed and DF set. */
export const CODE_FRAGMENTATION_NEEDED = 4;
/** RFC 4443 */
export const enum TYPE6 {
  TOO_BIG = 2,
  TIME_EXCEEDED = 3,
}

/** RFC 792, 4443: type, code, checksum, and 4 bytes by type. */
const enum ICMP {
  CODE = 1,
  CHECKSUM = 2,
  /** RFC 1191 section 4: 16 bits. */
  MTU = 6,
  /** RFC 4443 section 3.2: 32 bits. */
  MTU6 = 4,
  BYTES = 8,
}

/** RFC 1812 section 4.3.2.3; RFC 4443 section 2.4 (c). */
const MOST_BYTES = 576;
const MOST_BYTES6 = 1280;
/** RFC 792: of what is behind the header at least as much is quoted, where it is there. */
const LEAST_DATA = 8;
/** RFC 1812 section 4.3.2.5: precedence 6, internetwork control. */
const TOS = 0xc0;
const HOPS = 64;
const VERSION6 = 0x6000_0000;
const MAC_WORDS = 3;

export class MessageWriter {
  constructor(
    private readonly arena: Arena,
    private readonly notes: ArrivalNotes,
    private id: number,
  ) {}

  /**
   * @param source address it comes from
   * @param mtu next-hop MTU it tells; 0: none
   * @param most longest IP packet of the port that it leaves by
   * @returns false where there is no room for it; the frame is as it was
   */
  write4(slot: number, source: Uint8Array, type: number, code: number, mtu: number, most: number): boolean {
    const { view, u8, u16 } = this.arena;
    const head = IPV4.MIN_BYTES + ICMP.BYTES;
    const header = (u8[(slot << SLOT_SHIFT) + this.arena.l3[slot]!]! & 0xf) * 4;
    const bytes = this.makeRoom(slot, head, Math.min(MOST_BYTES, most), header + LEAST_DATA);
    if (bytes === 0) return false;
    const ip = (slot << SLOT_SHIFT) + this.arena.l3[slot]!;
    const quoted = ip + head;
    view.setUint16(ip, 0x4500 | TOS);
    view.setUint16(ip + IPV4.TOTAL_LENGTH, bytes);
    view.setUint16(ip + IPV4.ID, this.id);
    this.id = (this.id + 1) & 0xffff;
    view.setUint16(ip + IPV4.FRAGMENT, 0);
    view.setUint16(ip + IPV4.TTL, (HOPS << 8) | IPPROTO.ICMP);
    u8.set(source, ip + IPV4.SRC);
    u8.copyWithin(ip + IPV4.DST, quoted + IPV4.SRC, quoted + IPV4.DST);
    writeIpv4Checksum(u16, ip, IPV4.MIN_BYTES);
    const icmp = ip + IPV4.MIN_BYTES;
    view.setUint32(icmp, (type << 24) | (code << 16));
    view.setUint32(icmp + ICMP.BYTES - 4, 0);
    view.setUint16(icmp + ICMP.MTU, mtu);
    u16[(icmp + ICMP.CHECKSUM) >> 1] = ~sumOf(u8, u16, icmp, bytes - IPV4.MIN_BYTES);
    this.describe(slot, FLAG.IPV4, IPV4.MIN_BYTES, type, code);
    return true;
  }

  /** The same for IPv6; its codes are 0. */
  write6(slot: number, source: Uint8Array, type: number, mtu: number, most: number): boolean {
    const { view, u8, u16 } = this.arena;
    const head = IPV6.BYTES + ICMP.BYTES;
    const bytes = this.makeRoom(slot, head, Math.min(MOST_BYTES6, most), IPV6.BYTES);
    if (bytes === 0) return false;
    const ip = (slot << SLOT_SHIFT) + this.arena.l3[slot]!;
    const quoted = ip + head;
    const payload = bytes - IPV6.BYTES;
    view.setUint32(ip, VERSION6);
    view.setUint16(ip + IPV6.PAYLOAD_LENGTH, payload);
    view.setUint16(ip + IPV6.NEXT_HEADER, (IPPROTO.ICMPV6 << 8) | HOPS);
    u8.set(source, ip + IPV6.SRC);
    u8.copyWithin(ip + IPV6.DST, quoted + IPV6.SRC, quoted + IPV6.DST);
    const icmp = ip + IPV6.BYTES;
    view.setUint32(icmp, type << 24);
    view.setUint32(icmp + ICMP.MTU6, mtu);
    // Pseudo-header (RFC 8200 section 8.1): addresses, length, protocol.
    const pseudo = sum16(u16, ip + IPV6.SRC, 2 * (IPV6.DST - IPV6.SRC)) + swap16(payload) + swap16(IPPROTO.ICMPV6);
    u16[(icmp + ICMP.CHECKSUM) >> 1] = ~sumOf(u8, u16, icmp, payload, pseudo);
    this.describe(slot, FLAG.IPV6, IPV6.BYTES, type, 0);
    return true;
  }

  /**
   * Moves the layer 2 header by `head` bytes and writes its addresses, and off, l3, l3end and len.
   * @param most longest IP packet
   * @param least bytes of a longer packet that have to be quoted
   * @returns bytes of the message's IP packet; 0: there is no room
   */
  private makeRoom(slot: number, head: number, most: number, least: number): number {
    const { arena, notes } = this;
    const { off, len, l3, l3end, u8, u16 } = arena;
    const start = off[slot]!;
    const packet = l3end[slot]! - l3[slot]!;
    const quote = Math.min(packet, most - head);
    if (start < head || quote < Math.min(packet, least)) return 0;
    const base = slot << SLOT_SHIFT;
    u8.copyWithin(base + start - head + ETHERNET.TYPE, base + start + ETHERNET.TYPE, base + l3[slot]!);
    const to = (base + start - head) >> 1;
    // Words of two addresses of three halves each: source to destination and the other way round.
    for (let half = 0; half < MAC_WORDS; half++) {
      u16[to + half] = macHalf(notes, slot, MAC_WORDS + half);
      u16[to + MAC_WORDS + half] = macHalf(notes, slot, half);
    }
    off[slot] = start - head;
    l3[slot] = l3[slot]! - head;
    l3end[slot] = l3[slot]! + head + quote;
    len[slot] = l3end[slot]! - off[slot]!;
    return head + quote;
  }

  /** What the gate would find in the message. */
  private describe(slot: number, version: FLAG, header: number, type: number, code: number): void {
    const { arena } = this;
    arena.flags[slot] = version | FLAG.L4 | (arena.flags[slot]! & FLAG.VLAN);
    arena.proto[slot] = version === FLAG.IPV4 ? IPPROTO.ICMP : IPPROTO.ICMPV6;
    arena.l4[slot] = arena.l3[slot]! + header;
    arena.payload[slot] = arena.l4[slot]! + ICMP.BYTES;
    arena.payloadEnd[slot] = arena.l3end[slot]!;
    arena.sport[slot] = type;
    arena.dport[slot] = code;
    arena.portOut[slot] = NO_PORT;
  }
}

/** Of the six halves of the two addresses that came, one as it lies in memory. */
function macHalf(notes: ArrivalNotes, slot: number, half: number): number {
  return (notes.word(slot, NOTE.MACS + (half >> 1)) >>> ((half & 1) << 4)) & 0xffff;
}
