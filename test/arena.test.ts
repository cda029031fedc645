import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ConfigError } from "../runtime/errors.js";
import {
  Arena,
  arenaBytes,
  DATA_OFFSET,
  MAX_FRAME,
  MAX_SLOTS,
  PARAM_WORDS,
  SLOT_SIZE,
} from "../runtime/packet/arena.js";
import { mapRegion, unmapRegion } from "../runtime/packet/memory.js";
import { arraysOf, checkPattern, writePattern } from "./support/arena-pattern.js";

test("regions lie below 2 GiB on x86-64, where their addresses fit in instructions; above it where they do not fit there", () => {
  const small = mapRegion(1);
  // Reserved huge pages are mapped by another part of the kernel, which decides for itself.
  if (process.arch === "x64" && !small.hugePages) assert.ok(small.address + small.size <= 2 ** 31, `${small.address}`);
  // Nothing of it is touched, so it takes no memory.
  const large = mapRegion(2 ** 30);
  if (!large.hugePages) assert.ok(large.address > 2 ** 31, `${large.address}`);
  for (const one of [small, large]) {
    const bytes = new Uint8Array(one.buffer);
    bytes[0] = 1;
    bytes[one.size - 1] = 2;
    assert.equal([bytes[0], bytes[one.size - 1]], [1, 2]);
    unmapRegion(one);
  }
});

test("reserved huge pages are taken also where none can lie below 2 GiB", () => {
  const taken = [mapRegion(1)];
  const reserved = taken[0]!.hugePages;
  // Nothing of these is touched. Where no huge page is reserved, there is nothing to be told but that memory is mapped.
  for (let bytes = 2 ** 30; bytes > 2 ** 21; bytes /= 2) {
    for (let one = mapRegion(bytes); ; one = mapRegion(bytes)) {
      taken.push(one);
      if (one.hugePages || one.address > 2 ** 31) break;
    }
  }
  const free = () => Number(/HugePages_Free: *(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0);
  const before = free();
  taken.push(mapRegion(1));
  // Others may take some at the same time.
  if (reserved && before > 4 && free() > 4) assert.ok(taken.at(-1)!.hugePages, `${before} huge pages are free`);
  for (const one of taken) unmapRegion(one);
});

for (const slots of [1, 2, 63, 64, 1000]) {
  test(`${slots} slots: arrays have an element per slot, do not overlap, and lie within arenaBytes`, () => {
    const arena = Arena.create(slots);
    writePattern(arena, 1);
    assert.is(checkPattern(arena, 1), "");
    const arrays = arraysOf(arena);
    assert.ok(arrays.length >= 25, `only ${arrays.length} arrays found`);
    for (const [name, array] of arrays) {
      const each = name === "u8" ? SLOT_SIZE : name === "params" ? PARAM_WORDS : 1;
      assert.is(array.length, slots * each, name);
      assert.is(array.byteOffset % 64, 0, `${name} starts a cache line`);
      assert.ok(array.byteOffset + array.byteLength <= arenaBytes(slots), `${name} ends behind arenaBytes`);
    }
    const last = Math.max(...arrays.map(([, array]) => array.byteOffset + array.byteLength));
    // Scratch lies behind the metadata, and what is taken does not overlap; the other end of the arena is attached, as a worker would.
    const other = Arena.attach(arena.handle);
    let end = last;
    for (let at = arena.takeScratch(100_000); at !== undefined; at = other.takeScratch(100_000)) {
      assert.is(at % 64, 0);
      assert.ok(at >= end, "scratch overlaps what lies before it");
      end = at + 100_000;
      new Uint8Array(arena.buffer, at, 100_000).fill(0xff);
    }
    assert.ok(end > last + 400_000, "there is scratch");
    assert.ok(end <= arenaBytes(slots), "scratch ends behind arenaBytes");
    assert.is(checkPattern(arena, 1), "", "scratch left the slots alone");
    assert.is.not(arena.takeScratch(64), undefined, "a request that fails takes nothing");
    assert.ok(arenaBytes(slots) - end <= 100_000 + arrays.length * 256, "arenaBytes is more than is used");
    arena.free();
  });
}

test("u8, u16, u32 and view are the same bytes; address is where they are, page-aligned", () => {
  const arena = Arena.create(3);
  arena.u8.set([1, 2, 3, 4], 2 * SLOT_SIZE + DATA_OFFSET);
  assert.is(arena.u16[(2 * SLOT_SIZE + DATA_OFFSET) / 2], 0x0201);
  assert.is(arena.u32[(2 * SLOT_SIZE + DATA_OFFSET) / 4], 0x04030201);
  assert.is(arena.view.getUint32(2 * SLOT_SIZE + DATA_OFFSET), 0x01020304);
  assert.is(arena.address % 4096, 0);
  assert.is(DATA_OFFSET % 4, 0);
  assert.ok(DATA_OFFSET + MAX_FRAME + 32 <= SLOT_SIZE, "tailroom");
  arena.free();
});

test("fresh memory is zero", () => {
  const arena = Arena.create(100);
  for (const [name, array] of arraysOf(arena))
    assert.ok(
      (array as Uint8Array).every((value) => value === 0),
      name,
    );
  arena.free();
});

test("another thread sees the same memory, and this one what it wrote", async () => {
  const arena = Arena.create(200);
  writePattern(arena, 1);
  const worker = new Worker(new URL("./support/arena-worker.js", import.meta.url), {
    workerData: { handle: arena.handle },
  });
  const [[message]] = await Promise.all([once(worker, "message"), once(worker, "exit")]);
  assert.equal(message, { found: "", address: arena.address });
  assert.is(checkPattern(arena, 2), "");
  arena.free();
});

test("a number of slots that cannot be is refused", () => {
  for (const slots of [0, -1, 1.5, Number.NaN, MAX_SLOTS + 1]) {
    assert.throws(
      () => Arena.create(slots),
      (error: Error) => error instanceof ConfigError && error.message.includes(`found ${slots} slots`),
      `${slots}`,
    );
  }
  assert.ok(((MAX_SLOTS - 1) << 11) + SLOT_SIZE - 1 > 0, "offsets of the last slot are positive");
});

test.run();
