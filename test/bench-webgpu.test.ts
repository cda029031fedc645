/** Experiments with WebGPU: each in its quick form, with turns so short that their figures mean nothing. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { whyNoAdapter } from "../bench/device/adapter.js";
import type { Finding } from "../bench/experiment.js";
import { skipUnless } from "./skip.js";
import { of, runQuick } from "./support/bench-quick.js";

const lack = await whyNoAdapter();

function quick(name: string, expect: (findings: readonly Finding[]) => void): void {
  test(`${name}, quick`, async () => {
    if (skipUnless(lack === undefined, lack ?? "")) return;
    expect(await runQuick(name));
  });
}

quick("device-webgpu-kernels", (findings) => {
  for (const cell of ["ipsec seal", "nids", "router"]) {
    const own = findings.filter((finding) => finding.cell === cell);
    assert.ok(own.some(({ target, figure }) => target?.at === "least" && /8 dispatches/.test(figure)));
  }
  const ratio = of(findings, /^pass, 8 rows \/ 1 row$/, /rows served/);
  const expected = of(findings, /^pass, 8 rows in/, /rows served/) / of(findings, /^pass, 1 row in/, /rows served/);
  assert.ok(Math.abs(ratio / expected - 1) < 1e-9);
});

quick("device-webgpu-rounds", (findings) => {
  assert.ok(of(findings, /^1 workgroup$/, /round trip p50/) > 0);
  const gain = findings.find(({ subject }) => subject === "4 in flight / 1")!;
  assert.equal(gain.target, { at: "least", value: 1.2 });
});

test.run();
