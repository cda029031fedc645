/** Runs whose device does not start, stalls, fails or does not stop, and runs that end while rows are in flight: all of them end. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadChain } from "../runtime/chain/load.js";
import { parseCores } from "../runtime/engine/core-spec.js";
import type { OrderMode } from "../runtime/engine/plan.js";
import type { RunResult } from "../runtime/engine/result.js";
import { type Run, type RunOptions, startRun } from "../runtime/engine/run.js";
import { folder } from "./chain-support.js";
import { type Script, type ScriptedDevice, scriptedDevice } from "./support/scripted-device.js";

/** Short, for the tests' sake: a device that has its share of a busy processor makes progress in less. */
const STALL_NS = 200e6;

/** Two nids one after the other, so that each may have a core of its own. */
function files(more: { late?: string; count?: number } = {}) {
  const nids = (alerts: string) => ({ type: "nids", place: "gpu", config: { rules: "local.rules", alerts } });
  return {
    "chain.json": {
      name: "failures",
      ports: {
        in: { driver: "generator", flows: 20, payload: "text", ...(more.count && { count: more.count }) },
        out: { driver: "null" },
      },
      nfs: { first: nids("first.jsonl"), second: nids(more.late ?? "second.jsonl") },
      policy: "policy.csv",
    },
    "policy.csv": "*,ingress,first\n*,first,second\n*,second,egress",
    "local.rules": 'alert udp any any -> any any (msg:"one"; content:"e"; sid:1;)',
  };
}

interface Started {
  readonly run: Run;
  readonly device: ScriptedDevice;
}

async function start(
  cwd: string,
  cores: string,
  script: Partial<Script>,
  more: Partial<RunOptions> = {},
): Promise<Started> {
  const chain = await loadChain(join(cwd, "chain.json"), { warn: () => {} });
  const device = scriptedDevice({ nfs: 2, workgroups: 3, ...script });
  const run = startRun(chain, {
    ...{ cores: parseCores(cores), batch: 64, portable: true, order: "flow", wait: {}, verifyL4: false },
    ...{ loop: 0, duration: 0, rate: undefined, seed: undefined, digest: false },
    ...{ device, warn: () => {} },
    ...more,
  });
  return { run, device };
}

