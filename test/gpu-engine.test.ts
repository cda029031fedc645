/**
 * The engine with NFs on a device, the device taking turns with the cores in an order the seed chooses. Random chains and traffic do what
 * the reference does packet by packet, wherever NFs are placed; what the kernel does is a stamp (support/deferred-nf.ts), so this is
 * about order, accounting, and who owns a slot. Kernels have tests of their own.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { LoadedChain } from "../runtime/chain/load.js";
import { type Execution, execute, type GpuExecution } from "./support/chain-bench.js";
import {
  alertsOf,
  compareFrames,
  compareTables,
  digestOf,
  expected,
  randomSubject,
  sum,
} from "./support/chain-comparison.js";
import type { Sent } from "./support/chain-reference.js";
import { gateReference } from "./support/gate-reference.js";
import { freshSeed, Random } from "./support/random.js";

const seed = freshSeed();
const r = new Random(seed);
const CHAINS = Number(process.env["WINGBEAT_TEST_CHAINS"] ?? 16);
const PACKETS = 200;
/**
 * Whether packets overtake each other is up to chance, too: a chain may have one flow, a device may keep up. So more executions follow until
 * it has been seen; had it no way to happen, it would not be in so many either.
 */
const MOST = 20 * CHAINS;
const another = (n: number, reordered: number) => n < CHAINS || (CHAINS >= 16 && reordered === 0 && n < MOST);

function randomGpu(chain: LoadedChain): GpuExecution {
  const names = chain.nfs.map((nf) => nf.name);
  const some = names.filter(() => r.chance(0.6));
  const workgroups = r.int(1, 4);
  return {
    nfs: some.length > 0 ? some : [r.pick(names)],
    workgroups,
    workgroupSize: r.pick([1, 2, 8, 64]),
    depth: r.pick([1, 2, 4]),
    resident: r.int(1, workgroups),
    spared: r.pick([0, 0.3, 0.9, 1]),
    pace: r.pick([0.2, 1, 4]),
  };
}

function randomExecution(chain: LoadedChain, order: Execution["order"], sync: number): Execution {
  const gpu = randomGpu(chain);
  const nf = sync > 0 ? r.int(0, 4) : Math.min(r.int(0, 4), gpu.resident);
  return {
    cores: { io: r.int(1, 2), nf, sync },
    batch: r.pick([1, 2, 7, 64, 100, 256]),
    slots: r.pick([4, 16, 100, 512]),
    portable: true,
    order,
    hiccups: r.pick([0, 0.3, 0.9]),
    gpu,
  };
}

for (const cyclic of [false, true]) {
  test(`${cyclic ? "cyclic" : "random"} chains do what the reference does, wherever NFs are placed (seed ${seed})`, async () => {
    const seen = { rows: 0, dummies: 0, placed: 0 };
    for (let n = 0; n < CHAINS / (cyclic ? 2 : 1); n++) {
      const one = await randomSubject(r, cyclic, PACKETS);
      const reference = expected(one);
      const { chain, input, ivSeed, verifyL4 } = one;
      const rx = sum([...input.values()].map((packets) => packets.length));
      for (let form = 0; form < 3; form++) {
        const order = r.pick(["flow", "global"] as const);
        const execution = randomExecution(chain, order, order === "flow" ? r.int(0, 1) : r.int(0, 3));
        const about = `seed ${seed}, chain ${n}, ${JSON.stringify(execution)}\n${JSON.stringify(one.random.files, null, 1)}`;
        const { result, sent, stalls } = execute(r, chain, input, ivSeed, verifyL4, execution);
        compareTables(result, reference, rx, about);
        compareFrames(sent, reference, about);
        assert.is(result.order.reordered, 0, about);
        assert.is(result.alerts_digest, alertsOf(reference), about);
        assert.is(result.digest, digestOf(reference), about);
        assert.equal(stalls, [], about);
        for (const nf of result.nfs) assert.is(nf.place, execution.gpu!.nfs.includes(nf.name) ? "gpu" : "cpu", about);
        const { rows, packets, dummies } = result.sync;
        assert.is(packets + dummies, rows * execution.gpu!.workgroupSize, about);
        seen.rows += rows;
        seen.dummies += dummies;
        seen.placed += execution.gpu!.nfs.length;
      }
    }
    if (CHAINS >= 16) assert.ok(seen.rows > 100 && seen.dummies > 100, `${JSON.stringify(seen)}; seed ${seed}`);
  });
}

