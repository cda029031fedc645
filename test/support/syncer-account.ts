/**
 * Syncers and a GPUSyncer of random shape over one queue, with a plain account of every packet, and of what each publish() and each
 * collect() had to do.
 */
import * as assert from "uvu/assert";
import { DUMMY, HOST, lineAt, PARAM_PLACE, ROW, ROW_HEADER, rowAt, WG } from "../../runtime/device/queue.js";
import { SYNC_COUNTERS, Syncer } from "../../runtime/device/syncer.js";
import { Arena, PARAM_WORDS } from "../../runtime/packet/arena.js";
import { attachRegion } from "../../runtime/packet/memory.js";
import { type FakeDevice, fakeDevice } from "./fake-device.js";
import { GpuSyncer } from "./gpu-syncer.js";
import type { Random } from "./random.js";

export const DEADLINE = 50_000;
export const HARD_DEADLINE = 1_000_000;
/** The counters begin here, so that one that ignores its place is found out. */
export const COUNTERS_AT = 2;

export const enum PACKET {
  FREE = 0,
  WAITING = 1,
  IN_FLIGHT = 2,
  SERVED = 3,
}

interface Row {
  readonly index: number;
  readonly slots: readonly number[];
}

/** One syncer and what is known of it. */
interface Side {
  readonly syncer: Syncer;
  readonly workgroups: readonly number[];
  readonly counters: Float64Array;
  /** Packets that wait, of each NF, and since when the oldest does as the syncer counts it; -1: none does. */
  readonly waiting: number[];
  readonly since: number[];
  rows: number;
  packets: number;
  inFlight: number;
  /** Dummies in queues that were busy. */
  paid: number;
}

export class SyncerAccount {
  readonly name: string;
  readonly lockStep: boolean;
  rows = 0;
  dummies = 0;
  launches = 0;
  protected readonly size: number;
  protected readonly depth: number;
  protected readonly device: FakeDevice;
  protected readonly arena: Arena;
  protected readonly words: Uint32Array;
  protected readonly gpu: GpuSyncer;
  protected readonly sides: Side[] = [];
  protected readonly nfs: { program: number; table: number }[];
  protected readonly startIndex: number;
  /** Of each slot: where it is, whose it is. */
  protected readonly state: PACKET[];
  protected readonly nfOf: number[];
  protected readonly sideOf: number[];
  /** Of each slot in flight: the table its row names. */
  protected readonly tableOf: number[];
  /** Of each workgroup: rows in flight, oldest first, and the index of the next. */
  protected readonly flight: Row[][];
  protected readonly nextIndex: number[];
  protected now: number;

  constructor(protected readonly random: Random) {
    const workgroups = random.int(1, 8);
    this.size = 2 ** random.int(0, 6);
    this.depth = 2 ** random.int(0, 3);
    this.lockStep = random.chance(0.5);
    this.startIndex = random.pick([0, 2 ** 31 - 3, 2 ** 32 - 3, random.u32()]);
    this.now = random.int(0, 1e9);
    this.nfs = Array.from({ length: random.int(1, 4) }, () => ({
      program: random.int(0, 2),
      table: random.int(0, 99),
    }));
    const { size, depth, nfs, startIndex, lockStep } = this;
    this.device = fakeDevice({ workgroups, workgroupSize: size, depth, nfs, startIndex, lockStep });
    const slots = random.pick([1, size, 100, 700]);
    this.arena = Arena.create(slots);
    for (let slot = 0; slot < slots; slot++) {
      this.arena.params[slot * PARAM_WORDS + PARAM_PLACE] = (random.int(0, 2047) << 16) | random.int(0, 0xffff);
    }
    this.state = new Array<PACKET>(slots).fill(PACKET.FREE);
    this.nfOf = new Array<number>(slots).fill(0);
    this.sideOf = new Array<number>(slots).fill(0);
    this.tableOf = new Array<number>(slots).fill(0);
    this.flight = Array.from({ length: workgroups }, () => []);
    this.nextIndex = new Array<number>(workgroups).fill(startIndex);
    this.words = new Uint32Array(attachRegion(this.device.handle.queue).buffer);
    this.gpu = new GpuSyncer(this.device.handle, (program, slot, table) => this.serve(program, slot, table));

    const split = workgroups > 1 && random.chance(0.5) ? random.int(1, workgroups - 1) : workgroups;
    const numbers = Array.from({ length: workgroups }, (_, i) => i).sort(() => random.u32() - 2 ** 31);
    for (const own of [numbers.slice(0, split), numbers.slice(split)]) if (own.length > 0) this.addSide(own);
    this.name = `${workgroups} workgroups of ${size}, depth ${depth}, ${slots} slots, ${nfs.length} NFs, from ${startIndex}`;
  }

