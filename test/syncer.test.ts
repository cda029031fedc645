/** What CPUSyncer decides: which queue, which packets in a row, when dummies, and what it calls a stall. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LengthGroups } from "../runtime/device/length-groups.js";
import { DUMMY, HOST, lineAt, PARAM_PLACE, ROW, ROW_HEADER, rowAt, WG } from "../runtime/device/queue.js";
import { describeStall } from "../runtime/device/stall.js";
import { SYNC, SYNC_COUNTERS, Syncer, type SyncerOptions } from "../runtime/device/syncer.js";
import { Arena, PARAM_WORDS } from "../runtime/packet/arena.js";
import { attachRegion } from "../runtime/packet/memory.js";
import { type FakeDevice, type FakeDeviceOptions, fakeDevice } from "./support/fake-device.js";
import { GpuSyncer } from "./support/gpu-syncer.js";
import { freshSeed, Random } from "./support/random.js";

const SIZE = 4;
const SLOTS = 2048;
const NFS = [
  { program: 0, table: 0 },
  { program: 1, table: 10 },
];

/** A device of two workgroups with two NFs, all of whose workgroups are registered, and a syncer for it. */
class Bench {
  readonly arena = Arena.create(SLOTS);
  readonly device: FakeDevice;
  readonly gpu: GpuSyncer;
  readonly counters = new Float64Array(SYNC_COUNTERS);
  readonly syncer: Syncer;
  readonly words: Uint32Array;
  private nextSlot = 0;

  constructor(shape: Partial<FakeDeviceOptions> = {}, options: SyncerOptions = {}) {
    this.device = fakeDevice({ workgroups: 2, workgroupSize: SIZE, depth: 4, nfs: NFS, ...shape });
    const { handle } = this.device;
    this.words = new Uint32Array(attachRegion(handle.queue).buffer);
    this.gpu = new GpuSyncer(handle, () => {});
    const workgroups = Array.from({ length: handle.shape.workgroups }, (_, i) => i);
    this.syncer = new Syncer(handle, this.arena, workgroups, this.counters, 0, options);
  }

  /** Launches, and lets all workgroups register. */
  start(): this {
    this.gpu.launch();
    this.gpu.run();
    return this;
  }

  /** Adds packets in slots not used before; returns the first. */
  add(nf: number, count: number): number {
    const first = this.nextSlot;
    this.nextSlot += count;
    this.syncer.add(
      nf,
      Uint32Array.from({ length: count }, (_, i) => first + i),
      0,
      count,
    );
    return first;
  }

  setLength(slot: number, bytes: number): void {
    this.arena.params[slot * PARAM_WORDS + PARAM_PLACE] = (bytes << 16) | 256;
  }

  published(workgroup: number): number {
    return this.words[lineAt(workgroup) + WG.CPU_INDEX]!;
  }

  row(workgroup: number, index: number): { program: number; slots: number[] } {
    const at = rowAt(this.device.handle.shape, workgroup, index);
    const entries = [...this.words.subarray(at + ROW_HEADER, at + ROW_HEADER + this.device.handle.shape.workgroupSize)];
    return { program: this.words[at + ROW.PROGRAM]!, slots: entries.filter((entry) => entry !== DUMMY) };
  }

  /** All that is done. */
  collect(): number[] {
    const out = new Uint32Array(SIZE);
    const slots: number[] = [];
    for (let n = this.syncer.collect(out); n > 0; n = this.syncer.collect(out)) slots.push(...out.subarray(0, n));
    return slots;
  }

  close(): void {
    this.device.close();
    this.arena.free();
  }
}

/** A test with a bench that is closed behind it. */
function benchTest(
  name: string,
  shape: Partial<FakeDeviceOptions>,
  options: SyncerOptions,
  body: (bench: Bench) => void,
): void {
  test(name, () => {
    const bench = new Bench(shape, options);
    try {
      body(bench);
    } finally {
      bench.close();
    }
  });
}

benchTest("a row goes to the partition of its NF where all queues are equally busy", {}, {}, (bench) => {
  bench.start().add(1, SIZE);
  bench.add(0, SIZE);
  assert.is(bench.syncer.publish(0, false), 2);
  assert.is(bench.row(0, 0).program, 0);
  assert.is(bench.row(1, 0).program, 1);
});

