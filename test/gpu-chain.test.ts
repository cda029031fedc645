/**
 * Chains on the OpenCL device that is there, in threads: every placement of the three NFs, on any cores and workgroups, gives the
 * result of a run without a device.
 */
import { readFileSync } from "node:fs";
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
import {
  alertsOf,
  compareTables,
  digestOf,
  expected,
  randomSubject,
  sum,
  writeCapture,
} from "./support/chain-comparison.js";
import { freshSeed, Random } from "./support/random.js";

const seed = freshSeed();
const r = new Random(seed);
const PACKETS = 2500;
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

async function load(folderPath: string, names: readonly string[], place: readonly string[]): Promise<LoadedChain> {
  return loadChain(join(folderPath, "chain.json"), {
    place: new Map(names.map((name) => [name, place.includes(name) ? "gpu" : "cpu"])),
    warn: () => {},
  });
}

async function runForm(form: Form | undefined, ivSeed: number): Promise<RunResult> {
  return runLoaded(await load(cwd, NFS, form?.place ?? []), form, ivSeed);
}

async function runLoaded(
  chain: LoadedChain,
  form: Form | undefined,
  ivSeed: number,
  verifyL4 = false,
): Promise<RunResult> {
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
    ...{ wait: "adaptive", verifyL4, loop: 1, duration: 0, rate: undefined, seed: ivSeed, digest: true },
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
  [["protect", "open"], ["nids"], ["router"]].flatMap((names, bit) => (((i + 1) >> bit) & 1 ? names : [])),
);
const CORES = ["d1", "c1d1", "c2d1", "c1d1n1", "d1n2", "d2n1"];

test(`every placement, on any cores and workgroups, gives one result (seed ${seed})`, async () => {
  const ivSeed = r.u32();
  // The first device of the process decides how many threads PoCL has.
  const first: Form = { place: ["nids"], cores: "d1", workgroups: MOST_WORKGROUPS };
  const without = essence(await runForm(undefined, ivSeed));
  const forms = [first, ...placements.map((place) => randomForm(place))];
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

test(`random chains, placed at random, do what the reference does (seed ${seed})`, async () => {
  for (let n = 0; n < 4; n++) {
    const one = await randomSubject(r, n === 0, 400);
    const names = one.chain.nfs.map((nf) => nf.name);
    const some = names.filter(() => r.chance(0.6));
    const form = { ...randomForm(some.length > 0 ? some : names), order: r.pick(["flow", "global"] as const) };
    // Flows go their own ways on two CPUSyncer cores, so that the digest is over another order.
    const cores = form.order === "flow" ? form.cores.replace("c2", "c1") : form.cores;
    const about = `seed ${seed}, chain ${n}, ${JSON.stringify({ ...form, cores })}\n${JSON.stringify(one.random.files, null, 1)}`;
    for (const [name, packets] of one.input)
      writeCapture(join(one.cwd, name === "in" ? "in.pcap" : "in2.pcap.gz"), packets);
    const chain = await load(one.cwd, names, form.place);
    const result = await runLoaded(chain, { ...form, cores }, one.ivSeed, one.verifyL4);
    const reference = expected(one);
    const rx = sum([...one.input.values()].map((packets) => packets.length));
    assert.is(result.failure, null, about);
    compareTables(result, reference, rx, about);
    assert.is(result.alerts_digest, alertsOf(reference), about);
    assert.is(result.digest, digestOf(reference), about);
  }
});

test(`without order, and with flows on CPUSyncer cores of their own, the ledger balances and flows keep their order (seed ${seed})`, async () => {
  for (const [order, cores] of [
    ["none", "c2d1n1"],
    ["none", "d1"],
    ["flow", "c2d1"],
  ] as const) {
    const form = { ...randomForm(["protect", "open", "nids"]), workgroups: 3, cores, order };
    const result = await runForm(form, r.u32());
    const about = `seed ${seed}, ${JSON.stringify(form)}`;
    check(result, form, about);
    if (order === "flow") assert.is(result.order.flow_reordered, 0, about);
  }
});

test(`an outbound SA is one flow, and leaves in the order of its sequence numbers (seed ${seed})`, async () => {
  const files = gateway(PACKETS);
  const chain = files["chain.json"] as { ports: object };
  const alone = folder({
    ...files,
    "chain.json": { ...chain, ports: { ...chain.ports, out: { driver: "pcap", file: "out.pcap" } } },
    "policy.csv":
      "branch,ingress,protect\n*,ingress,router\n*,protect,egress:out\n*,router,egress:lan\n*,open,nids\n*,nids,drop",
  });
  const form: Form = { place: ["protect"], cores: "c2d1", workgroups: 4, order: "flow", workgroupSize: 8 };
  const result = await runLoaded(await load(alone, NFS, form.place), form, r.u32());
  check(result, form, `seed ${seed}`);
  const capture = readFileSync(join(alone, "out.pcap"));
  let last = 0;
  for (let at = 24; at < capture.length; at += 16 + capture.readUInt32LE(at + 8)) {
    const esp = at + 16 + 14 + 20;
    const sequence = capture.readUInt32BE(esp + 4);
    assert.is(sequence, last + 1, `seed ${seed}`);
    last = sequence;
  }
  assert.ok(last > 100, `${last} packets through the tunnel`);
});

test.run();
