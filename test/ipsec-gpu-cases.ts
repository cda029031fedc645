/** kernels/ipsec.* against the CPU's back end: every length and alignment, good and bad ICVs, mixed rows, rows with dummies. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PortableCrypto } from "../nfs/ipsec/crypto/portable.js";
import { ESN_BIT, ESP, KEYS, OP, PARAM, SA_SHIFT } from "../nfs/ipsec/layout.js";
import { PARAM_PLACE } from "../runtime/device/queue.js";
import { Arena, PARAM_WORDS, SLOT_SIZE } from "../runtime/packet/arena.js";
import { Rig } from "./ipsec-gpu-rig.js";
import { difference, freshSeed, loadText, Random, randomSa, udpFrame } from "./ipsec-support.js";
import { openRunner, type Runner } from "./support/runners.js";

const SLOTS = 512;
/** The first packet may be in any column of a row, and the runner has as many rows as its slots fill. */
const SPARE = 64;
const SAS = 40;
const AROUND = ESP.CIPHER + ESP.ICV_BYTES;

interface Task {
  readonly op: number;
  readonly esp: number;
  readonly cipherBytes: number;
  /** OPEN: byte of the ESP packet in which a bit is wrong; undefined: none. */
  readonly spoiled?: number | undefined;
  /** OPEN: SEQ_HIGH is another than the sender's. */
  readonly wrongHigh?: boolean;
}

/** The kernel beside PortableCrypto, each in an arena of its own, with the same keys. */
class Pair {
  readonly arena = Arena.create(SLOTS + SPARE);
  readonly plain: PortableCrypto;

  private constructor(
    readonly random: Random,
    keys: Uint32Array,
    readonly runner: Runner,
  ) {
    this.plain = new PortableCrypto(this.arena, keys);
  }

  static async open(random: Random): Promise<Pair> {
    const sas = Array.from({ length: SAS }, (_, i) => randomSa(random, { name: `${i}`, direction: "out", spi: i + 1 }));
    const { keys } = loadText(JSON.stringify({ sas }));
    assert.is(keys.length, SAS * KEYS.WORDS);
    return new Pair(random, keys, await openRunner(["ipsec"], keys, SLOTS + SPARE));
  }

  /** Runs tasks in random slots as rows, the first in column `from`, and compares the whole arenas. */
  async run(tasks: readonly Task[], from: number, label: string): Promise<void> {
    const { random, arena, plain } = this;
    const device = this.runner.arena;
    const slots = Uint32Array.from({ length: SLOTS }, (_, i) => i);
    for (let i = SLOTS - 1; i > 0; i--) {
      const j = random.below(i + 1);
      [slots[i], slots[j]] = [slots[j]!, slots[i]!];
    }
    const one = new Uint32Array(1);
    arena.u8.set(random.bytes(arena.u8.length));
    arena.params.forEach((_, i) => {
      arena.params[i] = random.u32();
    });
    tasks.forEach((task, i) => {
      const p = slots[i]! * PARAM_WORDS;
      const packet = slots[i]! * SLOT_SIZE + task.esp;
      const keyed = (random.chance(0.5) ? ESN_BIT : 0) | (random.below(SAS) << SA_SHIFT);
      arena.params[p + PARAM.PLACE] = task.esp | (task.cipherBytes << 16);
      arena.params[p + PARAM_PLACE] = task.esp | ((task.cipherBytes + AROUND) << 16);
      if (task.op === OP.OPEN) {
        arena.params[p + PARAM.TASK] = OP.SEAL | keyed;
        one[0] = slots[i]!;
        plain.transform(one, 1);
        if (task.spoiled !== undefined) arena.u8[packet + task.spoiled]! ^= 1 << random.below(8);
        if (task.wrongHigh) arena.params[p + PARAM.SEQ_HIGH]! ^= 1 << random.below(32);
      }
      arena.params[p + PARAM.TASK] = task.op | keyed;
    });
    device.u8.set(arena.u8);
    device.params.set(arena.params);
    await this.runner.run(slots, tasks.length, from);

    tasks.forEach(({ op }, i) => {
      const p = slots[i]! * PARAM_WORDS;
      one[0] = slots[i]!;
      const task = arena.params[p + PARAM.TASK]!;
      if (op === OP.OPEN) arena.params[p + PARAM.TASK] = task - OP.OPEN + OP.VERIFY;
      plain.transform(one, 1);
      if (op === OP.OPEN && arena.params[p + PARAM.VERDICT] === 1) plain.decrypt(one, 1);
      arena.params[p + PARAM.TASK] = task;
    });
    tasks.forEach((task, i) => {
      const about = `${label}, packet ${i}: ${JSON.stringify(task)}`;
      const p = slots[i]! * PARAM_WORDS;
      const words = (params: Uint32Array) => Array.from(params.subarray(p, p + PARAM_WORDS));
      assert.equal(words(device.params), words(arena.params), about);
      if (task.op === OP.OPEN) {
        const esn = (arena.params[p + PARAM.TASK]! & ESN_BIT) !== 0;
        const good = task.spoiled === undefined && !(task.wrongHigh && esn);
        assert.is(device.params[p + PARAM.VERDICT], good ? 1 : 0, about);
      }
      const bytes = (u8: Uint8Array) => u8.subarray(slots[i]! * SLOT_SIZE, (slots[i]! + 1) * SLOT_SIZE);
      assert.is(difference(bytes(device.u8), bytes(arena.u8)), undefined, about);
    });
    // Slots that were in no row.
    assert.is(difference(device.u8, arena.u8), undefined, label);
    assert.ok(Buffer.from(device.params).equals(Buffer.from(arena.params)), label);
  }

