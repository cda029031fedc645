/**
 * Frames brought to a length, with their headers and flows kept: the payload is cut at its end or filled, and every length and checksum
 * written anew (IPv4 total length and header checksum, IPv6 payload length, UDP length, checksums of UDP, TCP and ICMP). VLAN tags, IPv4
 * options, IPv6 extension headers, TCP options and sequence numbers stay as they are; Ethernet padding goes.
 *
 * What a payload is filled with: random bytes with the top bit set. A byte above 0x7f occurs in no ASCII content, so filling makes
 * rules alert that look for a length (`dsize`) or for binary contents of a byte or two, and hardly any other; and cutting takes away what stood
 * in the bytes that were cut. A search still has every byte to read.
 *
 * Kept as they are, each for its reason: frames without IP; frames the gate drops, so that they are dropped as before; fragments, whose
 * offsets follow from their neighbours' lengths; ESP and AH, whose ICVs cannot be made without keys; and protocols other than UDP, TCP and ICMP,
 * whose messages cannot be cut anywhere (SCTP chunks, routing protocols, tunnels).
 *
 * A UDP datagram without checksum over IPv4 stays one. Behind a routing header that is not at its end the checksum covers an address that is
 * not the header's (RFC 8200 section 8.1): it is updated by the difference (RFC 1624), and stays as right or wrong as it was. So does that
 * of UDP over IPv6 that is 0 (RFC 6936). All others are right afterwards, whatever they were before.
 */
import { type Arena, DATA_OFFSET, FLAG } from "../../packet/arena.js";
import { sum16, swap16, writeIpv4Checksum } from "../../packet/checksum.js";
import type { Gate } from "../../packet/gate.js";
import { IPPROTO, IPV4, IPV6, TCP, UDP } from "../../packet/protocols.js";

/** Why a frame stays as it is. */
export const KEPT_REASONS = ["gate", "non-ip", "fragment", "esp", "ah", "protocol"] as const;
export type KeptReason = (typeof KEPT_REASONS)[number];

/** What became of a frame: a code below 0 is `-1 - i` for reason i of {@link KEPT_REASONS}. */
export const enum RESIZE {
  /** It has the length asked for, and less payload than before; as much; more. */
  CUT = 0,
  SAME = 1,
  FILLED = 2,
  /** Its headers are longer than the length asked for: nothing but they is left. */
  HEADERS_ONLY = 3,
}

const enum KEPT {
  GATE = -1,
  NON_IP = -2,
  FRAGMENT = -3,
  ESP = -4,
  AH = -5,
  PROTOCOL = -6,
}

/** Offset of the checksum in ICMP and ICMPv6 (RFC 792, 4443). */
const ICMP_CHECKSUM = 2;
/** The slot of the arena that frames are resized in. */
const SLOT = 0;
/** What the fill comes from: bytes below this are raised by it. */
const TOP_BIT = 0x80;

/** Where random bytes come from. */
export interface Filler {
  fill(u8: Uint8Array, from: number, to: number): void;
}

/** Resizes the frame in slot 0 of an arena, which holds it at DATA_OFFSET, with `len`, `wireLen` and `rxError` set. */
export class FrameResizer {
  private readonly slots = Uint32Array.of(SLOT);
  private readonly reasons = new Uint8Array(1);

  constructor(
    private readonly arena: Arena,
    private readonly gate: Gate,
    private readonly filler: Filler,
  ) {}

  /** Why the frame stays as it is, a code below 0; 0 where it can be resized. To be called before {@link resize}. */
  judge(): number {
    const { arena } = this;
    if (this.gate.check(this.slots, 1, this.reasons) > 0) return KEPT.GATE;
    const flags = arena.flags[SLOT]!;
    if ((flags & (FLAG.IPV4 | FLAG.IPV6)) === 0) return KEPT.NON_IP;
    const proto = arena.proto[SLOT]!;
    if (proto === IPPROTO.ESP) return KEPT.ESP;
    if (proto === IPPROTO.AH || ((flags & FLAG.IPV6) !== 0 && this.holds(IPPROTO.AH))) return KEPT.AH;
    if ((flags & FLAG.FRAGMENT) !== 0) return KEPT.FRAGMENT;
    if ((flags & FLAG.L4) === 0 || proto === IPPROTO.SCTP) return KEPT.PROTOCOL;
    return 0;
  }

