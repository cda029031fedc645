import { test } from "uvu";
import * as assert from "uvu/assert";
import { SlotPool } from "../runtime/packet/pool.js";
import { freshSeed, Random } from "./support/random.js";

const take = (pool: SlotPool, max: number) => {
  const out = new Uint32Array(max + 1).fill(0xdead);
  const count = pool.take(out, max);
  assert.is(out[max], 0xdead, "nothing written behind max");
  return Array.from(out.subarray(0, count));
};

test("hands out every slot of its range once, ascending at first, and then none", () => {
  const pool = new SlotPool(100, 5);
  assert.equal(take(pool, 2), [100, 101]);
  assert.equal(take(pool, 9), [102, 103, 104]);
  assert.equal(take(pool, 9), []);
  assert.equal(take(pool, 0), []);
  assert.is(pool.available, 0);
});

test("last in, first out: the slots freed last come back next, in the same order", () => {
  const pool = new SlotPool(0, 8);
  take(pool, 8);
  pool.put(Uint32Array.of(5, 6, 7), 0, 3);
  pool.put(Uint32Array.of(9, 9, 1, 2, 9), 2, 2);
  assert.is(pool.available, 5);
  assert.equal(take(pool, 3), [1, 2, 5]);
  assert.equal(take(pool, 8), [6, 7]);
});

test("random takes and puts lose and invent no slot", () => {
  const seed = freshSeed();
  const r = new Random(seed);
  const pool = new SlotPool(1000, 257);
  const out = new Set<number>();
  for (let i = 0; i < 20000; i++) {
    if (r.chance(0.5)) {
      const before = pool.available;
      const max = r.int(0, 80);
      const slots = take(pool, max);
      assert.is(slots.length, Math.min(max, before), `seed ${seed}`);
      for (const slot of slots) {
        assert.ok(slot >= 1000 && slot < 1257 && !out.has(slot), `seed ${seed}: slot ${slot} handed out twice`);
        out.add(slot);
      }
    } else {
      const back = [...out].slice(0, r.int(0, 80));
      pool.put(Uint32Array.from([7, ...back]), 1, back.length);
      for (const slot of back) out.delete(slot);
    }
    assert.is(pool.available + out.size, 257);
  }
});

test("more slots back than were handed out: refused, and nothing changed", () => {
  const pool = new SlotPool(0, 4);
  assert.throws(() => pool.put(Uint32Array.of(0), 0, 1), /pool of 4 slots .* given back more/);
  const slots = take(pool, 3);
  assert.throws(() => pool.put(Uint32Array.from([...slots, 3]), 0, 4), RangeError);
  assert.is(pool.available, 1);
  assert.equal(take(pool, 4), [3]);
});

test("the limit of that check: a double free shows only once the pool is overfull", () => {
  const pool = new SlotPool(0, 4);
  take(pool, 2);
  pool.put(Uint32Array.of(1), 0, 1);
  pool.put(Uint32Array.of(1), 0, 1); // not seen: slot 0 is still out, so there was room
  assert.throws(() => pool.put(Uint32Array.of(0), 0, 1), RangeError, "but the rightful owner's put is");
});

test.run();