benchTest("an NF alone has all workgroups", {}, {}, (bench) => {
  bench.start().add(1, 4 * SIZE);
  bench.syncer.publish(0, false);
  assert.equal([bench.published(0), bench.published(1)], [2, 2]);
});

benchTest(
  "more NFs than workgroups, and full rows of one do not keep the others waiting",
  { workgroups: 1 },
  {},
  (bench) => {
    bench.start();
    bench.add(0, 20 * SIZE);
    bench.add(1, 3 * SIZE);
    const programs: number[] = [];
    for (let i = 0; i < 6; i++) {
      const before = bench.published(0);
      bench.syncer.publish(i, false);
      for (let index = before; index < bench.published(0); index++) programs.push(bench.row(0, index).program);
      bench.gpu.run();
      bench.collect();
    }
    assert.equal(programs.slice(0, 6).sort(), [0, 0, 0, 1, 1, 1]);
  },
);

benchTest("a packet that is late goes before full rows of another NF", { workgroups: 1, depth: 1 }, {}, (bench) => {
  bench.start();
  bench.add(0, 20 * SIZE);
  const slot = bench.add(1, 1);
  for (let time = 0; ; time += 200_000) {
    assert.ok(time <= 1_200_000, "it starves");
    bench.syncer.publish(time, false);
    const { slots } = bench.row(0, bench.published(0) - 1);
    if (slots.includes(slot)) break;
    bench.gpu.run();
    bench.collect();
  }
});

test("rows of like length where a device runs in lock-step, the oldest packet's first", () => {
  const seed = freshSeed();
  const random = new Random(seed);
  for (let round = 0; round < 50; round++) {
    const bench = new Bench({ workgroups: 1, depth: 8, lockStep: true });
    const count = 8 * SIZE;
    const lengths = Array.from({ length: count }, () => random.int(0, 1700));
    bench.start().add(0, count);
    for (const [slot, bytes] of lengths.entries()) bench.setLength(slot, bytes);
    assert.is(bench.syncer.publish(0, false), 8);
    const rows = Array.from({ length: 8 }, (_, index) => bench.row(0, index).slots);
    assert.ok(rows[0]!.includes(0), `seed ${seed}: the oldest packet's row goes first`);
    const classes = rows.map((row) => row.map((slot) => lengths[slot]! >>> 6));
    const inOrder = [...classes]
      .sort((a, b) => Math.min(...a) - Math.min(...b) || Math.max(...a) - Math.max(...b))
      .flat();
    const sorted = [...inOrder].sort((a, b) => a - b);
    // Within a row the order of classes does not matter; between rows no class overlaps but at the edge.
    for (let i = 0; i < count; i += SIZE) {
      assert.equal(
        inOrder.slice(i, i + SIZE).sort((a, b) => a - b),
        sorted.slice(i, i + SIZE),
        `seed ${seed}`,
      );
    }
    bench.close();
  }
});

test("grouping by length against a stable sort", () => {
  const seed = freshSeed();
  const random = new Random(seed);
  const params = new Uint32Array(64 * PARAM_WORDS);
  const groups = new LengthGroups(params, 64);
  for (let round = 0; round < 300; round++) {
    const count = random.int(1, 64);
    const top = random.pick([100, 2047, 65535]);
    const slots = Array.from({ length: 64 }, (_, i) => i).sort(() => random.u32() - 2 ** 31);
    for (const slot of slots)
      params[slot * PARAM_WORDS + PARAM_PLACE] = ((random.int(0, top) << 16) | (random.u32() >>> 16)) >>> 0;
    const key = (slot: number) => Math.min(31, (params[slot * PARAM_WORDS + PARAM_PLACE]! >>> 16) >>> 6);
    groups.slots.set(slots);
    const oldest = groups.sort(count);
    const expected = slots.slice(0, count).sort((a, b) => key(a) - key(b));
    assert.equal([...groups.slots.subarray(0, count)], expected, `seed ${seed}`);
    assert.is(expected[oldest], slots[0], `seed ${seed}`);
  }
});

