/**
 * CPUSyncer (Hummingbird IV-C and IV-D, Algorithm 2): puts packets that wait for a GPU NF into rows of its workgroups' queues, and takes
 * them back when GpuIndex has passed their row. Each thread that works for the device has a syncer of its own, with workgroups that no
 * other has, so syncers share nothing.
 *
 * Which row, when:
 * - A full row as soon as a queue has room that somebody serves in this launch. The queue with the fewest rows in flight gets it; among
 *   equals one of the NF's own partition. So NFs share the device spatially while all are busy, no workgroup idles because its own NF
 *   has nothing to do, and there may be fewer workgroups than NFs.
 * - A row with dummies in its last columns when the caller says that nothing more is coming soon; when the oldest packet has
 *   waited for a deadline and the queue would be idle without it (such a row costs nothing); and when the packet has waited for a hard
 *   deadline, which is longer. The paper has a dummy in every column from the start (IV-D): rows then go off with whatever is there.
 *
 * test/model/syncer.pml is the proof of the protocol, for one syncer.
 */
import type { Arena } from "../packet/arena.js";
import { attachRegion } from "../packet/memory.js";
import type { DeviceHandle } from "./device.js";
import { LengthGroups } from "./length-groups.js";
import { DUMMY, HOST, lineAt, ROW, ROW_HEADER, rowAt, rowWords, WG } from "./queue.js";
import { SlotFifo } from "./slot-fifo.js";
import { type Stall, StallWatch } from "./stall.js";

/** Constants of this module are part of the compiled code; imported bindings are looked up at each use (V8 11, Node 20). */
const EMPTY = DUMMY;
const HEADER = ROW_HEADER;

/** Counters of a syncer, from the place its creator gives. */
export const enum SYNC {
  /** Rows published. */
  ROWS = 0,
  /** Packets in them. */
  PACKETS = 1,
  /** Entries without a packet in them. */
  DUMMIES = 2,
}
export const SYNC_COUNTERS = 3;

export interface SyncerOptions {
  /** ns after which a row goes to an idle queue although it is not full. */
  readonly deadline?: number;
  /** ns after which it goes to any queue. */
  readonly hardDeadline?: number;
  /** ns without progress after which {@link Syncer.stalled} says so. */
  readonly stall?: number;
}

const DEADLINE = 50_000;
const HARD_DEADLINE = 1_000_000;
const STALL = 10_000_000_000;
/** The most rows that are grouped by length at once. */
const WINDOW_ROWS = 8;
/** Launches without a turn, per workgroup of the device, after which a queue's time is not started anew. */
const LAUNCHES_PER_WORKGROUP = 2;

export class Syncer {
  private readonly words: Uint32Array;
  /** The same memory for Atomics: indices are u32, held as i32 and compared by difference. */
  private readonly atomic: Int32Array;

  private readonly size: number;
  private readonly depth: number;
  private readonly rowWords: number;
  private readonly queues: number;
  /** Of each queue: word of its control line, word of its first row, the NF whose partition it is in. */
  private readonly line: Int32Array;
  private readonly rows: Int32Array;
  private readonly partition: Int32Array;
  /** Rows published and rows collected, of each queue. */
  private readonly cpuIndex: Int32Array;
  private readonly taken: Int32Array;
  /** Packets in flight, of each queue. */
  private readonly packets: Int32Array;
  /** 1 where somebody serves the queue in this launch, as publish() last saw it. */
  private readonly open: Uint8Array;
  /** NF of each row, queue after queue. */
  private readonly nfOf: Uint8Array;

  private readonly nfs: number;
  private readonly fifos: SlotFifo[];
  private readonly program: Uint32Array;
  private readonly table: Uint32Array;
  private readonly groups: LengthGroups | undefined;

  private readonly deadline: number;
  private readonly hardDeadline: number;
  /** Of each queue; behind them, of the packets that wait. */
  private readonly watch: StallWatch;

  private waitingPackets = 0;
  private inFlightPackets = 0;
  private inFlightRows = 0;
  /** The NF that is first to publish full rows, and the queue that is first to be collected. */
  private turn = 0;
  private next = 0;

