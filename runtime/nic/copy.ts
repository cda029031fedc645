/**
 * Copying frames between buffers of any alignment.
 *
 * TypedArray.set needs a subarray, an object per call, and costs the same for 1 byte as for 200; a loop of unaligned 32-bit loads has no
 * such floor. Measured (ns, one core, source and target beyond the first-level cache): loop 36 / 72 / 130 at 64 / 128 / 256
 * bytes, set 92 / 92 / 94 / 166 at 64 / 128 / 256 / 1472.
 */

/** Longest copy in bytes for which the loop is the faster way. */
export const LOOP_LIMIT = 160;

/** A buffer seen both ways. */
export interface Bytes {
  readonly u8: Uint8Array;
  readonly view: DataView;
}

/** Copies `count` bytes; the two ranges must not overlap. */
export function copyBytes(to: Bytes, toAt: number, from: Bytes, fromAt: number, count: number): void {
  if (count > LOOP_LIMIT) {
    to.u8.set(from.u8.subarray(fromAt, fromAt + count), toAt);
    return;
  }
  const source = from.view;
  const target = to.view;
  const words = count & ~3;
  let i = 0;
  for (; i < words; i += 4) target.setUint32(toAt + i, source.getUint32(fromAt + i, true), true);
  for (; i < count; i++) to.u8[toAt + i] = from.u8[fromAt + i]!;
}
