/** A kernel that hangs in a run on the OpenCL device that is there: the run ends, every packet accounted for, and so does the process. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RunResult } from "../runtime/engine/result.js";
import { folder, ROOT } from "./chain-support.js";

const CHILD = join(ROOT, "dist", "test", "support", "hang-child.js");

/** One packet of random bytes in 256 never ends. */
const KERNEL = `
#define NF_NIDS_LOCAL_WORDS 0
static void nf_nids_init(__local uint *words, uint thread, uint threads) {}
static void nf_nids(__global uchar *slot, __global uint *params, __global const uint *table, __local const uint *words)
{
  volatile __global uchar *byte = slot + (params[WB_PARAM_PLACE] & 0xffff);
  while (*byte == 0xff) {}
  params[0] = 0;
}
`;

for (const cores of ["d1", "c1d1n1"]) {
  test(`${cores}: a kernel that hangs ends the run, its workgroup named, and every packet is accounted for`, () => {
    const cwd = folder({
      "nids.cl": KERNEL,
      "chain.json": {
        name: "hang",
        ports: { in: { driver: "generator", flows: 50, size: 200, payload: "random" }, out: { driver: "null" } },
        nfs: { nids: { type: "nids", place: "gpu", config: { rules: "local.rules" } } },
        policy: "policy.csv",
      },
      "policy.csv": "*,ingress,nids\n*,nids,egress",
      "local.rules": 'alert udp any any -> any any (msg:"one"; content:"needle"; sid:1;)',
    });
    const { status, stdout, stderr } = spawnSync(process.execPath, [CHILD, cwd, cores], {
      encoding: "utf8",
      timeout: 120_000,
    });
    assert.is(status, 1, `${stdout}\n${stderr}`);
    const { ledger, failure } = JSON.parse(stdout) as Pick<RunResult, "ledger" | "failure">;
    assert.match(failure!, /device: workgroup \d has made no progress .* row of NF nids: CpuIndex \d+, GpuIndex \d+/);
    assert.ok(ledger.balanced, stdout);
    const [drop] = ledger.drops;
    assert.is(drop?.reason, "device-stalled");
    assert.ok(ledger.tx > 0 && drop!.packets > 0, stdout);
    // Only what was received before: the memory of packets a kernel may still write to is not used again.
    assert.is(ledger.rx, ledger.tx + drop!.packets);
  });
}

test.run();
