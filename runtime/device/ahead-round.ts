/**
 * What goes with the rows of a round from whose NFs packets may go on (forward.ts): to the device where in its slot each packet has what, and
 * its type; from the device its path, and what is kept of the params of each hop.
 */
import type { Arena } from "../packet/arena.js";
import { attachRegion } from "../packet/memory.js";
import { type AheadHandle, type Forwarding, PACKET_WORDS as PACKET, PATH, READS } from "./forward.js";
import { DUMMY } from "./queue.js";

/** Imported bindings are looked up at each use (V8 11, Node 20). */
const EMPTY = DUMMY;
const PACKET_WORDS = PACKET;
const HEADER = READS.HEADER;
const DATA = READS.DATA;
const BITS = PATH.BITS;
const MASK = PATH.MASK;

/** Bytes per entry: what describes a packet, and its path. */
const PACKET_BYTES = 4 * PACKET_WORDS;
const PATH_BYTES = 4;

export class AheadRound {
  /** {@link READS} by number of the NF. */
  readonly reads: Uint8Array;
  /** Rows of the round from which packets may go on: [from, to). */
  from = 0;
  to = 0;
  /** Packets in them. */
  packets = 0;
  /** First and one behind the last byte of the packet last described that the device has to have; 0 and 0 for a frame that is not IP. */
  first = 0;
  end = 0;
  /** By entry, what {@link describe} wrote; PACKET_WORDS each. */
  readonly described: Uint32Array<ArrayBuffer>;
  /** By entry, as the device left them. */
  readonly paths: Uint32Array<ArrayBuffer>;
  readonly kept: Uint32Array<ArrayBuffer>;
  private readonly hops: number;
  /** Words kept of a hop. */
  private readonly words: number;
  /** By slot. */
  private readonly slotPaths: Uint32Array;
  private readonly slotKept: Uint32Array;

  /** @param entries of a round at most */
  constructor(
    private readonly arena: Arena,
    forwarding: Forwarding,
    handle: AheadHandle,
    private readonly size: number,
    entries: number,
  ) {
    this.reads = Uint8Array.from(forwarding.reads);
    this.hops = handle.hops;
    this.words = handle.kept;
    this.described = new Uint32Array(entries * PACKET_WORDS);
    this.paths = new Uint32Array(entries);
    this.kept = new Uint32Array(entries * this.hops * this.words);
    const { buffer } = attachRegion(handle.region);
    this.slotPaths = new Uint32Array(buffer, 0, handle.slots);
    this.slotKept = new Uint32Array(buffer, 4 * handle.slots, handle.slots * this.hops * this.words);
  }

  /** Entries of the round that it is about, and the first of them. */
  get count(): number {
    return (this.to - this.from) * this.size;
  }
  get firstEntry(): number {
    return this.from * this.size;
  }

  /** Where, in what is described on the device, the round's begins, and its bytes. */
  get upFrom(): number {
    return PACKET_BYTES * this.firstEntry;
  }
  get upBytes(): number {
    return PACKET_BYTES * this.count;
  }

  /** The same of paths, and of what is kept behind the paths of all entries. */
  get pathsFrom(): number {
    return PATH_BYTES * this.firstEntry;
  }
  get pathBytes(): number {
    return PATH_BYTES * this.count;
  }
  get keptFrom(): number {
    return this.paths.byteLength + this.hopBytes * this.firstEntry;
  }
  get keptBytes(): number {
    return this.hopBytes * this.count;
  }
  get backBytes(): number {
    return this.pathBytes + this.keptBytes;
  }

  /** Bytes kept of all hops of an entry. */
  private get hopBytes(): number {
    return 4 * this.words * this.hops;
  }

  /** Bytes of this that a round copies for its packets, there and back. */
  get bytesCopied(): number {
    return (PACKET_BYTES + PATH_BYTES + this.hopBytes) * this.packets;
  }

  /** Copies what was described to where a copy to the device begins. */
  putInto(mapped: Uint8Array, at: number): void {
    mapped.set(new Uint8Array(this.described.buffer, this.upFrom, this.upBytes), at);
  }

  /** Takes {@link backBytes} of a copy from the device: paths, then what is kept. */
  takeFrom(mapped: Uint8Array, at: number): void {
    const { paths, kept, pathsFrom, pathBytes, keptBytes, hopBytes, firstEntry } = this;
    new Uint8Array(paths.buffer, pathsFrom, pathBytes).set(mapped.subarray(at, at + pathBytes));
    const from = at + pathBytes;
    new Uint8Array(kept.buffer, hopBytes * firstEntry, keptBytes).set(mapped.subarray(from, from + keptBytes));
  }

  /**
   * Writes down what the device has to know of a packet.
   * @param reads {@link READS} of what may come behind: `first` and `end` become where that begins and ends
   */
  describe(entry: number, slot: number, reads: number): void {
    const { described } = this;
    const { type, flags, l3, l4, l3end, payload, payloadEnd } = this.arena;
    const at = entry * PACKET_WORDS;
    const header = l3[slot]!;
    const data = l4[slot]!;
    const end = l3end[slot]!;
    described[at] = type[slot]! | (flags[slot]! << 8);
    described[at + 1] = header | (end << 16);
    described[at + 2] = data | (payload[slot]! << 16);
    described[at + 3] = payloadEnd[slot]!;
    this.packets++;
    if (header === 0) {
      this.first = 0;
      this.end = 0;
      return;
    }
    this.first = (reads & HEADER) !== 0 ? header : data;
    this.end = (reads & DATA) !== 0 ? end : data;
  }

  /** Leaves paths and what is kept of the round's packets where the host finds them by slot. @param slots by entry */
  unpack(slots: Uint32Array): void {
    const { paths, kept, slotPaths, slotKept, hops, words, firstEntry, count } = this;
    for (let entry = firstEntry; entry < firstEntry + count; entry++) {
      const slot = slots[entry]!;
      if (slot === EMPTY) continue;
      const path = paths[entry]!;
      slotPaths[slot] = path;
      if (path === 0) continue;
      const from = entry * hops * words;
      const to = slot * hops * words;
      for (let hop = 0; hop < hops && ((path >>> (BITS * (hop + 1))) & MASK) !== 0; hop++) {
        for (let i = hop * words; i < (hop + 1) * words; i++) slotKept[to + i] = kept[from + i]!;
      }
    }
  }
}
