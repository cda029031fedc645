/**
 * The loops over descriptors, which each port and sender has machine code of its own for (ownCode). Hence constants of other modules come
 * as an argument here, and every array is a constant.
 *
 * Four descriptors per iteration: V8 looks for interrupts in each, and looks anew at what is no constant afterwards.
 */
import { type Arena, MAX_FRAME, RX_ERROR, SLOT_SHIFT, SLOT_SIZE } from "../../packet/arena.js";
import type { XdpRing } from "./ring.js";

export const SLOT = {
  SHIFT: SLOT_SHIFT,
  MASK: SLOT_SIZE - 1,
  LONGEST: MAX_FRAME,
  TOO_LONG: RX_ERROR.TOO_LONG as number,
};

type Entries = Pick<XdpRing, "entries" | "mask">;

/** Takes frames from an RX ring and puts free slots into the fill ring in their place; slots[0, count) are these before and those after. */
export type Exchange = (
  slots: Uint32Array,
  count: number,
  rxOwn: number,
  fillOwn: number,
  sec: number,
  nsec: number,
) => void;

/** @param filled by slot: 1 where the fill ring or the kernel has it */
export function makeExchange(
  rx: Entries,
  fill: Entries,
  filled: Uint8Array,
  arena: Pick<Arena, "off" | "len" | "wireLen" | "rxError" | "tsSec" | "tsNsec">,
  slot: typeof SLOT,
): Exchange {
  const { entries: rxEntries, mask: rxMask } = rx;
  const { entries: fillEntries, mask: fillMask } = fill;
  const has = filled;
  const { off, len, wireLen, rxError, tsSec, tsNsec } = arena;
  const { SHIFT, MASK, LONGEST, TOO_LONG } = slot;
  const one = (slots: Uint32Array, i: number, rxAt: number, fillAt: number, sec: number, nsec: number) => {
    const at = (rxAt & rxMask) << 2;
    const address = rxEntries[at]!;
    const bytes = rxEntries[at + 2]!;
    const given = slots[i]!;
    fillEntries[(fillAt & fillMask) << 1] = given << SHIFT;
    has[given] = 1;
    const slot = address >>> SHIFT;
    has[slot] = 0;
    slots[i] = slot;
    off[slot] = address & MASK;
    len[slot] = bytes;
    wireLen[slot] = bytes;
    rxError[slot] = 0;
    tsSec[slot] = sec;
    tsNsec[slot] = nsec;
    if (bytes > LONGEST) {
      len[slot] = LONGEST;
      rxError[slot] = TOO_LONG;
    }
  };
  return (slots, count, rxOwn, fillOwn, sec, nsec) => {
    let i = 0;
    for (; i < count - 3; i += 4) {
      one(slots, i, rxOwn + i, fillOwn + i, sec, nsec);
      one(slots, i + 1, rxOwn + i + 1, fillOwn + i + 1, sec, nsec);
      one(slots, i + 2, rxOwn + i + 2, fillOwn + i + 2, sec, nsec);
      one(slots, i + 3, rxOwn + i + 3, fillOwn + i + 3, sec, nsec);
    }
    for (; i < count; i++) one(slots, i, rxOwn + i, fillOwn + i, sec, nsec);
  };
}

/** Puts slots[from, from + count) into a TX ring. */
export type Offer = (slots: Uint32Array, from: number, count: number, own: number) => void;

/** @param sending by slot: 1 from here to completion */
export function makeOffer(
  tx: Entries,
  sending: Uint8Array,
  arena: Pick<Arena, "off" | "len">,
  slot: typeof SLOT,
): Offer {
  const { entries, mask } = tx;
  const marks = sending;
  const { off, len } = arena;
  const { SHIFT } = slot;
  const one = (slot: number, own: number) => {
    const at = (own & mask) << 2;
    entries[at] = (slot << SHIFT) | off[slot]!;
    entries[at + 2] = len[slot]!;
    marks[slot] = 1;
  };
  return (slots, from, count, own) => {
    let i = 0;
    for (; i < count - 3; i += 4) {
      one(slots[from + i]!, own + i);
      one(slots[from + i + 1]!, own + i + 1);
      one(slots[from + i + 2]!, own + i + 2);
      one(slots[from + i + 3]!, own + i + 3);
    }
    for (; i < count; i++) one(slots[from + i]!, own + i);
  };
}

/** Takes `count` entries from a completion ring. @returns how many slots it has written to back[at...) */
export type Reap = (back: Uint32Array, at: number, count: number, own: number) => number;

export function makeReap(completion: Entries, sending: Uint8Array, slot: typeof SLOT): Reap {
  const { entries, mask } = completion;
  const marks = sending;
  const { SHIFT } = slot;
  const one = (back: Uint32Array, end: number, own: number) => {
    const slot = entries[(own & mask) << 1]! >>> SHIFT;
    back[end] = slot;
    // What was given up before, and is back already, is passed over; so are entries made invalid, whose slots there are not.
    if (marks[slot] !== 1) return end;
    marks[slot] = 0;
    return end + 1;
  };
  return (back, at, count, own) => {
    let end = at;
    let i = 0;
    for (; i < count - 3; i += 4) {
      end = one(back, end, own + i);
      end = one(back, end, own + i + 1);
      end = one(back, end, own + i + 2);
      end = one(back, end, own + i + 3);
    }
    for (; i < count; i++) end = one(back, end, own + i);
    return end - at;
  };
}
