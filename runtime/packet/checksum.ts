/**
 * The internet checksum (RFC 1071) over native-order u16 words. Its sum may be taken in either byte order as long as the
 * result is stored in the same order (RFC 1071 section 2.B), so nothing is swapped.
 */
import { type Arena, FLAG, SLOT_SHIFT } from "./arena.js";
import { IPPROTO, IPV4, IPV6, UDP } from "./protocols.js";

/**
 * One's complement sum of `bytes` bytes (even) from byte offset `at` (even), folded to 16 bits.
 * A valid IPv4 header, checksum included, sums to 0xffff.
 */
export function sum16(u16: Uint16Array, at: number, bytes: number): number {
  let sum = 0;
  const end = (at + bytes) >> 1;
  for (let i = at >> 1; i < end; i++) sum += u16[i]!;
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/** The same of any number of bytes: an odd last one is padded with zero (RFC 1071). @param more is added */
export function sumOf(u8: Uint8Array, u16: Uint16Array, at: number, bytes: number, more = 0): number {
  let sum = more + sum16(u16, at, bytes & ~1);
  if (bytes & 1) sum += u8[at + bytes - 1]!;
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/** Writes the header checksum of the IPv4 header of `bytes` bytes at byte offset `at` (even). */
export function writeIpv4Checksum(u16: Uint16Array, at: number, bytes: number): void {
  const field = (at + 10) >> 1;
  u16[field] = 0;
  u16[field] = ~sum16(u16, at, bytes);
}

/** The other byte order of a u16. */
export function swap16(native: number): number {
  return ((native & 0xff) << 8) | (native >> 8);
}

/**
 * Whether the checksum of a whole TCP, UDP or ICMP packet is right, over pseudo-header and segment (RFC 768, 9293, 792, 4443).
 * @param flags FLAG bits of the packet
 * @param l3 offsets in the slot: IP header, L4 header, first byte behind the segment
 */
export function l4ChecksumGood(
  arena: Arena,
  slot: number,
  flags: number,
  proto: number,
  l3: number,
  l4: number,
  end: number,
): boolean {
  const { u8, u16 } = arena;
  const base = slot << SLOT_SHIFT;
  if (proto === IPPROTO.SCTP) return true; // CRC32c, not the internet checksum: left to the end host
  const bytes = end - l4;
  let sum = 0;
  if (proto === IPPROTO.UDP && u8[base + l4 + UDP.CHECKSUM] === 0 && u8[base + l4 + UDP.CHECKSUM + 1] === 0) {
    return (flags & FLAG.IPV4) !== 0; // "no checksum" exists in IPv4 only (RFC 8200 section 8.1)
  }
  if (proto !== IPPROTO.ICMP) {
    const addresses = flags & FLAG.IPV4 ? sum16(u16, base + l3 + IPV4.SRC, 8) : sum16(u16, base + l3 + IPV6.SRC, 32);
    sum = addresses + swap16(bytes) + swap16(proto);
  }
  return sumOf(u8, u16, base + l4, bytes, sum) === 0xffff;
}

/** RFC 791 section 3.1: every option but END and NOP has a length of at least 2 and ends within the header. */
export function ipv4OptionsFit(u8: Uint8Array, from: number, to: number): boolean {
  let at = from;
  while (at < to) {
    const kind = u8[at]!;
    if (kind === 0) return true;
    if (kind === 1) {
      at++;
      continue;
    }
    const bytes = at + 1 < to ? u8[at + 1]! : 0;
    if (bytes < 2 || at + bytes > to) return false;
    at += bytes;
  }
  return true;
}
