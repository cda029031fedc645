/**
 * The rows of a round as they are copied to a device: rows, params, and of each packet the bytes its PLACE names, one behind the other. A
 * packet keeps its place modulo {@link PACKED}, so that what is aligned in a slot is aligned there.
 */
import type { Arena } from "../packet/arena.js";
import { attachRegion, copyMemory, mapRegion, type RegionHandle, unmapRegion } from "../packet/memory.js";
import type { AheadRound } from "./ahead-round.js";
import { DUMMY, PARAM_PLACE, type QueueShape, ROW, ROW_HEADER, rowWords } from "./queue.js";

/** Bytes of the unit an entry of a packed row counts in; WB_PACKED of the kernels. */
export const PACKED = 64;
/** Imported bindings are looked up at each use (V8 11, Node 20). */
const UNIT = PACKED;
const EMPTY = DUMMY;
const HEADER = ROW_HEADER;
const PLACE = PARAM_PLACE;
const copy = copyMemory;
/** Words from which on a call of memcpy costs less than a loop. */
const LONG = 32;
/** Words of params, and words of a slot as a shift. */
const WORDS = 8;
const SLOT_WORDS_SHIFT = 9;
/** A packet's bytes, and what it may lie behind its predecessor. */
const MOST_PER_PACKET = 2048 + UNIT;

export class PackedRound {
  /** What is copied to the device and back: packets, params, rows, one behind the other; {@link packetBytes} and so on are their sizes. */
  readonly memory: Uint8Array<ArrayBuffer>;
  /** Addresses of the three. */
  readonly packetsAt: number;
  readonly paramsAt: number;
  readonly rowsAt: number;
  /** Bytes of the three, at most. */
  readonly packetBytes: number;
  readonly paramBytes: number;
  readonly rowBytes: number;
  /** Rows of this round. */
  count = 0;
  /** Bytes of packets of this round, gaps between them included; those that kernels write to lie first, up to `writtenEnd`. */
  packetEnd = 0;
  writtenEnd = 0;
  /** Bytes that PLACEs name, and of those the ones that kernels write to; packets of this round. */
  placeBytes = 0;
  writtenBytes = 0;
  packets = 0;

  private readonly region: RegionHandle;
  private readonly bytes: Uint32Array;
  private readonly params: Uint32Array;
  private readonly rows: Uint32Array;
  /** Of each entry: its slot, and its PLACE as it was; the kernel may change the params. */
  private readonly slots: Uint32Array;
  private readonly places: Uint32Array;

  /**
   * @param mostRows rows of a round
   * @param writes by ROW.PROGRAM: 1 where the kernel writes to packets
   */
  constructor(
    private readonly arena: Arena,
    private readonly shape: QueueShape,
    mostRows: number,
    private readonly writes: Uint8Array,
    /** Where packets may go on from NF to NF on the device. */
    readonly ahead?: AheadRound,
  ) {
    const entries = mostRows * shape.workgroupSize;
    this.packetBytes = PackedRound.packetBytesOf(entries);
    this.paramBytes = entries * WORDS * 4;
    this.rowBytes = mostRows * rowWords(shape) * 4;
    const region = mapRegion(this.packetBytes + this.paramBytes + this.rowBytes);
    this.region = region;
    this.packetsAt = region.address;
    this.paramsAt = this.packetsAt + this.packetBytes;
    this.rowsAt = this.paramsAt + this.paramBytes;
    const { buffer } = attachRegion(region);
    this.memory = new Uint8Array(buffer);
    this.bytes = new Uint32Array(buffer, 0, this.packetBytes / 4);
    this.params = new Uint32Array(buffer, this.packetBytes, this.paramBytes / 4);
    this.rows = new Uint32Array(buffer, this.packetBytes + this.paramBytes, this.rowBytes / 4);
    this.slots = new Uint32Array(entries);
    this.places = new Uint32Array(entries);
  }

  /** Bytes of packets of a round with so many entries, at most. */
  static packetBytesOf(entries: number): number {
    return entries * MOST_PER_PACKET + UNIT;
  }

  /** Bytes of params of this round, and of its rows. */
  get paramEnd(): number {
    return this.count * this.shape.workgroupSize * WORDS * 4;
  }
  get rowEnd(): number {
    return this.count * rowWords(this.shape) * 4;
  }