test(`without order nothing is lost, and nothing is served twice (seed ${seed})`, async () => {
  let reordered = 0;
  for (let n = 0; another(n, reordered); n++) {
    const one = await randomSubject(r, n % 2 === 0, PACKETS);
    const { chain, input, ivSeed, verifyL4 } = one;
    const rx = sum([...input.values()].map((packets) => packets.length));
    const execution = randomExecution(chain, "none", r.int(0, 3));
    const about = `seed ${seed}, chain ${n}, ${JSON.stringify(execution)}`;
    const { result, sent, stalls } = execute(r, chain, input, ivSeed, verifyL4, execution);
    assert.ok(result.ledger.balanced && result.ledger.rx === rx, about);
    assert.equal(stalls, [], about);
    assert.ok(result.order.flow_reordered <= result.order.reordered, about);
    reordered += result.order.reordered;
    // Where no NF keeps state, each packet fares as it would in order.
    if (chain.nfs.every((nf) => nf.type === "router")) compareTables(result, expected(one), rx, about);
    if (!chain.nfs.some((nf) => nf.type === "ipsec"))
      assert.is(result.order.flow_reordered, overtaken(sent), `audit; ${about}`);
  }
  if (CHAINS >= 16) assert.ok(reordered > 0, `no execution reordered anything; seed ${seed}`);
});

test(`flows keep their order on several CPUSyncer cores, and do not wait for each other (seed ${seed})`, async () => {
  let reordered = 0;
  for (let n = 0; another(n, reordered); n++) {
    const one = await randomSubject(r, false, PACKETS);
    const { chain, input, ivSeed, verifyL4 } = one;
    const rx = sum([...input.values()].map((packets) => packets.length));
    const execution = randomExecution(chain, "flow", r.int(2, 3));
    const about = `seed ${seed}, chain ${n}, ${JSON.stringify(execution)}`;
    const { result, sent } = execute(r, chain, input, ivSeed, verifyL4, execution);
    assert.ok(result.ledger.balanced && result.ledger.rx === rx, about);
    assert.is(result.order.flow_reordered, 0, about);
    reordered += result.order.reordered;
    if (chain.nfs.some((nf) => nf.type === "ipsec")) continue;
    compareTables(result, expected(one), rx, about);
    assert.is(overtaken(sent), 0, about);
  }
  if (CHAINS >= 16) assert.ok(reordered > 0, `no flow overtook another; seed ${seed}`);
});

test(`a device that comes to a halt: every packet is accounted for, no slot is used again (seed ${seed})`, async () => {
  let stalled = 0;
  for (let n = 0; n < CHAINS; n++) {
    const one = await randomSubject(r, n % 3 === 0, PACKETS);
    const { chain, input, ivSeed, verifyL4 } = one;
    const order = r.pick(["flow", "global", "none"] as const);
    const execution = randomExecution(chain, order, r.int(0, 2));
    const gpu = { ...execution.gpu!, stallsAfter: r.int(0, 12) };
    const about = `seed ${seed}, chain ${n}, ${JSON.stringify({ ...execution, gpu })}`;
    const { result, stalls } = execute(r, chain, input, ivSeed, verifyL4, { ...execution, gpu });
    const drops = result.ledger.drops.filter((d) => d.reason === "device-stalled");
    assert.ok(result.ledger.balanced, about);
    assert.is(drops.length > 0, stalls.length > 0, about);
    for (const { nf, packets } of drops) {
      assert.ok(gpu.nfs.includes(nf), about);
      stalled += packets;
    }
  }
  if (CHAINS >= 16) assert.ok(stalled > CHAINS / 2, `${stalled} packets; seed ${seed}`);
});

/** Packets that left a port after a later one of their flow: 5-tuple, either direction. */
function overtaken(sent: readonly Sent[]): number {
  const last = new Map<string, number>();
  let count = 0;
  for (const { port, frame, arrival } of sent) {
    const key = `${port} ${flowOf(frame)}`;
    if (arrival < (last.get(key) ?? 0)) count++;
    else last.set(key, arrival);
  }
  return count;
}

function flowOf(frame: Uint8Array): string {
  const at = gateReference(frame);
  if (at.reason !== "") throw new Error(`what leaves would not pass the gate: ${at.reason}`);
  const v4 = at.flags.includes("IPV4");
  if (!v4 && !at.flags.includes("IPV6")) return "";
  const [src, dst] = v4 ? [12, 16] : [8, 24];
  const bytes = v4 ? 4 : 16;
  const end = (from: number, port: number) =>
    `${Buffer.from(frame.subarray(at.l3 + from, at.l3 + from + bytes)).toString("hex")}.${port}`;
  const l4 = at.flags.includes("L4") && [6, 17, 132].includes(at.proto);
  const ends = [end(src, l4 ? at.sport : 0), end(dst, l4 ? at.dport : 0)].sort();
  // Only the first of an IPv6 packet's fragments can tell its protocol.
  const proto = !v4 && at.flags.includes("FRAGMENT") ? 0 : at.proto;
  return `${proto} ${ends.join(" ")}`;
}

test.run();