  /**
   * @param workgroups whose queues belong to this syncer and to no other; nothing is in flight in them
   * @param counters rows, packets and dummies are added to from index `at` on (see {@link SYNC})
   */
  constructor(
    handle: DeviceHandle,
    arena: Arena,
    private readonly workgroups: readonly number[],
    private readonly counters: Float64Array,
    private readonly at: number,
    options: SyncerOptions = {},
  ) {
    const { shape } = handle;
    const { buffer } = attachRegion(handle.queue);
    this.words = new Uint32Array(buffer);
    this.atomic = new Int32Array(buffer);
    this.size = shape.workgroupSize;
    this.depth = shape.depth;
    this.rowWords = rowWords(shape);
    const queues = workgroups.length;
    const nfs = handle.nfs.length;
    this.queues = queues;
    this.nfs = nfs;
    this.line = Int32Array.from(workgroups, lineAt);
    this.rows = Int32Array.from(workgroups, (workgroup) => rowAt(shape, workgroup, 0));
    this.partition = Int32Array.from(workgroups, (_, k) => k % nfs);
    this.cpuIndex = Int32Array.from(this.line, (line) => Atomics.load(this.atomic, line + WG.CPU_INDEX));
    this.taken = this.cpuIndex.slice();
    this.packets = new Int32Array(queues);
    this.open = new Uint8Array(queues);
    this.nfOf = new Uint8Array(queues * shape.depth);
    this.fifos = handle.nfs.map(() => new SlotFifo(arena.slots));
    this.program = Uint32Array.from(handle.nfs, (nf) => nf.program);
    this.table = Uint32Array.from(handle.nfs, (nf) => nf.table);
    this.groups = handle.lockStep ? new LengthGroups(arena.params, WINDOW_ROWS * this.size) : undefined;
    this.deadline = options.deadline ?? DEADLINE;
    this.hardDeadline = options.hardDeadline ?? HARD_DEADLINE;
    const launches = LAUNCHES_PER_WORKGROUP * shape.workgroups;
    this.watch = new StallWatch(queues + 1, options.stall ?? STALL, launches);
  }

  /** Packets added and not published. */
  get waiting(): number {
    return this.waitingPackets;
  }

  /** Packets published and not collected. */
  get inFlight(): number {
    return this.inFlightPackets;
  }

  /**
   * Takes slots[from, from + count) for an NF; never refuses.
   * @param nf index into the handle's NFs
   */
  add(nf: number, slots: Uint32Array, from: number, count: number): void {
    this.fifos[nf]!.push(slots, from, count);
    this.waitingPackets += count;
  }

  /**
   * Rows of an NF published from now on name this table.
   * @param table word of the tables' memory at which it begins. The old one is free once all rows now in flight are collected.
   */
  useTable(nf: number, table: number): void {
    this.table[nf] = table;
  }

  /**
   * Publishes full rows where a queue has room, and rows with dummies that are due.
   * @param now ns on a clock that does not go back
   * @param idle nothing more is coming soon: rows that are not full are due
   * @returns rows published
   */
  publish(now: number, idle: boolean): number {
    if (this.waitingPackets === 0) return 0;
    const { fifos, nfs, size, hardDeadline } = this;
    let late = false;
    for (let nf = 0; nf < nfs; nf++) {
      const fifo = fifos[nf]!;
      if (fifo.count === 0) continue;
      if (fifo.since < 0) fifo.since = now;
      else if (fifo.count < size && now - fifo.since >= hardDeadline) late = true;
    }
    const room = this.findRoom();
    if (room === 0) return 0;
    // What is late goes first: full rows of other NFs would take all the room, again and again.
    let rows = late ? this.publishLate(now) : 0;
    rows += this.publishFull(now, room - rows);
    if (rows < room && this.waitingPackets > 0) rows += this.publishDue(now, idle);
    return rows;
  }

  /** Finds out which queues somebody serves in this launch; returns how many rows they take. */
  private findRoom(): number {
    const { atomic, line, open, queues, depth, cpuIndex, taken } = this;
    const launch = Atomics.load(atomic, HOST.LAUNCH);
    // From leave to the next launch nobody would get to a row. Before the first launch every line says "launch 0".
    if (launch === 0 || Atomics.load(atomic, HOST.LEAVE) !== 0 || Atomics.load(atomic, HOST.STOP) !== 0) return 0;
    let room = 0;
    for (let k = 0; k < queues; k++) {
      const registered = Atomics.load(atomic, line[k]! + WG.STARTED) === launch;
      open[k] = registered ? 1 : 0;
      if (registered) room += depth - ((cpuIndex[k]! - taken[k]!) | 0);
    }
    return room;
  }

  /** The open queue with the fewest rows in flight, among equals one of the NF's partition; -1 where none has room. */
  private choose(nf: number): number {
    const { open, queues, cpuIndex, taken, partition } = this;
    let fewest = this.depth;
    let chosen = -1;
    for (let k = 0; k < queues; k++) {
      if (open[k] === 0) continue;
      const inFlight = (cpuIndex[k]! - taken[k]!) | 0;
      if (
        inFlight < fewest ||
        (inFlight === fewest && chosen >= 0 && partition[k] === nf && partition[chosen] !== nf)
      ) {
        fewest = inFlight;
        chosen = k;
      }
    }
    return chosen;
  }

