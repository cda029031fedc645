/**
 * The loops over descriptors, which each port, sender and end of a shared queue has machine code of its own for (ownLoop). Hence constants
 * of other modules come as an argument here, and every array is a constant.
 *
 * `| 0` says that a number is an integer of 32 bits: else each use of an argument begins with the question what it is. Bytes are
 * written by an Int8Array: V8 is sure of what that is, but looks at a Uint8Array each time, since Buffers derive from it.
 */
import { type Arena, MAX_FRAME, RX_ERROR, SLOT_SHIFT, SLOT_SIZE } from "../../packet/arena.js";
import type { RingMemory } from "./ring-memory.js";

export const SLOT = {
  SHIFT: SLOT_SHIFT,
  MASK: SLOT_SIZE - 1,
  LONGEST: MAX_FRAME,
  TOO_LONG: RX_ERROR.TOO_LONG as number,
};

type Entries = Pick<RingMemory, "entries" | "mask">;

/**
 * Takes frames from an RX ring and puts free slots into the fill ring in their place; slots[from, from + count) are these before and those
 * after.
 * @param number arrival number of the first frame; of no account where the loop was made for an arena without these
 */
export type Exchange = (
  slots: Uint32Array,
  from: number,
  count: number,
  rxOwn: number,
  fillOwn: number,
  sec: number,
  nsec: number,
  number: number,
) => void;

/**
 * @param filled by slot: 1 where the fill ring or the kernel has it
 * @param arena with `arrival` where packets are to be numbered
 */
export function makeExchange(
  rx: Entries,
  fill: Entries,
  filled: Uint8Array,
  arena: Pick<Arena, "off" | "len" | "wireLen" | "rxError" | "tsSec" | "tsNsec"> & Partial<Pick<Arena, "arrival">>,
  slot: typeof SLOT,
): Exchange {
  const bytesOf = ({ buffer, byteOffset, length }: Uint8Array) => new Int8Array(buffer, byteOffset, length);
  const { entries: rxEntries, mask: rxMask } = rx;
  const { entries: fillEntries, mask: fillMask } = fill;
  const has = bytesOf(filled);
  const { off, len, wireLen, tsSec, tsNsec, arrival } = arena;
  const rxError = bytesOf(arena.rxError);
  const { SHIFT, MASK, LONGEST, TOO_LONG } = slot;
  return (slots, from, some, rxOwn, fillOwn, secNow, nsecNow, number) => {
    const first = from | 0;
    const count = some | 0;
    const rxFirst = rxOwn | 0;
    const fillFirst = fillOwn | 0;
    const sec = secNow | 0;
    const nsec = nsecNow | 0;
    for (let i = 0; i < count; i++) {
      const entry = ((rxFirst + i) & rxMask) << 2;
      const address = rxEntries[entry]!;
      const bytes = rxEntries[entry + 2]!;
      const at = (first + i) | 0;
      const given = slots[at]!;
      fillEntries[((fillFirst + i) & fillMask) << 1] = given << SHIFT;
      has[given] = 1;
      const slot = address >>> SHIFT;
      has[slot] = 0;
      slots[at] = slot;
      off[slot] = address & MASK;
      len[slot] = bytes;
      wireLen[slot] = bytes;
      rxError[slot] = 0;
      tsSec[slot] = sec;
      tsNsec[slot] = nsec;
      if (arrival !== undefined) arrival[slot] = number + i;
      if (bytes > LONGEST) {
        len[slot] = LONGEST;
        rxError[slot] = TOO_LONG;
      }
    }
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
  const marks = new Int8Array(sending.buffer, sending.byteOffset, sending.length);
  const { off, len } = arena;
  const { SHIFT } = slot;
  return (slots, from, some, own) => {
    const first = from | 0;
    const count = some | 0;
    const txFirst = own | 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[(first + i) | 0]!;
      const entry = ((txFirst + i) & mask) << 2;
      entries[entry] = (slot << SHIFT) | off[slot]!;
      entries[entry + 2] = len[slot]!;
      marks[slot] = 1;
    }
  };
}

/** Takes `count` entries from a completion ring. @returns how many slots it has written to back[at...) */
export type Reap = (back: Uint32Array, at: number, count: number, own: number) => number;

export function makeReap(completion: Entries, sending: Uint8Array, slot: typeof SLOT): Reap {
  const { entries, mask } = completion;
  const marks = new Int8Array(sending.buffer, sending.byteOffset, sending.length);
  const { SHIFT } = slot;
  return (back, at, some, own) => {
    const count = some | 0;
    const first = own | 0;
    let end = at | 0;
    for (let i = 0; i < count; i++) {
      const slot = entries[((first + i) & mask) << 1]! >>> SHIFT;
      back[end] = slot;
      // What was given up before, and is back already, is passed over; so are entries made invalid, whose slots there are not.
      if (marks[slot] === 1) {
        marks[slot] = 0;
        end = (end + 1) | 0;
      }
    }
    return (end - at) | 0;
  };
}