  /**
   * Brings a frame that {@link judge} let through to a length.
   * @param bytes of the frame, at most MAX_FRAME
   * @returns a code of RESIZE
   */
  resize(bytes: number): RESIZE {
    const { arena } = this;
    const { u8, u16, view } = arena;
    const l3 = arena.l3[SLOT]!;
    const l4 = arena.l4[SLOT]!;
    const payload = arena.payload[SLOT]!;
    const before = arena.payloadEnd[SLOT]!;
    const isIpv4 = (arena.flags[SLOT]! & FLAG.IPV4) !== 0;
    const proto = arena.proto[SLOT]!;
    const wanted = DATA_OFFSET + bytes;
    const end = Math.max(wanted, payload);

    // What the checksum would be taken over before anything changes.
    const checksum = l4 + checksumOffset(proto);
    const moved = !isIpv4 && this.isUnderWay();
    const old = moved ? segmentSum(u8, u16, l4, before) : 0;
    if (end > before) this.fill(before, end);
    if (isIpv4) {
      view.setUint16(l3 + IPV4.TOTAL_LENGTH, end - l3);
      writeIpv4Checksum(u16, l3, (u8[l3]! & 0xf) * 4);
    } else {
      view.setUint16(l3 + IPV6.PAYLOAD_LENGTH, end - l3 - IPV6.BYTES);
    }
    const had = u16[checksum >> 1]!;
    if (proto === IPPROTO.UDP) view.setUint16(l4 + UDP.LENGTH, end - l4);
    if (proto !== IPPROTO.UDP || had !== 0) {
      let sum: number;
      if (moved) {
        // Less the old segment and its length, plus the new ones; the checksum field is in both sums and falls out.
        sum = (0xffff ^ had) + (0xffff ^ old) + (0xffff ^ swap16(before - l4));
        sum += segmentSum(u8, u16, l4, end) + swap16(end - l4);
      } else {
        u16[checksum >> 1] = 0;
        sum = segmentSum(u8, u16, l4, end);
        if (proto !== IPPROTO.ICMP) {
          sum += isIpv4 ? sum16(u16, l3 + IPV4.SRC, 8) : sum16(u16, l3 + IPV6.SRC, 32);
          sum += swap16(end - l4) + swap16(proto);
        }
      }
      const value = 0xffff ^ fold(sum);
      // 0 says "none" in UDP (RFC 768).
      u16[checksum >> 1] = value === 0 && proto === IPPROTO.UDP ? 0xffff : value;
    }
    arena.len[SLOT] = end - DATA_OFFSET;
    if (end > wanted) return RESIZE.HEADERS_ONLY;
    return end > before ? RESIZE.FILLED : end < before ? RESIZE.CUT : RESIZE.SAME;
  }

  private fill(from: number, to: number): void {
    const { u8 } = this.arena;
    this.filler.fill(u8, from, to);
    for (let i = from; i < to; i++) u8[i] = u8[i]! | TOP_BIT;
  }

  /** Whether an IPv6 packet has an extension header of this type. */
  private holds(type: number): boolean {
    return this.findExtension(type) !== 0;
  }

  /** Whether a routing header has segments left: the destination is not the last one. */
  private isUnderWay(): boolean {
    const at = this.findExtension(IPPROTO.ROUTING);
    return at !== 0 && this.arena.u8[at + 3] !== 0;
  }

  /** The first extension header of a type, which the gate has walked over; 0: there is none. For routing: the first with segments left. */
  private findExtension(type: number): number {
    const { u8, l3, l4 } = this.arena;
    const end = l4[SLOT]!;
    let next = u8[l3[SLOT]! + IPV6.NEXT_HEADER]!;
    let at = l3[SLOT]! + IPV6.BYTES;
    while (at < end) {
      if (next === type && (type !== IPPROTO.ROUTING || u8[at + 3] !== 0)) return at;
      const units = u8[at + 1]!;
      const bytes = next === IPPROTO.FRAGMENT ? 8 : next === IPPROTO.AH ? (units + 2) * 4 : (units + 1) * 8;
      next = u8[at]!;
      at += bytes;
    }
    return 0;
  }
}

function checksumOffset(proto: number): number {
  return proto === IPPROTO.TCP ? TCP.CHECKSUM : proto === IPPROTO.UDP ? UDP.CHECKSUM : ICMP_CHECKSUM;
}

/** One's complement sum of bytes [from, to), folded; `from` even. */
function segmentSum(u8: Uint8Array, u16: Uint16Array, from: number, to: number): number {
  const bytes = to - from;
  const sum = sum16(u16, from, bytes & ~1);
  return bytes & 1 ? fold(sum + u8[to - 1]!) : sum;
}

function fold(value: number): number {
  const sum = (value & 0xffff) + (value >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}
