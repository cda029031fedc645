/**
 * Decides which dropped packets are answered, and has the message written: ICMP time exceeded and fragmentation needed (RFC 792, 1191),
 * ICMPv6 time exceeded and packet too big (RFC 4443). The message takes the packet's slot and leaves by the port that the packet came in by,
 * to the station that sent it.
 *
 * There is no message (RFC 1122 section 3.2.2, RFC 1812 section 4.3.2.7, RFC 4443 section 2.4)
 *   about ICMP errors, types that are not known to be none, and what cannot be told to be none;
 *   about fragments other than the first (IPv6: of ICMPv6);
 *   about what was sent to a group, by MAC or IP address, the directed broadcast of a network of the gateway's among them, or came from what is no
 *   single host, or from the gateway's own address;
 *   of a packet too long that may be fragmented (no DF), which this gateway does not do; or where it is within what the message would allow
 *   (IPv6: at least 1280 bytes, RFC 8201 section 4);
 *   about what came out of a tunnel, since a message in the clear would show the inside of it; and what is no longer the packet that came:
 *   one in a tunnel, or with an IPv4 header in which an NF has changed more than TTL, DSCP and ECN;
 *   beyond the rate (rate-limit.ts).
 * Such a packet is a drop and nothing else.
 */
import { randomInt } from "node:crypto";
import { type Arena, FLAG, NO_PORT, SLOT_SHIFT } from "../../packet/arena.js";
import { sum16 } from "../../packet/checksum.js";
import { IPPROTO, IPV4, IPV6 } from "../../packet/protocols.js";
import type { Originator } from "../egress.js";
import { type AnsweringPort, answersBy, type PlanIcmp } from "./answers.js";
import { CODE_FRAGMENTATION_NEEDED, MessageWriter, TYPE4, TYPE6 } from "./message.js";
import { ArrivalNotes, NOTE } from "./notes.js";
import { RateLimit } from "./rate-limit.js";

/** What drops are to the originator. */
const enum KIND {
  NONE = 0,
  TIME_EXCEEDED = 1,
  TOO_BIG = 2,
}

/** RFC 1191 section 3; RFC 8200 section 5. */
const LEAST_MTU = 68;
const LEAST_MTU6 = 1280;
/** ICMP types that are questions and answers (RFC 792, 950, 1256): all others are errors, or may be. */
const QUERIES: readonly number[] = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18];
/** ICMPv6: errors are below 128, and a redirect is treated as one (RFC 4443 section 2.4 (e)). */
const INFORMATIONAL6 = 128;
const REDIRECT6 = 137;
const ADDRESS6_BYTES = 16;
/** A MAC address whose first octet has it is a group's. */
const GROUP = 1;

export class IcmpOriginator implements Originator {
  private readonly kinds: Uint8Array;
  /** By drop; 0: the port's MTU. */
  private readonly largest: Uint32Array;
  private readonly mtu: Float64Array;
  /** By port, in the order of octets; undefined: no message of that version by it. */
  private readonly ipv4: readonly (Uint8Array | undefined)[];
  private readonly ipv6: readonly (Uint8Array | undefined)[];
  private readonly notes: ArrivalNotes;
  /** IPv4 addresses that stand for all hosts of a network of the gateway's. */
  private readonly broadcasts: ReadonlySet<number>;
  private readonly limit: RateLimit;
  private readonly writer: MessageWriter;

