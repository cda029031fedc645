/** Experiments that compare all devices of a machine, in their quick form. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { formsHere, GPUJS, PERSISTENT, ROUNDS, WEBGPU } from "../bench/device/forms.js";
import { of, runQuick } from "./support/bench-quick.js";

test("device-idle and device-chains, quick: every device of the machine takes part", async () => {
  const { forms } = await formsHere([PERSISTENT, ROUNDS, WEBGPU, ...GPUJS]);
  const idle = await runQuick("device-idle", true);
  assert.equal(
    idle.map(({ subject }) => subject),
    forms.map(({ name }) => name),
  );
  const chains = await runQuick("device-chains", true);
  for (const { name, form } of forms) {
    const own = chains.filter(({ subject }) => subject === name);
    assert.ok(own.length > 0, name);
    const copied = of(own, /./, /host copies/);
    const isPersistent = form.kind === "opencl" && form.mode === "persistent";
    assert.is(copied === 0, isPersistent, `${name}: ${copied} bytes a packet`);
  }
});

test.run();
