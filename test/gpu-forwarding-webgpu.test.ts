/**
 * Packets that go on from NF to NF on a WebGPU device: the same digests, outcomes, drops and alerts as without a device and as with routing by
 * the host; and that they really went on where they could, and nowhere else.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  comparedFiles,
  deviceTest,
  filesOf,
  IP_RULES,
  IPSEC,
  line,
  NIDS,
  outcomesOf,
  PACKETS,
  ROUTER,
} from "./support/forwarding.js";

deviceTest(
  "ipsec, nids, router: every packet that is sealed goes on to the end, and one copy of it is enough",
  async () => {
    const nfs = { protect: IPSEC, nids: NIDS, router: ROUTER };
    const { result, routed, hops } = await comparedFiles(
      filesOf({ nfs, policy: line("ingress", "protect", "nids", "router", "egress") }),
    );
    assert.equal(hops, { "protect nids": PACKETS, "nids router": outcomesOf(result, "nids")["clean"]! });
    assert.is(result.sync.forwarded_in_vain, 0);
    // Published once, where the host sends them again to each NF; what the nids finds goes on from there.
    assert.is(result.sync.packets + result.sync.forwarded, routed.sync.packets);
    assert.ok(result.sync.bytes_copied < 0.8 * routed.sync.bytes_copied, JSON.stringify([result.sync, routed.sync]));
  },
);

deviceTest("a nids that has nothing to search in a packet is passed on the device", async () => {
  const nfs = { protect: IPSEC, nids: NIDS, router: ROUTER };
  const rules = 'alert tcp any any -> any any (msg:"a"; content:"EICAR-STANDARD"; sid:1;)';
  const { result, hops } = await comparedFiles(
    filesOf({ nfs, policy: line("ingress", "protect", "nids", "router", "egress"), rules }),
  );
  assert.equal(hops, { "protect nids": PACKETS, "nids router": PACKETS });
  assert.is(result.sync.packets, PACKETS);
});

deviceTest(
  "hits, types and outcomes: what the nids finds, and what goes elsewhere, comes back to the host",
  async () => {
    const nfs = { first: ROUTER, nids: NIDS, second: NIDS, router: ROUTER };
    const policy = [
      "*,ingress,first",
      "*,first,nids",
      "web,first,second",
      "*,nids,second",
      "web,nids,router",
      "*,nids.alert,router",
      "*,second,router",
      "*,second.alert,egress:out",
      "*,router,egress",
    ];
    const { result, routed, hops } = await comparedFiles(filesOf({ nfs, policy, types: { web: { dport: 80 } } }));
    const { clean, alert } = outcomesOf(result, "nids") as { clean: number; alert: number };
    const second = outcomesOf(result, "second") as { clean: number; alert: number };
    assert.ok(alert > 0 && clean > 0 && second.alert > 0);
    const forwarded = outcomesOf(result, "first")["forward"]!;
    assert.ok(outcomesOf(result, "first")["no-route"]! > 0);
    assert.is(hops["first nids"]! + hops["first second"]!, forwarded);
    assert.is(hops["nids second"], clean);
    assert.is(hops["second router"], second.clean);
    // Of the type that has a row for it none gets to the nids, and what it finds the CPU judges.
    assert.is(hops["nids router"], undefined);
    assert.is(result.sync.packets + result.sync.forwarded, routed.sync.packets);
    assert.is(result.sync.forwarded_in_vain, 0);
  },
);

deviceTest("a rule without content: no packet goes on from the nids, and to one without any content none", async () => {
  const all = { ...NIDS, config: { rules: "all.rules" } };
  const none = { ...NIDS, config: { rules: "none.rules" } };
  const nfs = { all, middle: ROUTER, none, router: ROUTER };
  const { result, hops } = await comparedFiles({
    ...filesOf({ nfs, policy: line("ingress", "all", "middle", "none", "router", "egress") }),
    "all.rules": `${IP_RULES}\nalert udp any any -> any any (msg:"any"; dsize:>1000; sid:2;)`,
    "none.rules": 'alert udp any any -> any any (msg:"any"; dsize:>1000; sid:3;)',
  });
  assert.equal(hops, {});
  assert.is(result.device!.kind, "webgpu");
});

deviceTest("ipsec behind others, both ways, is reached through the host", async () => {
  const open = { type: "ipsec", config: { sas: "in.json" } };
  const nfs = { before: NIDS, protect: IPSEC, between: NIDS, open, router: ROUTER };
  const policy = line("ingress", "before", "protect", "between", "open", "router", "egress");
  const { result, routed, hops } = await comparedFiles(filesOf({ nfs, policy }));
  assert.ok(outcomesOf(result, "open")["opened"]! > 0);
  assert.equal(hops, { "protect between": outcomesOf(result, "protect")["protected"]! });
  assert.is(result.sync.packets + result.sync.forwarded, routed.sync.packets);
});

test.run();
