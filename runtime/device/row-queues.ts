/**
 * The host's end of some workgroups' queues: which are open, writing rows and handing them over, taking them back. What goes into which
 * row, and when, is the syncer's affair (syncer.ts).
 */
import { attachRegion } from "../packet/memory.js";
import type { DeviceHandle } from "./device.js";
import { DUMMY, HOST, lineAt, ROW, ROW_HEADER, rowAt, rowWords, WG } from "./queue.js";
import type { SlotFifo } from "./slot-fifo.js";
import { wakeThread } from "./wake.js";

/** Constants of this module are part of the compiled code; imported bindings are looked up at each use (V8 11, Node 20). */
const EMPTY = DUMMY;
const HEADER = ROW_HEADER;

/** Queues are named by their position in `workgroups`, NFs by their index in the handle. */
export class RowQueues {
  /** Threads of a workgroup: entries of a row. */
  readonly size: number;
  readonly queues: number;
  private readonly words: Uint32Array;
  /** The same memory for Atomics: indices are u32, held as i32 and compared by difference. */
  private readonly atomic: Int32Array;
  private readonly wake: Int32Array;
  private readonly depth: number;
  private readonly rowWords: number;
  /** Of each queue: word of its control line, word of its first row, the NF whose partition it is in. */
  private readonly line: Int32Array;
  private readonly rows: Int32Array;
  private readonly partition: Int32Array;
  /** Rows published and rows taken back, of each queue. */
  private readonly cpuIndex: Int32Array;
  private readonly taken: Int32Array;
  private readonly packets: Int32Array;
  /** 1 where somebody serves the queue in this launch, as {@link findRoom} last saw it. */
  private readonly open: Uint8Array;
  /** NF of each row, queue after queue. */
  private readonly nfs: Uint8Array;
  private readonly program: Uint32Array;
  private readonly table: Uint32Array;
  private packetsInFlight = 0;
  private rowsInFlight = 0;
  /** The queue that is first to be collected. */
  private next = 0;

  constructor(
    handle: DeviceHandle,
    readonly workgroups: readonly number[],
  ) {
    const { shape } = handle;
    const { buffer } = attachRegion(handle.queue);
    this.words = new Uint32Array(buffer);
    this.atomic = new Int32Array(buffer);
    this.wake = new Int32Array(handle.wake);
    this.size = shape.workgroupSize;
    this.depth = shape.depth;
    this.rowWords = rowWords(shape);
    this.queues = workgroups.length;
    this.line = Int32Array.from(workgroups, lineAt);
    this.rows = Int32Array.from(workgroups, (workgroup) => rowAt(shape, workgroup, 0));
    this.partition = Int32Array.from(workgroups, (_, queue) => queue % handle.nfs.length);
    this.cpuIndex = Int32Array.from(this.line, (line) => Atomics.load(this.atomic, line + WG.CPU_INDEX));
    this.taken = this.cpuIndex.slice();
    this.packets = new Int32Array(this.queues);
    this.open = new Uint8Array(this.queues);
    this.nfs = new Uint8Array(this.queues * shape.depth);
    this.program = Uint32Array.from(handle.nfs, (nf) => nf.program);
    this.table = Uint32Array.from(handle.nfs, (nf) => nf.table);
  }

  /** Packets in flight: published and not taken back. */
  get inFlight(): number {
    return this.packetsInFlight;
  }

  /** True where no row is in flight, in any queue. */
  get empty(): boolean {
    return this.rowsInFlight === 0;
  }

  useTable(nf: number, table: number): void {
    this.table[nf] = table;
  }

