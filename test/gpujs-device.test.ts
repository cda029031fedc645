/** The gpujs device: chains on it, and its server alone: rounds of several NFs, tables that are swapped, packets that are no packets. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GPUJS_MODES, GpuJs } from "../runtime/device/gpujs/compile.js";
import type { GpuJsProgram } from "../runtime/device/gpujs/program.js";
import { GpuJsServer } from "../runtime/device/gpujs/server.js";
import { DUMMY, lineAt, ROW, ROW_HEADER, rowAt, WG } from "../runtime/device/queue.js";
import { RunError } from "../runtime/errors.js";
import { Arena, PARAM_WORDS } from "../runtime/packet/arena.js";
import { attachRegion } from "../runtime/packet/memory.js";
import { folder, gateway, run } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { freshSeed, Random } from "./support/random.js";
import { WgslRunner } from "./support/wgsl-runner.js";

const SEED = freshSeed();

test("a chain has one digest and one ledger on the CPU and on gpujs", () => {
  const cwd = folder(gateway());
  const cpu = run(cwd, "chain.json", "--seed", "3");
  for (const args of [["gpujs"], ["gpujs:cpu", "--cores", "d1n2c1"], ["gpujs", "--batch", "7", "--workgroups", "5"]]) {
    const found = run(cwd, "chain.json", "--seed", "3", "--place", "nids=gpu,router=gpu", "--device", ...args);
    assert.is(found.digest, cpu.digest, args.join(" "));
    assert.is(found.alerts_digest, cpu.alerts_digest);
    assert.equal(found.ledger, cpu.ledger);
    assert.ok(found.device!.launches > 0 && found.sync.bytes_copied > 0 && found.sync.packets > 1000);
  }
});

const SHAPE = { workgroups: 2, workgroupSize: 8, depth: 4 };
const SLOTS = 64;
/** A minute, on a machine that is busy with something else. */
const LIMIT_MS = 60_000;

/** Answers its number times 1000, plus the first word of its table, plus the lower half of the params' word 3. */
function programOf(number: number): GpuJsProgram {
  return {
    kernel: `function kernel(bytes, entries, stride) { return ${number * 1000} + this.constants.table[0] + entries[this.thread.x * 3 + 2]; }`,
    most: 0,
    words: [3],
    constants: (table) => ({ table: Float32Array.of(table[0] ?? 0) }),
  };
}

for (const mode of GPUJS_MODES) {
  test(`${mode}: rows of two NFs in one round, dummies, and a table in the place of another`, async () => {
    const lack = mode === "webgpu" ? await WgslRunner.lack() : undefined;
    if (skipUnless(lack === undefined, lack ?? "")) return;
    const random = new Random(SEED);
    const gpu = await GpuJs.open(mode);
    const server = new GpuJsServer(gpu, {
      shape: SHAPE,
      programs: [programOf(1), programOf(2)],
      slots: SLOTS,
      tableWords: 64,
    });
    await server.tryKernels();
    const { params } = Arena.attach({ slots: SLOTS, region: server.regions.arena, owned: false });
    const queue = new Int32Array(attachRegion(server.regions.queue).buffer);
    const tables = new Uint32Array(attachRegion(server.regions.tables).buffer);
    tables[0] = 5;
    tables[32] = 70;
    const isRegistered = () => queue[lineAt(0) + WG.STARTED] === 1;
    server.launch(
      0,
      [0, 1].flatMap((program) => [0, 32].map((table) => ({ program, table }))),
    );
    assert.not(isRegistered(), "before the kernels are compiled");
    assert.not(server.ended);
    for (const end = performance.now() + LIMIT_MS; !isRegistered(); ) {
      assert.ok(performance.now() < end, "it does not start");
      server.step(0);
      await new Promise((resolve) => setImmediate(resolve));
    }
    let served = 0;
    for (let round = 0; round < 20; round++) {
      if (round % 5 === 4) {
        tables[32] = random.int(0, 99);
        server.uploadTables(32, 1);
      }
      const wanted = new Map<number, number>();
      const published = [0, 0];
      for (const slot of Array(SLOTS).keys()) params[slot * PARAM_WORDS] = 7;
      for (let r = random.int(1, 6), slot = 0; r > 0; r--) {
        const workgroup = random.int(0, 1);
        if (published[workgroup]! === SHAPE.depth) continue;
        published[workgroup]!++;
        const index = queue[lineAt(workgroup) + WG.CPU_INDEX]!;
        const row = rowAt(SHAPE, workgroup, index);
        const program = random.int(0, 1);
        const table = random.pick([0, 32]);
        queue[row + ROW.PROGRAM] = program;
        queue[row + ROW.TABLE] = table;
        for (let t = 0; t < SHAPE.workgroupSize; t++) {
          const isDummy = random.chance(0.2);
          queue[row + ROW_HEADER + t] = isDummy ? DUMMY : slot;
          if (isDummy) continue;
          params[slot * PARAM_WORDS + 3] = random.u32();
          wanted.set(slot, (program + 1) * 1000 + tables[table]! + (params[slot * PARAM_WORDS + 3]! & 0xffff));
          slot++;
        }
        Atomics.store(queue, lineAt(workgroup) + WG.CPU_INDEX, index + 1);
      }
      const isDone = () => [0, 1].every((w) => queue[lineAt(w) + WG.GPU_INDEX] === queue[lineAt(w) + WG.CPU_INDEX]);
      for (const end = performance.now() + LIMIT_MS; !isDone(); ) {
        assert.ok(performance.now() < end, "rows are not served");
        server.step(round);
        if (server.pending) await new Promise((resolve) => setImmediate(resolve));
      }
      for (let slot = 0; slot < SLOTS; slot++) {
        assert.is(params[slot * PARAM_WORDS], wanted.get(slot) ?? 7, `seed ${SEED} round ${round} slot ${slot}`);
      }
      served += wanted.size;
    }
    assert.ok(served > 100 && server.report().launches > 20 && server.report().bytesCopied > 0);
    server.halt();
    assert.ok(server.ended);
    server.close();
  });

  test(`${mode}: a kernel that does not compile is refused, never run in another mode`, async () => {
    const lack = mode === "webgpu" ? await WgslRunner.lack() : undefined;
    if (skipUnless(lack === undefined, lack ?? "")) return;
    const gpu = await GpuJs.open(mode);
    const where = join("some", "where.mjs:5");
    const broken = {
      ...programOf(1),
      kernel: "function kernel(bytes, entries, stride) { return nothing.there[3]; }",
      where,
    };
    const server = new GpuJsServer(gpu, { shape: SHAPE, programs: [broken], slots: SLOTS, tableWords: 64 });
    const error = await server.tryKernels().then(
      () => undefined,
      (reason: Error) => reason,
    );
    assert.instance(error, RunError);
    assert.ok(error!.message.startsWith(`${where}: gpu.js (mode ${mode}) refuses the kernel: `), error!.message);
    server.close();
  });
}

test.run();
