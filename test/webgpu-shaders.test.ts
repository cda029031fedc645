/** How shaders are put together, what is said where they do not compile, and kernels of several NFs in one. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { KEYS, OP, SA_SHIFT } from "../nfs/ipsec/layout.js";
import { gpuTables } from "../nfs/nids/gpu-tables.js";
import { PARAM_PLACE, type QueueShape } from "../runtime/device/queue.js";
import { compileShader, originOf, shaderSource } from "../runtime/device/webgpu/program.js";
import { PARAM_WORDS, SLOT_SIZE } from "../runtime/packet/arena.js";
import { firstDifference, shuffled, sideBySide } from "./support/offload-run.js";
import { freshSeed, Random } from "./support/random.js";
import { adapterTests, smallDevice } from "./support/webgpu.js";
import { WgslRunner } from "./support/wgsl-runner.js";

const SHAPE: QueueShape = { workgroups: 1, workgroupSize: 64, depth: 1 };
const adapterTest = await adapterTests();

/** A folder with kernels of one's own. */
function kernels(files: Readonly<Record<string, string>>): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "wgsl-"));
  for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), text);
  return folder;
}

test("each line of a shader is led back to its file", () => {
  const source = shaderSource({ shape: SHAPE, programs: ["pass", "nids"], entry: "rounds" });
  const lines = source.code.split("\n");
  const where = (text: string) => originOf(source, lines.findIndex((line) => line.includes(text)) + 1);
  const lineIn = (name: string, text: string) => {
    const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../kernels");
    return (
      fs
        .readFileSync(path.join(folder, name), "utf8")
        .split("\n")
        .findIndex((line) => line.includes(text)) + 1
    );
  };
  for (const [file, text] of [
    ["common.wgsl", "fn wb_rotl("],
    ["nids.wgsl", "fn nf_nids("],
    ["rounds.wgsl", "fn rounds("],
    ["pass.wgsl", "// pass:"],
  ] as const) {
    assert.equal(where(text), { file, line: lineIn(file, text) });
  }
  assert.is(where("fn wb_serve(").file, "dispatch");
  assert.throws(
    () => shaderSource({ shape: SHAPE, programs: ["nothing"], entry: "rounds" }),
    /no kernel nothing\.wgsl/,
  );
});

adapterTest("a shader that does not compile: file, line and reason", async () => {
  const folder = kernels({
    "broken.wgsl":
      "// fine\nfn nf_broken(slot: u32, params_at: u32, table: u32) {\n  params[params_at] = 1;\n  nonsense();\n}\n",
  });
  const { device } = await smallDevice();
  const source = shaderSource({ shape: SHAPE, programs: ["pass", "broken"], entry: "rounds", folders: [folder] });
  const error = await compileShader(device, source).then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.match(error?.message ?? "it compiles", /broken\.wgsl:4:3: .*nonsense.*\n {4}nonsense\(\);/);
  assert.match(error!.message, /remedy/);
  device.destroy();
  await device.lost;
});

adapterTest("kernels of several NFs in one shader: each serves the rows that name it", async () => {
  const random = new Random(freshSeed());
  const tbl8 = 2 ** 23;
  const automaton = gpuTables([{ bytes: Uint8Array.from([1, 2, 3]), nocase: false }]);
  const tables = new Uint32Array(tbl8 + 128 + automaton.length);
  tables.fill(0x0007_0005, 0, 128); // prefixes 0.0.0.0/24, 0.0.1.0/24, ...: next hops 5 and 7 in turn
  tables.set(automaton, tbl8 + 128);
  const runner = await WgslRunner.open(["pass", "router", "ipsec", "nids"], tables, 64);
  const { arena } = runner;
  const slots = Uint32Array.from({ length: 64 }, (_, i) => i);
  arena.u8.fill(9);
  for (const slot of slots) {
    arena.params.set([0xbad, random.int(0, 255) << 8, 0, 0, 0, 0, 0, 256 | (100 << 16)], slot * PARAM_WORDS);
    if (slot % 3 === 0) arena.u8.set([1, 2, 3], slot * SLOT_SIZE + 256 + random.int(0, 97));
  }
  const bytes = arena.u8.slice();
  const first = () => Array.from(slots, (slot) => arena.params[slot * PARAM_WORDS]);
  await runner.run(slots, 64, 0, 0, 0);
  assert.equal(first(), Array(64).fill(0xbad), "pass");
  await runner.run(slots, 64, 0, 0, 2);
  assert.equal(first(), Array(64).fill(0xbad), "ipsec: 0xbad is neither SEAL nor OPEN");
  await runner.run(slots, 64, 0, 0, 1);
  const hops = Array.from(slots, (slot) => ((arena.params[slot * PARAM_WORDS + 1]! >> 8) & 1 ? 7 : 5));
  assert.equal(first(), hops, "router");
  await runner.run(slots, 64, 0, tbl8 + 128, 3);
  assert.equal(
    first(),
    Array.from(slots, (slot) => (slot % 3 === 0 ? 1 : 0)),
    "nids",
  );
  assert.ok(Buffer.from(arena.u8).equals(Buffer.from(bytes)), "no kernel of these writes to packets");
  await runner.close();
});

adapterTest(
  "packed rows, as devices that copy send them: what comes back is what the kernels make of whole slots",
  async () => {
    const seed = freshSeed();
    const random = new Random(seed);
    const slots = 256;
    const automaton = gpuTables([{ bytes: Uint8Array.of(7), nocase: false }]);
    const keys = Uint32Array.from({ length: 10 * KEYS.WORDS }, () => random.u32());
    const { all, at } = sideBySide([automaton, keys]);
    const whole = await WgslRunner.open(["nids", "ipsec"], all, slots);
    const packed = await WgslRunner.open(["nids", "ipsec"], all, slots, { packed: true });
    let hits = 0;
    for (let round = 0; round < 12; round++) {
      const program = round % 2;
      whole.arena.u8.set(random.bytes(whole.arena.u8.length));
      for (let slot = 0; slot < slots; slot++) {
        const blocks = random.int(1, random.pick([4, 100]));
        const bytes = program === 0 ? random.int(0, random.pick([40, 1500])) : 36 + 16 * blocks;
        const from = random.int(0, SLOT_SIZE - bytes);
        const params = Array.from({ length: PARAM_WORDS }, () => random.u32());
        params[0] = OP.SEAL | (random.int(0, 9) << SA_SHIFT);
        params[PARAM_PLACE] = from | (bytes << 16);
        whole.arena.params.set(params, slot * PARAM_WORDS);
      }
      packed.arena.u8.set(whole.arena.u8);
      packed.arena.params.set(whole.arena.params);
      const order = Uint32Array.from(shuffled(Array(slots).keys(), random));
      const count = [1, 63, 65, slots][(round >> 1) % 4]!;
      const from = random.int(0, 63);
      await whole.run(order, count, from, at[program]!, program);
      await packed.run(order, count, from, at[program]!, program);
      const story = `seed ${seed} round ${round} packets ${count} from column ${from}`;
      assert.is(firstDifference(packed.arena.u8, whole.arena.u8), -1, story);
      assert.equal(packed.arena.params, whole.arena.params, story);
      if (program === 0) for (const slot of order.subarray(0, count)) hits += whole.arena.params[slot * PARAM_WORDS]!;
    }
    assert.ok(hits > 5 && hits < 1000, `${hits} packets hold the pattern: vacuous`);
    await whole.close();
    await packed.close();
  },
);

test.run();
