/** `compare` on this machine's devices: small, and whole; and refused where a device errs by one bit. */
import { join } from "node:path";
import { Command } from "commander";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addCompareCommand } from "../runtime/cli/compare.js";
import { openDevice } from "../runtime/device/open.js";
import { deviceNfs, slotsFor } from "../runtime/engine/device-plan.js";
import { exitCodeOf } from "../runtime/errors.js";
import { proveEquivalence } from "../runtime/experiment/equivalence.js";
import { folder, gateway, wingbeat } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { resultOf } from "./support/compare-model.js";
import { fakeTools } from "./support/fake-tools.js";
import { deviceLack } from "./support/webgpu.js";

const FILES = gateway(400);
const SHORT = ["--sizes", "128", "--repeats", "2", "--warm-up", "20", "--window", "40", "--seed", "5", "--no-search"];

const lack = await deviceLack();

for (const [device, missing] of [
  ["opencl", undefined],
  ["webgpu", lack],
] as const) {
  test(`none against ${device}: equal digests, every cell measured, and nothing of the user's written`, () => {
    if (skipUnless(missing === undefined, missing ?? "")) return;
    const cwd = folder(FILES);
    const args = [...SHORT, "--placements", "protect+nids", "--devices", `none,${device}`, "--loads", "none"];
    const { code, stdout, stderr } = wingbeat(["compare", "chain.json", ...args, "--json", "r.json"], cwd);
    assert.is(code, 0, stderr);
    const result = resultOf(cwd);
    assert.is(result.state, "complete");
    const { cases, packets, equal } = result.equivalence!;
    assert.ok(equal);
    assert.is(packets, 400);
    assert.is(cases.length, 2);
    assert.is(new Set(cases.map(({ digest }) => digest)).size, 1);
    assert.match(cases[0]!.digest, /^sha256:[0-9a-f]{64}$/);
    assert.is(new Set(cases.map(({ alerts_digest }) => alerts_digest)).size, 1);
    assert.equal(
      result.cells.map(({ name }) => name),
      ["all on cpu", `protect+nids on gpu (${device})`],
    );
    const [cpu, gpu] = result.cells;
    assert.is(cpu!.device, null);
    assert.is(gpu!.device?.kind, device);
    assert.is(gpu!.device?.persistent, device === "opencl");
    for (const { gbps, nfs } of result.cells) {
      assert.is(gbps.samples, 2);
      assert.is(nfs.length, 4);
      // Of the whole run: a window may see no packet on a machine that is busy with something else.
      assert.ok(nfs.every(({ share }) => share > 0.1 && share <= 1));
    }
    assert.is(gpu!.rows!.bytes_copied_per_packet > 0, device === "webgpu");
    assert.is(result.samples.filter(({ load }) => load.kind === "saturation").length, 4);
    assert.equal(
      new Set(result.samples.map(({ nfs }) => nfs.map(({ place }) => place).join())),
      new Set(["cpu,cpu,cpu,cpu", "gpu,cpu,gpu,cpu"]),
    );
    assert.is(result.verdicts.filter(({ metric }) => metric === "gbps").length, 1);
    // No meter here or a nominal one: the energy has no verdict, and says why.
    const energy = result.verdicts.find(({ metric }) => metric === "gbps_per_watt")!;
    if (gpu!.energy?.provenance !== "measured") assert.is(energy.verdict, "none");
    if (gpu!.device!.emulated) assert.match(stdout, /of an emulated device: no verdict on hardware|no verdict/);
    assert.throws(() => resultOf(cwd, "alerts.jsonl"), /ENOENT/);
  });
}

test("a device that errs by one bit is refused, and no sample is taken", async () => {
  const cwd = folder(FILES);
  const program = new Command().exitOverride();
  addCompareCommand(program, {
    ...fakeTools({ failsAt: 0 }),
    prove: (cells, options) =>
      proveEquivalence(cells, {
        ...options,
        open: (placed) =>
          openDevice({
            kind: "opencl",
            corruptAfter: 1,
            workgroups: 1,
            nfs: deviceNfs(placed),
            slots: slotsFor,
            warn: () => {},
          }),
      }),
  });
  const json = join(cwd, "r.json");
  const args = ["compare", join(cwd, "chain.json"), ...SHORT, "--placements", "protect", "--meter", "none"];
  let error: unknown;
  await program
    .parseAsync([...args, "--loads", "none", "--quiet", "--json", json], { from: "user" })
    .catch((caught) => {
      error = caught;
    });
  assert.is(exitCodeOf(error), 1);
  assert.match(
    (error as Error).message,
    /protect on gpu, opencl, d1 at 128 gives another result.*\n {4}egress digest/s,
  );
  const result = resultOf(cwd);
  assert.is(result.state, "refused");
  assert.equal([result.samples, result.cells, result.verdicts], [[], [], []]);
  assert.ok(result.equivalence!.cases.some(({ first_frame }) => first_frame !== null));
});

test.run();
