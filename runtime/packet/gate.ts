/**
 * The gate: validates a frame's lengths at every layer and the IPv4 header checksum, once, and writes down where things are.
 * Nothing behind it checks again. What an NF decapsulates passes it again.
 *
 * Sources: IEEE 802.3, 802.1Q; RFC 791, 8200, 9293, 768, 792, 4443, 9260 (SCTP), 4302 (AH).
 */
import { ownCode } from "../native/own-code.js";
import { type Arena, FLAG, NO_PORT, RX_ERROR, SLOT_SHIFT } from "./arena.js";
import { ipv4OptionsFit, l4ChecksumGood, sum16 } from "./checksum.js";
import { GATE, type GateLoop, makeGateLoop } from "./gate-loop.js";
import { ETHERNET, ETHERTYPE, IPPROTO, IPV4, IPV6, TCP, UDP, VLAN_TAG_BYTES } from "./protocols.js";

/** Constants of this module are part of the compiled code; imported bindings are looked up at each use (V8 11, Node 20). */
const SHIFT = SLOT_SHIFT;
const NONE = NO_PORT;
const TAG_BYTES = VLAN_TAG_BYTES;

/** Drop reasons; the index is the code {@link Gate.check} writes. 0 passes. */
export const GATE_REASONS = ["", "truncated", "runt", "bad-length", "bad-checksum", "too-long"] as const;
const PASS = 0;
const TRUNCATED = 1;
const RUNT = 2;
const BAD_LENGTH = 3;
const BAD_CHECKSUM = 4;
const TOO_LONG = 5;

if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1) throw new Error("wingbeat needs a little-endian processor");
/** ICMP and ICMPv6 messages all have 8 bytes at least; SCTP has a common header of 12. */
const ICMP_BYTES = 8;
const SCTP_BYTES = 12;
/** RFC 8200 section 4.5, and what of an AH stands before its ICV (RFC 4302 section 2). */
const FRAGMENT_BYTES = 8;
const AH_BYTES = 12;
const MAX_IP_BYTES = 65535;

export class Gate {
  /** Made when it is asked for first: many a thread has a gate that it never needs. */
  private loop: GateLoop | undefined;

  /** @param verifyL4 also check TCP, UDP and ICMP checksums of whole (unfragmented) packets */
  constructor(
    private readonly arena: Arena,
    private readonly verifyL4 = false,
  ) {}

  /** Judges slots[0, count) and writes a code of {@link GATE_REASONS} for each; returns how many did not pass. */
  check(slots: Uint32Array, count: number, reasons: Uint8Array): number {
    this.loop ??= ownCode(makeGateLoop, this.arena, (slot: number) => this.examine(slot), this.verifyL4, GATE);
    return this.loop(slots, count, reasons);
  }

  /** Any frame. */
  private examine(slot: number): number {
    const { rxError, len } = this.arena;
    if (rxError[slot] !== 0) return rxError[slot]! & RX_ERROR.TOO_LONG ? TOO_LONG : TRUNCATED;
    return len[slot]! < ETHERNET.BYTES ? RUNT : this.layer2(slot);
  }

  private lengthsOfIpv4(slot: number, l3: number): number {
    const { u8, off, len } = this.arena;
    const frameEnd = off[slot]! + len[slot]!;
    if (l3 + IPV4.MIN_BYTES > frameEnd) return BAD_LENGTH;
    const at = (slot << SHIFT) + l3;
    const header = (u8[at]! & 0xf) * 4;
    const total = (u8[at + IPV4.TOTAL_LENGTH]! << 8) | u8[at + IPV4.TOTAL_LENGTH + 1]!;
    return u8[at]! >> 4 !== 4 || header < IPV4.MIN_BYTES || total < header || l3 + total > frameEnd ? BAD_LENGTH : PASS;
  }

  /** Any frame: walks VLAN tags, then hands over to the IP version its EtherType names. */
  private layer2(slot: number): number {
    const { u8, off, len, vlan } = this.arena;
    const base = slot << SHIFT;
    const frameEnd = off[slot]! + len[slot]!;
    let at = off[slot]! + ETHERNET.TYPE;
    let etherType = (u8[base + at]! << 8) | u8[base + at + 1]!;
    let flags = 0;
    let vlanId = 0;
    while (etherType === ETHERTYPE.VLAN || etherType === ETHERTYPE.QINQ || etherType === ETHERTYPE.QINQ_OLD) {
      if (at + TAG_BYTES + 2 > frameEnd) return RUNT;
      if (flags === 0) vlanId = ((u8[base + at + 2]! & 0xf) << 8) | u8[base + at + 3]!;
      flags = FLAG.VLAN;
      at += TAG_BYTES;
      etherType = (u8[base + at]! << 8) | u8[base + at + 1]!;
    }
    vlan[slot] = vlanId;
    const l3 = at + 2;
    if (etherType === ETHERTYPE.IPV4) return this.ipv4(slot, flags, vlanId, l3);
    if (etherType === ETHERTYPE.IPV6) return this.ipv6(slot, flags, vlanId, l3);
    this.notIp(slot, flags);
    return PASS;
  }

