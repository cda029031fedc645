/**
 * An RX and a fill ring as an AF_XDP socket has them, in shared memory, and what plays the kernel's part at them: so that what receiving
 * threads cost each other can be seen, which the microsecond that the kernel takes for a packet would hide.
 */

import { RingMemory } from "../../../runtime/nic/rings/ring-memory.js";
import { DATA_OFFSET } from "../../../runtime/packet/arena.js";

/** The index words of a ring lie on lines of their own, as the kernel has them. */
const LINE = 64;
const HEAD = 3 * LINE;
const RX_WORDS = 4;
const FILL_WORDS = 2;

const bytesOf = (size: number, entryWords: number) => HEAD + size * entryWords * 4;

/** Plain data. */
export interface SyntheticRings {
  readonly memory: SharedArrayBuffer;
  /** Entries of each, a power of two. */
  readonly size: number;
}

/** @param start what the indices of both rings begin with */
export function makeRings(size: number, start = 0): SyntheticRings {
  const rings = { memory: new SharedArrayBuffer(bytesOf(size, RX_WORDS) + bytesOf(size, FILL_WORDS)), size };
  for (const ring of Object.values(openRings(rings))) {
    ring.words[ring.producerAt] = start;
    ring.words[ring.consumerAt] = start;
  }
  return rings;
}

export function openRings({ memory, size }: SyntheticRings): { readonly rx: RingMemory; readonly fill: RingMemory } {
  const ring = (at: number, entryWords: number) => {
    const layout = { producer: at, consumer: at + LINE, flags: at + 2 * LINE, entries: at + HEAD, size, entryWords };
    return new RingMemory(memory, layout);
  };
  return { rx: ring(0, RX_WORDS), fill: ring(bytesOf(size, RX_WORDS), FILL_WORDS) };
}

/** Takes slots from the fill ring and gives them back by the RX ring with a packet in each, as the kernel does. */
export class SyntheticNic {
  /** Packets so far. */
  produced = 0;
  private readonly rx: RingMemory;
  private readonly fill: RingMemory;
  private tail: number;
  private head: number;

  /**
   * @param contents of the arena: the first word of every frame is the packet's number, from 1 on, as u32
   * @param bytes length of the frames
   */
  constructor(
    rings: SyntheticRings,
    private readonly contents: Uint32Array,
    private readonly bytes: number,
  ) {
    const { rx, fill } = openRings(rings);
    this.rx = rx;
    this.fill = fill;
    this.tail = Atomics.load(rx.words, rx.producerAt);
    this.head = Atomics.load(fill.words, fill.consumerAt);
  }

  /** Up to `most` packets, as many as both rings allow; returns how many. */
  produce(most: number): number {
    const { rx, fill, contents, bytes, tail, head } = this;
    const room = rx.mask + 1 - ((tail - Atomics.load(rx.words, rx.consumerAt)) | 0);
    const slots = (Atomics.load(fill.words, fill.producerAt) - head) | 0;
    const some = Math.min(most, room, slots);
    for (let i = 0; i < some; i++) {
      const address = fill.entries[((head + i) & fill.mask) << 1]! + DATA_OFFSET;
      contents[address >> 2] = this.produced + i + 1;
      const entry = ((tail + i) & rx.mask) << 2;
      rx.entries[entry] = address;
      rx.entries[entry + 2] = bytes;
    }
    this.produced += some;
    this.tail = (tail + some) | 0;
    this.head = (head + some) | 0;
    Atomics.store(fill.words, fill.consumerAt, this.head);
    Atomics.store(rx.words, rx.producerAt, this.tail);
    return some;
  }
}
