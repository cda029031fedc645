import { test } from "uvu";
import * as assert from "uvu/assert";
import { nf } from "../nfs/router/index.js";
import { linearMatch, routeFrame } from "../nfs/router/reference.js";
import { Arena, DATA_OFFSET, NO_PORT, SLOT_SIZE } from "../runtime/packet/arena.js";
import { Batch, MAX_BATCH } from "../runtime/packet/batch.js";
import { Gate } from "../runtime/packet/gate.js";
import {
  frameOf,
  hex,
  load,
  octets,
  type Random,
  random,
  randomFrame,
  randomTable,
  routeFile,
  SEED,
  writeChecksum,
} from "./router-support.js";

const SLOTS = 512;
const arena = Arena.create(SLOTS);
const gate = new Gate(arena);

/** Puts frames into slots, through the gate, and returns the batch. */
function batchOf(frames: readonly Uint8Array[], slots: readonly number[], off = DATA_OFFSET): Batch {
  const batch = new Batch(MAX_BATCH);
  frames.forEach((frame, i) => {
    const slot = slots[i]!;
    arena.u8.set(frame, slot * SLOT_SIZE + off);
    arena.off[slot] = off;
    arena.len[slot] = frame.length;
    arena.wireLen[slot] = frame.length;
    arena.rxError[slot] = 0;
    batch.slots[i] = slot;
  });
  batch.count = frames.length;
  batch.outcomes.fill(0xee);
  const reasons = new Uint8Array(MAX_BATCH);
  assert.is(gate.check(batch.slots, batch.count, reasons), 0, "the gate must let every test frame pass");
  return batch;
}

function bytesOfSlot(slot: number): Uint8Array {
  return arena.u8.slice(slot * SLOT_SIZE, (slot + 1) * SLOT_SIZE);
}

/** Different slots in random order. */
function pickSlots(next: Random, count: number): number[] {
  const slots = Array.from({ length: SLOTS }, (_, i) => i);
  for (let i = 0; i < count; i++) {
    const j = i + next(SLOTS - i);
    [slots[i], slots[j]] = [slots[j]!, slots[i]!];
  }
  return slots.slice(0, count);
}

test("random packets on random tables leave as the plain reference says, byte for byte", async () => {
  const next = random(SEED);
  const seen = new Map<string, number>();
  for (let round = 0; round < 12; round++) {
    let table = randomTable(next, 60 + next(400));
    // A default route leaves no address without a route: not in every table.
    while (round === 0 && table.routes.some(({ length }) => length < 3)) table = randomTable(next, 60 + next(100));
    const { lines, routes, config } = table;
    const warnings: string[] = [];
    const loaded = await load({ routes: routeFile(lines, round % 2 === 1), ...config }, warnings);
    assert.equal(warnings, []);
    const router = nf.create(structuredClone(loaded), {
      name: "router",
      arena,
      seed: 1,
      portable: false,
      warn: () => {},
    });
    for (let turn = 0; turn < 20; turn++) {
      const count = next(4) === 0 ? MAX_BATCH : next(MAX_BATCH);
      const options = Array.from({ length: count }, () => randomFrame(next, routes));
      const frames = options.map((option) => frameOf(next, option));
      // A decapsulated frame may begin at any even byte.
      const off = DATA_OFFSET + 2 * (next(4) === 0 ? next(40) - 20 : 0);
      const batch = batchOf(frames, pickSlots(next, count), off);
      const before = [...batch.slots.subarray(0, count)].map(bytesOfSlot);
      router.process(batch);
      for (let i = 0; i < count; i++) {
        const slot = batch.slots[i]!;
        const want = routeFrame(frames[i]!, (address) => linearMatch(routes, address));
        const where = () => `seed ${SEED} round ${round} turn ${turn} packet ${i} ${JSON.stringify(options[i])}`;
        const outcome = nf.outcomes[batch.outcomes[i]!]?.name;
        if (outcome !== want.outcome) assert.is(outcome, want.outcome, where());
        seen.set(want.outcome, (seen.get(want.outcome) ?? 0) + 1);
        const expected = before[i]!;
        if (want.outcome === "forward") expected.set(want.frame, off);
        const found = bytesOfSlot(slot);
        if (Buffer.compare(found, expected) !== 0) assert.is(hex(found), hex(expected), where());
        const port = want.outcome === "forward" ? want.port : NO_PORT;
        if (arena.portOut[slot] !== port) assert.is(arena.portOut[slot], port, where());
      }
    }
  }
  for (const outcome of nf.outcomes) assert.ok((seen.get(outcome.name) ?? 0) > 100, `too few ${outcome.name}: vacuous`);
});

