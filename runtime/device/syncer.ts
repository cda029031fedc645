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
 *   deadline, which is longer, although all queues are busy: while these dummies are under 1/128 of the packets, for a device that
 *   is never idle pays for them; beyond that, after 8 hard deadlines. The paper has a dummy in every column from the start (IV-D):
 *   rows then go off with whatever is there.
 *
 * test/model/syncer.pml is the proof of the protocol, for one syncer.
 */
import type { Arena } from "../packet/arena.js";
import type { DeviceHandle } from "./device.js";
import { LengthGroups } from "./length-groups.js";
import { RowQueues } from "./row-queues.js";
import { SlotFifo } from "./slot-fifo.js";
import { type Stall, StallWatch } from "./stall.js";

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
  /** ns after which it goes to a busy queue, too. */
  readonly hardDeadline?: number;
  /** ns without progress after which {@link Syncer.stalled} says so. */
  readonly stall?: number;
}

const DEADLINE = 50_000;
const HARD_DEADLINE = 1_000_000;
/** Where dummies would be too many: a packet waits no longer than this many hard deadlines. */
const AT_MOST = 8;
/** Packets that pay for one dummy in a busy queue. */
const PACKETS_PER_DUMMY = 128;
const STALL = 10_000_000_000;
/** The most rows that are grouped by length at once. */
const WINDOW_ROWS = 8;
/** Launches without a turn, per workgroup of the device, after which a queue's time is not started anew. */
const LAUNCHES_PER_WORKGROUP = 2;

/** Whether a row that is not full goes to a queue with rows in flight. */
const enum BUSY {
  NO = 0,
  WITH_CREDIT = 1,
  YES = 2,
}

export class Syncer {
  private readonly queues: RowQueues;
  private readonly size: number;
  private readonly nfs: number;
  private readonly fifos: SlotFifo[];
  private readonly groups: LengthGroups | undefined;
  private readonly deadline: number;
  private readonly hardDeadline: number;
  /** Of each queue; behind them, of the packets that wait. */
  private readonly watch: StallWatch;
  private waitingPackets = 0;
  /** Dummies that packets have paid for, at most a row of them. */
  private credit: number;
  /** Rows published so far. */
  private rows = 0;
  /** The NF that is first to publish. */
  private turn = 0;

  /**
   * @param workgroups whose queues belong to this syncer and to no other; nothing is in flight in them
   * @param counters rows, packets and dummies are added to from index `at` on (see {@link SYNC})
   */
  constructor(
    handle: DeviceHandle,
    arena: Arena,
    workgroups: readonly number[],
    private readonly counters: Float64Array,
    private readonly at: number,
    options: SyncerOptions = {},
  ) {
    this.queues = new RowQueues(handle, workgroups);
    this.size = handle.shape.workgroupSize;
    this.nfs = handle.nfs.length;
    this.fifos = handle.nfs.map(() => new SlotFifo(arena.slots));
    this.groups = handle.lockStep ? new LengthGroups(arena.params, WINDOW_ROWS * this.size) : undefined;
    this.deadline = options.deadline ?? DEADLINE;
    this.hardDeadline = options.hardDeadline ?? HARD_DEADLINE;
    this.credit = this.size;
    const launches = LAUNCHES_PER_WORKGROUP * handle.shape.workgroups;
    this.watch = new StallWatch(workgroups.length + 1, options.stall ?? STALL, launches);
  }

  /** Packets added and not published. */
  get waiting(): number {
    return this.waitingPackets;
  }

  /** Packets published and not collected. */
  get inFlight(): number {
    return this.queues.inFlight;
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
    this.queues.useTable(nf, table);
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
    const room = this.queues.findRoom();
    if (room === 0) {
      this.queues.askForTurn();
      return 0;
    }
    // What is late goes first: full rows of other NFs would take all the room, again and again.
    let rows = late ? this.publishDue(now, hardDeadline, BUSY.WITH_CREDIT) : 0;
    rows += this.publishFull(now, room - rows);
    if (rows === room || this.waitingPackets === 0) return rows;
    return rows + (idle ? this.publishDue(now, 0, BUSY.YES) : this.publishDue(now, this.deadline, BUSY.NO));
  }

  /** Full rows, one NF after the other, so that each gets its share of the room. */
  private publishFull(now: number, room: number): number {
    const { queues, fifos, nfs, size, groups } = this;
    let ready = 0;
    for (let nf = 0; nf < nfs; nf++) if (fifos[nf]!.count >= size) ready++;
    let rows = 0;
    while (ready > 0 && rows < room) {
      const nf = this.turn;
      const fifo = fifos[nf]!;
      if (fifo.count >= size) {
        const full = Math.floor(fifo.count / size);
        const share = Math.floor((room - rows) / ready);
        if (groups === undefined || full === 1 || share <= 1) {
          queues.publishWaiting(queues.choose(nf), nf, fifo, size);
          this.published(fifo, 1, size, now);
          rows++;
        } else {
          const window = Math.min(WINDOW_ROWS, full, share);
          this.publishGrouped(nf, window, groups);
          this.published(fifo, window, window * size, now);
          rows += window;
        }
        if (fifo.count < size) ready--;
      }
      this.turn = nf + 1 === nfs ? 0 : nf + 1;
    }
    return rows;
  }