  /** Rows that are not full and have waited for the hard deadline. */
  private publishLate(now: number): number {
    const { fifos, nfs, size, hardDeadline } = this;
    let rows = 0;
    for (let i = 0; i < nfs; i++) {
      const nf = (this.turn + i) % nfs;
      const { count, since } = fifos[nf]!;
      if (count === 0 || count >= size || now - since < hardDeadline) continue;
      const queue = this.choose(nf);
      if (queue < 0) break;
      this.publishWaiting(queue, nf, count, now);
      rows++;
    }
    return rows;
  }

  /** Full rows, one NF after the other, so that each gets its share of the room. */
  private publishFull(now: number, room: number): number {
    const { fifos, nfs, size, groups } = this;
    let ready = 0;
    for (let nf = 0; nf < nfs; nf++) if (fifos[nf]!.count >= size) ready++;
    let rows = 0;
    let nf = this.turn;
    while (ready > 0 && rows < room) {
      const fifo = fifos[nf]!;
      if (fifo.count >= size) {
        const full = Math.floor(fifo.count / size);
        const share = Math.max(1, Math.floor((room - rows) / ready));
        if (groups === undefined || full === 1 || share === 1) {
          this.publishWaiting(this.choose(nf), nf, size, now);
          rows++;
        } else {
          rows += this.publishGrouped(nf, Math.min(WINDOW_ROWS, full, share), now, groups);
        }
        if (fifo.count < size) ready--;
      }
      nf = nf + 1 === nfs ? 0 : nf + 1;
    }
    this.turn = nf;
    return rows;
  }

  /** The oldest packets, `window` rows of them, in rows of like length; all go now, so none grows old in favour of others. */
  private publishGrouped(nf: number, window: number, now: number, groups: LengthGroups): number {
    const { size } = this;
    const fifo = this.fifos[nf]!;
    fifo.shift(groups.slots, 0, window * size);
    this.moved(fifo, now);
    const oldest = Math.floor(groups.sort(window * size) / size);
    this.publishSorted(nf, groups.slots, oldest);
    for (let row = 0; row < window; row++) if (row !== oldest) this.publishSorted(nf, groups.slots, row);
    return window;
  }

  private publishSorted(nf: number, sorted: Uint32Array, row: number): void {
    const { words, size } = this;
    const queue = this.choose(nf);
    const entries = this.rowOf(queue) + HEADER;
    const from = row * size;
    for (let i = 0; i < size; i++) words[entries + i] = sorted[from + i]!;
    this.send(queue, nf, size);
  }

  /** What is left where a row is due for less than the hard deadline. */
  private publishDue(now: number, idle: boolean): number {
    const { fifos, nfs, deadline, cpuIndex, taken } = this;
    let rows = 0;
    for (let i = 0; i < nfs; i++) {
      const nf = (this.turn + i) % nfs;
      const { count, since } = fifos[nf]!;
      if (count === 0 || (!idle && now - since < deadline)) continue;
      const queue = this.choose(nf);
      if (queue < 0) break;
      if (!idle && cpuIndex[queue] !== taken[queue]) continue;
      this.publishWaiting(queue, nf, count, now);
      rows++;
    }
    return rows;
  }

  /** One row of the oldest `count` packets, dummies behind them. */
  private publishWaiting(queue: number, nf: number, count: number, now: number): void {
    const { words, size } = this;
    const fifo = this.fifos[nf]!;
    const entries = this.rowOf(queue) + HEADER;
    fifo.shift(words, entries, count);
    for (let i = count; i < size; i++) words[entries + i] = EMPTY;
    this.moved(fifo, now);
    this.send(queue, nf, count);
  }

  private moved(fifo: SlotFifo, now: number): void {
    fifo.since = fifo.count === 0 ? -1 : now;
  }

  /** Word of the row a queue publishes next. */
  private rowOf(queue: number): number {
    return this.rows[queue]! + (this.cpuIndex[queue]! & (this.depth - 1)) * this.rowWords;
  }

  /** Writes the header of a row whose entries are written, and hands the row over. */
  private send(queue: number, nf: number, count: number): void {
    const { words, size, counters, at } = this;
    const row = this.rowOf(queue);
    words[row + ROW.PROGRAM] = this.program[nf]!;
    words[row + ROW.COUNT] = count;
    words[row + ROW.TABLE] = this.table[nf]!;
    const index = this.cpuIndex[queue]!;
    this.nfOf[queue * this.depth + (index & (this.depth - 1))] = nf;
    this.cpuIndex[queue] = index + 1;
    Atomics.store(this.atomic, this.line[queue]! + WG.CPU_INDEX, (index + 1) | 0);

    this.packets[queue] = this.packets[queue]! + count;
    this.waitingPackets -= count;
    this.inFlightPackets += count;
    this.inFlightRows++;
    counters[at + SYNC.ROWS] = counters[at + SYNC.ROWS]! + 1;
    counters[at + SYNC.PACKETS] = counters[at + SYNC.PACKETS]! + count;
    counters[at + SYNC.DUMMIES] = counters[at + SYNC.DUMMIES]! + size - count;
  }

