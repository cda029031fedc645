/** The router with its lookup on a device: against the plain reference and the CPU, byte for byte. */
import fs from "node:fs";
import path from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { lookup } from "../nfs/router/fib.js";
import { gpuTables } from "../nfs/router/gpu.js";
import { type LoadedRouter, nf } from "../nfs/router/index.js";
import { linearMatch, routeFrame } from "../nfs/router/reference.js";
import { type Arena, DATA_OFFSET, NO_PORT, PARAM_WORDS, SLOT_SIZE } from "../runtime/packet/arena.js";
import { Batch, MAX_BATCH } from "../runtime/packet/batch.js";
import { Gate } from "../runtime/packet/gate.js";
import {
  type FrameOptions,
  frameOf,
  hex,
  load,
  type Random,
  randomFrame,
  randomTable,
  routeFile,
  writeChecksum,
} from "./router-support.js";
import { skipUnless } from "./skip.js";
import { firstDifference, runOffload, sideBySide } from "./support/offload-run.js";
import { freshSeed, Random as Numbers } from "./support/random.js";
import { openRunner, type Runner } from "./support/runners.js";

const DATA = process.env.WINGBEAT_DATA ?? "../shared/data";
const SEED = freshSeed();
const HOP = 0;
const DESTINATION = 1;

const limited = (numbers: Numbers): Random => {
  return (limit) => numbers.int(0, limit - 1);
};

function create(loaded: LoadedRouter, arena: Arena, place: "cpu" | "gpu") {
  return nf.create(loaded, { name: "router", arena, seed: 1, portable: false, place, warn: () => {} });
}

/** Puts frames into slots 0, 1, ... at `off`, and through the gate. */
function fill(arena: Arena, frames: readonly Uint8Array[], off: number): Uint32Array {
  const slots = Uint32Array.from(frames, (_, i) => i);
  frames.forEach((frame, slot) => {
    arena.u8.set(frame, slot * SLOT_SIZE + off);
    arena.off[slot] = off;
    arena.len[slot] = frame.length;
    arena.wireLen[slot] = frame.length;
    arena.rxError[slot] = 0;
  });
  const reasons = new Uint8Array(frames.length);
  assert.is(new Gate(arena).check(slots, slots.length, reasons), 0, "the gate must let every test frame pass");
  return slots;
}

/** What the CPU placement makes of it; the arena is then as it was. */
function onCpu(loaded: LoadedRouter, arena: Arena, memory: Uint8Array, slots: Uint32Array) {
  const before = memory.slice();
  const router = create(loaded, arena, "cpu");
  const outcomes = new Uint8Array(slots.length);
  const batch = new Batch(MAX_BATCH);
  for (let first = 0; first < slots.length; first += batch.count) {
    batch.count = Math.min(MAX_BATCH, slots.length - first);
    batch.slots.set(slots.subarray(first, first + batch.count));
    router.process(batch);
    outcomes.set(batch.outcomes.subarray(0, batch.count), first);
  }
  const after = memory.slice();
  memory.set(before);
  return { outcomes, after };
}

test("random packets on random tables, several tables side by side", async () => {
  const numbers = new Numbers(SEED);
  const next = limited(numbers);
  const tables = await Promise.all(
    [60 + next(100), 400].map(async (count, i) => {
      let table = randomTable(next, count);
      // A default route leaves no address without a route: not in both tables.
      while (i === 0 && table.routes.some(({ length }) => length < 3)) table = randomTable(next, count);
      const { lines, routes, config } = table;
      return { routes, loaded: await load({ routes: routeFile(lines), ...config }) };
    }),
  );
  const { all, at } = sideBySide(tables.map(({ loaded }) => gpuTables(loaded.fib)));
  const runner = await openRunner(["router"], all, 1024);
  const { arena } = runner;
  const memory = new Uint8Array(arena.buffer, 0, arena.params.byteOffset);
  const seen = new Map<string, number>();
  for (let round = 0; round < 8; round++) {
    const { loaded, routes } = tables[round % tables.length]!;
    const options = Array.from({ length: 1024 }, (): FrameOptions => {
      const one = randomFrame(next, routes);
      return next(4) === 0 ? { ...one, payload: next(1515) } : one;
    });
    const frames = options.map((option) => frameOf(next, option));
    for (const [i, frame] of frames.entries()) if (next(6) === 0) makeFragment(frame, options[i]!);
    const off = DATA_OFFSET + 2 * (round < 4 ? 0 : next(40) - 20);
    const slots = fill(arena, frames, off);
    const story = `seed ${SEED} round ${round}`;
    const before = memory.slice();
    const cpu = onCpu(loaded, arena, memory, slots);
    const gpu = create(loaded, arena, "gpu");
    assert.is(gpu.engine, "dir-24-8 kernel");
    const { outcomes, served } = await runOffload(gpu.offload!, runner, slots, numbers, at[round % tables.length]!, [
      HOP,
    ]);
    assert.ok(served > 0 && served < slots.length);
    const differs = firstDifference(memory, cpu.after);
    assert.is(differs, -1, `byte ${differs} of the arena is not what the CPU leaves, ${story}`);
    for (const slot of slots) {
      const want = routeFrame(frames[slot]!, (address) => linearMatch(routes, address));
      const where = () => `${story} packet ${slot} ${JSON.stringify(options[slot])}`;
      const outcome = nf.outcomes[outcomes[slot]!]?.name;
      if (outcome !== want.outcome) assert.is(outcome, want.outcome, where());
      if (outcomes[slot] !== cpu.outcomes[slot]) assert.is(outcomes[slot], cpu.outcomes[slot], where());
      seen.set(want.outcome, (seen.get(want.outcome) ?? 0) + 1);
      const expected = before.subarray(slot * SLOT_SIZE, (slot + 1) * SLOT_SIZE);
      if (want.outcome === "forward") expected.set(want.frame, off);
      const found = arena.u8.subarray(slot * SLOT_SIZE, (slot + 1) * SLOT_SIZE);
      if (Buffer.compare(found, expected) !== 0) assert.is(hex(found), hex(expected), where());
      const port = want.outcome === "forward" ? want.port : NO_PORT;
      if (arena.portOut[slot] !== port) assert.is(arena.portOut[slot], port, where());
    }
  }
  for (const outcome of nf.outcomes) assert.ok((seen.get(outcome.name) ?? 0) > 50, `too few ${outcome.name}: vacuous`);
  await runner.close();
});

