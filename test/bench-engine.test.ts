/** Experiments of bench/engine: in their quick form, with turns so short that their figures mean nothing. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { whyNoDevice } from "../bench/device/bed.js";
import { ThreadTime } from "../bench/engine/thread-time.js";
import type { CellOptions } from "../bench/experiment.js";
import { findExperiments } from "../bench/find.js";
import { runExperiment } from "../bench/run-experiment.js";

for (const name of ["latency-cost", "harness-overhead", "engine-waiting"]) {
  test(`${name}, quick`, async () => {
    const experiment = (await findExperiments()).find((one) => one.name === name)!;
    const scratch = mkdtempSync(join(tmpdir(), "wingbeat-bench-test-"));
    const options: CellOptions = {
      ...{ quick: true, seed: 3, frames: 1024, data: scratch, scratch, repeats: 1, turnMs: 10 },
      warn: (line) => console.log(line),
    };
    try {
      const { findings, skipped, failed } = await runExperiment(experiment, options);
      assert.equal(failed, []);
      const lack = whyNoDevice(true);
      const cells = experiment.cells(true).filter((cell) => cell.needs === "nothing" || lack === undefined);
      assert.equal(
        [...new Set(findings.map(({ cell }) => cell))],
        cells.map((cell) => cell.name),
      );
      assert.is(skipped.length > 0, cells.length < experiment.cells(true).length);
      for (const { subject, figure, value, unit } of findings) {
        const positive = figure === "latency adds" || figure === "due times and latency add" || value.median > 0;
        assert.ok(Number.isFinite(value.median) && positive, `${subject}: ${figure}: ${value.median} ${unit}`);
      }
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });
}

test("the time of the busiest thread that comes up meanwhile, and not of this one", async () => {
  const { Worker } = await import("node:worker_threads");
  const time = new ThreadTime(process.pid);
  const busy = "const end = process.cpuUsage().user + 300000; while (process.cpuUsage().user < end);";
  const worker = new Worker(busy, { eval: true });
  await new Promise((resolve) => worker.on("exit", resolve));
  const seconds = time.end();
  // The process has used 0.3 s meanwhile, most of it in that thread.
  assert.ok(seconds > 0.05 && seconds < 5, `${seconds} s`);
});

test.run();
