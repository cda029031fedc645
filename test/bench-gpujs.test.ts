/** The experiment with gpu.js, in its quick form. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { whyNoAdapter } from "../bench/device/adapter.js";
import { skipUnless } from "./skip.js";
import { of, runQuick } from "./support/bench-quick.js";

const lack = await whyNoAdapter();

test("device-gpujs, quick", async () => {
  // Its mode webgpu needs an adapter.
  if (skipUnless(lack === undefined, lack ?? "")) return;
  const findings = await runQuick("device-gpujs");
  for (const cell of ["webasm", "cpu", "webgpu"]) {
    const own = findings.filter((finding) => finding.cell === cell);
    assert.ok(of(own, /^nids, 1472 B/, /launch with copies/) > 0);
    assert.ok(of(own, /^empty kernel, 1472 bytes/, /time of copies/) > 0);
    assert.match(own[0]!.device!.name, new RegExp(`^gpu.js ${cell}`));
  }
});

test.run();
