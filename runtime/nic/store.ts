/**
 * Frames in memory outside the slots, in the order they will be played: what replay and generator send from.
 *
 * Blocks of 8 MiB; in a block every frame takes a header of four u32 (length in the lower and receive errors in the upper half,
 * wire length, seconds, nanoseconds) and its bytes, padded to 8. Play order is memory order, so the processor prefetches, and
 * frames are 8-byte aligned, as DATA_OFFSET is, so short ones are copied in 64-bit words.
 *
 * Long ones are copied by TypedArray.set from a view each, made at set-up. Measured (ns per packet with its metadata at
 * 64 / 256 / 512 / 768 / 1472 bytes): words 27 / 54 / 87 / 119 / 216, a view made at set-up 46 / 51 / 58 / 67 / 145, a
 * subarray per packet 95 / 100 / 104 / 113 / 148.
 */
import { type Arena, DATA_OFFSET, SLOT_SHIFT } from "../packet/arena.js";
import type { Bytes } from "./copy.js";

const BLOCK_BYTES = 8 * 1024 * 1024;
export const HEADER_WORDS = 4;
const HEADER_BYTES = HEADER_WORDS * 4;
/** Longest frame in bytes that is copied in words. */
const WORDS_LIMIT = 240;
/** Words are copied eight at a time, the last of them behind the frame: up to 56 bytes, which a slot has room for. */
const SLACK = 64;
/** Heap that a view takes, and a frame's entries in the block's lists. */
const VIEW_BYTES = 128;
const ENTRY_BYTES = 16;

/** Bytes of memory a frame takes. */
export function storedBytes(frame: number): number {
  return strideOf(frame) + ENTRY_BYTES + (frame > WORDS_LIMIT ? VIEW_BYTES : 0);
}

/** Bytes from one frame's header to the next one's in a block. */
export function strideOf(frame: number): number {
  return HEADER_BYTES + ((frame + 7) & ~7);
}

export class StoreBlock implements Bytes {
  private readonly buffer = new ArrayBuffer(BLOCK_BYTES + SLACK);
  readonly u8 = new Uint8Array(this.buffer);
  readonly u32 = new Uint32Array(this.buffer);
  readonly u64 = new BigUint64Array(this.buffer);
  readonly view = new DataView(this.buffer);
  /** Of its frames over WORDS_LIMIT, in order. */
  readonly long: Uint8Array[] = [];
  /** By frame: the byte where its header begins, and the index that `long` has from there on. */
  readonly at: number[] = [];
  readonly longAt: number[] = [];
  used = 0;
}

export class FrameStore {
  readonly blocks: StoreBlock[] = [];
  frames = 0;

  /** Appends a frame of `count` bytes at `at`. */
  append(from: Bytes, at: number, count: number, rxError: number, wireLength: number, sec: number, nsec: number): void {
    let block = this.blocks.at(-1);
    if (block === undefined || block.used + strideOf(count) > BLOCK_BYTES) {
      block = new StoreBlock();
      this.blocks.push(block);
    }
    const word = block.used >> 2;
    block.u32[word] = count | (rxError << 16);
    block.u32[word + 1] = wireLength;
    block.u32[word + 2] = sec;
    block.u32[word + 3] = nsec;
    const bytes = block.u8.subarray(block.used + HEADER_BYTES, block.used + HEADER_BYTES + count);
    bytes.set(from.u8.subarray(at, at + count));
    block.at.push(block.used);
    block.longAt.push(block.long.length);
    if (count > WORDS_LIMIT) block.long.push(bytes);
    block.used += strideOf(count);
    this.frames++;
  }
}

/** Plays a store into slots, from its first frame to its last and round again. */
export class Player {
  /** The arena in 64-bit words. V8 keeps them in registers: no BigInt is made (test/replay.test.ts watches the heap). */
  private readonly u64: BigUint64Array;
  private block = 0;
  /** Byte in the block, its frame there, and index of its next long frame. */
  private at = 0;
  private frame = 0;
  private long = 0;

  /** @param store not empty, and complete */
  constructor(
    private readonly store: FrameStore,
    private readonly arena: Arena,
  ) {
    this.u64 = new BigUint64Array(arena.buffer, 0, arena.u8.length >> 3);
  }

  /** Fills slots[0, count). */
  play(slots: Uint32Array, count: number): void {
    const { blocks } = this.store;
    let done = 0;
    while (done < count) {
      if (this.at >= blocks[this.block]!.used) {
        this.at = 0;
        this.frame = 0;
        this.long = 0;
        this.block = this.block + 1 < blocks.length ? this.block + 1 : 0;
      }
      done = this.playBlock(blocks[this.block]!, slots, done, count);
    }
  }

  /** Passes over frames; whole rounds and whole blocks at a step. */
  skip(count: number): void {
    const { blocks, frames } = this.store;
    let frame = this.frame + (count % frames);
    while (frame >= blocks[this.block]!.at.length) {
      frame -= blocks[this.block]!.at.length;
      this.block = this.block + 1 < blocks.length ? this.block + 1 : 0;
    }
    const { at, longAt } = blocks[this.block]!;
    this.frame = frame;
    this.at = at[frame]!;
    this.long = longAt[frame]!;
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
      const start = (slot << SLOT_SHIFT) + DATA_OFFSET;
      if (bytes > WORDS_LIMIT) {
        u8.set(block.long[this.long++]!, start);
      } else {
        let d = start >> 3;
        let s = (at + HEADER_BYTES) >> 3;
        const end = s + ((bytes + 7) >> 3);
        for (; s < end; s += 8, d += 8) {
          target[d] = source[s]!;
          target[d + 1] = source[s + 1]!;
          target[d + 2] = source[s + 2]!;
          target[d + 3] = source[s + 3]!;
          target[d + 4] = source[s + 4]!;
          target[d + 5] = source[s + 5]!;
          target[d + 6] = source[s + 6]!;
          target[d + 7] = source[s + 7]!;
        }
      }
      at += HEADER_BYTES + ((bytes + 7) & ~7);
    }
    this.at = at;
    this.frame += i - from;
    return i;
  }
}
