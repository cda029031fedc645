/** The equivalence proof: what it compares, and how it ends. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadChain } from "../runtime/chain/load.js";
import type { PortStats, RunResult } from "../runtime/engine/result.js";
import { captureDifference, describeFrame } from "../runtime/experiment/capture-difference.js";
import { refusal } from "../runtime/experiment/equivalence.js";
import { resultDifferences } from "../runtime/experiment/result-difference.js";
import { CaptureWriter } from "../runtime/nic/pcap/writer.js";
import { folder, gateway } from "./chain-support.js";
import { PACKETS, prove, subject } from "./experiment-equivalence-cases.js";

const result = (): RunResult => ({
  ...{ chain: "c", seconds: 1, throughput: { mpps: 0, gbps: 0 } },
  latency_ns: { p50: 0, p90: 0, p99: 0, p999: 0, max: 0, count: 0 },
  packets: { rx: 10, tx: 7 },
  bytes: { rx: 640, tx: 448 },
  ledger: {
    ...{ rx: 10, originated: 0, tx: 7, to_kernel: 0, dropped: 3, in_flight: 0, balanced: true },
    drops: [
      { nf: "gate", reason: "runt", packets: 2 },
      { nf: "nids", reason: "alert", packets: 1 },
    ],
  },
  nfs: [
    {
      ...{ name: "nids", type: "nids", place: "cpu", device: null, engine: "x", packets: 8, bytes: 512 },
      outcomes: { clean: 7, alert: 1 },
    },
  ],
  ports: [{ name: "out", ipackets: 0, ibytes: 0, opackets: 7, obytes: 448 } as PortStats],
  device: null,
  sync: {
    ...{ rows: 0, packets: 0, dummies: 0, bytes_copied: 0, copy_seconds: 0 },
    ...{ forwarded: 0, hops: [], forwarded_in_vain: 0 },
  },
  order: { mode: "global", reordered: 0, flow_reordered: 0 },
  ...{ cores: "d1", threads: [], digest: "sha256:1", alerts_digest: "sha256:2", failure: null },
});

/** Any field of a result that a test changes. */
type Loose = Record<string, unknown> & {
  ledger: Record<string, unknown> & { drops: { nf: string; reason: string; packets: number }[] };
  nfs: (Record<string, unknown> & { outcomes: Record<string, number> })[];
  ports: Record<string, unknown>[];
  packets: Record<string, number>;
};

const CHANGES: readonly (readonly [string, (r: Loose) => void, RegExp])[] = [
  ["digest", (r) => (r.digest = "sha256:3"), /^egress digest: sha256:3 instead of sha256:1$/],
  ["no digest", (r) => (r.digest = null), /^egress digest: none instead of sha256:1$/],
  ["alerts", (r) => (r.alerts_digest = "sha256:3"), /^alerts digest: sha256:3 instead of sha256:2$/],
  ["outcome", (r) => (r.nfs[0]!.outcomes.alert = 2), /^NF nids outcome alert: 2 instead of 1$/],
  ["a new outcome", (r) => (r.nfs[0]!.outcomes.odd = 2), /^NF nids outcome odd: 2 instead of 0$/],
  ["NF packets", (r) => (r.nfs[0]!.packets = 9), /^NF nids packets: 9 instead of 8$/],
  ["NF bytes", (r) => (r.nfs[0]!.bytes = 9), /^NF nids bytes: 9 instead of 512$/],
  ["a drop more", (r) => (r.ledger.drops[0]!.packets = 3), /^drops gate runt: 3 instead of 2$/],
  ["a drop gone", (r) => r.ledger.drops.pop(), /^drops nids alert: 0 instead of 1$/],
  ["a drop new", (r) => r.ledger.drops.push({ nf: "a", reason: "b", packets: 1 }), /^drops a b: 1 instead of 0$/],
  ["to kernel", (r) => (r.ledger.to_kernel = 1), /^ledger to_kernel: 1 instead of 0$/],
  ["balance", (r) => (r.ledger.balanced = false), /^the ledger does not balance$/],
  ["packets", (r) => (r.packets.tx = 6), /^packets sent: 6 instead of 7$/],
  ["port", (r) => (r.ports[0]!.obytes = 6), /^port out obytes: 6 instead of 448$/],
  ["failure", (r) => (r.failure = "lost"), /^the run failed: lost$/],
];

for (const [what, change, line] of CHANGES) {
  test(`results that part in: ${what}`, () => {
    const other = structuredClone(result()) as unknown as Loose;
    change(other);
    const lines = resultDifferences(result(), other as unknown as RunResult);
    assert.is(lines.length, 1, lines.join());
    assert.match(lines[0]!, line);
  });
}

