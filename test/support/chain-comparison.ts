/** Random chains with traffic, what the reference makes of it, and the comparison with a run. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as assert from "uvu/assert";
import { type LoadedChain, loadChain } from "../../runtime/chain/load.js";
import type { RunResult } from "../../runtime/engine/result.js";
import { ConfigError } from "../../runtime/errors.js";
import { alertsDigest } from "../../runtime/measure/digest.js";
import { folder } from "../chain-support.js";
import { ChainReference } from "./chain-reference.js";
import type { Random } from "./random.js";
import { type Captured, type RandomChain, randomChain, randomTraffic } from "./random-chain.js";

export interface Subject {
  readonly random: RandomChain;
  readonly chain: LoadedChain;
  readonly cwd: string;
  readonly input: ReadonlyMap<string, readonly Captured[]>;
  readonly verifyL4: boolean;
  readonly ivSeed: number;
}

/** A chain the loader takes, with traffic for it. */
export async function randomSubject(r: Random, cyclic: boolean, packets: number): Promise<Subject> {
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

export function expected({ chain, random, input, verifyL4, ivSeed }: Subject): ChainReference {
  const reference = new ChainReference(chain, random, ivSeed, verifyL4);
  for (const { port, packet } of merged(input)) reference.receive(packet, port);
  reference.close();
  return reference;
}

/** Outcomes, drops, ports, alerts: whatever a table shows; order apart. */
export function compareTables(result: RunResult, reference: ChainReference, rx: number, about: string): void {
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

export function compareFrames(
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

export const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
const sorted = (map: ReadonlyMap<string, number>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
export const alertsOf = (reference: ChainReference) => alertsDigest(Float64Array.from(reference.alerts.flat()));

/** CONTRACT: egress frames in arrival order, each as port name, u32-LE length, bytes. */
export function digestOf(reference: ChainReference): string {
  const hash = createHash("sha256");
  for (const { port, frame } of reference.sent) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(frame.length);
    hash.update(port).update(length).update(frame);
  }
  return `sha256:${hash.digest("hex")}`;
}

/** pcap with nanoseconds, of Ethernet frames. */
export function writeCapture(file: string, packets: readonly Captured[]): void {
  const words = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
  const head = [words(0xa1b23c4d, 0x0004_0002, 0, 0, 262144, 1)];
  const records = packets.map(({ bytes, wireLen, sec, nsec }) =>
    Buffer.concat([words(sec, nsec, bytes.length, wireLen), bytes]),
  );
  const all = Buffer.concat([...head, ...records]);
  writeFileSync(file, file.endsWith(".gz") ? gzipSync(all) : all);
}
