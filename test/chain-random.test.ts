/**
 * Random chains over random and spoilt traffic. Every form of execution must do what the reference does packet by packet: the same
 * frames by the same ports in arrival order, the same outcomes, drops and alerts, and a ledger that balances.
 */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LoadedChain, loadChain } from "../runtime/chain/load.js";
import type { RunResult } from "../runtime/engine/result.js";
import { startRun } from "../runtime/engine/run.js";
import { ConfigError } from "../runtime/errors.js";
import { alertsDigest } from "../runtime/measure/digest.js";
import { folder } from "./chain-support.js";
import { type Execution, execute } from "./support/chain-bench.js";
import { ChainReference } from "./support/chain-reference.js";
import { freshSeed, Random } from "./support/random.js";
import { type Captured, type RandomChain, randomChain, randomTraffic } from "./support/random-chain.js";

const seed = freshSeed();
const r = new Random(seed);
/** Chains executed within this thread, chains run by real threads, and packets of each. */
const CHAINS = Number(process.env["WINGBEAT_TEST_CHAINS"] ?? 40);
const RUNS = 3;
const PACKETS = 250;

interface Subject {
  readonly random: RandomChain;
  readonly chain: LoadedChain;
  readonly cwd: string;
  readonly input: ReadonlyMap<string, readonly Captured[]>;
  readonly verifyL4: boolean;
  readonly ivSeed: number;
}

async function subject(cyclic: boolean, packets: number): Promise<Subject> {
  for (;;) {
    const random = randomChain(r, cyclic);
    const cwd = folder(random.files);
    try {
      const chain = await loadChain(join(cwd, "chain.json"), { warn: () => {} });
      const input = new Map(random.inputs.map((name) => [name, randomTraffic(r, random, packets)]));
      return { random, chain, cwd, input, verifyL4: r.chance(0.3), ivSeed: r.u32() };
    } catch (error) {
      // Such as a loop without a way out.
      if (!(error instanceof ConfigError)) throw error;
    }
  }
}

/** All packets in arrival order: by time, then by port. */
function merged(input: Subject["input"]): { port: string; packet: Captured }[] {
  const queues = [...input].map(([port, packets]) => ({ port, packets: [...packets] }));
  const out: { port: string; packet: Captured }[] = [];
  for (;;) {
    const waiting = queues.filter((q) => q.packets.length > 0);
    if (waiting.length === 0) return out;
    const earlier = (a: Captured, b: Captured) => a.sec - b.sec || a.nsec - b.nsec;
    const first = waiting.reduce((best, q) => (earlier(q.packets[0]!, best.packets[0]!) < 0 ? q : best));
    out.push({ port: first.port, packet: first.packets.shift()! });
  }
}

function expected({ chain, random, input, verifyL4, ivSeed }: Subject): ChainReference {
  const reference = new ChainReference(chain, random, ivSeed, verifyL4);
  for (const { port, packet } of merged(input)) reference.receive(packet, port);
  reference.close();
  return reference;
}

/** Outcomes, drops, ports, alerts: whatever a table shows; order apart. */
function compareTables(result: RunResult, reference: ChainReference, rx: number, about: string): void {
  const { ledger } = result;
  assert.ok(ledger.balanced && ledger.in_flight === 0, `balanced; ${about}`);
  assert.is(ledger.rx, rx, about);
  const ends = new Map(ledger.drops.map((d) => [`${d.nf} ${d.reason}`, d.packets]));
  if (ledger.to_kernel > 0) ends.set("kernel", ledger.to_kernel);
  assert.equal(sorted(ends), sorted(reference.ends), about);
  const outcomes = new Map<string, number>();
  for (const nf of result.nfs) {
    for (const [name, packets] of Object.entries(nf.outcomes)) {
      if (packets > 0) outcomes.set(`${nf.name} ${name}`, packets);
    }
    assert.is(nf.packets, sum(Object.values(nf.outcomes)), about);
    assert.is(nf.bytes, reference.bytes.get(nf.name) ?? 0, `bytes of ${nf.name}; ${about}`);
  }
  assert.equal(sorted(outcomes), sorted(reference.outcomes), about);
  assert.is(sum(result.ports.map((p) => p.ipackets)), ledger.rx, about);
  assert.is(sum(result.ports.map((p) => p.opackets)), ledger.tx, about);
  for (const port of result.ports) {
    const frames = reference.sent.filter((s) => s.port === port.name);
    assert.is(port.opackets, frames.length, `${port.name}; ${about}`);
    assert.is(port.obytes, sum(frames.map((s) => s.frame.length)), `${port.name}; ${about}`);
  }
}

