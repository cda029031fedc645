/** The experiment live-rx-patterns in its quick form: with turns so short that its figures mean nothing, and are all there. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { CellOptions } from "../bench/experiment.js";
import { findExperiments } from "../bench/find.js";
import { runExperiment } from "../bench/run-experiment.js";

test("live-rx-patterns, quick", async () => {
  const experiment = (await findExperiments()).find(({ name }) => name === "live-rx-patterns")!;
  const options: CellOptions = {
    ...{ quick: true, seed: 3, frames: 0, data: "", scratch: "", repeats: 1, turnMs: 20 },
    warn: (line) => console.log(line),
  };
  const { findings, skipped, failed } = await runExperiment(experiment, options);
  assert.equal([skipped, failed], [[], []]);
  const totals = findings.filter(({ subject, figure }) => figure === "received" && !subject.includes(":"));
  assert.equal(
    totals.map(({ subject }) => subject),
    [
      "default, 1 thread",
      ...["arbitration, 1 thread", "arbitration, 2 threads", "range, 1 thread", "range, 2 threads"],
      ...["parent, 1 worker", "parent, 2 workers"],
    ],
  );
  // In so short a turn a thread may not have had its processor; not all of them, though.
  assert.ok(totals.some(({ value }) => value.median > 0));
  for (const { subject, figure, value } of findings) assert.ok(value.median >= 0, `${subject}, ${figure}`);
  const stages = findings.filter(({ unit }) => unit === "ns/packet");
  for (const { subject } of stages) assert.match(subject, /: (thread \d|parent)$/);
  assert.ok(stages.length > 0);
});

test.run();