  async close(): Promise<void> {
    await this.runner.close();
    this.arena.free();
  }
}

const room = (esp: number) => Math.floor((SLOT_SIZE - esp - AROUND) / 16) * 16;

test("every length of ciphertext a slot holds, at every alignment, sealed and opened", async () => {
  const seed = freshSeed();
  const random = new Random(seed);
  const pair = await Pair.open(random);
  for (const op of [OP.SEAL, OP.OPEN]) {
    const tasks: Task[] = [];
    for (let alignment = 0; alignment < 4; alignment++) {
      for (let cipherBytes = 16; cipherBytes <= room(0); cipherBytes += 16) {
        const most = SLOT_SIZE - AROUND - cipherBytes;
        const esp = random.below(Math.floor((most - alignment) / 4) + 1) * 4 + alignment;
        if (esp + AROUND + cipherBytes <= SLOT_SIZE) tasks.push({ op, esp, cipherBytes });
      }
    }
    for (let at = 0; at < tasks.length; at += SLOTS)
      await pair.run(tasks.slice(at, at + SLOTS), 0, `TEST_SEED=${seed}, op ${op}`);
  }
  await pair.close();
});

test("first and last byte of a slot", async () => {
  const seed = freshSeed();
  const pair = await Pair.open(new Random(seed));
  const tasks = [OP.SEAL, OP.OPEN].flatMap((op) =>
    [0, 1, 2, 3, 4, 12].map((esp) => ({ op, esp: esp === 12 ? SLOT_SIZE - AROUND - 16 : esp, cipherBytes: room(esp) })),
  );
  const fitted = tasks.map((task) => ({ ...task, cipherBytes: room(task.esp) }));
  await pair.run(fitted, 3, `TEST_SEED=${seed}`);
  await pair.close();
});

test("whatever bit is wrong, in header, IV, ciphertext, ICV or SEQ_HIGH: VERDICT 0, and bytes as they came", async () => {
  const seed = freshSeed();
  const random = new Random(seed);
  const pair = await Pair.open(random);
  const tasks: Task[] = [];
  for (const cipherBytes of [16, 32, 48, 64]) {
    const bytes = AROUND + cipherBytes;
    for (let spoiled = 0; spoiled < bytes; spoiled++) tasks.push({ op: OP.OPEN, esp: 246, cipherBytes, spoiled });
  }
  while (tasks.length < SLOTS) {
    const cipherBytes = 16 * (1 + random.below(90));
    tasks.push({ op: OP.OPEN, esp: 246, cipherBytes, wrongHigh: true });
  }
  await pair.run(tasks.slice(0, SLOTS), 0, `TEST_SEED=${seed}`);
  await pair.close();
});

test("mixed rows: both directions, bad ICVs, what a kernel has to pass over; from any column; one packet, none", async () => {
  const seed = freshSeed();
  const random = new Random(seed);
  const pair = await Pair.open(random);
  const task = (): Task => {
    const esp = 200 + random.below(120);
    const cipherBytes = 16 * (1 + random.below(random.pick([4, 40, room(esp) / 16])));
    const op = random.pick([OP.SEAL, OP.SEAL, OP.OPEN, OP.OPEN, OP.NONE, OP.SEEN]);
    const spoiled = random.chance(0.3) ? random.below(AROUND + cipherBytes) : undefined;
    return { op, esp, cipherBytes, spoiled: op === OP.OPEN ? spoiled : undefined };
  };
  for (const count of [0, 1, 1, 2, 63, 64, 65, 128, 200, SLOTS]) {
    const from = count === 0 ? 64 : random.below(64);
    const label = `TEST_SEED=${seed}, ${count} packets from column ${from}`;
    await pair.run(Array.from({ length: count }, task), from, label);
  }
  await pair.close();
});

for (const version of [4, 6] as const) {
  test(`IPv${version}: every payload length from 0 to 1514 bytes, out and back, as CPU and reference`, async () => {
    const seed = freshSeed();
    const random = new Random(seed);
    const esn = random.chance(0.5);
    const out = randomSa(random, { name: "out", direction: "out", spi: 300, esn, seq_start: esn ? 2 ** 32 - 700 : 1 });
    const incoming = { ...out, name: "in", direction: "in" } as const;
    const rig = await Rig.open([out, incoming], seed, 256);
    assert.is(rig.engine, "aes-sha1 kernel");
    const label = `TEST_SEED=${seed}`;
    for (let at = 0; at <= 1514; at += 256) {
      let arrivals = Array.from({ length: Math.min(256, 1515 - at) }, (_, i) => ({
        frame: udpFrame(random, { version, payload: at + i, vlanTags: random.below(3), tos: random.below(256) }),
        start: 256,
        fill: random.below(256),
      }));
      for (const direction of ["protected", "opened"]) {
        const slots = arrivals.map((_, i) => i);
        const expected = rig.expect(arrivals, label);
        const wanted = rig.prepare(slots, arrivals);
        assert.is(wanted.length, slots.length);
        await rig.serve(wanted, random.below(64));
        rig.finish(slots, expected, `${label}, payload ${at}, ${direction}`);
        arrivals = arrivals.map(({ fill }, i) => {
          const [start, bytes] = expected[i]!.metadata as [number, number];
          return { frame: expected[i]!.slot.subarray(start, start + bytes), start: 256, fill };
        });
      }
    }
    rig.compareStats(label);
    await rig.close();
  });
}

test.run();
