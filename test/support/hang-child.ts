/**
 * A process that runs a chain with a nids on the OpenCL device, whose kernel stays for ever at a packet that begins with 0xff: `node
 * hang-child.js FOLDER CORES`. Prints the result, and ends by itself as `wingbeat run` does.
 */
import { join } from "node:path";
import { loadChain } from "../../runtime/chain/load.js";
import { openDevice } from "../../runtime/device/open.js";
import { parseCores } from "../../runtime/engine/core-spec.js";
import { deviceNfs, slotsFor } from "../../runtime/engine/device-plan.js";
import { startRun } from "../../runtime/engine/run.js";

const [folder, cores] = process.argv.slice(2) as [string, string];
const warn = (line: string) => console.error(line);
const chain = await loadChain(join(folder, "chain.json"), { warn });
const nfs = deviceNfs(chain);
const device = await openDevice({
  ...{ kind: "opencl", nfs, slots: slotsFor, workgroups: 2, depth: 2, kernelFolders: [folder] },
  warn,
});
const run = startRun(chain, {
  ...{ cores: parseCores(cores), batch: 64, portable: true, order: "flow", wait: {}, verifyL4: false },
  ...{ loop: 0, duration: 0, rate: undefined, seed: undefined, digest: false },
  ...{ device, syncer: { stall: 1e9 }, warn },
});
const { ledger, failure } = await run.result;
console.log(JSON.stringify({ ledger, failure }));
process.exitCode = 1;