  /** The oldest packets, `window` rows of them, in rows of like length; all go now, so none grows old in favour of others. */
  private publishGrouped(nf: number, window: number, groups: LengthGroups): void {
    const { queues, size } = this;
    this.fifos[nf]!.shift(groups.slots, 0, window * size);
    const oldest = Math.floor(groups.sort(window * size) / size);
    queues.publishFull(queues.choose(nf), nf, groups.slots, oldest * size);
    for (let row = 0; row < window; row++) {
      if (row !== oldest) queues.publishFull(queues.choose(nf), nf, groups.slots, row * size);
    }
  }

  /** Rows that are not full, of packets that have waited for `age` ns. */
  private publishDue(now: number, age: number, busy: BUSY): number {
    const { queues, fifos, nfs, size, hardDeadline } = this;
    let rows = 0;
    for (let i = 0; i < nfs; i++) {
      const nf = (this.turn + i) % nfs;
      const fifo = fifos[nf]!;
      const { count } = fifo;
      const waited = now - fifo.since;
      if (count === 0 || count >= size || waited < age) continue;
      const queue = queues.choose(nf);
      if (queue < 0) break;
      if (busy !== BUSY.YES && !queues.isIdle(queue)) {
        if (busy === BUSY.NO) continue;
        const dummies = size - count;
        if (this.credit < dummies && waited < AT_MOST * hardDeadline) continue;
        this.credit = Math.max(0, this.credit - dummies);
      }
      queues.publishWaiting(queue, nf, fifo, count);
      this.published(fifo, 1, count, now);
      rows++;
    }
    return rows;
  }

  /** Takes note that rows of an NF went, all that they hold taken from its waiting packets. */
  private published(fifo: SlotFifo, rows: number, packets: number, now: number): void {
    const { counters, at } = this;
    fifo.since = fifo.count === 0 ? -1 : now;
    this.waitingPackets -= packets;
    this.rows += rows;
    this.credit = Math.min(this.size, this.credit + packets / PACKETS_PER_DUMMY);
    counters[at + SYNC.ROWS] = counters[at + SYNC.ROWS]! + rows;
    counters[at + SYNC.PACKETS] = counters[at + SYNC.PACKETS]! + packets;
    counters[at + SYNC.DUMMIES] = counters[at + SYNC.DUMMIES]! + rows * this.size - packets;
  }

  /**
   * Slots whose rows are done, those of a queue in the order they were published.
   * @param out of a row's length at least
   * @returns how many; 0: none is done now
   */
  collect(out: Uint32Array): number {
    return this.queues.collect(out);
  }

  /** What does not go on, where a queue with rows in flight, or packets that wait, have seen no progress for the time limit. */
  stalled(now: number): Stall | undefined {
    return this.watch.due(now) ? this.findStall(now) : undefined;
  }

  private findStall(now: number): Stall | undefined {
    const { queues, watch, fifos } = this;
    const launch = queues.launch();
    let found: Stall | undefined;
    for (let queue = 0; queue < queues.queues; queue++) {
      const cpuIndex = queues.published(queue);
      const gpuIndex = queues.processed(queue);
      // Rows that are done and not collected are no stall of the device's.
      const busy = !queues.isIdle(queue) && gpuIndex !== cpuIndex;
      const ns = watch.standsStill(queue, now, busy, gpuIndex, launch);
      if (ns === 0 || found !== undefined) continue;
      const workgroup = queues.workgroups[queue]!;
      const nf = queues.nfOf(queue, gpuIndex);
      found = { workgroup, cpuIndex, gpuIndex, nf, packets: queues.packetsOf(queue), seconds: ns / 1e9 };
    }
    const ns = watch.standsStill(queues.queues, now, this.waitingPackets > 0 && queues.empty, this.rows, launch);
    if (ns === 0 || found !== undefined) return found;
    const nf = fifos.findIndex((fifo) => fifo.count > 0);
    return { workgroup: undefined, cpuIndex: 0, gpuIndex: 0, nf, packets: fifos[nf]!.count, seconds: ns / 1e9 };
  }

  /**
   * Takes packets back that wait or are in flight, served or not: collect what is done before. The device may still write to what is in
   * flight until it has stopped, and nothing may be published any more.
   * @param out of a row's length at least
   * @returns how many; 0: there are no more
   */
  abandon(out: Uint32Array): number {
    let filled = this.queues.abandon(out);
    // What is in flight first: there may be more of it.
    if (filled > 0) return filled;
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