  /** @param firstId identification of the first IPv4 message */
  constructor(
    ports: readonly AnsweringPort[],
    { answers, notes, limit }: PlanIcmp,
    private readonly arena: Arena,
    firstId = randomInt(0x1_0000),
  ) {
    this.notes = new ArrivalNotes(arena, notes);
    this.limit = new RateLimit(limit);
    this.broadcasts = new Set(ports.flatMap(({ broadcasts }) => broadcasts ?? []));
    this.kinds = Uint8Array.from(answers, (answer) => {
      if (answer === undefined) return KIND.NONE;
      return answer.icmp === "too-big" ? KIND.TOO_BIG : KIND.TIME_EXCEEDED;
    });
    this.largest = Uint32Array.from(answers, (answer) => answer?.largest ?? 0);
    this.mtu = Float64Array.from(ports, (port) => port.mtu ?? Number.POSITIVE_INFINITY);
    const own = (octets: readonly number[] | undefined) => octets && Uint8Array.from(octets);
    this.ipv4 = ports.map((port) => (answersBy(port) ? own(port.addresses?.ipv4) : undefined));
    this.ipv6 = ports.map((port) => (answersBy(port) ? own(port.addresses?.ipv6) : undefined));
    this.writer = new MessageWriter(arena, this.notes, firstId);
  }

  answer(slot: number, drop: number, egress: number, now: number): number {
    // Drops of other reasons have no kind: undefined beyond the array's end.
    const kind = this.kinds[drop] ?? KIND.NONE;
    if (kind === KIND.NONE) return NO_PORT;
    const { flags, portIn } = this.arena;
    const port = portIn[slot]!;
    const v6 = (flags[slot]! & FLAG.IPV6) !== 0;
    const source = (v6 ? this.ipv6 : this.ipv4)[port];
    if (source === undefined || (flags[slot]! & (FLAG.IPV4 | FLAG.IPV6)) === 0) return NO_PORT;
    if (!this.limit.allows(now) || !this.isAsReceived(slot) || !this.isBetweenStations(slot)) return NO_PORT;
    const mtu = kind === KIND.TOO_BIG ? this.largestOf(drop, egress) : 0;
    if (v6) return this.answer6(slot, kind, port, source, mtu, now);
    return this.answer4(slot, kind, port, source, mtu, now);
  }

  private largestOf(drop: number, egress: number): number {
    return this.largest[drop] || this.mtu[egress] || 0;
  }

  /** The packet that came in, and not one around it, or from within it. */
  private isAsReceived(slot: number): boolean {
    return (this.notes.word(slot, NOTE.L3) & 0xffff) === this.arena.l3[slot]!;
  }

  /** Both MAC addresses are of one station each. The first octet is the lowest of its word. */
  private isBetweenStations(slot: number): boolean {
    const { notes } = this;
    const middle = notes.word(slot, NOTE.MACS + 1);
    if ((notes.word(slot, NOTE.MACS) & GROUP) !== 0 || ((middle >>> 16) & GROUP) !== 0) return false;
    return middle >>> 16 !== 0 || notes.word(slot, NOTE.MACS + 2) !== 0;
  }

  private answer4(slot: number, kind: KIND, port: number, source: Uint8Array, mtu: number, now: number): number {
    const { arena, writer, broadcasts } = this;
    const { u8, view, l3, l3end, proto } = arena;
    const ip = (slot << SLOT_SHIFT) + l3[slot]!;
    if (!this.restore4(slot, ip)) return NO_PORT;
    if (!isHost4(u8[ip + IPV4.SRC]!) || !isHost4(u8[ip + IPV4.DST]!)) return NO_PORT;
    if (broadcasts.has(view.getUint32(ip + IPV4.SRC)) || broadcasts.has(view.getUint32(ip + IPV4.DST))) return NO_PORT;
    if (this.isOwn(this.ipv4, ip + IPV4.SRC)) return NO_PORT;
    const fragment = view.getUint16(ip + IPV4.FRAGMENT);
    if ((fragment & IPV4.OFFSET_MASK) !== 0) return NO_PORT;
    const bytes = l3end[slot]! - l3[slot]!;
    const l4 = (u8[ip]! & 0xf) * 4;
    if (proto[slot] === IPPROTO.ICMP && (l4 >= bytes || !QUERIES.includes(u8[ip + l4]!))) return NO_PORT;
    const tooBig = kind === KIND.TOO_BIG;
    if (tooBig && ((fragment & IPV4.FLAG_DF) === 0 || mtu < LEAST_MTU || bytes <= mtu)) return NO_PORT;
    const type = tooBig ? TYPE4.UNREACHABLE : TYPE4.TIME_EXCEEDED;
    const code = tooBig ? CODE_FRAGMENTATION_NEEDED : 0;
    if (!this.limit.take(now)) return NO_PORT;
    return writer.write4(slot, source, type, code, mtu, this.mtu[port]!) ? port : NO_PORT;
  }

