import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RingConsumer, RingProducer, ringBytes } from "../runtime/packet/ring.js";
import { freshSeed, Random } from "./support/random.js";
import type { RingJob } from "./support/ring-worker.js";

/** Memory of a ring whose counters stand at `start`: the words the two ends share, 64 bytes apart. */
function ringMemory(slots: number, start: number): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(ringBytes(slots));
  const words = new Uint32Array(memory);
  words[0] = start;
  words[16] = start;
  return memory;
}

for (const start of [0, 2 ** 31 - 20, 2 ** 32 - 20]) {
  test(`against an array, counters from ${start}: order, counts, overflow refused`, () => {
    const seed = freshSeed();
    const r = new Random(seed);
    for (const slots of [1, 16, 17, 64]) {
      const memory = ringMemory(slots, start);
      const producer = new RingProducer(memory, slots);
      const consumer = new RingConsumer(memory, slots);
      const { capacity } = producer;
      assert.ok(capacity >= slots && capacity === consumer.capacity);
      const model: number[] = [];
      for (let i = 0; i < 2000; i++) {
        const where = `seed ${seed}, ${slots} slots, step ${i}`;
        if (r.chance(0.5)) {
          const items = Uint32Array.from({ length: r.int(0, capacity + 2) + 1 }, () => r.u32());
          const count = items.length - 1;
          if (model.length + count > capacity) {
            assert.throws(() => producer.push(items, 1, count), /ring overflow: .*two owners/, where);
          } else {
            producer.push(items, 1, count);
            model.push(...items.subarray(1));
          }
        } else {
          const max = r.int(0, capacity + 2);
          const out = new Uint32Array(max + 2).fill(7);
          const count = consumer.pop(out, 1, max);
          const expected = model.splice(0, count);
          assert.equal(Array.from(out.subarray(1, 1 + count)), expected, where);
          assert.ok(out[0] === 7 && out.subarray(1 + count).every((value) => value === 7), `${where}: wrote elsewhere`);
          if (max > 0 && expected.length === 0) assert.is(model.length, 0, `${where}: said empty and was not`);
        }
      }
    }
  });
}

test("exactly full and exactly empty", () => {
  const memory = ringMemory(16, 2 ** 32 - 8);
  const producer = new RingProducer(memory, 16);
  const consumer = new RingConsumer(memory, 16);
  const items = Uint32Array.from({ length: 17 }, (_, i) => 0xffff_fff0 + i);
  assert.throws(() => producer.push(items, 0, 17), RangeError);
  const out = new Uint32Array(20);
  assert.is(consumer.pop(out, 0, 20), 0, "a refused push leaves nothing");
  producer.push(items, 0, 16);
  assert.throws(() => producer.push(items, 16, 1), RangeError);
  producer.push(items, 0, 0);
  assert.is(consumer.pop(out, 0, 20), 16);
  assert.equal(out.subarray(0, 16), items.subarray(0, 16));
  assert.is(consumer.pop(out, 0, 20), 0);
  producer.push(items, 16, 1);
  assert.is(consumer.pop(out, 0, 1), 1);
});

test("an end that is replaced goes on where the ring stands", () => {
  const memory = ringMemory(16, 0);
  new RingProducer(memory, 16).push(Uint32Array.of(1, 2, 3), 0, 3);
  const out = new Uint32Array(4);
  assert.is(new RingConsumer(memory, 16).pop(out, 0, 1), 1);
  new RingProducer(memory, 16).push(Uint32Array.of(4), 0, 1);
  assert.is(new RingConsumer(memory, 16).pop(out, 0, 4), 3);
  assert.equal(Array.from(out), [2, 3, 4, 0]);
});

test("memory that is too small is refused: stores behind it would vanish", () => {
  assert.throws(() => new RingProducer(new SharedArrayBuffer(ringBytes(16)), 17), /17 slots need/);
});

for (const [slots, items] of [
  [16, 300_000],
  [1024, 4_000_000],
] as const) {
  test(`two workers, ${items} items in ${slots} slots, random bursts, counters past 2^32`, async () => {
    const seed = freshSeed();
    const job = {
      // The rings wrap a third of the way in, so both sides of 2^32 are met.
      there: ringMemory(slots, (2 ** 32 - Math.floor(items / 3)) >>> 0),
      back: ringMemory(slots, (2 ** 32 - Math.floor(items / 2)) >>> 0),
      contents: new SharedArrayBuffer(slots * 4),
      slots,
      items,
    };
    const results = (["produce", "consume"] as const).map(async (role, i) => {
      const workerData: RingJob = { ...job, role, seed: seed + i };
      const worker = new Worker(new URL("./support/ring-worker.js", import.meta.url), { workerData });
      const [[message]] = await Promise.all([once(worker, "message"), once(worker, "exit")]);
      return `${role}: ${message}`;
    });
    assert.equal(await Promise.all(results), ["produce: ok", "consume: ok"], `seed ${seed}`);
    const words = new Uint32Array(job.there);
    assert.is(words[0], (2 ** 32 - Math.floor(items / 3) + items) % 2 ** 32, "the tail counted every item");
    assert.is(words[16], words[0], "and so did the head");
  });
}

test.run();
