/**
 * Builds one frame of generated traffic: Ethernet, optional 802.1Q tag, IPv4 or IPv6, UDP or TCP, payload; all lengths and
 * checksums right. Sources: RFC 791, 8200, 768, 9293, 1071.
 */
import { SLOT_SIZE } from "../../packet/arena.js";
import { sum16, writeIpv4Checksum } from "../../packet/checksum.js";
import {
  ETHERNET,
  ETHERTYPE,
  IPPROTO,
  IPV4,
  IPV6,
  TCP,
  TCP_FLAG,
  UDP,
  VLAN_TAG_BYTES,
} from "../../packet/protocols.js";
import { type Flows, type Stream, TUPLE_BYTES } from "./flows.js";
import type { Random } from "./random.js";
import { fillText } from "./text.js";
import { MIN_FRAME } from "./values.js";

/** Locally administered: destination 02:00:00:00:00:02, source 02:00:00:00:00:01. */
const MACS = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
const HOPS = 64;

/** Bytes of all headers of a stream's frame. */
export function headerBytes(stream: Stream, ipv6: boolean, tcp: boolean): number {
  return (
    ETHERNET.BYTES +
    (stream.vlan > 0 ? VLAN_TAG_BYTES : 0) +
    (ipv6 ? IPV6.BYTES : IPV4.MIN_BYTES) +
    (tcp ? TCP.MIN_BYTES : UDP.BYTES)
  );
}

export class FrameBuilder {
  private readonly buffer = new ArrayBuffer(SLOT_SIZE);
  readonly u8 = new Uint8Array(this.buffer);
  readonly view = new DataView(this.buffer);
  private readonly u16 = new Uint16Array(this.buffer);

  constructor(
    private readonly flows: Flows,
    private readonly random: Random,
  ) {}

  /**
   * Builds a frame at byte 0 of `u8`.
   * @param bytes its length; at least its headers'
   * @param id IPv4 identification
   * @param pattern bytes to put somewhere into the payload, which has room for them
   */
  build(stream: Stream, flow: number, bytes: number, id: number, pattern: Uint8Array | undefined): void {
    const { u8, view } = this;
    const tcp = this.flows.proto[flow] === IPPROTO.TCP;
    const ipv6 = this.flows.ipv6[flow] === 1;
    u8.set(MACS, 0);
    let at: number = ETHERNET.TYPE;
    if (stream.vlan > 0) {
      view.setUint16(at, ETHERTYPE.VLAN);
      view.setUint16(at + 2, stream.vlan);
      at += VLAN_TAG_BYTES;
    }
    view.setUint16(at, ipv6 ? ETHERTYPE.IPV6 : ETHERTYPE.IPV4);
    const l3 = at + 2;
    const l4 = l3 + (ipv6 ? IPV6.BYTES : IPV4.MIN_BYTES);
    const payload = l4 + (tcp ? TCP.MIN_BYTES : UDP.BYTES);
    this.fillPayload(stream, payload, bytes, pattern);
    if (ipv6) this.ipv6(stream, flow, l3, bytes - l4);
    else this.ipv4(stream, flow, l3, bytes - l3, id);
    u8.set(this.flows.tuples.subarray(flow * TUPLE_BYTES + 32, flow * TUPLE_BYTES + 36), l4);
    if (tcp) this.tcp(flow, l4, bytes - payload);
    else this.udp(l4, bytes - l4);
    this.checksum(l3, l4, bytes, ipv6, tcp);
  }

  private fillPayload(stream: Stream, from: number, to: number, pattern: Uint8Array | undefined): void {
    const { u8, random } = this;
    if (stream.text) fillText(u8, from, to, random);
    else random.fill(u8, from, to);
    if (pattern !== undefined) u8.set(pattern, from + random.below(to - from - pattern.length + 1));
  }

  private ipv4(stream: Stream, flow: number, l3: number, total: number, id: number): void {
    const { u8, u16, view } = this;
    const { tuples } = this.flows;
    const tuple = flow * TUPLE_BYTES;
    u8[l3] = 0x45;
    u8[l3 + IPV4.TOS] = stream.dscp << 2;
    view.setUint16(l3 + IPV4.TOTAL_LENGTH, total);
    view.setUint16(l3 + IPV4.ID, id & 0xffff);
    view.setUint16(l3 + IPV4.FRAGMENT, 0);
    u8[l3 + IPV4.TTL] = HOPS;
    u8[l3 + IPV4.PROTOCOL] = this.flows.proto[flow]!;
    u8.set(tuples.subarray(tuple, tuple + 4), l3 + IPV4.SRC);
    u8.set(tuples.subarray(tuple + 16, tuple + 20), l3 + IPV4.DST);
    writeIpv4Checksum(u16, l3, IPV4.MIN_BYTES);
  }

  private ipv6(stream: Stream, flow: number, l3: number, payload: number): void {
    const { u8, view } = this;
    const { tuples } = this.flows;
    const tuple = flow * TUPLE_BYTES;
    // Version 6, traffic class, flow label 0.
    view.setUint32(l3, (0x6000_0000 | (stream.dscp << 22)) >>> 0);
    view.setUint16(l3 + IPV6.PAYLOAD_LENGTH, payload);
    u8[l3 + IPV6.NEXT_HEADER] = this.flows.proto[flow]!;
    u8[l3 + IPV6.HOP_LIMIT] = HOPS;
    u8.set(tuples.subarray(tuple, tuple + 32), l3 + IPV6.SRC);
  }

  private udp(l4: number, length: number): void {
    this.view.setUint16(l4 + UDP.LENGTH, length);
  }

  /** A segment in the middle of a connection: ACK and PSH, the sequence number behind the flow's last. */
  private tcp(flow: number, l4: number, payload: number): void {
    const { u8, view } = this;
    view.setUint32(l4 + TCP.SEQ, this.flows.seq[flow]!);
    this.flows.seq[flow]! += payload;
    view.setUint32(l4 + TCP.ACK, 1);
    u8[l4 + TCP.DATA_OFFSET] = (TCP.MIN_BYTES / 4) << 4;
    u8[l4 + TCP.FLAGS] = TCP_FLAG.ACK | TCP_FLAG.PSH;
    view.setUint16(l4 + 14, 0xffff); // window
    view.setUint16(l4 + 18, 0); // urgent pointer
  }

  /** The L4 checksum over pseudo-header and segment; 0 is written as 0xffff in UDP, where 0 means none (RFC 768). */
  private checksum(l3: number, l4: number, end: number, ipv6: boolean, tcp: boolean): void {
    const { u8, u16 } = this;
    const field = (l4 + (tcp ? TCP.CHECKSUM : UDP.CHECKSUM)) >> 1;
    const swap = (value: number) => ((value & 0xff) << 8) | (value >> 8);
    u16[field] = 0;
    const length = end - l4;
    let sum = ipv6 ? sum16(u16, l3 + IPV6.SRC, 32) : sum16(u16, l3 + IPV4.SRC, 8);
    sum += swap(length) + swap(tcp ? IPPROTO.TCP : IPPROTO.UDP) + sum16(u16, l4, length & ~1);
    if (length & 1) sum += u8[end - 1]!;
    sum = (sum & 0xffff) + (sum >>> 16);
    sum = (sum & 0xffff) + (sum >>> 16);
    const value = ~sum & 0xffff;
    u16[field] = value === 0 && !tcp ? 0xffff : value;
  }
}

/** A frame is never shorter than its headers, nor than Ethernet's minimum: small packets of an IMIX are padded up to that. */
export function atLeast(headers: number): number {
  return Math.max(headers, MIN_FRAME);
}