for (const share of [0, 0.01, 0.07, 0.5]) {
  for (const rowNs of [80_000, 1_000_000]) {
    const load = `${100 * share} % to the second NF, ${rowNs / 1000} us a row`;
    test(`under saturation dummies are less than 1 % of entries: ${load}`, () => {
      const bench = new Bench({ workgroupSize: 64, workgroups: 4, depth: 2 });
      bench.start();
      const random = new Random(7);
      const free = Array.from({ length: SLOTS }, (_, i) => i);
      const out = new Uint32Array(128);
      const tick = rowNs / 8;
      for (let time = 0; time < 4000 * rowNs; time += tick) {
        // More arrives than is served, as long as there are free slots.
        const burst = free.splice(0, random.int(1, 256));
        bench.syncer.add(random.chance(share) ? 1 : 0, Uint32Array.from(burst), 0, burst.length);
        bench.syncer.publish(time, false);
        if (time % rowNs === 0) for (let step = 0; step < 8; step++) bench.gpu.step(step >> 1);
        for (let n = bench.syncer.collect(out); n > 0; n = bench.syncer.collect(out)) free.push(...out.subarray(0, n));
      }
      const rows = bench.counters[SYNC.ROWS]!;
      const dummies = bench.counters[SYNC.DUMMIES]!;
      assert.ok(rows > 12_000, `${rows} rows`);
      assert.ok(dummies < 0.01 * 64 * rows, `${dummies} dummies in ${rows} rows`);
      bench.close();
    });
  }
}

benchTest("a queue that is full again and again does not keep another's rows from being collected", {}, {}, (bench) => {
  bench.start();
  const out = new Uint32Array(SIZE);
  bench.add(0, 4 * SIZE);
  bench.syncer.publish(0, false);
  const seen: number[] = [];
  for (let i = 0; i < 4; i++) {
    bench.gpu.run();
    bench.syncer.collect(out);
    seen.push(out[0]!);
    bench.add(0, SIZE);
    bench.syncer.publish(i, false);
  }
  const oldest = bench.row(1, 0).slots[0]!;
  assert.ok(seen.includes(oldest), `rows that begin with ${seen} were collected, not that of ${oldest}`);
});

// Stalls. Times are in ns; the limit is one second.
const SECOND = 1e9;
const LIMIT = { stall: SECOND };

/** Looks every 10 ms from `from` to `to`; the first time at which a stall is seen, and the stall. */
function watch(bench: Bench, from: number, to: number, each: (time: number) => void = () => {}) {
  for (let time = from; time <= to; time += SECOND / 100) {
    each(time);
    const stall = bench.syncer.stalled(time);
    if (stall !== undefined) return { time, stall };
  }
  return undefined;
}

benchTest("a workgroup that makes no progress is a stall after the limit, with its indices", {}, LIMIT, (bench) => {
  bench.start().add(1, 2 * SIZE + 1);
  // NF 1 goes to its partition, which is workgroup 1, then to the other, then to its own again.
  assert.is(bench.syncer.publish(0, true), 3);
  const { time, stall } = watch(bench, 0, 5 * SECOND)!;
  assert.ok(time >= SECOND && time <= 1.25 * SECOND, `after ${time} ns`);
  const { seconds, ...rest } = stall;
  assert.equal(rest, { workgroup: 0, cpuIndex: 1, gpuIndex: 0, nf: 1, packets: SIZE });
  assert.is(seconds, time / 1e9);
  assert.is(
    describeStall(stall, ["a", "b"]),
    `workgroup 0 has made no progress for ${seconds.toFixed(1)} s on a row of NF b: CpuIndex 1, GpuIndex 0, 4 packets in flight`,
  );
  // The other queue's two rows are served: by workgroup 0, for the first launch's tickets begin with queue 1.
  while (bench.gpu.step(0));
  const later = watch(bench, 2 * SECOND, 5 * SECOND)!;
  assert.is(later.stall.workgroup, 0);
  assert.is(bench.collect().length, SIZE + 1);
});

benchTest("work that comes after a long rest has the whole limit", {}, LIMIT, (bench) => {
  bench.start();
  assert.is(watch(bench, 0, 5 * SECOND), undefined, "nothing to do is no stall");
  bench.add(0, SIZE);
  const start = 5 * SECOND + SECOND / 100;
  bench.syncer.publish(start, false);
  const { time } = watch(bench, start, 8 * SECOND)!;
  assert.ok(time >= start + SECOND && time <= start + 1.25 * SECOND, `after ${time - start} ns`);
});

