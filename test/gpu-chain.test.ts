/**
 * Chains on the OpenCL device that is there, in threads: every placement of the three NFs, on any cores and workgroups, gives the
 * result of a run without a device.
 */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LoadedChain, loadChain } from "../runtime/chain/load.js";
import { openDevice } from "../runtime/device/open.js";
import { deviceNfs, slotsFor } from "../runtime/engine/device-plan.js";
import type { OrderMode } from "../runtime/engine/plan.js";
import type { RunResult } from "../runtime/engine/result.js";
import { startRun } from "../runtime/engine/run.js";
import { parseCores } from "../runtime/engine/topology.js";
import { folder, gateway } from "./chain-support.js";
import { freshSeed, Random } from "./support/random.js";

const seed = freshSeed();
const r = new Random(seed);
const PACKETS = 4000;
/** PoCL has as many threads as the first device of the process asks for. */
const MOST_WORKGROUPS = 8;

const cwd = folder(gateway(PACKETS));
const NFS = ["protect", "open", "nids", "router"];

interface Form {
  readonly place: readonly string[];
  readonly cores: string;
  readonly workgroups: number;
  readonly order?: OrderMode;
  readonly mode?: "persistent" | "rounds";
  readonly workgroupSize?: number;
  readonly depth?: number;
}

async function load(place: readonly string[]): Promise<LoadedChain> {
  return loadChain(join(cwd, "chain.json"), {
    place: new Map(NFS.map((name) => [name, place.includes(name) ? "gpu" : "cpu"])),
    warn: () => {},
  });
}

async function runForm(form: Form | undefined, ivSeed: number): Promise<RunResult> {
  const chain = await load(form?.place ?? []);
  const nfs = deviceNfs(chain);
  const device =
    form === undefined || nfs.length === 0
      ? undefined
      : await openDevice({
          kind: "opencl",
          nfs,
          slots: slotsFor,
          workgroups: form.workgroups,
          ...(form.mode && { mode: form.mode }),
          workgroupSize: form.workgroupSize ?? 64,
          depth: form.depth ?? 8,
          warn: () => {},
        });
  const run = startRun(chain, {
    ...{ cores: parseCores(form?.cores ?? "d1"), batch: 64, portable: false, order: form?.order ?? "global" },
    ...{ wait: "adaptive", verifyL4: false, loop: 1, duration: 0, rate: undefined, seed: ivSeed, digest: true },
    device,
    warn: () => {},
  });
  return run.result;
}

/** What placement must not change. */
function essence(result: RunResult): object {
  const { digest, alerts_digest, bytes, packets, nfs, ports } = result;
  const tables = nfs.map(({ name, packets: n, bytes: b, outcomes }) => ({ name, n, b, outcomes }));
  const drops = result.ledger.drops.map((d) => `${d.nf} ${d.reason} ${d.packets}`).sort();
  return { digest, alerts_digest, bytes, packets, tables, drops, ports };
}

function check(result: RunResult, form: Form, about: string): void {
  assert.is(result.failure, null, about);
  assert.ok(result.ledger.balanced, about);
  for (const nf of result.nfs) {
    const onGpu = form.place.includes(nf.name);
    assert.is(nf.place, onGpu ? "gpu" : "cpu", about);
    assert.is(nf.device, onGpu ? result.device!.name : null, about);
  }
  const { rows, packets, dummies, bytes_copied } = result.sync;
  assert.is(packets + dummies, rows * (form.workgroupSize ?? 64), about);
  assert.ok(packets > 0, about);
  assert.is(bytes_copied === 0, result.device!.zero_copy, about);
}

const placements = Array.from({ length: 7 }, (_, i) =>
  [[] as string[], ["nids"], ["router"]].flatMap((names, bit) => (((i + 1) >> bit) & 1 ? names : [])),
);
const CORES = ["d1", "c1d1", "c2d1", "c1d1n1", "d1n2", "d2n1"];

test(`every placement, on any cores and workgroups, gives one result (seed ${seed})`, async () => {
  const ivSeed = r.u32();
  // The first device of the process decides how many threads PoCL has.
  const first: Form = { place: ["nids"], cores: "d1", workgroups: MOST_WORKGROUPS };
  const without = essence(await runForm(undefined, ivSeed));
  const forms = [first, ...placements.filter((p) => p.length > 0).map((place) => randomForm(place))];
  for (const form of forms) {
    const about = `seed ${seed}, ${JSON.stringify(form)}`;
    const result = await runForm(form, ivSeed);
    check(result, form, about);
    assert.equal(essence(result), without, about);
    assert.is(result.order.reordered, 0, about);
  }
});

function randomForm(place: readonly string[]): Form {
  const cores = r.pick(CORES);
  return {
    place,
    cores,
    workgroups: r.int(cores === "d1n2" ? 2 : 1, MOST_WORKGROUPS),
    workgroupSize: r.pick([8, 64, 64, 128]),
    depth: r.pick([1, 4, 8]),
    mode: r.pick(["persistent", "persistent", "rounds"]),
  };
}

test.run();
