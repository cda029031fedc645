/** Chains on several receiving cores, on virtual wires with several queues: where NFs run, both directions, losses, what ends a run. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RunResult } from "../runtime/engine/result.js";
import { folder, gateway, run } from "./chain-support.js";
import { bothWays, COUNT, checkLedger, coresOpen, FORWARD, traffic, wiresTest } from "./support/live.js";
import { type Running, until } from "./support/veth.js";

const ROUTED = {
  "chain.json": {
    ...FORWARD["chain.json"],
    nfs: { router: { type: "router", config: { routes: "routes.txt" } } },
  },
  "policy.csv": "*,ingress,router\n*,router,egress\n",
  "routes.txt": "0.0.0.0/0 192.0.2.1 out\n",
};

wiresTest("a router runs on every core, and what its instances count is one", async (space) => {
  const cwd = folder(ROUTED);
  space.wire("a", 4);
  space.wire("b");
  const input = traffic(cwd);
  const expected = run(cwd, "chain.json", "--in", input, "--out", "null");
  const args = ["--in", "xdp:a", "--out", "packet:b", "--cores", "d3"];
  const wing = await space.wingbeat(cwd, "chain.json", ...args);
  await coresOpen(wing, 3);
  await coresOpen(wing, 3, "out");
  space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
  await space.until("a", COUNT);
  const result = await wing.finish("SIGTERM");
  checkLedger(result);
  assert.is(result.cores, "d3");
  assert.equal(result.nfs, expected.nfs);
  assert.equal(result.ledger.drops, expected.ledger.drops);
  assert.equal([result.packets, result.bytes], [expected.packets, expected.bytes]);
  assert.is(result.order.flow_reordered, 0);
  assert.ok(result.latency_ns.max > 0 && result.latency_ns.p50 > 0 && result.seconds > 0);
});

wiresTest("NFs that run on one core get the packets of all receivers, in a line and in a mesh", async (space) => {
  const cwd = folder(gateway());
  space.wire("a", 4);
  space.wire("b");
  const input = traffic(cwd);
  const expected = run(cwd, "chain.json", "--in", input, "--out", "null");
  const essence = (result: RunResult) => ({
    nfs: result.nfs.map(({ name, packets, bytes, outcomes }) => ({ name, packets, bytes, outcomes })),
    drops: result.ledger.drops,
    packets: result.packets,
  });
  for (const [cores, order] of [
    ["d3", "flow"],
    ["d2n2", "none"],
  ] as const) {
    const before = space.received("a");
    const args = ["--in", "xdp:a", "--out", "packet:b", "--cores", cores, "--order", order];
    const wing = await space.wingbeat(cwd, "chain.json", ...args);
    await coresOpen(wing, 2);
    if (cores === "d3") await wing.says(/one core less receives, and the last one sends, since NF protect runs on one/);
    await wing.says(/port out: b by/);
    space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
    await space.until("a", before + COUNT);
    const result = await wing.finish();
    checkLedger(result);
    assert.is(result.cores, cores);
    assert.equal(essence(result), essence(expected), `${cores} ${order}`);
    assert.ok(result.nfs.find((nf) => nf.name === "protect")!.outcomes["protected"]! > 0);
    if (order === "flow") assert.equal(result.order, { mode: "flow", reordered: 0, flow_reordered: 0 });
  }
});

wiresTest("both directions of a gateway, each core with queues of both ports", (space) => {
  const opened = async (wing: Running) => {
    for (const name of ["lan", "wan"]) await coresOpen(wing, 2, name);
  };
  return bothWays(space, 2, {}, opened, "--cores", "d2");
});

wiresTest("what nobody took in time is missed, and counted over all queues", async (space, cwd) => {
  space.wire("a", 4);
  const input = traffic(cwd);
  const wing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a,ring=64", "--out", "null", "--cores", "d4");
  await coresOpen(wing, 4);
  wing.child.kill("SIGSTOP");
  space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
  await space.until("a", COUNT);
  wing.child.kill("SIGCONT");
  const result = await wing.finish();
  checkLedger(result);
  const [port] = result.ports;
  assert.is(port!.ipackets + port!.imissed, COUNT);
  assert.ok(port!.imissed >= COUNT - 4 * 128, "rings of 64 hold no more");
});

wiresTest("an interface that goes away ends every core, and a kill leaves nothing attached", async (space, cwd) => {
  space.wire("a", 4);
  space.wire("b", 4);
  const args = ["chain.json", "--in", "xdp:a", "--out", "xdp:b", "--cores", "d2"] as const;
  const killed = await space.wingbeat(cwd, ...args);
  await coresOpen(killed, 2);
  assert.ok(space.attached("a"));
  await killed.end("SIGKILL");
  await until(() => !space.attached("a"), "the program is gone with the process");

  const wing = await space.wingbeat(cwd, ...args);
  await coresOpen(wing, 2);
  space.ip("link", "del", "dev", "a");
  assert.is(await wing.end(), 1, wing.output);
  assert.is(wing.output.match(/the interface a is gone/g)?.length, 1, wing.output);
});

test.run();