  private addSide(workgroups: readonly number[]): void {
    const counters = new Float64Array(COUNTERS_AT + SYNC_COUNTERS + 1).fill(7);
    counters.fill(0, COUNTERS_AT, COUNTERS_AT + SYNC_COUNTERS);
    const options = { deadline: DEADLINE, hardDeadline: HARD_DEADLINE };
    const syncer = new Syncer(this.device.handle, this.arena, workgroups, counters, COUNTERS_AT, options);
    const waiting = this.nfs.map(() => 0);
    const since = this.nfs.map(() => -1);
    this.sides.push({ syncer, workgroups, counters, waiting, since, rows: 0, packets: 0, inFlight: 0, paid: 0 });
  }

  close(): void {
    this.device.close();
    this.arena.free();
  }

  protected word(workgroup: number, word: WG): number {
    return this.words[lineAt(workgroup) + word]!;
  }

  /** Publishes, and checks every row that appeared and every one that did not. */
  protected publish(index: number, idle: boolean): void {
    const side = this.sides[index]!;
    const { syncer, workgroups, waiting, since } = side;
    const before = workgroups.map((workgroup) => this.flight[workgroup]!.length);
    for (const [nf, count] of waiting.entries()) if (count > 0 && since[nf]! < 0) since[nf] = this.now;
    const age = since.map((start) => (start < 0 ? -1 : this.now - start));

    const rows = syncer.publish(this.now, idle);
    let seen = 0;
    for (const [k, workgroup] of workgroups.entries()) {
      const published = (this.word(workgroup, WG.CPU_INDEX) - this.nextIndex[workgroup]!) >>> 0;
      for (let i = 0; i < published; i++) this.takeNoteOfRow(side, workgroup, idle, age, before[k]! + i === 0);
      seen += published;
      assert.ok(this.flight[workgroup]!.length <= this.depth, "more rows in flight than the queue holds");
      if (published > 0) assert.ok(this.isOpen(workgroup), "published to a queue that nobody serves");
    }
    assert.is(rows, seen, "rows published");
    side.rows += rows;
    this.rows += rows;
    assert.is(
      syncer.waiting,
      waiting.reduce((a, b) => a + b),
    );
    assert.is(syncer.inFlight, side.inFlight);

    // What was due and had room went.
    const room = workgroups.filter((w) => this.isOpen(w) && this.flight[w]!.length < this.depth);
    if (room.length === 0) return;
    const idleQueue = room.some((w) => this.flight[w]!.length === 0);
    for (const [nf, count] of waiting.entries()) {
      assert.ok(count < this.size, `${count} packets of NF ${nf} wait, and there is room`);
      if (count === 0 || since[nf] === this.now) continue;
      assert.not.ok(idle, "waits, though nothing more is coming and there is room");
      assert.ok(age[nf]! < 8 * HARD_DEADLINE, "waits for more than 8 hard deadlines, and there is room");
      assert.ok(age[nf]! < DEADLINE || !idleQueue, "waits for more than the deadline, and a queue is idle");
    }
  }

  private isOpen(workgroup: number): boolean {
    const launch = this.words[HOST.LAUNCH]!;
    return launch !== 0 && this.words[HOST.LEAVE] === 0 && this.word(workgroup, WG.STARTED) === launch;
  }