/** What a run comes to; fails where it does not end. */
async function ended<T>(result: Promise<T>, about: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${about}: does not end`)), 60_000);
  });
  return Promise.race([result, late]).finally(() => clearTimeout(timer));
}

const errorOf = (result: Promise<RunResult>): Promise<Error> =>
  result.then(
    () => {
      throw new Error("the run succeeded");
    },
    (error: Error) => error,
  );

const stalledDrops = ({ ledger }: RunResult) =>
  ledger.drops.filter((d) => d.reason === "device-stalled").reduce((sum, d) => sum + d.packets, 0);

const STALLS: readonly (readonly [string, OrderMode, number])[] = [
  ["d1", "flow", 0],
  ["d1", "none", 40],
  ["c1d1", "global", 40],
  ["d1n2", "flow", 1],
  ["c2d2n2", "flow", 40],
];

for (const [cores, order, stallsAfter] of STALLS) {
  test(`${cores}, order ${order}: a device that stalls after ${stallsAfter} rows; all packets are accounted for, and the run says which workgroup`, async () => {
    const { run, device } = await start(
      folder(files()),
      cores,
      { stallsAfter },
      { order, syncer: { stall: STALL_NS } },
    );
    const result = await ended(run.result, cores);
    assert.match(result.failure!, /device: workgroup \d has made no progress .* CpuIndex \d+, GpuIndex \d+/);
    assert.ok(result.ledger.balanced, JSON.stringify(result.ledger));
    assert.ok(stalledDrops(result) > 0);
    assert.is(result.ledger.rx, result.ledger.tx + stalledDrops(result));
    assert.equal(device.asked, ["start", "stop", "close"]);
  });
}

for (const cores of ["c1d2n2"]) {
  test(`${cores}: stopped while the device does not go on, it ends all the same`, async () => {
    const { run } = await start(folder(files()), cores, { stallsAfter: 0 }, { syncer: { stall: 3 * STALL_NS } });
    const stopping = setInterval(() => run.snapshot().rx > 0 && run.stop(), 5);
    const result = await ended(run.result, cores).finally(() => clearInterval(stopping));
    assert.match(result.failure!, "has made no progress");
    assert.ok(result.ledger.balanced && stalledDrops(result) > 0, JSON.stringify(result.ledger));
  });
}

for (const cores of ["d1", "c2d2n2"]) {
  test(`${cores}: a device that fails`, async () => {
    const { run, device } = await start(folder(files()), cores, { failsAfter: 30 });
    const result = await ended(run.result, cores);
    assert.match(result.failure!, "its driver has given up after 30 rows");
    assert.ok(result.ledger.balanced, JSON.stringify(result.ledger));
    assert.equal(device.asked, ["start", "stop", "close"]);
  });

  test(`${cores}: stopped at once and later, it drains`, async () => {
    for (const ms of [0, 200]) {
      const { run } = await start(folder(files()), cores, {});
      setTimeout(() => run.stop(), ms);
      const { ledger, failure, sync, device } = await ended(run.result, cores);
      assert.ok(ledger.balanced && ledger.dropped === 0);
      assert.is(failure, null);
      assert.is(sync.packets, 2 * ledger.rx);
      assert.is(device!.workgroups, 3);
    }
  });
}

for (const cores of ["d1", "c1d1n2"]) {
  test(`${cores}: a thread that fails while rows are in flight`, async () => {
    const { run, device } = await start(folder(files({ late: "/dev/full" })), cores, {});
    assert.match((await ended(errorOf(run.result), cores)).message, /\/dev\/full/);
    assert.is(device.asked.at(-1), "close");
  });
}

test("a device that does not start, one that does not stop", async () => {
  const never = await start(folder(files()), "c1d1", { startFails: true });
  assert.match((await ended(errorOf(never.run.result), "start")).message, "no workgroup has started");
  assert.equal(never.device.asked, ["start", "stop", "close"]);
  const stuck = await start(folder(files()), "d1n1", { stopFails: true }, { duration: 0.1 });
  const result = await ended(stuck.run.result, "stop");
  assert.match(result.failure!, "it has not come to an end");
  assert.ok(result.ledger.balanced && stalledDrops(result) === 0);
});

test("fewer workgroups than asked for: those that run do the work; cores that would have none are refused", async () => {
  const { run } = await start(folder(files()), "c2d1n2", { resident: 1 }, { duration: 0.2 });
  const { ledger, failure, device } = await ended(run.result, "c2d1n2");
  assert.ok(ledger.balanced && ledger.tx > 0);
  assert.is(failure, null);
  assert.is(device!.workgroups, 1);
  const refused = await start(folder(files()), "d1n2", { resident: 1 });
  const { message } = await ended(errorOf(refused.run.result), "d1n2");
  assert.match(message, /2 cores have NFs on the device .* 1 workgroup/);
  assert.match(message, "c1");
  const told: string[] = [];
  const fewer = await start(
    folder(files()),
    "d1n2",
    { workgroups: 1 },
    { duration: 0.1, warn: (line) => told.push(line) },
  );
  assert.is((await ended(fewer.run.result, "d1n2")).cores, "d1n1");
  assert.match(told.join("\n"), /--cores n2: .* n1 used/);
});

test("a low rate: packets do not wait for rows to fill", async () => {
  for (const cores of ["d1", "c1d1"]) {
    const rate = { unit: "pps", value: 2000 } as const;
    // So many and no more, instead of what falls due while the machine may be busy with something else.
    const { run } = await start(folder(files({ count: 600 })), cores, {}, { loop: 1, rate });
    const { ledger, sync } = await ended(run.result, cores);
    assert.ok(ledger.balanced && ledger.tx === 600, JSON.stringify(ledger));
    assert.ok(sync.dummies > 0, JSON.stringify(sync));
  }
});

test.run();
