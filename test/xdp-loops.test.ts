/** The loops over AF_XDP descriptors against plain ones on random bursts, and code of its own for each port. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ownCode, ownLoop } from "../runtime/native/own-code.js";
import { makeExchange, makeOffer, makeReap, SLOT } from "../runtime/nic/rings/loops.js";
import { WallClock } from "../runtime/nic/rings/wall-clock.js";
import { MAX_FRAME, RX_ERROR, SLOT_SIZE } from "../runtime/packet/arena.js";
import { freshSeed, Random } from "./support/random.js";

const SLOTS = 256;
const RING = 64;
const BURSTS = 400;
/** Indices have 32 bits and pass from the highest to the lowest. */
const STARTS = [0, 2 ** 31 - 100, -100] as const;

const metadata = () => ({
  off: new Uint16Array(SLOTS),
  len: new Uint16Array(SLOTS),
  wireLen: new Uint32Array(SLOTS),
  rxError: new Uint8Array(SLOTS),
  tsSec: new Uint32Array(SLOTS),
  tsNsec: new Uint32Array(SLOTS),
});
const ring = (size: number, words: number) => ({ entries: new Uint32Array(size * words), mask: size - 1 });

function randomly(name: string, body: (r: Random, start: number) => void): void {
  test(name, () => {
    const seed = freshSeed();
    const r = new Random(seed);
    for (const start of STARTS) {
      try {
        body(r, start);
      } catch (error) {
        throw new Error(`WINGBEAT_TEST_SEED=${seed}, from index ${start} on: ${(error as Error).message}`);
      }
    }
  });
}

/** `count` different slots. */
function someSlots(r: Random, count: number): number[] {
  const all = Array.from({ length: SLOTS }, (_, slot) => slot);
  return Array.from({ length: count }, () => all.splice(r.int(0, all.length - 1), 1)[0]!);
}

const numbered = () => ({ ...metadata(), arrival: new Float64Array(SLOTS) });

/** @param columns of the arena; numbers are written where it has some */
function exchanges(r: Random, start: number, columns: () => ReturnType<typeof metadata> & { arrival?: Float64Array }) {
  const [rx, fill, filled, arena] = [ring(RING, 4), ring(2 * RING, 2), new Uint8Array(SLOTS), columns()];
  const exchange = ownLoop(makeExchange, rx, fill, filled, arena, SLOT);
  let own = start;
  for (let burst = 0; burst < BURSTS; burst++) {
    const count = r.int(0, RING);
    const both = someSlots(r, 2 * count);
    const [given, taken] = [both.slice(0, count), both.slice(count)];
    const expected = columns();
    const frames = taken.map((slot, i) => {
      const off = r.int(0, 400);
      const bytes = r.chance(0.1) ? r.int(MAX_FRAME - 1, SLOT_SIZE) : r.int(60, MAX_FRAME);
      const at = ((own + i) & (RING - 1)) * 4;
      rx.entries[at] = slot * SLOT_SIZE + off;
      rx.entries[at + 2] = bytes;
      filled[slot] = 1;
      return { slot, off, bytes };
    });
    const [sec, nsec] = [r.u32(), r.int(0, 999_999_999)];
    const number = r.int(1, 2 ** 40);
    for (const [i, { slot, off, bytes }] of frames.entries()) {
      if (expected.arrival !== undefined) expected.arrival[slot] = number + i;
      expected.off[slot] = off;
      expected.len[slot] = Math.min(bytes, MAX_FRAME);
      expected.wireLen[slot] = bytes;
      expected.rxError[slot] = bytes > MAX_FRAME ? RX_ERROR.TOO_LONG : 0;
      expected.tsSec[slot] = sec;
      expected.tsNsec[slot] = nsec;
    }
    for (const one of Object.values(arena)) one.fill(0);
    const before = new Array(r.int(0, 5)).fill(0xbeef);
    const slots = Uint32Array.from([...before, ...given, 0xdead]);
    exchange(slots, before.length, count, own, own, sec, nsec, number);
    assert.equal(Array.from(slots), [...before, ...taken, 0xdead], `burst ${burst}`);
    assert.equal(arena, expected, `burst ${burst}`);
    const addresses = given.map((_, i) => fill.entries[((own + i) & (2 * RING - 1)) * 2]);
    assert.equal(
      addresses,
      given.map((slot) => slot * SLOT_SIZE),
      `burst ${burst}`,
    );
    for (const slot of given) assert.is(filled[slot], 1);
    for (const slot of taken) assert.is(filled[slot], 0);
    own = (own + count) | 0;
  }
}