  /** @param alone nothing was in flight in the queue before this row */
  private takeNoteOfRow(side: Side, workgroup: number, idle: boolean, age: readonly number[], alone: boolean): void {
    const { words, size } = this;
    const index = this.nextIndex[workgroup]!;
    this.nextIndex[workgroup] = (index + 1) >>> 0;
    const row = rowAt(this.device.handle.shape, workgroup, index);
    const count = words[row + ROW.COUNT]!;
    assert.ok(count >= 1 && count <= size, `COUNT ${count}`);
    const entries = [...words.subarray(row + ROW_HEADER, row + ROW_HEADER + size)];
    const slots = entries.slice(0, count);
    assert.ok(
      entries.slice(count).every((entry) => entry === DUMMY),
      "behind the packets are dummies",
    );
    const nf = this.nfOf[slots[0]!]!;
    for (const slot of slots) {
      assert.is(this.state[slot], PACKET.WAITING, `slot ${slot} did not wait`);
      assert.is(this.nfOf[slot], nf, "one NF in a row");
      assert.is(this.sides[this.sideOf[slot]!], side, "a row of the syncer that was given the packets");
      this.state[slot] = PACKET.IN_FLIGHT;
      this.tableOf[slot] = this.nfs[nf]!.table;
    }
    assert.is(words[row + ROW.PROGRAM], this.nfs[nf]!.program);
    assert.is(words[row + ROW.TABLE], this.nfs[nf]!.table);
    if (count < size && !idle) {
      assert.ok(age[nf]! >= DEADLINE, "dummies before the deadline");
      assert.ok(age[nf]! >= HARD_DEADLINE || alone, "dummies before the hard deadline, in a queue that is busy");
      if (!alone && age[nf]! < 8 * HARD_DEADLINE) side.paid += size - count;
    }
    this.flight[workgroup]!.push({ index, slots });
    side.waiting[nf]! -= count;
    side.since[nf] = side.waiting[nf] === 0 ? -1 : this.now;
    side.packets += count;
    side.inFlight += count;
    this.dummies += size - count;
    assert.ok(side.paid <= size + side.packets / 128, `${side.paid} dummies in busy queues, ${side.packets} packets`);
  }

  /** What the device does with a packet. */
  private serve(program: number, slot: number, table: number): void {
    assert.is(this.state[slot], PACKET.IN_FLIGHT, `slot ${slot} is served, but not in flight`);
    assert.is(program, this.nfs[this.nfOf[slot]!]!.program);
    assert.is(table, this.tableOf[slot]);
    this.state[slot] = PACKET.SERVED;
  }

  /** Collects all that is done, and checks that it is whole rows in their order, and all of them. */
  protected collect(index: number): void {
    const side = this.sides[index]!;
    const out = new Uint32Array(this.size + this.random.int(0, 2 * this.size));
    for (let count = side.syncer.collect(out); count > 0; count = side.syncer.collect(out)) {
      for (let at = 0; at < count; ) at += this.checkRowTaken(side, out.subarray(at, count), true);
    }
    for (const workgroup of side.workgroups) {
      const oldest = this.flight[workgroup]![0];
      if (oldest !== undefined) assert.not.ok(this.isDone(workgroup, oldest), "a row that is done was not collected");
    }
    assert.is(side.syncer.inFlight, side.inFlight);
  }

  private isDone(workgroup: number, row: Row): boolean {
    return ((this.word(workgroup, WG.GPU_INDEX) - row.index) | 0) > 0;
  }

  /** Strikes the row that `slots` begins with off the account; returns its packets. */
  protected checkRowTaken(side: Side, slots: Uint32Array, done: boolean): number {
    const workgroup = side.workgroups.find((w) => this.flight[w]![0]?.slots[0] === slots[0]);
    assert.is.not(workgroup, undefined, `slot ${slots[0]} is not the first of a queue's oldest row`);
    const row = this.flight[workgroup!]!.shift()!;
    assert.equal([...slots.subarray(0, row.slots.length)], row.slots, "a row comes back whole, in its order");
    if (done) assert.ok(this.isDone(workgroup!, row), "collected before GpuIndex has passed it");
    for (const slot of row.slots) {
      if (done) assert.is(this.state[slot], PACKET.SERVED, `slot ${slot} was not served`);
      this.state[slot] = PACKET.FREE;
    }
    side.inFlight -= row.slots.length;
    return row.slots.length;
  }
}
