/** measure-cell-cases.ts on WebGPU, and a device that is lost while a cell is measured. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { RunError } from "../runtime/errors.js";
import { cellOf, measureCases, ON_CPU, TIMING, withRunner } from "./measure-cell-cases.js";
import { skipUnless } from "./skip.js";
import { deviceLack } from "./support/webgpu.js";

const lack = await deviceLack();
const placement = { ...ON_CPU, nids: "gpu" } as const;
const load = { kind: "saturation" } as const;

if (lack === undefined) measureCases("webgpu", placement);

test("a device that is lost: the sample fails and says so, and other cells are measured", async () => {
  if (skipUnless(lack === undefined, lack ?? "")) return;
  const losing = cellOf("webgpu", placement, { batch: 32 });
  await withRunner(
    async (runner) => {
      await runner.measure(losing, load, { warmUpMs: 0, windowMs: 30_000 }, 0).then(
        () => assert.unreachable("it is measured"),
        (error: Error) => {
          assert.instance(error, RunError);
          assert.match(error.message, /it is lost \(destroyed/);
        },
      );
      const sample = await runner.measure(cellOf("webgpu", placement), load, TIMING, 0);
      assert.ok(sample.packets.rx > 0);
    },
    { tuning: (cell) => (cell === losing ? { loseAfter: 7 } : undefined) },
  );
});

test.run();
