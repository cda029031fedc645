/** What the engine writes on packets that have just been received. The loop is in machine code of each receiver's own (ownCode). */
import type { Arena } from "../packet/arena.js";

/**
 * Numbers packets from `number + step` on, in steps, and writes down that they came in by `port` at `now` (ns on the engine's clock).
 * @returns bytes of their frames
 */
export type Stamp = (
  slots: Uint32Array,
  count: number,
  number: number,
  step: number,
  port: number,
  now: number,
) => number;

export function makeStamp(arena: Pick<Arena, "arrival" | "rxNs" | "portIn" | "len">): Stamp {
  const { arrival, rxNs, portIn, len } = arena;
  const one = (slot: number, number: number, port: number, now: number) => {
    arrival[slot] = number;
    portIn[slot] = port;
    rxNs[slot] = now;
    return len[slot]!;
  };
  return (slots, count, before, step, port, now) => {
    let number = before;
    let bytes = 0;
    let i = 0;
    for (; i < count - 3; i += 4) {
      bytes += one(slots[i]!, number + step, port, now);
      bytes += one(slots[i + 1]!, number + 2 * step, port, now);
      bytes += one(slots[i + 2]!, number + 3 * step, port, now);
      number += 4 * step;
      bytes += one(slots[i + 3]!, number, port, now);
    }
    for (; i < count; i++) {
      number += step;
      bytes += one(slots[i]!, number, port, now);
    }
    return bytes;
  };
}