  private notIp(slot: number, flags: number): void {
    const { arena } = this;
    arena.flags[slot] = flags;
    arena.l3[slot] = 0;
    arena.l3end[slot] = 0;
    arena.l4[slot] = 0;
    arena.payload[slot] = 0;
    arena.payloadEnd[slot] = 0;
    arena.sport[slot] = 0;
    arena.dport[slot] = 0;
    arena.proto[slot] = 0;
    arena.portOut[slot] = NONE;
  }

  private ipv4(slot: number, flags: number, vlanId: number, l3: number): number {
    const { u8, u16 } = this.arena;
    if (this.lengthsOfIpv4(slot, l3) !== PASS) return BAD_LENGTH;
    const at = (slot << SHIFT) + l3;
    const header = (u8[at]! & 0xf) * 4;
    if (sum16(u16, at, header) !== 0xffff) return BAD_CHECKSUM;
    if (header > IPV4.MIN_BYTES && !ipv4OptionsFit(u8, at + IPV4.MIN_BYTES, at + header)) return BAD_LENGTH;
    const end = l3 + ((u8[at + IPV4.TOTAL_LENGTH]! << 8) | u8[at + IPV4.TOTAL_LENGTH + 1]!);
    const fragment = (u8[at + IPV4.FRAGMENT]! << 8) | u8[at + IPV4.FRAGMENT + 1]!;
    const proto = u8[at + IPV4.PROTOCOL]!;
    return this.layer4(slot, flags | FLAG.IPV4, vlanId, l3, l3 + header, end, proto, fragment, this.verifyL4);
  }

  private ipv6(slot: number, l2flags: number, vlanId: number, l3: number): number {
    const { u8, off, len } = this.arena;
    const base = slot << SHIFT;
    const frameEnd = off[slot]! + len[slot]!;
    if (l3 + IPV6.BYTES > frameEnd || u8[base + l3]! >> 4 !== 6) return BAD_LENGTH;
    const end =
      l3 + IPV6.BYTES + ((u8[base + l3 + IPV6.PAYLOAD_LENGTH]! << 8) | u8[base + l3 + IPV6.PAYLOAD_LENGTH + 1]!);
    if (end > frameEnd) return BAD_LENGTH;

    // RFC 8200 section 4: the chain of extension headers, each of which must fit.
    let next = u8[base + l3 + IPV6.NEXT_HEADER]!;
    let at = l3 + IPV6.BYTES;
    let fragment = 0;
    let verify = this.verifyL4;
    for (;;) {
      if (next === IPPROTO.FRAGMENT) {
        if (at + FRAGMENT_BYTES > end) return BAD_LENGTH;
        const field = (u8[base + at + 2]! << 8) | u8[base + at + 3]!;
        // To IPv4's form: offset in units of 8 bytes, MF bit. An atomic fragment (RFC 6946) has neither and is whole, unless it
        // stands within a first fragment: what one header says, a second cannot take back.
        fragment |= (field >> 3) | (field & 1 ? IPV4.FLAG_MF : 0);
        next = u8[base + at]!;
        at += FRAGMENT_BYTES;
        if ((fragment & IPV4.OFFSET_MASK) !== 0) break;
      } else if (
        next === IPPROTO.HOPOPTS ||
        next === IPPROTO.ROUTING ||
        next === IPPROTO.DSTOPTS ||
        next === IPPROTO.MOBILITY ||
        next === IPPROTO.AH
      ) {
        if (at + 8 > end) return BAD_LENGTH;
        // AH counts 4-byte units minus 2 (RFC 4302 section 2.2), the others 8-byte units minus 1.
        const bytes = next === IPPROTO.AH ? (u8[base + at + 1]! + 2) * 4 : (u8[base + at + 1]! + 1) * 8;
        if (at + bytes > end || (next === IPPROTO.AH && bytes < AH_BYTES)) return BAD_LENGTH;
        // RFC 8200 section 8.1: while segments are left, the checksum covers a destination that is not the header's.
        if (next === IPPROTO.ROUTING && u8[base + at + 3] !== 0) verify = false;
        next = u8[base + at]!;
        at += bytes;
      } else {
        break;
      }
    }
    return this.layer4(slot, l2flags | FLAG.IPV6, vlanId, l3, at, end, next, fragment, verify);
  }

