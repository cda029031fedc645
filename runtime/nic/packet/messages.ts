/**
 * The array of messages that recvmmsg(2) and sendmmsg(2) take: one mmsghdr with one iovec each, which points into a slot, and room for
 * one control message. Laid out once in mapped memory; per packet only pointer and length are written, as halves of 64 bits.
 */
import { ownCode } from "../../native/own-code.js";
import { type Arena, DATA_OFFSET, MAX_FRAME, SLOT_SHIFT } from "../../packet/arena.js";
import { mapRegion, type Region, unmapRegion } from "../../packet/memory.js";

/** Packets per system call where nothing is said: as many as in a burst. */
export const MESSAGES = 64;

/** struct mmsghdr of 64-bit Linux, in words of 32 bits. */
const enum HEADER {
  WORDS = 16,
  IOV = 4,
  IOV_COUNT = 6,
  CONTROL = 8,
  CONTROL_BYTES = 10,
  FLAGS = 12,
  LENGTH = 14,
}
const enum IOVEC {
  WORDS = 4,
}
/** cmsghdr and tpacket_auxdata, padded. */
const enum CONTROL {
  WORDS = 10,
  STATUS = 4,
  VLAN = 8,
}

/** Constants of this module are part of the compiled code (see egress.ts). */
const WORD = 2 ** 32;
const LENGTH_AT = HEADER.LENGTH;
const CONTROL_BYTES_AT = HEADER.CONTROL_BYTES;
const SLOT = { SHIFT: SLOT_SHIFT, OFFSET: DATA_OFFSET, LONGEST: MAX_FRAME };

type Point = (slots: Uint32Array, from: number, count: number) => void;

/**
 * See {@link Messages.point}; each has machine code of its own for it (ownCode).
 * @param low @param high halves of the address of slot 0
 */
function makePoint(
  words: Int32Array,
  vectors: number,
  low: number,
  high: number,
  arena: Pick<Arena, "off" | "len">,
  receives: boolean,
  slot: typeof SLOT,
): Point {
  const to = words;
  const [first, base, upper, into] = [vectors, low | 0, high | 0, receives];
  const { off, len } = arena;
  const { SHIFT, OFFSET, LONGEST } = slot;
  return (slots, from, count) => {
    for (let i = 0; i < count; i++) {
      const slot = slots[from + i]!;
      const at = first + i * IOVEC.WORDS;
      const address = (base + (slot << SHIFT) + (into ? OFFSET : off[slot]!)) | 0;
      to[at] = address;
      // One more where the lower half has run over: it is less than what it began with, as unsigned numbers go.
      to[at + 1] = address >>> 0 < base >>> 0 ? upper + 1 : upper;
      to[at + 2] = into ? LONGEST : len[slot]!;
      if (into) to[i * HEADER.WORDS + HEADER.CONTROL_BYTES] = CONTROL.WORDS * 4;
    }
  };
}

export class Messages {
  private readonly address: number;
  private readonly region: Region;
  private readonly words: Uint32Array;
  private readonly controlAt: number;
  private readonly loop: Point;

  /** @param receives into slots, with room for control messages; else it sends from them */
  constructor(count: number, arena: Pick<Arena, "address" | "off" | "len">, receives: boolean) {
    const iovecAt = count * HEADER.WORDS;
    this.controlAt = iovecAt + count * IOVEC.WORDS;
    const words = this.controlAt + count * CONTROL.WORDS;
    this.region = mapRegion(words * 4);
    this.address = this.region.address;
    this.words = new Uint32Array(this.region.buffer, 0, words);
    for (let i = 0; i < count; i++) {
      this.pointer(i * HEADER.WORDS + HEADER.IOV, this.address + (iovecAt + i * IOVEC.WORDS) * 4);
      this.words[i * HEADER.WORDS + HEADER.IOV_COUNT] = 1;
      if (receives) {
        this.pointer(i * HEADER.WORDS + HEADER.CONTROL, this.address + (this.controlAt + i * CONTROL.WORDS) * 4);
      }
    }
    const { address } = arena;
    const signed = new Int32Array(this.region.buffer, 0, words);
    this.loop = ownCode(makePoint, signed, iovecAt, address % WORD, Math.floor(address / WORD), arena, receives, SLOT);
  }

  /** Address of message i, for the system call. */
  addressOf(i: number): number {
    return this.address + i * HEADER.WORDS * 4;
  }

  private pointer(word: number, address: number): void {
    this.words[word] = address % WORD;
    this.words[word + 1] = Math.floor(address / WORD);
  }

  /**
   * Points message i at slots[from + i], for i in [0, count): at its frame, or at where one goes that is received.
   * Messages that receive get the whole of their room for control messages back.
   */
  point(slots: Uint32Array, from: number, count: number): void {
    this.loop(slots, from, count);
  }

  /** Bytes of a frame received; with MSG_TRUNC as it was on the wire. */
  lengthOf(i: number): number {
    return this.words[i * HEADER.WORDS + LENGTH_AT]!;
  }

  /** tp_status, tci | tpid << 16 of a frame received. */
  statusOf(i: number): number {
    if (this.words[i * HEADER.WORDS + CONTROL_BYTES_AT] === 0) return 0;
    return this.words[this.controlAt + i * CONTROL.WORDS + CONTROL.STATUS]!;
  }

  tagOf(i: number): number {
    return this.words[this.controlAt + i * CONTROL.WORDS + CONTROL.VLAN]!;
  }

  close(): void {
    unmapRegion(this.region);
  }
}