benchTest(
  "a row now and then is no stall, nor is one that is done and not collected",
  { workgroups: 1 },
  LIMIT,
  (bench) => {
    bench.start().add(0, 4 * SIZE);
    bench.add(1, 1);
    bench.syncer.publish(0, false);
    // Every 0.9 s one step: a row takes two, so the time between two moves of GpuIndex is 1.8 s: too long; at 0.4 s it is not.
    const step = (every: number) => (time: number) => {
      if (time % every === 0) bench.gpu.step(0);
    };
    assert.is(watch(bench, 0, 8 * SECOND, step(0.4 * SECOND)), undefined);
    assert.is(bench.words[lineAt(0) + WG.GPU_INDEX], 4);
    assert.is(watch(bench, 8 * SECOND, 20 * SECOND), undefined, "done, not collected, and a packet waits for room");
    assert.is(bench.collect().length, 4 * SIZE);
  },
);

benchTest("a packet for which no row goes is a stall: no workgroup registers", {}, LIMIT, (bench) => {
  bench.gpu.launch();
  bench.add(0, 2);
  bench.add(1, 3);
  const { time, stall } = watch(bench, 0, 5 * SECOND, (now) => bench.syncer.publish(now, true))!;
  assert.ok(time >= SECOND && time <= 1.25 * SECOND, `after ${time} ns`);
  const { seconds, ...rest } = stall;
  assert.equal(rest, { workgroup: undefined, cpuIndex: 0, gpuIndex: 0, nf: 0, packets: 2 });
  assert.is(
    describeStall(stall, ["a", "b"]),
    `no workgroup has taken a row for ${seconds.toFixed(1)} s, and 2 packets wait for NF a`,
  );
  bench.gpu.run();
  assert.is(bench.syncer.publish(time, true), 2);
  assert.is(watch(bench, time, time + 0.9 * SECOND), undefined);
});

benchTest("so is a device that left and is not launched again", {}, LIMIT, (bench) => {
  bench.start().gpu.leave();
  bench.gpu.run();
  bench.add(1, 3);
  const { time, stall } = watch(bench, 0, 5 * SECOND, (now) => bench.syncer.publish(now, true))!;
  assert.ok(time >= SECOND && time <= 1.25 * SECOND, `after ${time} ns`);
  assert.equal([stall.workgroup, stall.nf, stall.packets], [undefined, 1, 3]);
});

benchTest("a launch starts the time anew, but not for ever", {}, LIMIT, (bench) => {
  bench.start().add(0, SIZE);
  bench.syncer.publish(0, false);
  const launches: number[] = [];
  const { time, stall } = watch(bench, 0, 20 * SECOND, (now) => {
    if (now % (0.8 * SECOND) !== 0 || now === 0) return;
    // Nobody gets to queue 0, whatever is launched: as if FIRST never came round to it.
    bench.words[HOST.LAUNCH]!++;
    launches.push(now);
  })!;
  // Two launches for each of the two workgroups are forgiven.
  const forgiven = launches[3]!;
  assert.ok(time >= forgiven + SECOND && time <= forgiven + 1.5 * SECOND, `after ${time} ns`);
  assert.ok(Math.abs(stall.seconds - time / 1e9) < 0.2, `says ${stall.seconds} s`);
});

benchTest("after a stall everything is handed back, a few packets at a time", { depth: 2 }, LIMIT, (bench) => {
  bench.start();
  bench.add(0, 7 * SIZE + 1);
  bench.add(1, 3);
  bench.syncer.publish(0, true);
  assert.is(bench.syncer.inFlight, 4 * SIZE);
  assert.is(bench.syncer.waiting, 3 * SIZE + 4);
  const out = new Uint32Array(SIZE + 1);
  const slots: number[] = [];
  for (let n = bench.syncer.abandon(out); n > 0; n = bench.syncer.abandon(out)) slots.push(...out.subarray(0, n));
  assert.equal(
    slots.sort((a, b) => a - b),
    Array.from({ length: 7 * SIZE + 4 }, (_, i) => i),
  );
  assert.is(bench.syncer.inFlight + bench.syncer.waiting, 0);
  assert.is(bench.syncer.stalled(100 * SECOND), undefined);
  assert.is(bench.counters[SYNC.PACKETS], 4 * SIZE, "only what was published counts");
});

test("a slot that is added twice is refused, not lost", () => {
  const bench = new Bench();
  bench.add(0, SLOTS);
  assert.throws(() => bench.add(0, 1), /a slot has two owners/);
  bench.close();
});

test.run();
