/** gpujs in mode webgpu whose device is lost: it says so, the run ends, and every packet is accounted for. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { failuresOf } from "../runtime/cli/failures.js";
import { openDevice } from "../runtime/device/open.js";
import { deviceNfs } from "../runtime/engine/device-plan.js";
import { folder, gateway } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { load, runLoaded } from "./support/gpu-forms.js";
import { freshSeed } from "./support/random.js";
import { deviceLack } from "./support/webgpu.js";

const lack = await deviceLack();
const seed = freshSeed();
const NAMES = ["protect", "open", "nids", "router"];
const PLACED = ["nids", "router"];
const FORM = { kind: "gpujs", gpuJsMode: "webgpu", place: PLACED, workgroups: 2, depth: 1 } as const;

for (const cores of ["d1", "c1d1n1"]) {
  test(`${cores}: lost in mid-run: the ledger balances, the run has failed`, async () => {
    if (skipUnless(lack === undefined, lack ?? "")) return;
    const chain = await load(folder(gateway(5000)), NAMES, PLACED);
    const whole = await runLoaded(chain, { ...FORM, cores }, seed);
    assert.is(whole.failure, null);
    assert.ok(whole.device!.launches > 7);
    const result = await runLoaded(chain, { ...FORM, cores, loseAfter: 7 }, seed);
    const { failure, ledger } = result;
    assert.match(failure!, /device gpu\.js webgpu on .*: it is lost \(destroyed.*\); \d+ rows were in flight/);
    assert.ok(failuresOf(result).length > 0, "exit code 1");
    assert.ok(ledger.balanced && ledger.in_flight === 0, JSON.stringify(ledger));
    assert.ok(ledger.drops.some(({ reason, packets }) => reason === "device-stalled" && packets > 0));
  });
}

test("lost while kernels are compiled with their tables: it does not start", async () => {
  if (skipUnless(lack === undefined, lack ?? "")) return;
  const chain = await load(folder(gateway(10)), NAMES, PLACED);
  const options = { kind: "gpujs", gpuJsMode: "webgpu", slots: 4096, nfs: deviceNfs(chain), loseAfter: 0 } as const;
  const device = await openDevice({ ...options, warn: () => {} });
  try {
    await device.start().then(
      () => assert.unreachable("it starts"),
      (error: Error) => assert.match(error.message, /^device gpu\.js webgpu on .*: it is lost \(destroyed/),
    );
  } finally {
    await device.close();
  }
});

test.run();