  /**
   * Slots whose rows are done, those of a queue in the order they were published.
   * @param out of a row's length at least
   * @returns how many; 0: none is done now
   */
  collect(out: Uint32Array): number {
    if (this.inFlightRows === 0) return 0;
    const { atomic, line, cpuIndex, taken, queues } = this;
    let filled = 0;
    let queue = this.next;
    for (let i = 0; i < queues; i++) {
      const published = cpuIndex[queue]!;
      if (published !== taken[queue]) {
        const inFlight = (published - taken[queue]!) >>> 0;
        // As u32: a GpuIndex out of range counts as nothing done.
        const done = inFlight - ((published - Atomics.load(atomic, line[queue]! + WG.GPU_INDEX)) >>> 0);
        for (let row = 0; row < done; row++) {
          const count = this.take(queue, out, filled);
          if (count === 0) {
            this.next = queue;
            return filled;
          }
          filled += count;
        }
      }
      queue = queue + 1 === queues ? 0 : queue + 1;
    }
    return filled;
  }

  /** Takes the oldest row of a queue back; returns its packets, 0 where `out` has no place for them. */
  private take(queue: number, out: Uint32Array, filled: number): number {
    const { words, depth } = this;
    const index = this.taken[queue]!;
    const row = this.rows[queue]! + (index & (depth - 1)) * this.rowWords;
    const count = words[row + ROW.COUNT]!;
    if (filled + count > out.length) return 0;
    const entries = row + HEADER;
    for (let i = 0; i < count; i++) out[filled + i] = words[entries + i]!;
    this.taken[queue] = index + 1;
    this.packets[queue] = this.packets[queue]! - count;
    this.inFlightPackets -= count;
    this.inFlightRows--;
    return count;
  }

  /** What does not go on, where a queue with rows in flight, or packets that wait, have seen no progress for the time limit. */
  stalled(now: number): Stall | undefined {
    return this.watch.due(now) ? this.findStall(now) : undefined;
  }

  private findStall(now: number): Stall | undefined {
    const { atomic, line, watch, queues, depth, cpuIndex, taken } = this;
    const launch = Atomics.load(atomic, HOST.LAUNCH);
    let found: Stall | undefined;
    for (let k = 0; k < queues; k++) {
      const gpuIndex = Atomics.load(atomic, line[k]! + WG.GPU_INDEX);
      // Rows that are done and not collected are no stall of the device's.
      const ns = watch.standsStill(k, now, cpuIndex[k] !== taken[k] && gpuIndex !== cpuIndex[k], gpuIndex, launch);
      if (ns === 0 || found !== undefined) continue;
      found = {
        workgroup: this.workgroups[k]!,
        cpuIndex: cpuIndex[k]! >>> 0,
        gpuIndex: gpuIndex >>> 0,
        nf: this.nfOf[k * depth + (taken[k]! & (depth - 1))]!,
        packets: this.packets[k]!,
        seconds: ns / 1e9,
      };
    }
    const stuck = this.waitingPackets > 0 && this.inFlightRows === 0;
    const rows = this.counters[this.at + SYNC.ROWS]! | 0;
    const ns = watch.standsStill(queues, now, stuck, rows, launch);
    if (ns === 0 || found !== undefined) return found;
    const nf = this.fifos.findIndex((fifo) => fifo.count > 0);
    const packets = this.fifos[nf]!.count;
    return { workgroup: undefined, cpuIndex: 0, gpuIndex: 0, nf, packets, seconds: ns / 1e9 };
  }

  /**
   * Takes packets that wait or are in flight back, served or not: collect what is done before. Nothing may be published afterwards
   * before the device has stopped, which may still write what it was at.
   * @param out of a row's length at least
   * @returns how many; 0: there are no more
   */
  abandon(out: Uint32Array): number {
    let filled = 0;
    for (let queue = 0; queue < this.queues; queue++) {
      while (this.cpuIndex[queue] !== this.taken[queue]) {
        const count = this.take(queue, out, filled);
        if (count === 0) return filled;
        filled += count;
      }
    }
    for (const fifo of this.fifos) {
      const count = Math.min(fifo.count, out.length - filled);
      fifo.shift(out, filled, count);
      filled += count;
      this.waitingPackets -= count;
      if (fifo.count === 0) fifo.since = -1;
    }
    return filled;
  }
}