/** Makes an IPv4 frame a fragment, first, middle or last. */
function makeFragment(frame: Uint8Array, { kind, tags, options }: FrameOptions): void {
  if (kind !== "ipv4") return;
  const l3 = 14 + 4 * tags;
  const view = new DataView(frame.buffer);
  view.setUint16(l3 + 6, 3);
  writeChecksum(view, l3, 20 + 4 * options);
}

/** The kernel alone over a list of addresses; any number of rows. */
async function lookups(runner: Runner, addresses: Uint32Array, from: number, table: number): Promise<Uint32Array> {
  const { params, slots } = runner.arena;
  const out = new Uint32Array(addresses.length);
  const all = Uint32Array.from({ length: slots }, (_, i) => slots - 1 - i);
  for (let first = 0; first < addresses.length; first += slots) {
    const count = Math.min(slots, addresses.length - first);
    for (let i = 0; i < count; i++) {
      params[all[i]! * PARAM_WORDS + HOP] = 0xdead_beef;
      params[all[i]! * PARAM_WORDS + DESTINATION] = addresses[first + i]!;
    }
    await runner.run(all, count, from, table);
    for (let i = 0; i < count; i++) out[first + i] = params[all[i]! * PARAM_WORDS + HOP]!;
  }
  return out;
}

test("both ends of each prefix of every length from /0 to /32, and their neighbours", async () => {
  const numbers = new Numbers(SEED + 1);
  const prefixes: { address: number; length: number }[] = [];
  for (let length = 0; length <= 32; length++) {
    for (let k = 0; k < (length > 24 ? 20 : 3); k++) {
      const size = 2 ** (32 - length);
      prefixes.push({ address: Math.floor(numbers.u32() / size) * size, length });
    }
  }
  const dotted = (address: number) => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
  const lines = prefixes.map(
    ({ address, length }) => `${dotted(address)}/${length} 10.0.0.${1 + numbers.int(0, 99)} lan`,
  );
  const [whole, holes] = await Promise.all(
    [lines, lines.filter((line) => !/\/[0-4] /.test(line))].map((some) => load({ routes: routeFile(some.join("\n")) })),
  );
  const { all, at } = sideBySide([whole!, holes!].map(({ fib }) => gpuTables(fib)));
  const runner = await openRunner(["router"], all, 256);
  const ends = prefixes.flatMap(({ address, length }) => {
    const last = address + 2 ** (32 - length) - 1;
    return [address, address - 1, last, last + 1];
  });
  const addresses = Uint32Array.from([...ends, 0, 0xffff_ffff, ...Array.from({ length: 3000 }, () => numbers.u32())]);
  for (const [i, { fib }] of [whole!, holes!].entries()) {
    const found = await lookups(runner, addresses, numbers.int(0, 63), at[i]!);
    const wrong = found.findIndex((hop, k) => hop !== lookup(fib, addresses[k]!));
    if (wrong >= 0)
      assert.is(found[wrong], lookup(fib, addresses[wrong]!), `seed ${SEED} ${dotted(addresses[wrong]!)}`);
    assert.is(
      found.some((hop) => hop === 0),
      i === 1,
      "without a default route some addresses have no route, with one none",
    );
  }
  await runner.close();
});

test("a full BGP table", async () => {
  const file = path.join(DATA, "rib/bart_prefixes.txt.gz");
  if (skipUnless(fs.existsSync(file), `${file} is missing: set WINGBEAT_DATA`)) return;
  const { fib } = await load({ routes: file, next_hops: 64 });
  const runner = await openRunner(["router"], gpuTables(fib), 4096);
  const numbers = new Numbers(SEED + 2);
  const addresses = Uint32Array.from({ length: 100_000 }, () => numbers.u32());
  const found = await lookups(runner, addresses, 0, 0);
  const wrong = found.findIndex((hop, k) => hop !== lookup(fib, addresses[k]!));
  if (wrong >= 0) assert.is(found[wrong], lookup(fib, addresses[wrong]!), `seed ${SEED} ${addresses[wrong]}`);
  assert.ok(new Set(found).size > 60, "all next hops and no route");
  await runner.close();
});

test.run();
