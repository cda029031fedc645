/** The nids with its search on a device: the kernel against plain search, and the whole against the CPU and the reference. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { gpuTables } from "../nfs/nids/gpu-tables.js";
import { nf } from "../nfs/nids/index.js";
import type { NidsLoaded } from "../nfs/nids/load.js";
import { LOWER, type Pattern } from "../nfs/nids/mpse/mpse.js";
import { ReferenceMpse } from "../nfs/nids/mpse/reference.js";
import type { Verdict } from "../nfs/nids/reference.js";
import type { Nf } from "../runtime/chain/nf.js";
import { PARAM_PLACE } from "../runtime/device/queue.js";
import { type Arena, PARAM_WORDS, SLOT_SHIFT, SLOT_SIZE } from "../runtime/packet/arena.js";
import { type FrameSpec, fill, frame } from "./nids-frames.js";
import { handshake, randomPacket, randomRule } from "./nids-random-input.js";
import { create, judgeAll, judgeByReference, loadRules } from "./nids-run.js";
import { skipUnless } from "./skip.js";
import { firstDifference, runOffload, shuffled, sideBySide } from "./support/offload-run.js";
import { freshSeed, Random } from "./support/random.js";
import { exactBelow, openRunner, type Runner } from "./support/runners.js";

const DATA = process.env.WINGBEAT_DATA ?? "../shared/data";
const SEED = freshSeed();
const HIT = 0;
const LONGEST = 1514;

function gpuNids(loaded: NidsLoaded, arena: Arena, portable: boolean): Nf {
  return nf.create(loaded, { name: "nids", arena, seed: undefined, portable, place: "gpu", warn: () => {} });
}

/** Patterns of one kind, so that each round strains something else. */
function randomPatterns(random: Random, round: number): Pattern[] {
  const nocase = () => random.chance([0, 0.5, 1][round % 3]!);
  const bytesOf = (length: number, letters: string) =>
    Uint8Array.from({ length }, () => letters.charCodeAt(random.int(0, letters.length - 1)));
  const some = (count: number, make: () => Uint8Array) =>
    Array.from({ length: count }, (): Pattern => ({ bytes: make(), nocase: nocase() }));
  switch (round % 7) {
    case 0: // overlapping, inside each other
      return some(random.int(1, 12), () => bytesOf(random.int(1, 6), "aAb"));
    case 1: // all 256 byte values in use
      return [
        ...some(16, () => random.bytes(random.int(3, 30))),
        { bytes: Uint8Array.from({ length: 256 }, (_, i) => i), nocase: nocase() },
      ];
    case 2:
      return some(1, () => random.bytes(1)); // one byte
    case 3: // long ones with long common beginnings
      return some(20, () => Uint8Array.from([...bytesOf(random.int(0, 300), "x"), ...bytesOf(4, "xyz")]));
    case 4: // a set of the usual size
      return some(150, () => bytesOf(random.int(4, 25), "abcdefghijklmnopqrstuvwxyzABC/.-= %"));
    case 5: // more states than 16 bits can number
      return some(1500, () => random.bytes(random.int(45, 60)));
    default: // one that begins and ends alike
      return some(3, () => Uint8Array.from([...bytesOf(3, "ab"), ...random.bytes(2), ...bytesOf(3, "ab")]));
  }
}

