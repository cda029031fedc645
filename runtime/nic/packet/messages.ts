/**
 * The array of messages that recvmmsg(2) and sendmmsg(2) take: one mmsghdr with one iovec each, which points into a slot, and room for
 * one control message. Laid out once in mapped memory; per packet only pointer and length are written, as halves of 64 bits.
 */
import { DATA_OFFSET, MAX_FRAME, SLOT_SHIFT } from "../../packet/arena.js";
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
const IOVEC_WORDS = 4;
/** cmsghdr and tpacket_auxdata, padded. */
const CONTROL_WORDS = 10;
const enum CONTROL {
  STATUS = 4,
  VLAN = 8,
}

/** Constants of this module are part of the compiled code (see egress.ts). */
const SHIFT = SLOT_SHIFT;
const WORD = 2 ** 32;
const LENGTH_AT = HEADER.LENGTH;
const CONTROL_BYTES_AT = HEADER.CONTROL_BYTES;

export class Messages {
  private readonly address: number;
  private readonly region: Region;
  private readonly words: Uint32Array;
  private readonly iovecAt: number;
  private readonly controlAt: number;

  /** @param base address of slot 0 @param receives with room for control messages */
  constructor(
    count: number,
    private readonly base: number,
    private readonly receives: boolean,
  ) {
    this.iovecAt = count * HEADER.WORDS;
    this.controlAt = this.iovecAt + count * IOVEC_WORDS;
    const words = this.controlAt + count * CONTROL_WORDS;
    this.region = mapRegion(words * 4);
    this.address = this.region.address;
    this.words = new Uint32Array(this.region.buffer, 0, words);
    for (let i = 0; i < count; i++) {
      this.pointer(i * HEADER.WORDS + HEADER.IOV, this.address + (this.iovecAt + i * IOVEC_WORDS) * 4);
      this.words[i * HEADER.WORDS + HEADER.IOV_COUNT] = 1;
      if (receives) {
        this.pointer(i * HEADER.WORDS + HEADER.CONTROL, this.address + (this.controlAt + i * CONTROL_WORDS) * 4);
      }
    }
  }

  /** Address of message i, for the system call. */
  addressOf(i: number): number {
    return this.address + i * HEADER.WORDS * 4;
  }

  private pointer(word: number, address: number): void {
    this.words[word] = address % WORD;
    this.words[word + 1] = Math.floor(address / WORD);
  }

  /** Points message i at `bytes` bytes from `offset` of a slot on. */
  private point(i: number, slot: number, offset: number, bytes: number): void {
    const at = this.iovecAt + i * IOVEC_WORDS;
    this.pointer(at, this.base + (slot << SHIFT) + offset);
    this.words[at + 2] = bytes;
  }

  /** Readies message i to receive into a slot. */
  toReceive(i: number, slot: number): void {
    this.point(i, slot, DATA_OFFSET, MAX_FRAME);
    if (this.receives) this.words[i * HEADER.WORDS + CONTROL_BYTES_AT] = CONTROL_WORDS * 4;
  }

  /** Readies message i to send a slot's frame. */
  toSend(i: number, slot: number, offset: number, bytes: number): void {
    this.point(i, slot, offset, bytes);
  }

  /** Bytes of a frame received; with MSG_TRUNC as it was on the wire. */
  lengthOf(i: number): number {
    return this.words[i * HEADER.WORDS + LENGTH_AT]!;
  }

  /** tp_status, tci | tpid << 16 of a frame received. */
  statusOf(i: number): number {
    if (this.words[i * HEADER.WORDS + CONTROL_BYTES_AT] === 0) return 0;
    return this.words[this.controlAt + i * CONTROL_WORDS + CONTROL.STATUS]!;
  }

  tagOf(i: number): number {
    return this.words[this.controlAt + i * CONTROL_WORDS + CONTROL.VLAN]!;
  }

  close(): void {
    unmapRegion(this.region);
  }
}
