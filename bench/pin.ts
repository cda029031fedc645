import koffi from "koffi";

/**
 * Pins this thread, and so every peer it starts, to one processor: cores of a shared machine differ in what else they do from second to
 * second, and turns taken on two of them would compare the cores (measured: spread 2x unpinned, a few per cent pinned).
 *
 * @returns the processor's number, or undefined where the system refuses
 */
export function pinToOneProcessor(): number | undefined {
  const libc = koffi.load("libc.so.6");
  const get = libc.func("int sched_getaffinity(int pid, size_t size, _Out_ uint8_t *mask)");
  const set = libc.func("int sched_setaffinity(int pid, size_t size, const uint8_t *mask)");
  const allowed = new Uint8Array(128);
  if (get(0, allowed.length, allowed) !== 0) return undefined;
  // The last one: interrupts and the rest of the system prefer the first.
  let last = allowed.length * 8 - 1;
  while (last >= 0 && (allowed[last >> 3]! & (1 << (last & 7))) === 0) last--;
  if (last < 0) return undefined;
  const mask = new Uint8Array(128);
  mask[last >> 3] = 1 << (last & 7);
  return set(0, mask.length, mask) === 0 ? last : undefined;
}
