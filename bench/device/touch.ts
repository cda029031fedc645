/** Packets for the kernel touch (bench/kernels/touch.cl): random bytes that can be told from what they are after any number of serves. */

import { PARAM_PLACE } from "../../runtime/device/queue.js";
import { RunError } from "../../runtime/errors.js";
import { type Arena, DATA_OFFSET, PARAM_WORDS, SLOT_SIZE } from "../../runtime/packet/arena.js";
import { seededRandom } from "../frames.js";

export const touchNf = { program: "touch", tables: new Uint32Array(1), writes: "packet" } as const;

/**
 * Fills all slots.
 * @param bytesOf a slot's packet has so many, a multiple of 4
 * @returns the bytes of all slots as they are now, for {@link checkTouch}
 */
export function fillTouch(arena: Arena, bytesOf: (slot: number) => number, seed: number): Uint32Array {
  const random = seededRandom(seed);
  const { u32, params, slots } = arena;
  for (let i = 0; i < u32.length; i++) u32[i] = random(2 ** 32);
  params.fill(0);
  for (let slot = 0; slot < slots; slot++) {
    params[slot * PARAM_WORDS + PARAM_PLACE] = DATA_OFFSET | (bytesOf(slot) << 16);
  }
  return u32.slice();
}

/**
 * Every packet inverted as often as it was served, and nothing beside it.
 * @throws RunError where not
 */
export function checkTouch(arena: Arena, before: Uint32Array): void {
  const { u32, params, slots } = arena;
  const words = SLOT_SIZE / 4;
  for (let slot = 0; slot < slots; slot++) {
    const at = slot * words;
    const first = at + DATA_OFFSET / 4;
    const end = first + (params[slot * PARAM_WORDS + PARAM_PLACE]! >>> 18);
    const odd = params[slot * PARAM_WORDS]! % 2 === 1;
    for (let i = at; i < at + words; i++) {
      const expected = odd && i >= first && i < end ? ~before[i]! >>> 0 : before[i]!;
      if (u32[i] === expected) continue;
      const where = `slot ${slot}, byte ${4 * (i - at)}`;
      throw new RunError("bench", `${where}: found ${u32[i]}, expected ${expected}`, "report this as a bug");
    }
  }
}