randomly("frames against free slots", (r, start) => exchanges(r, start, metadata));
randomly("frames against free slots, with arrival numbers", (r, start) => exchanges(r, start, numbered));

randomly("frames to send and what is completed, in another order, some of it given up before", (r, start) => {
  const [tx, completion, sending, arena] = [ring(RING, 4), ring(2 * RING, 2), new Uint8Array(SLOTS), metadata()];
  const offer = ownLoop(makeOffer, tx, sending, arena, SLOT);
  const reap = ownLoop(makeReap, completion, sending, SLOT);
  let own = start;
  for (let burst = 0; burst < BURSTS; burst++) {
    const count = r.int(0, RING);
    const chosen = someSlots(r, count);
    for (const slot of chosen) {
      arena.off[slot] = r.int(0, 400);
      arena.len[slot] = r.int(60, MAX_FRAME);
    }
    const from = r.int(0, 5);
    offer(Uint32Array.from([...new Array(from).fill(0xdead), ...chosen]), from, count, own);
    const offered = chosen.map((_, i) => Array.from(tx.entries.subarray(((own + i) & (RING - 1)) * 4).subarray(0, 4)));
    assert.equal(
      offered,
      chosen.map((slot) => [slot * SLOT_SIZE + arena.off[slot]!, 0, arena.len[slot]!, 0]),
      `burst ${burst}`,
    );
    assert.equal(Array.from(sending).filter(Boolean).length, count, `burst ${burst}`);
    const given = new Set(chosen.filter(() => r.chance(0.1)));
    for (const slot of given) sending[slot] = 0;
    chosen.reverse();
    chosen.forEach((slot, i) => {
      completion.entries[((own + i) & (2 * RING - 1)) * 2] = slot * SLOT_SIZE + arena.off[slot]!;
    });
    // Made invalid: an address beyond the arena.
    chosen.forEach((slot, i) => {
      if (given.has(slot) && r.chance(0.5)) completion.entries[((own + i) & (2 * RING - 1)) * 2] = 0xffff_f800;
    });
    const back = new Uint32Array(from + count + 1);
    const taken = reap(back, from, count, own);
    const expected = chosen.filter((slot) => !given.has(slot));
    assert.equal(Array.from(back.subarray(from, from + taken)), expected, `burst ${burst}`);
    assert.not(sending.includes(1), `burst ${burst}`);
    own = (own + count) | 0;
  }
});

test("the time of a burst lies between two others, in seconds and whole nanoseconds", () => {
  const clock = new WallClock();
  const now = () => performance.timeOrigin + performance.now();
  for (const end = performance.now() + 20; performance.now() < end; ) {
    const before = now();
    clock.read();
    const after = now();
    const { sec, nsec } = clock;
    assert.ok(Number.isInteger(sec) && Number.isInteger(nsec) && nsec < 1e9, `${sec} s, ${nsec} ns`);
    const ms = sec * 1000 + nsec / 1e6;
    // A double has 1/4096 ms here.
    assert.ok(ms >= before - 0.001 && ms <= after + 0.001, `${ms} not within ${before}..${after}`);
  }
});

test("code of its own, which knows what it is given and nothing else", () => {
  const make = (step: number) => {
    const mine = step;
    return (x: number) => x + mine;
  };
  const made = [1, 10].map((step) => ownCode(make, step));
  assert.equal(
    made.map((one) => one(100)),
    [101, 110],
  );
  const outer = 5;
  assert.throws(() => ownCode(() => outer), /outer is not defined/);
});

test("a loop four iterations at a time: as the loop itself, for every count; of functions without one, or with two, none is made", () => {
  const make = (times: number) => (from: number, some: number) => {
    const count = some | 0;
    const all: number[] = [];
    for (let i = 0; i < count; i++) {
      const even = i % 2 === 0;
      if (even) {
        all.push((from + i) * times);
      }
    }
    return [...all, -1];
  };
  const [plain, own] = [make(3), ownLoop(make, 3)];
  for (let count = -1; count < 20; count++) assert.equal(own(7, count), plain(7, count), `${count}`);
  const without = () => () => 1;
  const two = () => (count: number) => {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      sum++;
    }
    for (let i = 0; i < count; i++) {
      sum++;
    }
    return sum;
  };
  for (const wrong of [without, two]) assert.throws(() => ownLoop(wrong as () => () => number), /not exactly one "for/);
});

test.run();