  /** Finds out which queues somebody serves in this launch; returns how many rows they take. */
  findRoom(): number {
    const { atomic, line, open, queues, depth, cpuIndex, taken } = this;
    const launch = this.launch();
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

  /** After a {@link findRoom} that found none, while packets wait: tells the device where nobody serves any of these queues. */
  askForTurn(): void {
    const { atomic, line, open, queues } = this;
    if (open.includes(1)) return;
    const launch = this.launch();
    for (let k = 0; k < queues; k++) Atomics.store(atomic, line[k]! + WG.WANTED, launch);
  }

  /** Number of the current launch, 0 before the first. */
  launch(): number {
    return Atomics.load(this.atomic, HOST.LAUNCH);
  }

  /** The open queue with the fewest rows in flight, among equals one of the NF's partition; -1 where none has room. */
  choose(nf: number): number {
    const { open, queues, cpuIndex, taken, partition } = this;
    let fewest = this.depth;
    let chosen = -1;
    for (let k = 0; k < queues; k++) {
      if (open[k] === 0) continue;
      const rows = (cpuIndex[k]! - taken[k]!) | 0;
      if (rows < fewest || (rows === fewest && chosen >= 0 && partition[k] === nf && partition[chosen] !== nf)) {
        fewest = rows;
        chosen = k;
      }
    }
    return chosen;
  }

  isIdle(queue: number): boolean {
    return this.cpuIndex[queue] === this.taken[queue];
  }

  /** Publishes a row of the oldest `count` of those that wait, dummies behind them. The queue has room. */
  publishWaiting(queue: number, nf: number, fifo: SlotFifo, count: number): void {
    const { words, size } = this;
    const entries = this.rowAt(queue, this.cpuIndex[queue]!) + HEADER;
    fifo.shift(words, entries, count);
    for (let i = count; i < size; i++) words[entries + i] = EMPTY;
    this.send(queue, nf, count);
  }

  /** Publishes a full row of slots[from...]. The queue has room. */
  publishFull(queue: number, nf: number, slots: Uint32Array, from: number): void {
    const { words, size } = this;
    const entries = this.rowAt(queue, this.cpuIndex[queue]!) + HEADER;
    for (let i = 0; i < size; i++) words[entries + i] = slots[from + i]!;
    this.send(queue, nf, size);
  }

  private rowAt(queue: number, index: number): number {
    return this.rows[queue]! + (index & (this.depth - 1)) * this.rowWords;
  }

  /** Writes the header of a row whose entries are written, and hands the row over. */
  private send(queue: number, nf: number, count: number): void {
    const { words } = this;
    const index = this.cpuIndex[queue]!;
    const row = this.rowAt(queue, index);
    words[row + ROW.PROGRAM] = this.program[nf]!;
    words[row + ROW.COUNT] = count;
    words[row + ROW.TABLE] = this.table[nf]!;
    words[row + ROW.NF] = nf;
    this.nfs[queue * this.depth + (index & (this.depth - 1))] = nf;
    this.packets[queue] = this.packets[queue]! + count;
    this.packetsInFlight += count;
    this.rowsInFlight++;
    this.cpuIndex[queue] = index + 1;
    Atomics.store(this.atomic, this.line[queue]! + WG.CPU_INDEX, (index + 1) | 0);
    // After the row is there: the thread raises it, then looks for rows, then sleeps.
    if (Atomics.load(this.atomic, HOST.ASLEEP) === 1) this.wakeThread();
  }

  private wakeThread(): void {
    Atomics.store(this.atomic, HOST.ASLEEP, 0);
    wakeThread(this.wake);
  }

  /** Takes the packets of rows that are done, as many rows as fit in `out`; 0 where none is done. */
  collect(out: Uint32Array): number {
    if (this.rowsInFlight === 0) return 0;
    const { atomic, line, cpuIndex, taken, queues } = this;
    let filled = 0;
    let queue = this.next;
    for (let i = 0; i < queues; i++) {
      const published = cpuIndex[queue]!;
      if (published !== taken[queue]) {
        const gpuIndex = Atomics.load(atomic, line[queue]! + WG.GPU_INDEX);
        // As u32: a GpuIndex that is out of range counts as nothing done.
        const done = ((published - taken[queue]!) >>> 0) - ((published - gpuIndex) >>> 0);
        for (let row = 0; row < done; row++) {
          const count = this.take(queue, out, filled);
          if (count === 0) {
            // The next call begins with a queue of which this one has taken nothing.
            this.next = row === 0 ? queue : (queue + 1) % queues;
            return filled;
          }
          filled += count;
        }
      }
      queue = queue + 1 === queues ? 0 : queue + 1;
    }
    return filled;
  }

  /** Takes the packets of all rows in flight, done or not, as many rows as fit in `out`; 0 where there is none. */
  abandon(out: Uint32Array): number {
    let filled = 0;
    for (let queue = 0; queue < this.queues; queue++) {
      while (!this.isIdle(queue)) {
        const count = this.take(queue, out, filled);
        if (count === 0) return filled;
        filled += count;
      }
    }
    return filled;
  }

  /** Takes the oldest row of a queue back; returns its packets, 0 where `out` has no place for them. */
  private take(queue: number, out: Uint32Array, filled: number): number {
    const { words } = this;
    const index = this.taken[queue]!;
    const row = this.rowAt(queue, index);
    const count = words[row + ROW.COUNT]!;
    if (filled + count > out.length) return 0;
    const entries = row + HEADER;
    for (let i = 0; i < count; i++) out[filled + i] = words[entries + i]!;
    this.taken[queue] = index + 1;
    this.packets[queue] = this.packets[queue]! - count;
    this.packetsInFlight -= count;
    this.rowsInFlight--;
    return count;
  }

  /** Rows published to a queue and rows its workgroup has processed, u32. */
  published(queue: number): number {
    return this.cpuIndex[queue]! >>> 0;
  }

  processed(queue: number): number {
    return Atomics.load(this.atomic, this.line[queue]! + WG.GPU_INDEX) >>> 0;
  }

  /** NF of a row in flight. */
  nfOf(queue: number, index: number): number {
    return this.nfs[queue * this.depth + (index & (this.depth - 1))]!;
  }

  /** Packets in flight in a queue. */
  packetsOf(queue: number): number {
    return this.packets[queue]!;
  }
}
