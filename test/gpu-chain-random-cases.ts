/**
 * Random chains on the device that is there, in threads, against the reference; and what holds where the order of all packets is not
 * kept: the ledger, flows, sequence numbers.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DeviceOptions } from "../runtime/device/open.js";
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
import { check, type Form, load, randomForm, runLoaded } from "./support/gpu-forms.js";
import { freshSeed, Random } from "./support/random.js";

/** Seconds for which more chains are tried, with a line for each hundred. */
const SECONDS = Number(process.env["WINGBEAT_TEST_SECONDS"] ?? 0);

/** @param kind of the device */
export function randomChainCases(kind: DeviceOptions["kind"]): void {
  const seed = freshSeed();
  const r = new Random(seed);
  const PACKETS = 2500;
  const NFS = ["protect", "open", "nids", "router"];

  test(`random chains, placed at random, do what the reference does (seed ${seed})`, async () => {
    const end = performance.now() + 1000 * SECONDS;
    // Kernels are compiled for each anew, which takes longer than a run.
    const shapes = Array.from({ length: 4 }, () => randomForm(r, [], kind));
    for (let n = 0; n < 3 || performance.now() < end; n++) {
      if (n > 0 && n % 100 === 0) console.log(`${n} chains`);
      // One packet at a time where the policy has a cycle: slow.
      const cyclic = n % 8 === 0;
      const one = await randomSubject(r, cyclic, cyclic ? 100 : r.pick([1, 60, 400]));
      const names = one.chain.nfs.map((nf) => nf.name);
      const some = names.filter(() => r.chance(0.6));
      const { workgroups, workgroupSize = 64, depth = 8 } = r.pick(shapes);
      const form = {
        ...randomForm(r, some.length > 0 ? some : names, kind),
        ...{ workgroups, workgroupSize, depth, order: r.pick(["flow", "global"] as const) },
      };
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
      // Without order nothing compares but what is counted.
      const loose: Form = {
        ...form,
        order: r.pick(["none", "flow"] as const),
        cores: r.pick(["d1", "c2d1", "c2d2n2", "d2n2"]),
      };
      const { failure, ledger, sync } = await runLoaded(chain, loose, one.ivSeed, one.verifyL4);
      const aboutLoose = `${JSON.stringify(loose)}; ${about}`;
      assert.is(failure, null, aboutLoose);
      assert.ok(ledger.balanced && ledger.rx === rx, aboutLoose);
      assert.is(sync.packets + sync.dummies, sync.rows * workgroupSize, aboutLoose);
    }
  });

  test(`without order, and with flows on CPUSyncer cores of their own, the ledger balances and flows keep their order (seed ${seed})`, async () => {
    const cwd = folder(gateway(PACKETS));
    for (const [order, cores] of [
      ["none", "c2d1n1"],
      ["flow", "c2d1"],
    ] as const) {
      const form = { ...randomForm(r, ["protect", "open", "nids"], kind), workgroups: 3, cores, order };
      const about = `seed ${seed}, ${JSON.stringify(form)}`;
      const result = await runLoaded(await load(cwd, NFS, form.place), form, r.u32());
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
    const form: Form = { kind, place: ["protect"], cores: "c2d1", workgroups: 4, order: "flow", workgroupSize: 8 };
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
}