test("kernel: bytes at any place and of any length, patterns of all kinds, as plain search has it", async () => {
  const random = new Random(SEED);
  const all14 = Array.from({ length: 14 }, (_, round) => randomPatterns(random, round));
  // The largest of them are more than gpu.js counts to; that it refuses them is tested in gpujs.test.ts.
  const sets = all14.filter((patterns) => gpuTables(patterns).length < exactBelow());
  assert.ok(sets.length >= 12);
  const { all, at } = sideBySide(sets.map((patterns) => gpuTables(patterns)));
  const slots = 512;
  const runner = await openRunner(["nids"], all, slots);
  const { arena } = runner;
  const { u8, params } = arena;
  const hits = new Uint32Array(1);
  let held = 0;
  for (const [round, patterns] of sets.entries()) {
    const plain = new ReferenceMpse(patterns, arena);
    const usual = patterns.flatMap(({ bytes }) => [...bytes.subarray(0, 40)]);
    for (let slot = 0; slot < slots; slot++) {
      const base = slot << SLOT_SHIFT;
      // Bytes of patterns keep the automaton away from its root; random ones bring it back.
      const alike = random.pick([0, 0.02, 0.5, 0.9]);
      for (let i = 0; i < SLOT_SIZE; i++) {
        u8[base + i] = random.chance(alike) ? random.pick(usual) : random.u32() >>> 24;
      }
      // 1500 patterns tried at each position take their time: then shorter, and fewer.
      const most = patterns.length > 1000 ? 120 : SLOT_SIZE;
      const from = random.int(0, SLOT_SIZE - 1);
      const length = random.pick([0, 1, 2, 8, 40, most, random.int(0, most)]);
      const to = Math.min(SLOT_SIZE, from + length);
      const { bytes } = random.pick(patterns);
      const near = random.pick([from, to - bytes.length, from - 1, to - bytes.length + 1, random.int(from, to)]);
      // At the start, at the end, one byte too early, one too late, anywhere.
      if (random.chance(0.5) && near >= 0 && near + bytes.length <= SLOT_SIZE) {
        for (const [i, byte] of bytes.entries()) u8[base + near + i] = random.chance(0.1) ? LOWER[byte]! : byte;
      }
      params[slot * PARAM_WORDS + PARAM_PLACE] = from | ((to - from) << 16);
      params[slot * PARAM_WORDS + HIT] = random.u32();
    }
    const before = u8.slice();
    const order = Uint32Array.from(shuffled(Array(slots).keys(), random));
    await runner.run(order, 0, 3, at[round]!);
    await runner.run(order, 1, 63, at[round]!);
    await runner.run(order.subarray(1), slots - 1, random.int(0, 63), at[round]!);
    assert.is(firstDifference(u8, before), -1, "the kernel changed packet bytes");
    const stride = patterns.length > 1000 ? 8 : 1;
    for (let slot = 0; slot < slots; slot += stride) {
      const place = params[slot * PARAM_WORDS + PARAM_PLACE]!;
      const start = Uint32Array.of((slot << SLOT_SHIFT) + (place & 0xffff));
      const want = plain.scan(start, Uint32Array.of(place >>> 16), 1, hits);
      const found = params[slot * PARAM_WORDS + HIT]!;
      held += want;
      if (found !== want) {
        assert.is(found, want, `seed ${SEED} round ${round} slot ${slot} from ${place & 0xffff} bytes ${place >>> 16}`);
      }
    }
  }
  assert.ok(held > 500 && held < sets.length * slots - 500, `${held} hits: the test tests nothing (seed ${SEED})`);
  await runner.close();
});

/** Both placements' outcomes, alerts and EVE lines; every byte of the arena but the params stays as it was. */
async function compare(
  loaded: NidsLoaded,
  runner: Runner,
  count: number,
  random: Random,
  table: number,
  portable: boolean,
  story: string,
): Promise<{ alerts: number; served: number; verdicts: Verdict[] }> {
  const { arena } = runner;
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "nids-gpu-")), "eve.json");
  const slots = Uint32Array.from({ length: count }, (_, i) => i);
  const memory = new Uint8Array(arena.buffer, 0, arena.params.byteOffset);
  const before = memory.slice();
  const gpu = gpuNids({ ...loaded, alerts: file }, arena, portable);
  gpu.keepAlerts!();
  const { outcomes, served } = await runOffload(gpu.offload!, runner, slots, random, table, [HIT]);
  gpu.flush!();
  const lines = fs.readFileSync(file, "utf8");
  const stats = JSON.stringify(gpu.stats!());
  const gpuAlerts = JSON.stringify(gpu.alerts!());
  assert.is(firstDifference(memory, before), -1, `bytes or metadata changed, ${story}`);
  gpu.close!();

  const cpu = create({ ...loaded, alerts: file }, arena, portable);
  const verdicts = judgeAll(cpu, arena, count);
  cpu.flush!();
  const names = verdicts.map(({ outcome }) => outcome);
  const wrong = names.findIndex((name, i) => nf.outcomes[outcomes[i]!]?.name !== name);
  if (wrong >= 0) assert.is(nf.outcomes[outcomes[wrong]!]?.name, names[wrong], `packet ${wrong}, ${story}`);
  assert.is(gpuAlerts, JSON.stringify(cpu.alerts!()), story);
  assert.is(lines, fs.readFileSync(file, "utf8"), story);
  assert.is(stats, JSON.stringify(cpu.stats!()));
  assert.match(gpu.engine, loaded.patterns.length > 0 ? `aho-corasick kernel, ${cpu.engine}` : cpu.engine);
  cpu.close!();
  fs.rmSync(path.dirname(file), { recursive: true });
  return { alerts: cpu.alerts!().length, served, verdicts };
}

