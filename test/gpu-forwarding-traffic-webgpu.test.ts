/** Packets that go on from NF to NF on a WebGPU device: random chains and traffic, and captures. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { DATA, folder } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { randomSubject, writeCapture } from "./support/chain-comparison.js";
import { compared, deviceTest, FORM, filesOf, IP_RULES, line, NIDS, ROUTER, r, seed } from "./support/forwarding.js";
import { type Form, load, runLoaded } from "./support/gpu-forms.js";

/** A random chain in which packets meet two NFs: most of those drawn have none, and nothing can go on in them. */
async function chainWithHops(first: boolean) {
  for (;;) {
    const one = await randomSubject(r, first, first ? 60 : 400);
    const names = one.chain.nfs.map((nf) => nf.name);
    for (const [name, packets] of one.input) {
      writeCapture(join(one.cwd, name === "in" ? "in.pcap" : "in2.pcap.gz"), packets);
    }
    const { nfs, ledger } = await runLoaded(await load(one.cwd, names, []), undefined, one.ivSeed, one.verifyL4);
    if (first || nfs.reduce((sum, nf) => sum + nf.packets, 0) > ledger.rx) return { one, names };
  }
}

deviceTest("random chains, all on the device", async () => {
  let forwarded = 0;
  // In about four of five such chains the device may decide where some packets go next: a failure by chance is one in 10^13.
  for (let n = 0; n < 4 || (forwarded === 0 && n < 20); n++) {
    const { one, names } = await chainWithHops(n === 0);
    const form: Form = { ...FORM, place: names, workgroupSize: r.pick([1, 8, 64]), depth: r.pick([1, 8]) };
    const chain = await load(one.cwd, names, names);
    const { result } = await compared(chain, await load(one.cwd, names, []), form, one.verifyL4);
    forwarded += result.sync.forwarded;
  }
  assert.ok(forwarded > 0, `no packet of twenty random chains has gone on; seed ${seed}`);
});

deviceTest("captures: protocols of all kinds, fragments, tags, malformed packets", async () => {
  const captures = existsSync(join(DATA, "pcap"))
    ? readdirSync(join(DATA, "pcap")).filter((name) => name.endsWith(".pcap"))
    : [];
  if (skipUnless(captures.length > 0, `no captures in ${DATA}: set WINGBEAT_DATA to a folder with pcap/`)) return;
  const nfs = { first: ROUTER, nids: NIDS, router: ROUTER };
  const policy = [...line("ingress", "first", "nids", "router", "egress:out"), "*,first.not-ipv4,nids"];
  const rules = ["GET", "HTTP", "|00 00|", "a"].map(
    (content, i) =>
      `alert ${i < 2 ? "tcp" : "udp"} any any -> any any (msg:"${i}"; content:"${content}"; sid:${i + 1};)`,
  );
  let forwarded = 0;
  for (const [i, whole] of [false, true].entries()) {
    const files = filesOf({ nfs, policy, rules: whole ? IP_RULES : rules.join("\n") });
    const chain = files["chain.json"] as { ports: object };
    const inputs = captures.map((name, k) => [
      k === 0 ? "in" : `in${k}`,
      { driver: "pcap", file: join(DATA, "pcap", name) },
    ]);
    const cwd = folder({
      ...files,
      "chain.json": { ...chain, ports: { ...chain.ports, ...Object.fromEntries(inputs) } },
      "routes.txt": "0.0.0.0/0 192.0.2.1 out\n10.0.0.0/8 192.0.2.2 lan\n",
    });
    const names = Object.keys(nfs);
    const form: Form = { ...FORM, place: names, cores: i === 0 ? "d1" : "c1d1" };
    const { result } = await compared(await load(cwd, names, names), await load(cwd, names, []), form);
    assert.ok(result.ledger.rx > 1000);
    forwarded += result.sync.forwarded;
  }
  assert.ok(forwarded > 1000, `${forwarded} hops`);
});

test.run();
