/**
 * The internet checksum (RFC 1071) over native-order u16 words. Its sum may be taken in either byte order as long as the
 * result is stored in the same order (RFC 1071 section 2.B), so nothing is swapped.
 */

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

/** Writes the header checksum of the IPv4 header of `bytes` bytes at byte offset `at` (even). */
export function writeIpv4Checksum(u16: Uint16Array, at: number, bytes: number): void {
  const field = (at + 10) >> 1;
  u16[field] = 0;
  u16[field] = ~sum16(u16, at, bytes);
}
