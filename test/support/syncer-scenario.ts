/**
 * Syncers and a GPUSyncer of random shape over one queue, driven by random actions, with a plain account of every packet and of what each
 * publish() had to do.
 */
import * as assert from "uvu/assert";
import { DUMMY, HOST, lineAt, PARAM_PLACE, ROW, ROW_HEADER, rowAt, WG } from "../../runtime/device/queue.js";
import { SYNC, SYNC_COUNTERS, Syncer } from "../../runtime/device/syncer.js";
import { Arena, PARAM_WORDS } from "../../runtime/packet/arena.js";
import { attachRegion } from "../../runtime/packet/memory.js";
import { type FakeDevice, fakeDevice } from "./fake-device.js";
import { GpuSyncer } from "./gpu-syncer.js";
import type { Random } from "./random.js";

const DEADLINE = 50_000;
const HARD_DEADLINE = 1_000_000;
/** The counters begin here, so that one that ignores its place is found out. */
const COUNTERS_AT = 2;

const enum PACKET {
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

export class SyncerScenario {
  readonly name: string;
  readonly lockStep: boolean;
  rows = 0;
  dummies = 0;
  launches = 0;
  private readonly size: number;
  private readonly depth: number;
  private readonly device: FakeDevice;
  private readonly arena: Arena;
  private readonly words: Uint32Array;
  private readonly gpu: GpuSyncer;
  private readonly sides: Side[] = [];
  private readonly nfs: { program: number; table: number }[];
  private readonly startIndex: number;
  /** Of each slot: where it is, whose it is. */
  private readonly state: PACKET[];
  private readonly nfOf: number[];
  private readonly sideOf: number[];
  /** Of each slot in flight: the table its row names. */
  private readonly tableOf: number[];
  /** Of each workgroup: rows in flight, oldest first, and the index of the next. */
  private readonly flight: Row[][];
  private readonly nextIndex: number[];
  private now: number;

  constructor(private readonly random: Random) {
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

  /** One random action. */
  act(): void {
    const { random } = this;
    const side = random.int(0, this.sides.length - 1);
    const what = random.int(0, 99);
    if (what < 20) this.add(side, random.int(1, 3 * this.size));
    else if (what < 50) this.publish(side, random.chance(0.15));
    else if (what < 65) this.collect(side);
    else if (what < 95) this.steps(random.int(1, 12));
    else this.turnOver();
    if (random.chance(0.3))
      this.now += random.pick([1000, DEADLINE / 2, DEADLINE, HARD_DEADLINE / 3, HARD_DEADLINE, 7 * HARD_DEADLINE]);
    if (random.chance(0.02)) this.changeTable();
  }

  /** The device leaves, is launched again, or goes on. */
  private turnOver(): void {
    if (!this.gpu.returned) this.gpu.leave();
    else {
      this.gpu.launch(this.random.int(1, this.device.handle.shape.workgroups));
      this.launches++;
    }
  }

  private steps(count: number): void {
    for (let i = 0; i < count; i++) this.gpu.step(this.random.int(0, this.device.handle.shape.workgroups - 1));
  }

  private changeTable(): void {
    const nf = this.random.int(0, this.nfs.length - 1);
    this.nfs[nf] = { program: this.nfs[nf]!.program, table: this.random.int(100, 199) };
    for (const { syncer } of this.sides) syncer.useTable(nf, this.nfs[nf]!.table);
  }

  private add(side: number, most: number): void {
    const { random, state } = this;
    const nf = random.int(0, this.nfs.length - 1);
    const free = [...state.keys()].filter((slot) => state[slot] === PACKET.FREE).slice(0, most);
    for (const slot of free) {
      state[slot] = PACKET.WAITING;
      this.nfOf[slot] = nf;
      this.sideOf[slot] = side;
    }
    const from = random.int(0, 3);
    const to = this.sides[side]!;
    to.syncer.add(nf, Uint32Array.from([...new Array(from).fill(DUMMY), ...free, DUMMY]), from, free.length);
    to.waiting[nf]! += free.length;
  }

  private word(workgroup: number, word: WG): number {
    return this.words[lineAt(workgroup) + word]!;
  }

  /** Publishes, and checks every row that appeared and every one that did not. */
  private publish(index: number, idle: boolean): void {
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
  private collect(index: number): void {
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
  private checkRowTaken(side: Side, slots: Uint32Array, done: boolean): number {
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

  /** Nothing more comes: all packets come back served, however few workgroups run in a slice. */
  drain(): number {
    const { workgroups } = this.device.handle.shape;
    const left = () => this.sides.some(({ syncer }) => syncer.waiting + syncer.inFlight > 0);
    for (let round = 0; left(); round++) {
      assert.ok(round < 5000, "packets are left behind");
      if (this.gpu.returned) this.gpu.launch(this.random.int(1, workgroups));
      this.gpu.run();
      for (let side = 0; side < this.sides.length; side++) {
        this.publish(side, true);
        this.collect(side);
      }
      this.gpu.leave();
      this.gpu.run();
    }
    assert.ok(
      this.state.every((state) => state === PACKET.FREE),
      "every packet came back",
    );
    return 0;
  }

  /** The device stops at once; what it did not get to comes back unserved. Returns how many did. */
  abandon(): number {
    this.gpu.stop();
    this.gpu.run();
    let total = 0;
    for (const [index, side] of this.sides.entries()) {
      const { syncer } = side;
      this.collect(index);
      assert.is(syncer.publish(this.now + HARD_DEADLINE, true), 0, "published after stop");
      const out = new Uint32Array(this.size + this.random.int(0, this.size));
      for (let count = syncer.abandon(out); count > 0; count = syncer.abandon(out)) {
        let at = 0;
        while (at < count && side.inFlight > 0) at += this.checkRowTaken(side, out.subarray(at, count), false);
        for (; at < count; at++) {
          assert.is(this.state[out[at]!], PACKET.WAITING);
          assert.is(this.sides[this.sideOf[out[at]!]!], side);
          this.state[out[at]!] = PACKET.FREE;
        }
        total += count;
      }
      assert.is(syncer.waiting + syncer.inFlight, 0);
    }
    assert.ok(
      this.state.every((state) => state === PACKET.FREE),
      "every packet came back",
    );
    return total;
  }

  checkCounters(): void {
    for (const { counters, rows, packets, workgroups } of this.sides) {
      const published = workgroups.map((w) => (this.word(w, WG.CPU_INDEX) - this.startIndex) >>> 0);
      assert.is(
        rows,
        published.reduce((a, b) => a + b),
      );
      assert.is(counters[COUNTERS_AT + SYNC.ROWS], rows);
      assert.is(counters[COUNTERS_AT + SYNC.PACKETS], packets);
      assert.is(counters[COUNTERS_AT + SYNC.DUMMIES], rows * this.size - packets);
      assert.equal([counters[COUNTERS_AT - 1], counters[COUNTERS_AT + SYNC_COUNTERS]], [7, 7]);
    }
  }
}
