/** The receive patterns at rings in memory: every packet exactly once, whatever threads and indices do. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { makeRings, openRings, SyntheticNic } from "../bench/live/shared-queue/synthetic-ring.js";
import type { RxPattern } from "../runtime/nic/port.js";
import type { QueueEnd } from "../runtime/nic/shared-queue/end.js";
import { acquirersOf, canShare, joinQueue, shareQueue } from "../runtime/nic/shared-queue/queue.js";
import { WORD } from "../runtime/nic/shared-queue/words.js";
import { Arena } from "../runtime/packet/arena.js";
import { CONTROL, type QueueAnswer, type QueueJob } from "./support/queue-worker.js";
import { freshSeed, Random } from "./support/random.js";

const RING = 256;
/** Of each thread; fewer than a ring has entries, so that pools run empty. */
const SLOTS = 320;
const ALL: readonly RxPattern[] = ["default", "arbitration", "range", "parent"];

test("numbers of threads", () => {
  const of = (pattern: RxPattern) => [1, 2, 3, 4, 5, 6, 7, 8, 9].filter((threads) => canShare(pattern, threads));
  assert.equal(of("default"), [1]);
  assert.equal(of("arbitration"), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(of("range"), [1, 2, 4, 8]);
  assert.equal(of("parent"), [2, 3, 5, 9]);
});

/** Numbers of packets, from 0 on, by the plain rules of a pattern. */
class Model {
  arrived = 0;
  readonly taken = new Set<number>();
  /** parent: what it has told the others of. */
  private told = 0;
  private first = 0;
  private readonly acquirers: number;

  constructor(
    private readonly pattern: RxPattern,
    threads: number,
    private readonly start: number,
  ) {
    this.acquirers = acquirersOf(pattern, threads);
  }

  /** What `thread` gets with room for `count`: the first packets that are there and its own. */
  receive(thread: number, count: number): number[] {
    const { pattern, acquirers, taken, start } = this;
    if (pattern === "parent" && thread === 0) {
      this.told = this.arrived;
      return [];
    }
    const shared = pattern === "range" || pattern === "parent";
    const acquirer = pattern === "parent" ? thread - 1 : thread;
    const own: number[] = [];
    const arrived = pattern === "parent" ? this.told : this.arrived;
    for (let i = this.consumed; i < arrived && own.length < count; i++) {
      // 32 entries to an area, areas dealt in turn: by whole numbers, as an index of 2^32 and more would have it.
      const area = Math.floor(((start + i) % 2 ** 32) / 32) % acquirers;
      if (!taken.has(i) && (!shared || area === acquirer)) own.push(i);
    }
    for (const i of own) taken.add(i);
    return own;
  }

  /** Packets before the first that nobody has taken: the kernel can have their entries back, and no other. */
  get consumed(): number {
    while (this.taken.has(this.first)) this.first++;
    return this.first;
  }
}

for (const pattern of ALL) {
  test(`${pattern}: call by call as a plain model of it`, () => {
    const seed = freshSeed();
    const r = new Random(seed);
    for (const threads of [1, 2, 3, 4, 5].filter((n) => canShare(pattern, n))) {
      const start = r.pick([0, 2 ** 31 - 150, 2 ** 32 - 150, r.u32()]);
      const where = `seed ${seed}, ${threads} threads from ${start}`;
      const size = 128;
      const rings = makeRings(size, start);
      const { rx, fill } = openRings(rings);
      const arena = Arena.create(size * (threads + 1));
      const share = shareQueue(pattern, threads, arena.slots, rx, fill);
      const ends: QueueEnd[] = [];
      for (let thread = 0; thread < threads; thread++) {
        ends.push(joinQueue({ share, ...openRings(rings), arena, thread, wake: () => {} }));
      }
      const nic = new SyntheticNic(rings, arena.u32, 60);
      const model = new Model(pattern, threads, start);
      const pool = Array.from({ length: arena.slots }, (_, i) => i);
      const supplies = ends.map((_, i) => Math.floor(size / threads) - (i === 0 ? r.int(0, 9) : 0));
      for (const [i, end] of ends.entries()) {
        assert.is(nic.produce(9), 0, `${where}: nothing is published before all have supplied slots`);
        end.supply(Uint32Array.from(pool.splice(0, supplies[i]!)), supplies[i]!);
      }
      const call = (thread: number, room: number, what: string) => {
        const slots = Uint32Array.from(pool.splice(0, room));
        const count = ends[thread]!.receive(slots, room);
        const numbers = Array.from(slots.subarray(0, count), (slot) => arena.arrival[slot]! - 1);
        assert.equal(numbers, model.receive(thread, room), what);
        pool.push(...slots);
        const consumed = (Atomics.load(rx.words, rx.consumerAt) - start) | 0;
        assert.ok(consumed <= model.consumed, `${what}: ${consumed} given back, ${model.consumed} are done`);
      };
      for (let step = 0; step < 500; step++) {
        const what = `${where}, step ${step}`;
        if (r.chance(0.4)) model.arrived += nic.produce(r.int(1, size));
        else call(r.int(0, threads - 1), r.chance(0.1) ? 0 : r.int(1, 70), what);
      }
      for (const end of ends) assert.not(end.settled, where);
      for (const end of ends) end.stop();
      // Thread by thread until nothing is left: no order of calls may be needed.
      const order = ends.map((_, i) => i).sort(() => r.u32() - 2 ** 31);
      for (let turn = 0; turn < 3 * threads + size; turn++) {
        for (const thread of order) call(thread, 32, `${where}, end`);
      }
      assert.is(model.taken.size, nic.produced, where);
      for (const end of ends) assert.ok(end.settled, where);
      const out = new Uint32Array(40);
      const back = ends.map((end) => {
        let sum = 0;
        for (let n = end.withdraw(out); n > 0; n = end.withdraw(out)) {
          pool.push(...out.subarray(0, n));
          sum += n;
        }
        return sum;
      });
      assert.equal(back, supplies, where);
      assert.equal(
        pool.sort((a, b) => a - b),
        Array.from({ length: arena.slots }, (_, i) => i),
        `${where}: every slot is there once`,
      );
      arena.free();
    }
  });
}

for (const [pattern, threads] of [
  ["arbitration", 2],
  ["range", 2],
  ["parent", 3],
] as const) {
  test(`${pattern}: a frame that comes after all threads have stopped keeps none of them from its end`, () => {
    const rings = makeRings(256, 0);
    const { rx, fill } = openRings(rings);
    const arena = Arena.create(512);
    const share = shareQueue(pattern, threads, arena.slots, rx, fill);
    const ends = Array.from({ length: threads }, (_, thread) =>
      joinQueue({ share, ...openRings(rings), arena, thread, wake: () => {} }),
    );
    const nic = new SyntheticNic(rings, arena.u32, 60);
    const slots = (first: number, count: number) => Uint32Array.from({ length: count }, (_, i) => first + i);
    for (const [thread, end] of ends.entries()) end.supply(slots(thread * 80, 80), 80);
    const pools = ends.map((_, thread) => slots(256 + thread * 64, 64));
    const turn = (thread: number) => {
      const count = ends[thread]!.receive(pools[thread]!, 64);
      return Array.from(pools[thread]!.subarray(0, count), (slot) => arena.arrival[slot]!);
    };
    const round = () => ends.flatMap((_, thread) => turn(thread));
    nic.produce(100);
    const numbers = [...round(), ...round(), ...round()];
    for (const end of ends) end.stop();
    for (let i = 0; i < 4; i++) numbers.push(...round());
    assert.is(numbers.length, 100);
    assert.ok(ends[0]!.settled);
    // The first thread may be gone by now; entries of both areas come.
    nic.produce(60);
    for (let i = 0; i < 4; i++) for (let thread = 1; thread < threads; thread++) assert.equal(turn(thread), []);
    const out = new Uint32Array(512);
    for (const end of ends) {
      assert.ok(end.settled);
      assert.is(end.withdraw(out), 80);
    }
    arena.free();
  });
}

test("packets are numbered beyond the 32 bits of an index", () => {
  const start = 0xffff_fff0;
  const rings = makeRings(64, start);
  const { rx, fill } = openRings(rings);
  const arena = Arena.create(128);
  const share = shareQueue("arbitration", 1, arena.slots, rx, fill);
  const open = () => joinQueue({ share, rx, fill, arena, thread: 0, wake: () => {} });
  open().supply(
    Uint32Array.from({ length: 64 }, (_, i) => i),
    64,
  );
  // As if the first packet had been long ago: so many have come since.
  const before = 3 * 2 ** 32 - 40;
  const words = new Int32Array(share.words);
  words[WORD.START] = (start - before) | 0;
  words[WORD.COARSE] = Math.floor(before / 2 ** 20);
  const end = open();
  const nic = new SyntheticNic(rings, arena.u32, 60);
  const slots = Uint32Array.from({ length: 8 }, (_, i) => 64 + i);
  for (let number = before + 1; number < before + 1000; ) {
    nic.produce(8);
    const count = end.receive(slots, 8);
    assert.ok(count > 0);
    for (const slot of slots.subarray(0, count)) assert.is(arena.arrival[slot], number++);
  }
  assert.is(words[WORD.COARSE]! >>> 0, 3 * 2 ** 12);
  arena.free();
});

interface Scenario {
  readonly pattern: RxPattern;
  readonly threads: number;
  readonly packets: number;
  readonly stalls?: boolean;
  /** Stops when about so many have been received. */
  readonly stopAt?: number;
}

async function scenario({ pattern, threads, packets, stalls = false, stopAt }: Scenario): Promise<void> {
  const seed = freshSeed();
  const where = `seed ${seed}`;
  // The indices wrap on the way.
  const rings = makeRings(RING, 2 ** 32 - Math.floor(packets / 3));
  const { rx, fill } = openRings(rings);
  const arena = Arena.create(SLOTS * threads);
  const control = new SharedArrayBuffer(16);
  const words = new Int32Array(control);
  const seen = new SharedArrayBuffer(packets + 1);
  const share = shareQueue(pattern, threads, arena.slots, rx, fill);
  const common = { rings, share, arena: arena.handle, control, seen, packets, slots: SLOTS };
  const start = async (thread: number): Promise<QueueAnswer> => {
    const more = {
      thread,
      seed: seed + thread,
      stock: Math.floor(RING / threads),
      stalls: stalls && thread === threads - 1,
    };
    const workerData: QueueJob = { ...common, ...more };
    const worker = new Worker(new URL("./support/queue-worker.js", import.meta.url), { workerData });
    const [[answer]] = await Promise.all([once(worker, "message"), once(worker, "exit")]);
    return answer as QueueAnswer;
  };
  const receivers = Array.from({ length: threads }, (_, thread) => start(thread));
  const nic = start(-1);
  if (stopAt !== undefined) {
    while (Atomics.load(words, CONTROL.RECEIVED) < stopAt) await new Promise((resolve) => setTimeout(resolve, 1));
    Atomics.store(words, CONTROL.STOP, 1);
  }
  const { verdict, packets: produced } = await nic;
  assert.is(verdict, "ok", `${where}, NIC`);
  Atomics.store(words, CONTROL.STOP, 1);
  const answers = await Promise.all(receivers);
  for (const [t, answer] of answers.entries()) assert.is(answer.verdict, "ok", `${where}, thread ${t}`);
  if (stopAt === undefined) assert.is(produced, packets);
  else assert.ok(produced >= stopAt, `${where}: stopped at ${produced}`);
  const times = new Uint8Array(seen);
  const other = times.findIndex((n, number) => n !== (number >= 1 && number <= produced ? 1 : 0));
  assert.is(other, -1, `${where}: packet ${other} of ${produced} was received ${times[other]} times`);
  const slots = answers.flatMap((answer) => answer.slots).sort((a, b) => a - b);
  assert.equal(
    slots,
    Array.from({ length: arena.slots }, (_, i) => i),
    `${where}: every slot is there once`,
  );
  arena.free();
}

/** A thousand turns of the ring and more; with few threads, and of those that share, more of them. */
const MANY = 300_000;
const SOME = 60_000;
/** More than there can be before the stop. */
const ENDLESS = 1_000_000;
const SCENARIOS: readonly Scenario[] = [
  { pattern: "default", threads: 1, packets: SOME },
  { pattern: "arbitration", threads: 1, packets: SOME },
  { pattern: "arbitration", threads: 2, packets: MANY },
  { pattern: "arbitration", threads: 4, packets: SOME },
  { pattern: "range", threads: 1, packets: SOME },
  { pattern: "range", threads: 2, packets: MANY },
  { pattern: "range", threads: 4, packets: SOME },
  { pattern: "parent", threads: 2, packets: SOME },
  { pattern: "parent", threads: 3, packets: MANY },
  { pattern: "parent", threads: 5, packets: SOME },
];

for (const one of SCENARIOS) {
  test(`${one.pattern}, ${one.threads} threads: ${one.packets} packets, each exactly once`, () => scenario(one));
}

for (const [pattern, threads] of [
  ["arbitration", 3],
  ["range", 2],
  ["parent", 3],
] as const) {
  test(`${pattern}: a thread that stalls holds up others, and loses nothing`, () =>
    scenario({ pattern, threads, packets: 30_000, stalls: true }));
  test(`${pattern}: stopped in the middle, what has come is received`, () =>
    scenario({ pattern, threads, packets: ENDLESS, stopAt: 20_000 }));
}

test.run();
