/**
 * The gate's loop over a burst: whole UDP and TCP packets in untagged IPv4 without options are judged in it, everything else is left to the
 * function that knows all of it. Each gate has machine code of its own for this (native/own-code.ts), hence constants as an argument.
 *
 * Ports put frames where the IP header is at 2 mod 4, so words of 32 bits begin two bytes before it, in little-endian order:
 *
 *    w     EtherType, version and header length, TOS      w + 4  last half of the source, first half of the destination
 *    w + 1 total length, identification                   w + 5  last half of the destination, source port
 *    w + 2 flags and fragment offset, TTL, protocol       w + 6  destination port, UDP length
 *    w + 3 checksum, first half of the source
 *
 * Sources: IEEE 802.3; RFC 791, 768, 9293, 1071.
 */
import { type Arena, FLAG, NO_PORT, SLOT_SHIFT } from "./arena.js";
import { ETHERNET, ETHERTYPE, IPPROTO, IPV4, TCP, UDP } from "./protocols.js";

export const GATE = {
  SHIFT: SLOT_SHIFT,
  NO_PORT,
  /** EtherType, version and header length of IPv4 without options, as the first word has them below its last byte. */
  HEAD: (0x45 << 16) | ((ETHERTYPE.IPV4 & 0xff) << 8) | (ETHERTYPE.IPV4 >> 8),
  HEAD_MASK: 0xff_ffff,
  /** Every bit of the fragment field but DF. */
  NOT_DF: 0xffff ^ (IPV4.FLAG_DF >> 8),
  WHOLE: FLAG.IPV4 | FLAG.L4,
  UDP: IPPROTO.UDP as number,
  TCP: IPPROTO.TCP as number,
  /** From a frame's first byte. */
  L3: ETHERNET.BYTES as number,
  L4: ETHERNET.BYTES + IPV4.MIN_BYTES,
  TCP_LENGTH: ETHERNET.BYTES + IPV4.MIN_BYTES + TCP.DATA_OFFSET,
  LEAST_UDP: UDP.BYTES as number,
  LEAST_TCP: TCP.MIN_BYTES as number,
};

/** Writes a code for each of slots[0, count), and the metadata of those that pass; returns how many do not. */
export type GateLoop = (slots: Uint32Array, count: number, reasons: Uint8Array) => number;

/** @param examine any frame: writes its metadata and returns its code, 0 where it passes @param all nothing is judged here */
export function makeGateLoop(
  arena: Pick<
    Arena,
    | "u8"
    | "u32"
    | "off"
    | "len"
    | "rxError"
    | "flags"
    | "proto"
    | "vlan"
    | "l3"
    | "l3end"
    | "l4"
    | "payload"
    | "payloadEnd"
    | "sport"
    | "dport"
    | "portOut"
  >,
  examine: (slot: number) => number,
  all: boolean,
  gate: typeof GATE,
): GateLoop {
  const { u8, u32, off, len, rxError, flags, proto, vlan, l3, l3end, l4 } = arena;
  const { payload, payloadEnd, sport, dport, portOut } = arena;
  const { SHIFT, NO_PORT, HEAD, HEAD_MASK, NOT_DF, WHOLE, L3, L4, TCP_LENGTH, LEAST_UDP, LEAST_TCP } = gate;
  const { UDP, TCP } = gate;
  const ask = examine;
  const asks = all ? 1 : 0;
  return (slots, count, reasons) => {
    let dropped = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const start = off[slot]!;
      const at = (slot << SHIFT) + start;
      const w = (at + L3) >> 2;
      const c = u32[w + 2]!;
      const protocol = c >>> 24;
      const isUdp = protocol === UDP;
      if (
        ((at & 3) | asks | rxError[slot]!) === 0 &&
        (u32[w]! & HEAD_MASK) === HEAD &&
        (c & NOT_DF) === 0 &&
        (isUdp || protocol === TCP)
      ) {
        const a = u32[w]!;
        const b = u32[w + 1]!;
        const d = u32[w + 3]!;
        const e = u32[w + 4]!;
        const f = u32[w + 5]!;
        const g = u32[w + 6]!;
        let sum = (a >>> 16) + (b & 0xffff) + (b >>> 16) + (c & 0xffff) + (c >>> 16) + (d & 0xffff) + (d >>> 16);
        sum += (e & 0xffff) + (e >>> 16) + (f & 0xffff);
        sum = (sum & 0xffff) + (sum >>> 16);
        const end = start + L3 + (((b & 0xff) << 8) | ((b >>> 8) & 0xff));
        const l4at = start + L4;
        const bytes = isUdp ? ((g >>> 8) & 0xff00) | (g >>> 24) : (u8[at + TCP_LENGTH]! >> 4) << 2;
        if (
          (sum & 0xffff) + (sum >>> 16) === 0xffff &&
          end <= start + len[slot]! &&
          bytes >= (isUdp ? LEAST_UDP : LEAST_TCP) &&
          l4at + bytes <= end
        ) {
          flags[slot] = WHOLE;
          proto[slot] = protocol;
          vlan[slot] = 0;
          l3[slot] = start + L3;
          l3end[slot] = end;
          l4[slot] = l4at;
          payload[slot] = isUdp ? l4at + LEAST_UDP : l4at + bytes;
          payloadEnd[slot] = isUdp ? l4at + bytes : end;
          sport[slot] = ((f >>> 8) & 0xff00) | (f >>> 24);
          dport[slot] = ((g & 0xff) << 8) | ((g >>> 8) & 0xff);
          portOut[slot] = NO_PORT;
          reasons[i] = 0;
          continue;
        }
      }
      const reason = ask(slot);
      reasons[i] = reason;
      if (reason !== 0) dropped++;
    }
    return dropped;
  };
}