test("results that part only in what placement may change are equal", () => {
  const other = structuredClone(result()) as unknown as Loose;
  other.seconds = 2;
  other.nfs[0]!.place = "gpu";
  other.ledger.drops.reverse();
  other.sync = { rows: 1, packets: 1, dummies: 0, bytes_copied: 1 };
  assert.equal(resultDifferences(result(), other as unknown as RunResult), []);
});

test("the first frame of a capture that is another: by a byte, by its length, or by being there", async () => {
  const path = folder();
  const write = (name: string, frames: readonly (readonly number[])[]) => {
    const writer = new CaptureWriter(join(path, name));
    for (const frame of frames) {
      const u8 = Uint8Array.from(frame);
      writer.record({ u8, view: new DataView(u8.buffer) }, 0, u8.length, 0, 0);
    }
    writer.close();
    return join(path, name);
  };
  const frames = [0, 1, 2].map((first) => [first, ...Array.from({ length: 59 }, (_, i) => i)]);
  const was = write("was.pcap", frames);
  assert.is(await captureDifference("out", was, write("same.pcap", frames)), undefined);
  const byte = structuredClone(frames);
  byte[1]![40] = 0xee;
  const one = (await captureDifference("out", was, write("byte.pcap", byte)))!;
  assert.equal(one, {
    ...{ port: "out", frame: 2, offset: 40, expected_bytes: 60, found_bytes: 60, excerpt_at: 36 },
    expected: "232425262728292a2b2c2d2e2f303132",
    found: "23242526ee28292a2b2c2d2e2f303132",
  });
  assert.match(describeFrame(one), /^port out, frame 2, byte 40: from byte 36 on 23242526ee/);
  const shorter = structuredClone(frames);
  shorter[2]!.pop();
  const two = (await captureDifference("out", was, write("shorter.pcap", shorter)))!;
  assert.equal([two.frame, two.offset, two.expected_bytes, two.found_bytes], [3, 59, 60, 59]);
  assert.match(describeFrame(two), /frame 3, 59 bytes instead of 60, byte 59/);
  const gone = (await captureDifference("out", was, write("gone.pcap", frames.slice(0, 2))))!;
  assert.equal([gone.frame, gone.found_bytes, gone.found], [3, null, ""]);
  assert.match(describeFrame(gone), /frame 3: there is none any more/);
  const more = (await captureDifference("out", was, write("more.pcap", [...frames, [1, 2]])))!;
  assert.match(describeFrame(more), /frame 4: a frame of 2 bytes more/);
});

test("an abort ends the proof with its reason, and progress counts every run", async () => {
  const done: number[] = [];
  const form = { kind: "gpujs" } as const;
  await prove(await subject(), [[], ["nids"]], form, { progress: (n) => done.push(n) });
  assert.equal(done, [0, 1, 2, 3]);
  const abort = new AbortController();
  const reason = new Error("enough");
  const progress = (n: number) => {
    if (n === 2) abort.abort(reason);
  };
  try {
    await prove(await subject(), [[], ["nids"]], form, { progress, signal: abort.signal });
    assert.unreachable();
  } catch (error) {
    assert.is(error, reason);
  }
});

test("a device that is not there is no proof", async () => {
  try {
    await prove(await subject(), [["router"]], { kind: "gpujs" }, { open: async () => undefined });
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /router on gpu, but there is no device/);
  }
});

test("generators send as much as goes through in a proof, captures all they have", async () => {
  const proof = await prove(await subject(), [[]], { kind: "gpujs" }, { generated: 100 });
  assert.is(proof.packets, 100);
  assert.ok(PACKETS > 100);
});

test("a run that cannot go on with an answer there is not is a difference too", async () => {
  const chain = structuredClone(gateway(PACKETS)["chain.json"]) as { ports: { in: Record<string, unknown> } };
  // All to the second of two next hops, so that the flipped bit makes a third.
  Object.assign(chain.ports.in, { streams: [{ dst: "198.18.0.0/15" }], hits: 0, rules: undefined });
  const cwd = folder({ ...gateway(PACKETS), "chain.json": chain });
  const only = {
    cwd,
    chain: await loadChain(join(cwd, "chain.json"), { redirect: () => "/dev/null", warn: () => {} }),
  };
  const proof = await prove(only, [["router"], []], { kind: "gpujs", corruptAfter: 0 });
  assert.equal(
    proof.cases.map(({ differences }) => differences.length),
    [1, 0],
  );
  assert.match(proof.cases[0]!.differences[0]!, /^the run ended with: /);
  assert.match(refusal(proof)!.message, /router on gpu, gpujs, d1 at as-is/);
});

test.run();
