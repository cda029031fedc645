/** AF_XDP ports where a ring is empty or full, a frame too long, a link down: counted, never lost silently. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { COUNT, checkLedger, makeTraffic, PORTS, traffic, wiresTest } from "./support/live.js";
import { until } from "./support/veth.js";

wiresTest("packets that find the fill ring empty are missed, and counted", async (space, cwd) => {
  space.wire("a");
  space.wire("b");
  const input = traffic(cwd);
  const wing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a,ring=64", "--out", "xdp:b,ring=64");
  await wing.says(PORTS);
  wing.child.kill("SIGSTOP");
  space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
  await space.until("a", COUNT);
  wing.child.kill("SIGCONT");
  const result = await wing.finish();
  checkLedger(result);
  const [port] = result.ports;
  assert.is(port!.ipackets + port!.imissed, COUNT);
  assert.ok(port!.imissed >= COUNT - 128, "rings of 64 hold no more");
  assert.is(result.packets.tx, port!.ipackets);
});

wiresTest("a TX ring shorter than a burst: everything leaves", async (space, cwd) => {
  space.wire("b");
  const input = traffic(cwd);
  const wing = await space.wingbeat(cwd, "chain.json", "--in", input, "--out", "xdp:b,ring=64", "--batch", "256");
  const result = await wing.finish("by itself");
  checkLedger(result);
  assert.is(result.packets.tx, COUNT);
  await space.until("bp", COUNT);
  assert.is(space.received("bp"), COUNT);
});

wiresTest("frames longer than the link takes are drops, whoever notices", async (space, cwd) => {
  space.wire("b");
  const input = makeTraffic(cwd, [1400, 1600], 200);
  const byUs = await space.wingbeat(cwd, "chain.json", "--in", input, "--out", "xdp:b");
  const noticed = await byUs.finish("by itself");
  checkLedger(noticed);
  const long = noticed.ledger.dropped;
  assert.ok(long > 0 && long < 200);
  assert.equal(noticed.ledger.drops, [{ nf: "egress", reason: "too-big", packets: long }]);

  const chain = JSON.parse(readFileSync(join(cwd, "chain.json"), "utf8"));
  chain.ports.out.mtu = 1700;
  writeFileSync(join(cwd, "chain.json"), JSON.stringify(chain));
  const byKernel = await space.wingbeat(cwd, "chain.json", "--in", input, "--out", "xdp:b");
  const refused = await byKernel.finish("by itself");
  checkLedger(refused);
  assert.equal(refused.ledger.drops, [{ nf: "egress", reason: "tx-error", packets: long }]);
  const out = refused.ports[1]!;
  assert.equal([out.opackets, out.oerrors, out.obytes], [200 - long, long, (200 - long) * 1400]);
  await until(() => space.packets("bp").packets >= 2 * (200 - long), "the frames that are short enough");
  assert.is(space.packets("bp").packets, 2 * (200 - long));
});

wiresTest("a link that is down is waited for, and one that flaps comes back", async (space, cwd) => {
  space.wire("a");
  space.wire("b");
  space.ip("link", "set", "dev", "a", "down");
  const input = traffic(cwd);
  const wing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a", "--out", "xdp:b");
  await wing.says(/port in: the link of a is down; waiting for it/);
  await wing.says(/port out: .* by AF_XDP/);
  space.ip("link", "set", "dev", "a", "up");
  await wing.says(/port in: a by AF_XDP/);
  const before = space.received("a");
  space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
  await space.until("a", before + COUNT);
  await until(() => space.received("bp") >= COUNT, "the first frames at the other end");
  // The other end of the sending wire goes down: what is sent meanwhile is a drop.
  space.ip("link", "set", "dev", "bp", "down");
  space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
  await space.until("a", before + 2 * COUNT);
  await until(() => wing.output.includes("port out: the link of b is down"), "word of the link");
  space.ip("link", "set", "dev", "bp", "up");
  await wing.says(/port out: the link of b is up again/);
  space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
  await space.until("a", before + 3 * COUNT);
  const result = await wing.finish();
  checkLedger(result);
  assert.is(result.packets.rx, 3 * COUNT);
  assert.is(result.packets.tx, 2 * COUNT);
  assert.equal(result.ledger.drops, [{ nf: "egress", reason: "tx-error", packets: COUNT }]);
  assert.is(result.ports[1]!.oerrors, COUNT);
});

test.run();
