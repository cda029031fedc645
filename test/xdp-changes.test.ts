/** Interfaces that change while a run uses them: counted, or the end of the run with the reason and its ledger. Never lost silently. */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RunResult } from "../runtime/engine/result.js";
import { folder } from "./chain-support.js";
import { COUNT, checkLedger, FORWARD, PORTS, traffic, wiresTest } from "./support/live.js";
import { type Running, until, type Veth } from "./support/veth.js";

/** Until it is killed: there is traffic for as long as a test takes for its changes, however busy the machine is. */
const replay = (space: Veth, cwd: string, file: string): Running =>
  space.start(cwd, "tcpreplay", "-q", "-i", "ap", "--pps", "8000", "--loop", "1000000", file);

/** What a run that failed has written nevertheless. */
const failed = (run: Running): RunResult => JSON.parse(readFileSync(run.json, "utf8")) as RunResult;

function checkAccount(space: Veth, result: RunResult): void {
  const [port, out] = result.ports;
  const what = `${JSON.stringify(result.ports)}: `;
  checkLedger(result, what);
  assert.is(port!.ipackets + port!.imissed + port!.ierrors, space.sent("ap"), what);
  assert.is(result.packets.rx, port!.ipackets);
  assert.is(result.packets.tx, out!.opackets);
}

wiresTest("the sending interface is down for a while under load, and its peer's MTU is smaller", async (space, cwd) => {
  space.wire("a");
  space.wire("b");
  const input = traffic(cwd);
  const wing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a", "--out", "xdp:b,ring=256");
  await wing.says(PORTS);
  const sender = replay(space, cwd, input);
  await until(() => space.received("bp") > COUNT, "packets at the far end");
  space.ip("link", "set", "dev", "b", "down");
  await delay(200);
  space.ip("link", "set", "dev", "b", "up");
  const left = space.sent("b");
  await until(() => space.sent("b") > left + COUNT, "packets after the link was up again");
  await sender.end("SIGKILL");
  space.ip("link", "set", "dev", "bp", "mtu", "600");
  const before = space.received("a");
  space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
  await space.until("a", before + COUNT);
  const result = await wing.finish();
  checkAccount(space, result);
  const [, out] = result.ports;
  assert.is(out!.opackets, space.sent("b"));
  assert.is(out!.oerrors, result.ledger.dropped);
  assert.ok(out!.oerrors > COUNT / 5, "those of 1400 bytes at least");
  assert.equal(result.ledger.drops, [{ nf: "egress", reason: "tx-error", packets: out!.oerrors }]);
});

wiresTest(
  "an interface that gets another name stays what it is; one that goes away ends the run",
  async (space, cwd) => {
    space.wire("a");
    space.wire("b");
    const input = traffic(cwd);
    const wing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a", "--out", "xdp:b");
    await wing.says(PORTS);
    const sender = replay(space, cwd, input);
    await until(() => space.received("bp") > COUNT, "packets at the far end");
    space.ip("link", "set", "dev", "a", "down");
    space.ip("link", "set", "dev", "a", "name", "other");
    space.ip("link", "set", "dev", "other", "up");
    await wing.says(/port in: the interface a is called other now/);
    const seen = space.received("bp");
    await until(() => space.received("bp") > seen, "packets by its new name");
    await sender.end("SIGKILL");
    checkAccount(space, await wing.finish());

    const cut = await space.wingbeat(cwd, "chain.json", "--in", "xdp:other", "--out", "xdp:b");
    await cut.says(PORTS);
    const sent = space.sent("ap");
    const before = space.sent("b");
    space.run("tcpreplay", "-q", "-i", "ap", "--pps", "8000", input);
    const carried = space.sent("ap") - sent;
    await until(() => space.sent("b") >= before + carried, "them all");
    // Another one of this name, at once, is not the one that the sockets are at.
    space.ip("link", "del", "dev", "other");
    space.wire("other");
    assert.is(await cut.end(), 1);
    assert.match(cut.output, /the run failed: port in: the interface other is gone\n {2}remedy:/);
    const result = failed(cut);
    checkLedger(result);
    assert.match(result.failure!, /is gone/);
    assert.is(result.ports[0]!.ipackets + result.ports[0]!.imissed, carried);
    assert.is(result.packets.tx, result.packets.rx);
  },
);

wiresTest("the interface to send by goes away: what has not left is a drop", async (space, cwd) => {
  space.wire("a");
  space.wire("b");
  const wing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a", "--out", "xdp:b");
  await wing.says(PORTS);
  const sender = replay(space, cwd, traffic(cwd));
  await until(() => space.received("bp") > COUNT, "packets at the far end");
  const left = space.sent("b");
  space.ip("link", "del", "dev", "b");
  assert.is(await wing.end(), 1);
  await sender.end("SIGKILL");
  assert.match(wing.output, /the run failed: port out: the interface b is gone/);
  const result = failed(wing);
  checkLedger(result);
  assert.ok(result.packets.tx >= left);
  // On a quiet machine all there was had left.
  const { oerrors } = result.ports[1]!;
  assert.is(oerrors, result.ledger.dropped);
  assert.equal(result.ledger.drops, oerrors === 0 ? [] : [{ nf: "egress", reason: "tx-error", packets: oerrors }]);
});

wiresTest("fewer queues are refused by the kernel, more of them end a run that takes them all", async (space, cwd) => {
  space.wire("a", 4);
  space.run("ethtool", "-L", "a", "rx", "2");
  const wing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a,mode=skb", "--out", "null");
  await wing.says(/port in: a by AF_XDP, generic XDP, .*, queues 0 to 1/);
  assert.throws(() => space.run("ethtool", "-L", "a", "rx", "1"), /AF_XDP sockets|Invalid argument/);
  space.run("ethtool", "-L", "a", "rx", "4");
  assert.is(await wing.end(), 1);
  assert.match(wing.output, /a has 4 queues now and had 2; packets of the new ones go past this run/);
  checkLedger(failed(wing));
});

wiresTest("an NF that is too slow leaves no free slot: what comes meanwhile is missed", async (space) => {
  const cwd = folder({
    ...FORWARD,
    "chain.json": { ...FORWARD["chain.json"], nfs: { slow: { type: "./slow.mjs" } } },
    "policy.csv": "*,ingress,slow\nnon-ip,ingress,slow\n*,slow,egress\nnon-ip,slow,egress\n",
    // A ms for each packet.
    "slow.mjs": `export const nf = {
  type: "slow",
  outcomes: [{ name: "done" }],
  create: () => ({
    process({ outcomes, count }) {
      for (const end = performance.now() + count; performance.now() < end; );
      outcomes.fill(0, 0, count);
    },
  }),
};`,
  });
  space.wire("a");
  space.wire("b");
  const input = traffic(cwd);
  const wing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a,ring=128", "--out", "xdp:b,ring=64");
  await wing.says(PORTS);
  space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
  await space.until("a", COUNT);
  const result = await wing.finish();
  checkAccount(space, result);
  assert.ok(result.ports[0]!.imissed > 0, "1500 frames come at once, and it takes 1.5 s for them");
  assert.is(result.packets.tx, result.packets.rx);
});

test.run();
