/**
 * Random chains over random and spoilt traffic. Every form of execution must do what the reference does packet by packet: the same
 * frames by the same ports in arrival order, the same outcomes, drops and alerts, and a ledger that balances.
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadChain } from "../runtime/chain/load.js";
import { forAll } from "../runtime/engine/by-role.js";
import { startRun } from "../runtime/engine/run.js";
import { MAX_FRAME } from "../runtime/packet/arena.js";
import { folder } from "./chain-support.js";
import { type Execution, execute } from "./support/chain-bench.js";
import {
  alertsOf,
  compareFrames,
  compareTables,
  digestOf,
  expected,
  randomSubject,
  sum,
  writeCapture,
} from "./support/chain-comparison.js";
import { ethernet, ipv4, udp } from "./support/frames.js";
import { freshSeed, Random } from "./support/random.js";

const seed = freshSeed();
const r = new Random(seed);
/** Chains executed within this thread, chains run by real threads, and packets of each. */
const CHAINS = Number(process.env["WINGBEAT_TEST_CHAINS"] ?? 40);
const RUNS = 3;
const PACKETS = 250;
/** What the input has to reach, lest the test lose its power: outcomes of NFs, and ends of packets. */
const OUTCOMES = ["ipsec opened", "ipsec replayed", "ipsec too-big", "nids alert", "nids drop", "router forward"];
const ENDS = ["gate bad-length", "gate too-long", "gate truncated", "egress no-port", "kernel", "policy loop"];
/** Whether forty chains reach all of it is up to chance; so more follow until it is reached. What cannot happen does not in so many either. */
const MOST = 10 * CHAINS;

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
  const lacks = () => [
    ...OUTCOMES.filter((outcome) => !seen.outcomes.has(outcome)),
    ...ENDS.filter((end) => !seen.ends.has(end)),
    ...(seen.sent > CHAINS * 20 ? [] : ["packets sent"]),
    ...(seen.alerts > CHAINS ? [] : ["alerts"]),
  ];
  for (let n = 0; n < CHAINS || (CHAINS >= 40 && n < MOST && lacks().length > 0); n++) {
    const one = await randomSubject(r, n % 3 === 0, PACKETS);
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
  assert.equal(
    lacks(),
    [],
    `of ${MOST} chains none has reached it; seed ${seed}: ${JSON.stringify([...seen.outcomes, ...seen.ends])}`,
  );
});

test(`threads do the same on captures (seed ${seed})`, async () => {
  for (let n = 0; n < RUNS; n++) {
    const one = await randomSubject(r, n === 0, 800);
    const reference = expected(one);
    const { chain, cwd, input, ivSeed, verifyL4 } = one;
    for (const [name, packets] of input) writeCapture(join(cwd, name === "in" ? "in.pcap" : "in2.pcap.gz"), packets);
    const rx = sum([...input.values()].map((packets) => packets.length));
    for (const order of ["global", "flow", "none"] as const) {
      const { cores, batch, portable } = randomExecution();
      const drawn = r.pick(["spin", "yield", "sleep", "adaptive"] as const);
      // More threads that spin than there are processors hold each other up for a time slice at every hand-over: minutes on a busy machine.
      const wait = drawn === "spin" && cores.io + cores.nf > availableParallelism() ? "yield" : drawn;
      const about = `seed ${seed}, run ${n}, ${JSON.stringify({ cores, batch, portable, order, wait })}`;
      const run = startRun(chain, {
        ...{ cores, batch, portable, order, wait: forAll(wait), verifyL4 },
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

test(`a frame that a tunnel made longer than a port takes is searched whole (seed ${seed})`, async () => {
  const SPI = 0x12c;
  // With three tags the longest packet a port may send makes a frame longer than a port may receive.
  const OUTER_BYTES = 1736;
  const FRAME_BYTES = 14 + 3 * 4 + OUTER_BYTES;
  assert.ok(FRAME_BYTES > MAX_FRAME);
  const sa = {
    ...{ name: "out", direction: "out" as const, spi: SPI, src: "192.0.2.1", dst: "192.0.2.2", esn: false },
    ...{ cipher: "aes-128-cbc", cipher_key: "00".repeat(16), auth: "sha1-hmac", auth_key: "00".repeat(20) },
  };
  // Holds only where the search begins at the ESP header and ends with the ICV.
  const rule = `alert ip any any -> any any (dsize:${OUTER_BYTES - 20}; content:"|00 00 01 2c|"; depth:4; sid:1;)`;
  const files = {
    "chain.json": {
      name: "tagged",
      ports: { in: { driver: "pcap", file: "in.pcap" }, out: { driver: "null" } },
      nfs: { n0: { type: "ipsec", config: { sas: "n0.json" } }, n1: { type: "nids", config: { rules: "n1.rules" } } },
      policy: "policy.csv",
    },
    "policy.csv": "*,ingress,n0\n*,n0,n1\n*,n1,egress:out\n",
    "n0.json": { sas: [sa] },
    "n1.rules": `${rule}\n`,
  };
  const cwd = folder(files);
  const chain = await loadChain(join(cwd, "chain.json"), { warn: () => {} });
  const inner = ipv4({}, udp({}, new Uint8Array(1678 - 28)));
  // The one without tags comes between: what it leaves behind must not be taken for the next one's.
  const packets = [[1, 2, 3], [], [4, 5, 6]].map((vlans, sec) => {
    const bytes = ethernet({ vlans }, inner);
    return { bytes, wireLen: bytes.length, sec, nsec: 0 };
  });
  const input = new Map([["in", packets]]);
  const random = { files, sas: new Map([["n0", [sa]]]), routes: new Map(), inputs: ["in"] };
  const reference = expected({ chain, random, cwd, input, verifyL4: false, ivSeed: 1 });
  const lengths = reference.sent.map((s) => s.frame.length);
  assert.equal(lengths, [FRAME_BYTES, FRAME_BYTES - 12, FRAME_BYTES]);
  assert.is(reference.outcomes.get("n1 alert"), 3);
  for (let form = 0; form < 8; form++) {
    const execution = randomExecution();
    const about = `seed ${seed}, ${JSON.stringify(execution)}`;
    const { result, sent } = execute(r, chain, input, 1, false, execution);
    compareTables(result, reference, packets.length, about);
    compareFrames(sent, reference, about);
    assert.is(result.alerts_digest, alertsOf(reference), about);
  }
});

test.run();