test("random rules on random packets: outcomes, alerts and lines are those of the CPU and the reference", async () => {
  const random = new Random(SEED + 1);
  const below = (limit: number) => random.int(0, limit - 1);
  const rounds = 40;
  const vars = { NET: "[10.0.0.2,192.168.0.0/16,2001:db8::2-2001:db8::8]" };
  const rules = Array.from({ length: rounds }, () =>
    Array.from({ length: 1 + below(12) }, (_, i) => randomRule(below, i + 1)),
  );
  const loaded = await Promise.all(rules.map(async (lines) => (await loadRules(lines, { vars })).loaded));
  const { all, at } = sideBySide(loaded.map(({ patterns }) => gpuTables(patterns)));
  const runner = await openRunner(["nids"], all, 512);
  let alerts = 0;
  let unwanted = 0;
  for (let round = 0; round < rounds; round++) {
    const specs: FrameSpec[] = [];
    while (specs.length < 200) specs.push(...(below(8) === 0 ? handshake(below) : [randomPacket(below)]));
    fill(runner.arena, specs.map(frame), specs);
    const story = `seed ${SEED} round ${round} rules\n${rules[round]!.join("\n")}`;
    const result = await compare(loaded[round]!, runner, specs.length, random, at[round]!, round % 2 === 1, story);
    alerts += result.alerts;
    unwanted += specs.length - result.served;
    assert.equal(result.verdicts, judgeByReference(loaded[round]!, runner.arena, specs.length), story);
  }
  assert.ok(alerts > 200 && unwanted > 100, `${alerts} alerts, ${unwanted} not wanted: vacuous (seed ${SEED})`);
  await runner.close();
});

/** Frames with a payload of each length up to LONGEST, some with a pattern in it, some with one that reaches across an end of it. */
function everyLength(random: Random, patterns: readonly Uint8Array[]): FrameSpec[] {
  return shuffled(Array(LONGEST + 1).keys(), random).map((length): FrameSpec => {
    const payload = random.bytes(length);
    const bytes = random.pick(patterns);
    const at = random.pick([0, length - bytes.length, random.int(0, length), -1, length - bytes.length + 1]);
    if (random.chance(0.3))
      for (const [i, byte] of bytes.entries()) if (payload[at + i] !== undefined) payload[at + i] = byte;
    const proto = random.pick(["tcp", "udp", "icmp", 50, 47] as const);
    const v6 = random.chance(0.2) && proto !== "icmp";
    const address = v6 ? [...new Uint8Array(15), 1] : [10, 0, 0, 1];
    const fragment = !v6 && random.chance(0.1) ? 1 : 0;
    return { proto, payload, src: address, dst: address, fragment, seconds: 1_700_000_000 };
  });
}

