/**
 * Frames in memory outside the slots, in the order they will be played: what replay and generator send from.
 *
 * Blocks of 8 MiB; in a block every frame takes a header of four u32 (length in the lower and receive errors in the upper half,
 * wire length, seconds, nanoseconds) and its bytes, padded to 8. Play order is memory order, so the processor prefetches, and
 * frames are 8-byte aligned, as DATA_OFFSET is, so they are copied in 64-bit words.
 */
import { type Arena, DATA_OFFSET, SLOT_SHIFT } from "../packet/arena.js";
import type { Bytes } from "./copy.js";

const BLOCK_BYTES = 8 * 1024 * 1024;
export const HEADER_WORDS = 4;
const HEADER_BYTES = HEADER_WORDS * 4;

/** Bytes of memory a frame takes. */
export function storedBytes(frame: number): number {
  return HEADER_BYTES + ((frame + 7) & ~7);
}

export class StoreBlock {
  private readonly buffer: ArrayBuffer;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;
  readonly view: DataView;
  used = 0;
  frames = 0;

  constructor(bytes: number) {
    this.buffer = new ArrayBuffer(bytes);
    this.u8 = new Uint8Array(this.buffer);
    this.u32 = new Uint32Array(this.buffer);
    this.u64 = new BigUint64Array(this.buffer);
    this.view = new DataView(this.buffer);
  }
}

export class FrameStore {
  readonly blocks: StoreBlock[] = [];
  frames = 0;

  /** Memory taken, in bytes. */
  get bytes(): number {
    return this.blocks.length * BLOCK_BYTES;
  }

  /** Appends a frame of `count` bytes at `at`. */
  append(from: Bytes, at: number, count: number, rxError: number, wireLength: number, sec: number, nsec: number): void {
    let block = this.blocks.at(-1);
    if (block === undefined || block.used + storedBytes(count) > BLOCK_BYTES) {
      block = new StoreBlock(BLOCK_BYTES);
      this.blocks.push(block);
    }
    const word = block.used >> 2;
    block.u32[word] = count | (rxError << 16);
    block.u32[word + 1] = wireLength;
    block.u32[word + 2] = sec;
    block.u32[word + 3] = nsec;
    block.u8.set(from.u8.subarray(at, at + count), block.used + HEADER_BYTES);
    block.used += storedBytes(count);
    block.frames++;
    this.frames++;
  }
}

/**
 * Frames longer than this are copied by TypedArray.set, which needs an object per call but then moves 32 bytes a cycle.
 * Measured on one core (ns at 64 / 256 / 384 / 512 / 1472 bytes): 64-bit words 18 / 69 / 88 / 123 / 322, set 92 / 94 / 98 / 101 / 166.
 * V8 keeps the 64-bit elements in registers: no BigInt is made (test/replay.test.ts watches the heap).
 */
const WORDS_LIMIT = 400;

/** Plays a store into slots, from its first frame to its last and round again. */
export class Player {
  private readonly u64: BigUint64Array;
  private block = 0;
  /** Byte in the block. */
  private at = 0;

  /** @param store not empty, and complete */
  constructor(
    private readonly store: FrameStore,
    private readonly arena: Arena,
  ) {
    this.u64 = new BigUint64Array(arena.buffer, 0, arena.u8.length >> 3);
  }

  /** Fills slots[0, count). */
  play(slots: Uint32Array, count: number): void {
    let done = 0;
    while (done < count) {
      let block = this.store.blocks[this.block]!;
      if (this.at >= block.used) {
        this.at = 0;
        this.block = this.block + 1 < this.store.blocks.length ? this.block + 1 : 0;
        block = this.store.blocks[this.block]!;
      }
      done = this.playBlock(block, slots, done, count);
    }
  }

  /** Fills slots[from, to) as far as the block reaches; returns where it stopped. */
  private playBlock(block: StoreBlock, slots: Uint32Array, from: number, to: number): number {
    const { u64: target } = this;
    const { u8, off, len, wireLen, rxError, tsSec, tsNsec } = this.arena;
    const { u32, u64: source, used } = block;
    let at = this.at;
    let i = from;
    for (; i < to && at < used; i++) {
      const slot = slots[i]!;
      const word = at >> 2;
      const head = u32[word]!;
      const bytes = head & 0xffff;
      off[slot] = DATA_OFFSET;
      len[slot] = bytes;
      rxError[slot] = head >>> 16;
      wireLen[slot] = u32[word + 1]!;
      tsSec[slot] = u32[word + 2]!;
      tsNsec[slot] = u32[word + 3]!;
      const words = (bytes + 7) >> 3;
      const first = (at + HEADER_BYTES) >> 3;
      if (bytes <= WORDS_LIMIT) {
        const base = ((slot << SLOT_SHIFT) + DATA_OFFSET) >> 3;
        for (let w = 0; w < words; w++) target[base + w] = source[first + w]!;
      } else {
        const start = at + HEADER_BYTES;
        u8.set(block.u8.subarray(start, start + bytes), (slot << SLOT_SHIFT) + DATA_OFFSET);
      }
      at += HEADER_BYTES + (words << 3);
    }
    this.at = at;
    return i;
  }
}