  /**
   * Copies rows in: those first whose packets come back, and those side by side from which packets may go on. `at`: where each begins in
   * `queue`.
   */
  pack(queue: Uint32Array, at: Uint32Array, count: number): void {
    const { ahead } = this;
    this.count = 0;
    this.packetEnd = 0;
    this.placeBytes = 0;
    this.packets = 0;
    this.packRows(queue, at, count, 1, false);
    if (ahead !== undefined) {
      ahead.packets = 0;
      ahead.from = this.count;
      this.packRows(queue, at, count, 1, true);
    }
    this.writtenEnd = this.packetEnd;
    this.writtenBytes = this.placeBytes;
    if (ahead !== undefined) {
      this.packRows(queue, at, count, 0, true);
      ahead.to = this.count;
    }
    this.packRows(queue, at, count, 0, false);
  }

  /** Those among the rows whose kernel writes to packets, or does not, and from which packets go on, or do not. */
  private packRows(queue: Uint32Array, at: Uint32Array, count: number, writes: 0 | 1, goesOn: boolean): void {
    const { ahead } = this;
    for (let i = 0; i < count; i++) {
      const row = at[i]!;
      if (this.writes[queue[row + ROW.PROGRAM]!] !== writes) continue;
      const reads = ahead === undefined ? 0 : ahead.reads[queue[row + ROW.NF]!]!;
      if ((reads !== 0) === goesOn) this.packRow(queue, row, reads);
    }
  }

  /** @param reads READS of the NFs behind: the device needs that of the packets as well */
  private packRow(queue: Uint32Array, at: number, reads: number): void {
    const { arena, params, rows, slots, places, bytes, packetsAt, ahead } = this;
    const size = this.shape.workgroupSize;
    const row = this.count * (HEADER + size);
    for (let i = 0; i < HEADER; i++) rows[row + i] = queue[at + i]!;
    let end = this.packetEnd;
    for (let t = 0; t < size; t++) {
      const entry = this.count * size + t;
      const slot = queue[at + HEADER + t]!;
      slots[entry] = slot;
      if (slot === EMPTY) {
        rows[row + HEADER + t] = EMPTY;
        continue;
      }
      for (let i = 0; i < WORDS; i++) params[entry * WORDS + i] = arena.params[slot * WORDS + i]!;
      const place = params[entry * WORDS + PLACE]!;
      places[entry] = place;
      let first = place & 0xffff;
      let behind = first + (place >>> 16);
      if (reads !== 0) {
        ahead!.describe(entry, slot, reads);
        if (ahead!.end > ahead!.first) {
          // A place of no bytes is nowhere.
          first = behind === first ? ahead!.first : Math.min(first, ahead!.first);
          behind = Math.max(behind, ahead!.end);
        }
      }
      // Whole words: a packet shares none with its neighbour.
      const from = first >>> 2;
      const to = (behind + 3) >>> 2;
      const base = end > 4 * from ? Math.ceil((end - 4 * from) / UNIT) : 0;
      rows[row + HEADER + t] = base;
      const there = (base * UNIT) / 4;
      const here = slot << SLOT_WORDS_SHIFT;
      if (to - from < LONG) for (let i = from; i < to; i++) bytes[there + i] = arena.u32[here + i]!;
      else copy(packetsAt + 4 * (there + from), arena.address + 4 * (here + from), 4 * (to - from));
      end = 4 * (there + to);
      this.placeBytes += behind - first;
      this.packets++;
    }
    this.packetEnd = end;
    this.count++;
  }

  /** Copies back what the kernels have written. */
  unpack(): void {
    const { arena, params, rows, slots, places, bytes, packetsAt } = this;
    const size = this.shape.workgroupSize;
    for (let r = 0; r < this.count; r++) {
      const row = r * (HEADER + size);
      const written = this.writes[rows[row + ROW.PROGRAM]!] === 1;
      for (let t = 0; t < size; t++) {
        const entry = r * size + t;
        const slot = slots[entry]!;
        if (slot === EMPTY) continue;
        for (let i = 0; i < WORDS; i++) arena.params[slot * WORDS + i] = params[entry * WORDS + i]!;
        if (!written) continue;
        const place = places[entry]!;
        const first = place & 0xffff;
        const to = (first + (place >>> 16) + 3) >>> 2;
        const there = (rows[row + HEADER + t]! * UNIT) / 4;
        const here = slot << SLOT_WORDS_SHIFT;
        const from = first >>> 2;
        if (to - from < LONG) for (let i = from; i < to; i++) arena.u32[here + i] = bytes[there + i]!;
        else copy(arena.address + 4 * (here + from), packetsAt + 4 * (there + from), 4 * (to - from));
      }
    }
    this.ahead?.unpack(slots);
  }

  /** Bytes of packets and params that a round copies, there and back. */
  get bytesCopied(): number {
    return this.placeBytes + this.writtenBytes + 2 * 4 * WORDS * this.packets + (this.ahead?.bytesCopied ?? 0);
  }

  free(): void {
    unmapRegion(this.region);
  }
}
