/**
 * A TPACKET_V3 ring as its reader sees it (Documentation/networking/packet_mmap.rst): blocks that the kernel fills with frames and hands over,
 * and that are its again when the last frame is taken. Everything in it is in the processor's byte order.
 */
import { ownCode } from "../../native/own-code.js";
import { type Arena, DATA_OFFSET, MAX_FRAME, RX_ERROR, SLOT_SHIFT } from "../../packet/arena.js";
import { copyMemory } from "../../packet/memory.js";
import type { Mapping } from "../net/syscalls.js";
import { putTag, TAG_BYTES, TP_STATUS_VLAN_VALID } from "./socket.js";

const TP_STATUS_USER = 1;
/** Words of a block's header (struct tpacket_block_desc). */
export const enum BLOCK {
  STATUS = 2,
  PACKETS = 3,
  FIRST = 4,
}
/** Words of a frame's header (struct tpacket3_hdr). */
export const enum FRAME {
  NEXT = 0,
  SEC = 1,
  NSEC = 2,
  CAPTURED = 3,
  LENGTH = 4,
  STATUS = 5,
  MAC = 6,
  TCI = 8,
  TPID = 9,
}
/**
 * The longest frame in bytes that a loop over words copies in less time than the call of memcpy takes. Measured (ns, one core; loop, memcpy):
 * 64 bytes 14, 52; 128 bytes 27, 64; 256 bytes 32, 53; 384 bytes 46, 57; 512 bytes 60, 60; 768 bytes 85, 73.
 */
export const LONGEST_LOOP = 384;

const LIMITS = {
  SHIFT: SLOT_SHIFT,
  OFFSET: DATA_OFFSET,
  LONGEST: MAX_FRAME,
  BY_LOOP: LONGEST_LOOP,
  TAG: TAG_BYTES,
  TAGGED: TP_STATUS_VLAN_VALID,
  TOO_LONG: RX_ERROR.TOO_LONG as number,
};

/** Copies `count` frames, of which the first has its header at word `at` of the ring, into slots[from...). @returns the word behind them */
type Take = (slots: Uint32Array, from: number, count: number, at: number) => number;

/** Has machine code of its own for each ring (ownCode). */
function makeTake(
  ring: Uint32Array,
  arena: Pick<Arena, "u32" | "off" | "len" | "wireLen" | "rxError" | "tsSec" | "tsNsec">,
  copy: (to: number, from: number, bytes: number) => void,
  tag: (to: number, tpid: number, tci: number) => void,
  limits: typeof LIMITS,
): Take {
  const words = ring;
  const { u32, off, len, wireLen, rxError, tsSec, tsNsec } = arena;
  const copyAny = copy;
  const addTag = tag;
  const { SHIFT, OFFSET, LONGEST, BY_LOOP, TAG, TAGGED, TOO_LONG } = limits;
  return (slots, first, count, start) => {
    let at = start;
    for (let i = first; i < first + count; i++) {
      const slot = slots[i]!;
      const captured = words[at + FRAME.CAPTURED]!;
      const wire = words[at + FRAME.LENGTH]!;
      const bytes = captured > LONGEST ? LONGEST : captured;
      const from = (at << 2) + (words[at + FRAME.MAC]! & 0xffff);
      const to = (slot << SHIFT) + OFFSET;
      if (bytes > BY_LOOP || (from & 3) !== 0) {
        copyAny(to, from, bytes);
      } else {
        // Whole words: up to three bytes behind the frame come along, which nobody looks at.
        let s = from >> 2;
        let t = to >> 2;
        const end = s + ((bytes + 3) >> 2);
        for (; s < end - 7; s += 8, t += 8) {
          u32[t] = words[s]!;
          u32[t + 1] = words[s + 1]!;
          u32[t + 2] = words[s + 2]!;
          u32[t + 3] = words[s + 3]!;
          u32[t + 4] = words[s + 4]!;
          u32[t + 5] = words[s + 5]!;
          u32[t + 6] = words[s + 6]!;
          u32[t + 7] = words[s + 7]!;
        }
        for (; s < end; s++, t++) u32[t] = words[s]!;
      }
      off[slot] = OFFSET;
      len[slot] = bytes;
      wireLen[slot] = wire;
      rxError[slot] = wire > LONGEST ? TOO_LONG : 0;
      tsSec[slot] = words[at + FRAME.SEC]!;
      tsNsec[slot] = words[at + FRAME.NSEC]!;
      if ((words[at + FRAME.STATUS]! & TAGGED) !== 0) {
        addTag(to, words[at + FRAME.TPID]! & 0xffff, words[at + FRAME.TCI]! & 0xffff);
        off[slot] = OFFSET - TAG;
        len[slot] = bytes + TAG;
        wireLen[slot] = wire + TAG;
      }
      at += words[at + FRAME.NEXT]! >>> 2;
    }
    return at;
  };
}

export class Blocks {
  private readonly words: Uint32Array;
  private readonly statuses: Int32Array;
  private readonly take: Take;
  /** Words of a block, and blocks. */
  private readonly size: number;
  private readonly count: number;
  /** Block that is read, the word its next frame begins at, and frames left in it; 0: it may still be the kernel's. */
  private block = 0;
  private at = 0;
  private left = 0;

  /** @param blockBytes of which the ring is a multiple */
  constructor(ring: Mapping, blockBytes: number, arena: Arena) {
    this.size = blockBytes >> 2;
    this.count = Math.floor(ring.bytes / blockBytes);
    this.words = new Uint32Array(ring.buffer);
    this.statuses = new Int32Array(ring.buffer);
    const { u8 } = arena;
    const { address } = ring;
    const copy = (to: number, from: number, bytes: number) => copyMemory(arena.address + to, address + from, bytes);
    const tag = (to: number, tpid: number, tci: number) => putTag(u8, to, tpid, tci);
    this.take = ownCode(makeTake, this.words, arena, copy, tag, LIMITS);
  }

  /** Copies frames into slots[0, count). @returns how many there were */
  receive(slots: Uint32Array, count: number): number {
    let done = 0;
    while (done < count) {
      if (this.left === 0 && !this.open()) break;
      const some = Math.min(this.left, count - done);
      this.at = this.take(slots, done, some, this.at);
      done += some;
      this.left -= some;
      if (this.left === 0) this.close();
    }
    return done;
  }

  /** @returns false where the next block is still the kernel's */
  private open(): boolean {
    for (;;) {
      const start = this.block * this.size;
      if ((Atomics.load(this.statuses, start + BLOCK.STATUS) & TP_STATUS_USER) === 0) return false;
      this.left = this.words[start + BLOCK.PACKETS]!;
      this.at = start + (this.words[start + BLOCK.FIRST]! >>> 2);
      if (this.left > 0) return true;
      this.close();
    }
  }

  private close(): void {
    Atomics.store(this.statuses, this.block * this.size + BLOCK.STATUS, 0);
    this.block = this.block + 1 < this.count ? this.block + 1 : 0;
  }
}
