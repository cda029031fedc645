/** Runs with NFs on the WebGPU adapter of this machine, as users start them; on one without a GPU that is SwiftShader. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type AdapterFacts, pickAdapter } from "../runtime/device/webgpu/adapter.js";
import { adaptersHere } from "../runtime/device/webgpu/here.js";
import type { RunResult } from "../runtime/engine/result.js";
import { folder, gateway, run, wingbeat } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { deviceLack } from "./support/webgpu.js";

const lack = await deviceLack();
const best: AdapterFacts | undefined =
  lack === undefined ? pickAdapter((await adaptersHere()).map((facts) => ({ facts }))).facts : undefined;
const without = () => skipUnless(lack === undefined, lack ?? "");

const chain = folder(gateway(2000));
const onGpu = ["--place", "protect=gpu,open=gpu,nids=gpu,router=gpu", "--seed", "3"];

/** Everything that has to be equal wherever NFs are placed. */
function same(result: RunResult) {
  const { digest, alerts_digest: alerts, ledger, nfs } = result;
  return { digest, alerts, drops: ledger.drops, outcomes: nfs.map((nf) => [nf.name, nf.packets, nf.outcomes]) };
}

test("--device webgpu, with a name and without: the bytes of the CPU, and what it is said to be", () => {
  if (without()) return;
  const cpu = run(chain, "chain.json", ...onGpu, "--device", "none");
  for (const text of ["webgpu", `webgpu:${best!.name.slice(1).toUpperCase()}`]) {
    const result = run(chain, "chain.json", ...onGpu, "--device", text, "--workgroups", "3");
    assert.equal(same(result), same(cpu), text);
    const { kind, name, emulated, persistent, zero_copy: zeroCopy, workgroups } = result.device!;
    assert.equal(
      { kind, name, emulated, persistent, zeroCopy, workgroups },
      { kind: "webgpu", name: best!.name, emulated: best!.emulated, persistent: false, zeroCopy: false, workgroups: 3 },
    );
    assert.ok(result.sync.bytes_copied > 0 && result.sync.packets > 0);
    assert.ok(result.nfs.every((nf) => nf.place === "gpu" && nf.device === best!.name));
  }
});

test("packets go on from NF to NF on the device, and with host-routing they do not: the same bytes, fewer of them copied", () => {
  if (without()) return;
  const [forwarded, routed] = ["webgpu", "webgpu:host-routing"].map((text) =>
    run(chain, "chain.json", ...onGpu, "--device", text),
  );
  assert.equal(same(forwarded!), same(routed!));
  assert.equal(
    forwarded!.sync.hops.map(({ from, to }) => [from, to]),
    [["nids", "router"]],
  );
  assert.ok(forwarded!.sync.forwarded > 0);
  assert.equal(routed!.sync.hops, []);
  assert.ok(forwarded!.sync.bytes_copied < routed!.sync.bytes_copied);
  assert.is(forwarded!.sync.packets + forwarded!.sync.forwarded, routed!.sync.packets);
  const { stdout } = wingbeat(["run", "chain.json", ...onGpu, "--device", "webgpu"], chain);
  assert.match(stdout, /^went on by themselves: nids -> router [\d,]+$/m);
});

test("one line says which device it is; --slice has nothing to act on", () => {
  if (without()) return;
  const args = ["run", "chain.json", "--place", "nids=gpu", "--device", "webgpu", "--workgroups", "2", "--slice", "5"];
  const { code, stderr } = wingbeat(args, chain);
  assert.is(code, 0, stderr);
  const lines = stderr.split("\n").filter((line) => line.startsWith("wingbeat: device "));
  assert.is(lines.length, 1, stderr);
  assert.ok(lines[0]!.includes(best!.name));
  assert.match(
    lines[0]!,
    /: (emulated on the CPU|hardware), WebGPU, launched in rounds, packets copied, 2 workgroups of 64; runs nids$/,
  );
  assert.match(stderr, /--slice: there is no persistent kernel in this run to be sliced/);
});

test("a device that nothing is placed on is not opened", () => {
  if (without()) return;
  const { code, stderr } = wingbeat(["run", "chain.json", "--device", "webgpu", "--quiet"], chain);
  assert.is(code, 0, stderr);
  assert.match(stderr, /--device webgpu: nothing runs on it, .*--place NF=gpu, for protect, open, nids, router/);
});

test("no such adapter, and none at all: exit code 1, what there is, and the remedy", () => {
  if (without()) return;
  const args = ["run", "chain.json", ...onGpu, "--device"];
  const named = wingbeat([...args, "webgpu:no such"], chain);
  assert.is(named.code, 1);
  assert.match(named.stderr, /^wingbeat: --device webgpu:no such: no adapter has "no such" in its name$/m);
  assert.match(named.stderr, new RegExp(`^ {2}remedy: .*${best!.name}`, "m"));
  const nothing = join(chain, "none.json");
  const none = wingbeat([...args, "webgpu"], chain, { VK_ICD_FILENAMES: nothing, VK_DRIVER_FILES: nothing });
  assert.is(none.code, 1);
  assert.match(
    none.stderr,
    /^wingbeat: --device webgpu: Dawn accepts no Vulkan driver of this machine\n {2}remedy: .*doctor/m,
  );
});

test("auto without OpenCL goes on to WebGPU, and says why in one line", () => {
  if (without()) return;
  const args = ["run", "chain.json", ...onGpu.slice(0, 2), "--quiet", "--json", "-"];
  const vendors = join(folder({ "vendors/nothing": "" }), "vendors");
  const { code, stdout, stderr } = wingbeat(args, chain, { OCL_ICD_VENDORS: vendors });
  assert.is(code, 0, stderr);
  const [first, second] = stderr.trim().split("\n");
  assert.match(first!, /^wingbeat: trying .* \(webgpu\): .*OpenCL.*; remedy: /);
  assert.match(second!, /^wingbeat: device .*WebGPU, launched in rounds/);
  assert.is((JSON.parse(stdout) as RunResult).device!.kind, "webgpu");
});

test.run();
