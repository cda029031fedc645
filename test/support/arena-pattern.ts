/** Every array of an arena filled with values of its own, so that two arrays that overlap cannot both read back right. */
import type { Arena } from "../../runtime/packet/arena.js";

type Values = Uint8Array | Uint16Array | Uint32Array | Float64Array;

/** The packet bytes (once, as u8) and all metadata arrays, found by looking, so that one added later is covered too. */
export function arraysOf(arena: Arena): ReadonlyArray<readonly [string, Values]> {
  const arrays: [string, Values][] = [];
  for (const [name, value] of Object.entries(arena)) {
    const isArray = ArrayBuffer.isView(value) && !(value instanceof DataView);
    if (isArray && name !== "u16" && name !== "u32") arrays.push([name, value as Values]);
  }
  return arrays;
}

/** What element i of the n-th array holds: differs between arrays, elements and rounds, cut to the element's width. */
function valueAt(array: Values, n: number, i: number, round: number): number {
  const mixed = Math.imul(i + 1, 2654435761) ^ Math.imul(n + 1, 0x9e3779b1) ^ Math.imul(round, 0x85ebca6b);
  const value = (mixed ^ (mixed >>> 15)) >>> 0;
  if (array instanceof Float64Array) return value + 0.5;
  return array.BYTES_PER_ELEMENT === 4 ? value : value & (array.BYTES_PER_ELEMENT === 1 ? 0xff : 0xffff);
}

export function writePattern(arena: Arena, round: number): void {
  arraysOf(arena).forEach(([, array], n) => {
    for (let i = 0; i < array.length; i++) array[i] = valueAt(array, n, i, round);
  });
}

/** "" where everything reads back, else the first difference. */
export function checkPattern(arena: Arena, round: number): string {
  for (const [n, [name, array]] of arraysOf(arena).entries()) {
    for (let i = 0; i < array.length; i++) {
      const expected = valueAt(array, n, i, round);
      if (array[i] !== expected) return `${name}[${i}] is ${array[i]}, not ${expected}`;
    }
  }
  return "";
}