  /**
   * Writes DSCP, ECN, TTL and checksum as they came, which NFs have changed.
   * @returns false where the header is another one
   */
  private restore4(slot: number, ip: number): boolean {
    const { u8, u16 } = this.arena;
    const hops = this.notes.word(slot, NOTE.HOPS);
    this.restoreStart(slot, ip);
    u8[ip + IPV4.TTL] = hops >>> 16;
    u16[(ip + IPV4.CHECKSUM) >> 1] = hops;
    return sum16(u16, ip, (u8[ip]! & 0xf) * 4) === 0xffff;
  }

  private restoreStart(slot: number, ip: number): void {
    this.arena.u16[ip >> 1] = this.notes.word(slot, NOTE.L3) >>> 16;
  }

  private answer6(slot: number, kind: KIND, port: number, source: Uint8Array, largest: number, now: number): number {
    const { arena, writer } = this;
    const { u8, l3, l3end, l4, proto, flags } = arena;
    const base = slot << SLOT_SHIFT;
    const ip = base + l3[slot]!;
    this.restoreStart(slot, ip);
    u8[ip + IPV6.HOP_LIMIT] = this.notes.word(slot, NOTE.HOPS) >>> 24;
    if (!isHost6(u8, ip + IPV6.SRC) || !isHost6(u8, ip + IPV6.DST)) return NO_PORT;
    if (this.isOwn(this.ipv6, ip + IPV6.SRC)) return NO_PORT;
    if (proto[slot] === IPPROTO.ICMPV6) {
      const type = u8[base + l4[slot]!]!;
      const known = (flags[slot]! & FLAG.LATER_FRAGMENT) === 0 && l4[slot]! < l3end[slot]!;
      if (!known || type < INFORMATIONAL6 || type === REDIRECT6) return NO_PORT;
    }
    const tooBig = kind === KIND.TOO_BIG;
    const mtu = tooBig ? Math.max(largest, LEAST_MTU6) : 0;
    if (tooBig && (largest === 0 || l3end[slot]! - l3[slot]! <= mtu)) return NO_PORT;
    const type = tooBig ? TYPE6.TOO_BIG : TYPE6.TIME_EXCEEDED;
    if (!this.limit.take(now)) return NO_PORT;
    return writer.write6(slot, source, type, mtu, this.mtu[port]!) ? port : NO_PORT;
  }

  /** Whether the address at a byte of the arena is one of the gateway's. */
  private isOwn(addresses: readonly (Uint8Array | undefined)[], at: number): boolean {
    const { u8 } = this.arena;
    for (const own of addresses) {
      if (own === undefined) continue;
      let same = 0;
      while (same < own.length && own[same] === u8[at + same]) same++;
      if (same === own.length) return true;
    }
    return false;
  }
}

/** By the first octet: not this network, loopback, multicast, reserved or broadcast (RFC 1122 section 3.2.1.3). */
function isHost4(first: number): boolean {
  return first !== 0 && first !== 127 && first < 224;
}

/** Neither multicast, nor unspecified, nor loopback (RFC 4291 section 2.4). */
function isHost6(u8: Uint8Array, at: number): boolean {
  if (u8[at] === 0xff) return false;
  for (let i = 0; i < ADDRESS6_BYTES - 1; i++) if (u8[at + i] !== 0) return true;
  return u8[at + ADDRESS6_BYTES - 1]! > 1;
}