test("the checksum update agrees with a sum over the whole header for every checksum there is", async () => {
  const loaded = await load({ routes: routeFile("0.0.0.0/0 192.0.2.1 lan") });
  const router = nf.create(loaded, { name: "router", arena, seed: 1, portable: false, warn: () => {} });
  const hop = { port: 1, neighbourMac: octets("02:00:c0:00:02:01"), portMac: octets("02:01:00:00:00:01") };
  const slots = Array.from({ length: MAX_BATCH }, (_, i) => i);
  const checksums = new Set<number>();
  for (const ttl of [2, 255]) {
    const frame = frameOf(random(SEED), {
      destination: 0xc6120001,
      ttl,
      tags: 0,
      options: 0,
      payload: 0,
      padding: 26,
      kind: "ipv4",
    });
    for (let id = 0; id < 65536; id += MAX_BATCH) {
      const frames = slots.map((i) => {
        const copy = frame.slice();
        const view = new DataView(copy.buffer);
        view.setUint16(14 + 4, id + i);
        writeChecksum(view, 14, 20);
        checksums.add(view.getUint16(14 + 10));
        return copy;
      });
      const batch = batchOf(frames, slots);
      router.process(batch);
      for (const i of slots) {
        const want = routeFrame(frames[i]!, () => hop);
        assert.ok(want.outcome === "forward");
        const at = i * SLOT_SIZE + DATA_OFFSET;
        const found = arena.u8.subarray(at, at + 34);
        if (Buffer.compare(found, want.frame.subarray(0, 34)) !== 0)
          assert.is(hex(found), hex(want.frame.subarray(0, 34)));
      }
    }
  }
  assert.ok(checksums.size >= 65535, `${checksums.size} different checksums`);
});

test("0xffff for a checksum of 0 is what RFC 1624 warns of: it passes the gate and leaves right", async () => {
  const loaded = await load({ routes: routeFile("0.0.0.0/0 192.0.2.1 lan") });
  const router = nf.create(loaded, { name: "router", arena, seed: 1, portable: false, warn: () => {} });
  const frame = frameOf(random(SEED), {
    destination: 1,
    ttl: 64,
    tags: 0,
    options: 0,
    payload: 0,
    padding: 26,
    kind: "ipv4",
  });
  const view = new DataView(frame.buffer);
  view.setUint16(14 + 4, 0);
  writeChecksum(view, 14, 20);
  // An ID equal to the checksum makes the sum of the rest 0xffff, whose checksum is 0.
  view.setUint16(14 + 4, view.getUint16(14 + 10));
  writeChecksum(view, 14, 20);
  assert.is(view.getUint16(14 + 10), 0);
  const want = routeFrame(frame, () => ({
    port: 1,
    neighbourMac: octets("02:00:c0:00:02:01"),
    portMac: octets("02:01:00:00:00:01"),
  }));
  view.setUint16(14 + 10, 0xffff);
  const batch = batchOf([frame], [3]);
  router.process(batch);
  assert.ok(want.outcome === "forward");
  assert.is(hex(bytesOfSlot(3).subarray(DATA_OFFSET, DATA_OFFSET + frame.length)), hex(want.frame));
});

test("an empty batch, and a full one of which nothing is forwarded", async () => {
  const loaded = await load({ routes: routeFile("10.0.0.0/8 192.0.2.1 lan") });
  const router = nf.create(loaded, { name: "router", arena, seed: 1, portable: false, warn: () => {} });
  const empty = new Batch(MAX_BATCH);
  empty.outcomes.fill(0xee);
  router.process(empty);
  assert.ok(empty.outcomes.every((code) => code === 0xee));
  const next = random(SEED);
  const frames = Array.from({ length: MAX_BATCH }, () =>
    frameOf(next, { destination: 0x0b000000, ttl: 64, tags: 0, options: 0, payload: 20, padding: 6, kind: "ipv4" }),
  );
  const batch = batchOf(frames, pickSlots(next, MAX_BATCH));
  router.process(batch);
  assert.ok(batch.outcomes.every((code) => nf.outcomes[code]?.name === "no-route"));
  assert.equal(router.stats?.(), { routes: { loaded: 1, skipped_ipv6: 0, replaced: 0 }, next_hops: 1 });
});

test.run();
