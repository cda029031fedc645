/**
 * What of a packet's headers is noted as it comes in, for a message about it: a router writes other MAC addresses and another TTL, others mark, a tunnel
 * leaves nothing as it was. Kept by slot, in memory of its own that every thread sees; only runs that send messages have it.
 */
import { type Arena, SLOT_SHIFT } from "../../packet/arena.js";
import { IPV4, IPV6 } from "../../packet/protocols.js";

/** Constants of this module are part of the compiled code; imported bindings are looked up at each use (V8 11, Node 20). */
const SHIFT = SLOT_SHIFT;

/** Words of a slot; half a cache line. */
export const NOTE_WORDS = 8;
const NOTE_SHIFT = Math.log2(NOTE_WORDS);

export const enum NOTE {
  /** The first 12 bytes of the frame as they lie there: destination and source MAC address. */
  MACS = 0,
  /** IPv4 header checksum as a native load gives it, TTL << 16, IPv6 hop limit << 24; of the two the packet's version has one. */
  HOPS = 3,
  /**
   * First byte of the IP header; 0 where there is none, {@link OPENED} once a tunnel has been opened. In the upper half the header's first 2
   * bytes as a native load gives them, DSCP and ECN among them, which NFs mark.
   */
  L3 = 4,
}

/** Where no IP header is. */
const OPENED = 0xffff;

export function noteBytes(slots: number): number {
  return slots * NOTE_WORDS * Uint32Array.BYTES_PER_ELEMENT;
}

export class ArrivalNotes {
  private readonly words: Uint32Array;

  constructor(
    private readonly arena: Arena,
    memory: SharedArrayBuffer,
  ) {
    this.words = new Uint32Array(memory);
  }

  /** Notes packets that have just been through the gate. Of those that did not pass, what is noted means nothing. */
  take(slots: Uint32Array, count: number): void {
    const { off, l3, u8, u16, u32 } = this.arena;
    const { words } = this;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const base = slot << SHIFT;
      const start = base + off[slot]!;
      const ip = base + l3[slot]!;
      const to = slot << NOTE_SHIFT;
      if ((start & 3) === 0) {
        const from = start >> 2;
        words[to] = u32[from]!;
        words[to + 1] = u32[from + 1]!;
        words[to + 2] = u32[from + 2]!;
      } else {
        const from = start >> 1;
        for (let word = 0; word < 3; word++)
          words[to + word] = u16[from + 2 * word]! | (u16[from + 2 * word + 1]! << 16);
      }
      words[to + NOTE.HOPS] =
        u16[(ip + IPV4.CHECKSUM) >> 1]! | (u8[ip + IPV4.TTL]! << 16) | (u8[ip + IPV6.HOP_LIMIT]! << 24);
      words[to + NOTE.L3] = l3[slot]! | (u16[ip >> 1]! << 16);
    }
  }

  /** What is in the slot from now on came out of a tunnel. */
  markOpened(slot: number): void {
    this.words[(slot << NOTE_SHIFT) + NOTE.L3] = OPENED;
  }

  /** One word of a slot's, by {@link NOTE}. */
  word(slot: number, note: number): number {
    return this.words[(slot << NOTE_SHIFT) + note]!;
  }
}
