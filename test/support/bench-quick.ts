/** Experiments of bench/ run by tests. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import type { CellOptions, Finding } from "../../bench/experiment.js";
import { findExperiments } from "../../bench/find.js";
import { runExperiment } from "../../bench/run-experiment.js";

/**
 * Runs an experiment in its quick form, with turns so short that its figures mean nothing; every case of it has figures.
 * @param only cases to run; absent: all
 * @param several the experiment compares devices, so that its figures are of no single one
 * @param more turns, or longer ones, where figures are compared with each other all the same: a turn may lose its processor
 */
export async function runQuick(
  name: string,
  several = false,
  only?: readonly string[],
  more: Partial<Pick<CellOptions, "repeats" | "turnMs">> = {},
): Promise<readonly Finding[]> {
  const experiment = (await findExperiments()).find((one) => one.name === name)!;
  const scratch = mkdtempSync(join(tmpdir(), "wingbeat-bench-test-"));
  const options: CellOptions = {
    quick: true,
    seed: 3,
    frames: 1024,
    data: scratch,
    scratch,
    repeats: 1,
    turnMs: 10,
    warn: (line) => console.log(line),
    ...more,
  };
  try {
    const { findings, skipped, failed } = await runExperiment(experiment, options, only);
    assert.equal(skipped, []);
    assert.equal(failed, []);
    const cells = only ?? experiment.cells(true).map((cell) => cell.name);
    assert.equal([...new Set(findings.map((finding) => finding.cell))], cells, "every case has figures");
    for (const { subject, figure, value, samples, device, unit } of findings) {
      const what = `${subject}: ${figure}`;
      assert.is(samples.length, options.repeats, what);
      assert.ok(Number.isFinite(value.median), what);
      if (/Mpps|rows|^us$|^x$/.test(unit)) assert.ok(value.median > 0, what);
      if (several) assert.is(device, null);
      else assert.type(device!.name, "string");
    }
    return findings;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

export const of = (findings: readonly Finding[], subject: RegExp, figure: RegExp) =>
  findings.find((finding) => subject.test(finding.subject) && figure.test(finding.figure))!.value.median;