  /**
   * Validates the L4 header and writes all metadata of an IP packet.
   * @param fragment as in the IPv4 header: MF bit and offset in units of 8 bytes; 0x4000 (DF) is ignored
   * @param verify check the L4 checksum too
   */
  private layer4(
    slot: number,
    flagsIn: number,
    vlanId: number,
    l3: number,
    l4: number,
    end: number,
    proto: number,
    fragment: number,
    verify: boolean,
  ): number {
    const { arena } = this;
    const { u8 } = arena;
    const at = (slot << SHIFT) + l4;
    let flags = flagsIn;
    let payload = l4;
    let payloadEnd = end;
    let sport = 0;
    let dport = 0;
    if ((fragment & (IPV4.FLAG_MF | IPV4.OFFSET_MASK)) !== 0) {
      const offset = fragment & IPV4.OFFSET_MASK;
      // The "ping of death": put together, the datagram must still fit its 16-bit length. IPv4's total length counts its header
      // (RFC 791 section 3.1), IPv6's payload length the extension headers before the fragment header (RFC 8200 section 4.5).
      const uncounted = flags & FLAG.IPV4 ? 0 : IPV6.BYTES + FRAGMENT_BYTES;
      if (offset * 8 + (end - l3) - uncounted > MAX_IP_BYTES) return BAD_LENGTH;
      flags |= offset === 0 ? FLAG.FRAGMENT : FLAG.FRAGMENT | FLAG.LATER_FRAGMENT;
    } else if (proto === IPPROTO.UDP) {
      if (l4 + UDP.BYTES > end) return BAD_LENGTH;
      const bytes = (u8[at + UDP.LENGTH]! << 8) | u8[at + UDP.LENGTH + 1]!;
      if (bytes < UDP.BYTES || l4 + bytes > end) return BAD_LENGTH;
      payload = l4 + UDP.BYTES;
      payloadEnd = l4 + bytes;
      flags |= FLAG.L4;
      sport = (u8[at]! << 8) | u8[at + 1]!;
      dport = (u8[at + 2]! << 8) | u8[at + 3]!;
    } else if (proto === IPPROTO.TCP) {
      if (l4 + TCP.MIN_BYTES > end) return BAD_LENGTH;
      const header = (u8[at + TCP.DATA_OFFSET]! >> 4) * 4;
      if (header < TCP.MIN_BYTES || l4 + header > end) return BAD_LENGTH;
      payload = l4 + header;
      flags |= FLAG.L4;
      sport = (u8[at]! << 8) | u8[at + 1]!;
      dport = (u8[at + 2]! << 8) | u8[at + 3]!;
    } else if (proto === (flags & FLAG.IPV4 ? IPPROTO.ICMP : IPPROTO.ICMPV6)) {
      if (l4 + ICMP_BYTES > end) return BAD_LENGTH;
      payload = l4 + ICMP_BYTES;
      flags |= FLAG.L4;
      sport = u8[at]!;
      dport = u8[at + 1]!;
    } else if (proto === IPPROTO.SCTP) {
      if (l4 + SCTP_BYTES > end) return BAD_LENGTH;
      payload = l4 + SCTP_BYTES;
      flags |= FLAG.L4;
      sport = (u8[at]! << 8) | u8[at + 1]!;
      dport = (u8[at + 2]! << 8) | u8[at + 3]!;
    }
    if (verify && (flags & FLAG.L4) !== 0 && !l4ChecksumGood(arena, slot, flags, proto, l3, l4, payloadEnd)) {
      return BAD_CHECKSUM;
    }
    arena.flags[slot] = flags;
    arena.proto[slot] = proto;
    arena.vlan[slot] = vlanId;
    arena.l3[slot] = l3;
    arena.l3end[slot] = end;
    arena.l4[slot] = l4;
    arena.payload[slot] = payload;
    arena.payloadEnd[slot] = payloadEnd;
    arena.sport[slot] = sport;
    arena.dport[slot] = dport;
    arena.portOut[slot] = NONE;
    return PASS;
  }
}
