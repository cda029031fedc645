/** Packets that go on from NF to NF on a WebGPU device: cycles, several threads, any order, a device that is lost. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { folder, gateway } from "./chain-support.js";
import {
  compared,
  deviceTest,
  FORM,
  filesOf,
  IPSEC,
  line,
  NIDS,
  outcomesOf,
  PACKETS,
  ROUTER,
  r,
  seed,
} from "./support/forwarding.js";
import { check, type Form, load, runLoaded } from "./support/gpu-forms.js";

for (const order of ["flow", "none"] as const) {
  deviceTest(`cycles, order ${order}: packets go on some NFs far, and then through the host`, async () => {
    const nfs = { a: ROUTER, b: NIDS };
    // Round until the TTL is used up, or 64 NFs are passed.
    const policy = ["*,ingress,a", "*,a,b", "*,b,a", "*,a.ttl-expired,egress:out", "*,a.no-route,egress:lan"];
    const files = filesOf({ nfs, policy, traffic: { count: 60 } });
    const cwd = folder(files);
    const form: Form = { ...FORM, place: ["a", "b"], order };
    const chain = await load(cwd, ["a", "b"], ["a", "b"]);
    if (order === "flow") {
      const { result, hops, routed } = await compared(chain, await load(cwd, ["a", "b"], []), form);
      assert.ok(hops["a b"]! > 100 && hops["b a"]! > 100, JSON.stringify(hops));
      // Three of four visits are hops.
      assert.ok(result.sync.packets < 0.3 * routed.sync.packets, JSON.stringify([result.sync, routed.sync]));
    } else {
      const result = await runLoaded(chain, form, r.u32());
      const routed = await runLoaded(chain, { ...form, forwards: false }, r.u32());
      assert.equal(result.ledger, routed.ledger);
      assert.equal(outcomesOf(result, "a"), outcomesOf(routed, "a"));
      assert.ok(result.sync.forwarded > 100 && result.ledger.balanced);
    }
  });
}

for (const [cores, order] of [
  ["c1d1n1", "global"],
  ["d2n2", "global"],
  ["c2d2n2", "flow"],
  ["c2d1", "none"],
] as const) {
  deviceTest(`${cores}, order ${order}: several threads`, async () => {
    const files = gateway(PACKETS);
    const cwd = folder(files);
    const names = ["protect", "open", "nids", "router"];
    const chain = await load(cwd, names, names);
    const form: Form = { ...FORM, place: names, cores, order, workgroups: 3, workgroupSize: 16 };
    if (order === "global") {
      const { result } = await compared(chain, await load(cwd, names, []), form);
      assert.ok(result.sync.forwarded > 0);
      return;
    }
    const result = await runLoaded(chain, form, r.u32());
    const about = `seed ${seed}, ${JSON.stringify(result.sync)}`;
    check(result, form, about);
    // Without order the tunnel's far end may take a packet for a replay.
    if (order === "flow") {
      const routed = await runLoaded(chain, { ...form, forwards: false }, r.u32());
      assert.equal(outcomesOf(result, "router"), outcomesOf(routed, "router"), about);
    }
    assert.is(result.sync.hops.find(({ from }) => from === "nids")!.packets, result.sync.forwarded, about);
    assert.ok(result.sync.forwarded > 0, about);
    if (order === "flow") assert.is(result.order.flow_reordered, 0, about);
  });
}

deviceTest("a device that is lost while packets go on: the run ends, and all are accounted for", async () => {
  const nfs = { protect: IPSEC, nids: NIDS, router: ROUTER };
  const files = filesOf({
    nfs,
    policy: line("ingress", "protect", "nids", "router", "egress"),
    traffic: { count: 6000 },
  });
  const names = Object.keys(nfs);
  for (const cores of ["d1", "c1d1n1"]) {
    const form: Form = { ...FORM, place: names, cores, depth: 2, loseAfter: 6 };
    const { failure, ledger, sync } = await runLoaded(await load(folder(files), names, names), form, r.u32());
    assert.match(failure!, /device .*: it is lost \(destroyed/);
    assert.ok(ledger.balanced && ledger.in_flight === 0, JSON.stringify(ledger));
    assert.ok(ledger.drops.some(({ reason, packets }) => reason === "device-stalled" && packets > 0));
    assert.ok(sync.forwarded > 0, JSON.stringify(sync));
  }
});

test.run();