function compareFrames(
  sent: readonly { port: string; frame: Uint8Array; arrival: number }[],
  reference: ChainReference,
  about: string,
): void {
  for (const port of new Set(reference.sent.map((s) => s.port))) {
    const of = (list: typeof sent) => list.filter((s) => s.port === port);
    const [actual, wanted] = [of(sent), of(reference.sent)];
    wanted.forEach(({ arrival, frame }, i) => {
      const where = `packet ${arrival}, frame ${i} of ${port}; ${about}`;
      assert.is(actual[i]?.arrival, arrival, where);
      assert.is(Buffer.from(actual[i]!.frame).toString("hex"), Buffer.from(frame).toString("hex"), where);
    });
  }
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
const sorted = (map: ReadonlyMap<string, number>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
const alertsOf = (reference: ChainReference) => alertsDigest(Float64Array.from(reference.alerts.flat()));

/** CONTRACT: egress frames in arrival order, each as port name, u32-LE length, bytes. */
function digestOf(reference: ChainReference): string {
  const hash = createHash("sha256");
  for (const { port, frame } of reference.sent) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(frame.length);
    hash.update(port).update(length).update(frame);
  }
  return `sha256:${hash.digest("hex")}`;
}

function randomExecution(): Execution {
  return {
    cores: { io: r.int(1, 2), nf: r.int(0, 4), sync: 0 },
    batch: r.pick([1, 2, 7, 64, 100, 256]),
    slots: r.pick([4, 16, 100, 512]),
    portable: r.chance(0.5),
    order: r.pick(["flow", "global"]),
    hiccups: r.pick([0, 0.3, 0.9]),
  };
}

test(`random chains do what the reference does, whatever the cores (seed ${seed})`, async () => {
  const seen = { sent: 0, outcomes: new Set<string>(), ends: new Set<string>(), alerts: 0 };
  for (let n = 0; n < CHAINS; n++) {
    const one = await subject(n % 3 === 0, PACKETS);
    const reference = expected(one);
    const { chain, input, ivSeed, verifyL4 } = one;
    const rx = sum([...input.values()].map((packets) => packets.length));
    for (let form = 0; form < 3; form++) {
      const execution = randomExecution();
      const about = `seed ${seed}, chain ${n}, ${JSON.stringify(execution)}\n${JSON.stringify(one.random.files, null, 1)}`;
      const { result, sent } = execute(r, chain, input, ivSeed, verifyL4, execution);
      compareTables(result, reference, rx, about);
      compareFrames(sent, reference, about);
      assert.is(result.order.reordered, 0, about);
      assert.is(result.alerts_digest, alertsOf(reference), about);
      assert.is(result.digest, digestOf(reference), about);
    }
    // Without order nothing is lost, and what does not depend on it stays.
    const mesh = { ...randomExecution(), order: "none" as const };
    const { result } = execute(r, chain, input, ivSeed, verifyL4, mesh);
    assert.ok(result.ledger.balanced && result.ledger.rx === rx, `seed ${seed}, chain ${n}, ${JSON.stringify(mesh)}`);
    seen.sent += reference.sent.length;
    seen.alerts += reference.alerts.length;
    for (const key of reference.outcomes.keys())
      seen.outcomes.add(`${chain.nfs.find((nf) => key.startsWith(`${nf.name} `))!.type} ${key.split(" ")[1]}`);
    for (const key of reference.ends.keys()) seen.ends.add(key.replace(/^n\d/, "nf"));
  }
  if (CHAINS < 40) return;
  // The test has power only while its input reaches most of what can happen.
  const outcomes = [...seen.outcomes].sort().join(", ");
  for (const outcome of [
    "ipsec opened",
    "ipsec replayed",
    "ipsec too-big",
    "nids alert",
    "nids drop",
    "router forward",
  ])
    assert.ok(seen.outcomes.has(outcome), `${outcome} is never reached; seed ${seed}: ${outcomes}`);
  for (const end of ["gate bad-length", "gate too-long", "gate truncated", "egress no-port", "kernel", "policy loop"])
    assert.ok(seen.ends.has(end), `${end} is never reached; seed ${seed}: ${[...seen.ends].join(", ")}`);
  assert.ok(seen.sent > CHAINS * 20 && seen.alerts > CHAINS, `${seen.sent} sent, ${seen.alerts} alerts; seed ${seed}`);
});

test(`threads do the same on captures (seed ${seed})`, async () => {
  for (let n = 0; n < RUNS; n++) {
    const one = await subject(n === 0, 800);
    const reference = expected(one);
    const { chain, cwd, input, ivSeed, verifyL4 } = one;
    for (const [name, packets] of input) writeCapture(join(cwd, name === "in" ? "in.pcap" : "in2.pcap.gz"), packets);
    const rx = sum([...input.values()].map((packets) => packets.length));
    for (const order of ["global", "flow", "none"] as const) {
      const { cores, batch, portable } = randomExecution();
      const wait = r.pick(["spin", "yield", "sleep", "adaptive"] as const);
      const about = `seed ${seed}, run ${n}, ${JSON.stringify({ cores, batch, portable, order, wait })}`;
      const run = startRun(chain, {
        ...{ cores, batch, portable, order, wait, verifyL4 },
        ...{ loop: 1, duration: 0, rate: undefined, seed: ivSeed, digest: true },
        warn: () => {},
      });
      const result = await run.result;
      assert.ok(result.ledger.balanced && result.ledger.rx === rx, about);
      if (order === "none") continue;
      compareTables(result, reference, rx, about);
      assert.is(result.order.reordered, 0, about);
      assert.is(result.alerts_digest, alertsOf(reference), about);
      assert.is(result.digest, digestOf(reference), about);
    }
  }
});

/** pcap with nanoseconds, of Ethernet frames. */
function writeCapture(file: string, packets: readonly Captured[]): void {
  const words = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
  const head = [words(0xa1b23c4d, 0x0004_0002, 0, 0, 262144, 1)];
  const records = packets.map(({ bytes, wireLen, sec, nsec }) =>
    Buffer.concat([words(sec, nsec, bytes.length, wireLen), bytes]),
  );
  const all = Buffer.concat([...head, ...records]);
  writeFileSync(file, file.endsWith(".gz") ? gzipSync(all) : all);
}

test.run();
