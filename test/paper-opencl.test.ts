/** A figure of the paper for real, as small as it can be: fig7 on the OpenCL device of this machine. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { folder, wingbeat } from "./chain-support.js";
import { paperResult } from "./support/paper-model.js";

test("fig7: f2 passes by the NIDS, digests are those of the CPU, and the report has the plots", () => {
  const cwd = folder();
  const args = ["paper", "fig7", "--quick", "--device", "opencl", "--sizes", "256", "--repeats", "1"];
  const done = wingbeat([...args, "--warm-up", "20", "--window", "80", "--report", "r", "--json", "r.json"], cwd);
  assert.is(done.code, 0, done.stderr);
  const result = paperResult(cwd);
  assert.is(result.state, "complete");
  assert.is(result.samples.length, 2);
  assert.is(result.equivalence.length, 2);
  assert.ok(result.equivalence.every(({ proof }) => proof.equal && proof.packets > 0));
  for (const { cell, nfs, device, sync } of result.samples) {
    const share = cell.chain === "fig7 mix-93-7" ? 0.93 : 0.5;
    const seen = (name: string) => nfs.find((nf) => nf.name === name)!.share;
    assert.is(seen("ipsec"), 1);
    assert.is(seen("router"), 1);
    assert.ok(Math.abs(seen("nids") - share) < 0.05, `${cell.chain}: ${seen("nids")}`);
    assert.ok(device !== null && sync.rows > 0);
  }
  const [figure] = result.figures;
  assert.equal(
    figure!.points.map(({ panel }) => panel),
    ["throughput", "throughput", "dummies", "dummies"],
  );
  if (figure!.emulated) {
    assert.match(done.stdout, /fig7 \(emulated\): Throughput, Gbps/);
    assert.match(readFileSync(join(cwd, "r", "index.html"), "utf8"), /fig7: Throughput \(emulated\)/);
  }
  for (const plot of ["fig7-throughput", "fig7-dummies"]) assert.ok(existsSync(join(cwd, "r", "plots", `${plot}.png`)));
});

test.run();