test("every length of payload from 0 to 1514, with and without whole-IP rules", async () => {
  const random = new Random(SEED + 2);
  const patterns = Array.from({ length: 30 }, () => random.bytes(random.int(1, 4) === 1 ? 2 : random.int(3, 40)));
  const rule = (proto: string) => (bytes: Uint8Array, i: number) =>
    `alert ${proto} any any -> any any (content:"|${Buffer.from(bytes).toString("hex")}|";${i % 4 ? "" : " nocase;"} sid:${i + 1};)`;
  const l4 = (await loadRules([...patterns.map(rule("tcp")), ...patterns.map(rule("udp")).map(renumbered)])).loaded;
  const ip = (await loadRules([...patterns.map(rule("ip")), "drop ip any any -> any any (ttl:5; sid:900;)"])).loaded;
  const { all, at } = sideBySide([ip, l4].map((loaded) => gpuTables(loaded.patterns)));
  const runner = await openRunner(["nids"], all, 2048);
  for (const [i, loaded] of [ip, l4].entries()) {
    const specs = everyLength(random, patterns);
    fill(runner.arena, specs.map(frame), specs);
    const { alerts, served } = await compare(loaded, runner, specs.length, random, at[i]!, false, `seed ${SEED}`);
    assert.ok(alerts > 30, `${alerts} alerts: vacuous (seed ${SEED})`);
    assert.ok(i === 0 ? served >= LONGEST : served < LONGEST, `${served} served`);
  }
  await runner.close();
});

const renumbered = (line: string) => line.replace("sid:", "sid:1");

test("real rules on text with their contents in it", async () => {
  const file = path.join(DATA, "rules/et_web_server.rules");
  if (skipUnless(fs.existsSync(file), `${file} is missing: set WINGBEAT_DATA`)) return;
  const random = new Random(SEED + 3);
  const vars = { HOME_NET: "any", EXTERNAL_NET: "any", HTTP_SERVERS: "any", HTTP_PORTS: "80" };
  const real = (await loadRules(file, { vars })).loaded;
  const own = (await loadRules("examples/local.rules", { vars })).loaded;
  const { all, at } = sideBySide([own, real].map(({ patterns }) => gpuTables(patterns)));
  const runner = await openRunner(["nids"], all, 1024);
  for (const [i, loaded] of [own, real].entries()) {
    // Nearly all of the real rules want an established connection.
    const specs: FrameSpec[] = [
      { bits: 2 },
      { bits: 0x12, src: [10, 0, 0, 2], dst: [10, 0, 0, 1], sport: 80, dport: 1025 },
    ];
    specs.push({ bits: 0x10 });
    while (specs.length < 1000) {
      const words = Array.from({ length: random.int(0, 60) }, () => {
        const { bytes } = random.pick(loaded.patterns);
        const whole = random.chance(0.05) ? bytes.length : random.int(0, bytes.length);
        return Buffer.from(bytes.subarray(0, whole)).toString("latin1");
      });
      specs.push({ payload: words.join(random.pick([" ", ""])).slice(0, 1400), bits: 0x18 });
    }
    fill(runner.arena, specs.map(frame), specs);
    const { alerts } = await compare(loaded, runner, specs.length, random, at[i]!, false, `seed ${SEED}`);
    assert.ok(alerts > 20, `${alerts} alerts: vacuous (seed ${SEED})`);
  }
  await runner.close();
});

test("without patterns the kernel is not needed; too many of them are refused", async () => {
  const { loaded } = await loadRules(["alert tcp any any -> any any (flags:S; sid:1;)"]);
  const specs: FrameSpec[] = [{ bits: 2, payload: "abc" }, { bits: 0x10 }];
  const runner = await openRunner(["nids"], gpuTables(loaded.patterns), 64);
  fill(runner.arena, specs.map(frame), specs);
  const { alerts, served } = await compare(loaded, runner, 2, new Random(SEED), 0, false, "no patterns");
  assert.equal([alerts, served], [1, 0]);
  await runner.close();

  const random = new Random(SEED);
  const huge = Array.from({ length: 1100 }, (): Pattern => ({ bytes: random.bytes(250), nocase: false }));
  assert.throws(
    () => gpuTables(huge),
    /nids on a GPU: the automaton of 1100 patterns takes more than \d+ bytes.*\n {2}remedy: .*CPU/,
  );
});

test.run();
