/** AF_XDP ports where something is missing, taken, full, down or gone: refused or counted, never lost silently. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { COUNT, checkLedger, makeTraffic, PORTS, traffic, wiresTest } from "./support/live.js";
import { until } from "./support/veth.js";

wiresTest("an interface that is not there, and a queue that is not", async (space, cwd) => {
  space.wire("a");
  const missing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:nix", "--out", "null");
  assert.is(await missing.end(), 1);
  assert.match(missing.output, /there is no network interface "nix"\n {2}remedy: name one that is there: ap?, ap?\n/);
  const queue = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a,queue=1", "--out", "null");
  assert.is(await queue.end(), 1);
  assert.match(queue.output, /a has no queue 1: it has 1/);
});

wiresTest("without rights the capability is named", async (space, cwd) => {
  space.wire("a");
  const command = (lacking: string) => ["setpriv", `--bounding-set=${lacking}`, `--inh-caps=${lacking}`];
  for (const [lacking, words] of [
    ["-net_raw", /lacks CAP_NET_RAW\n {2}remedy: run as root/],
    ["-bpf,-sys_admin", /lacks CAP_BPF and CAP_NET_ADMIN/],
  ] as const) {
    const running = space.start(
      cwd,
      ...command(lacking),
      ...space.command("chain.json", "--in", "xdp:a", "--out", "null"),
    );
    assert.is(await running.end(), 1);
    assert.match(running.output, words);
  }
});

wiresTest(
  "a second instance, and another program on the interface, are refused; kill -9 leaves nothing",
  async (space, cwd) => {
    space.wire("a");
    space.wire("b");
    const args = ["chain.json", "--in", "xdp:a", "--out", "xdp:b"] as const;
    const first = await space.wingbeat(cwd, ...args);
    await first.says(PORTS);
    const second = await space.wingbeat(cwd, ...args);
    assert.is(await second.end(), 1);
    assert.match(second.output, /another XDP program is attached to a, or another wingbeat/);
    const third = await space.wingbeat(cwd, "chain.json", "--in", "generator:count=10", "--out", "xdp:b");
    assert.is(await third.end(), 1);
    assert.match(third.output, /queue 0 of b is taken by another AF_XDP socket/);
    assert.ok(space.attached("a"), "the first one goes on");
    await first.end("SIGKILL");
    await until(() => !space.attached("a"), "the program is gone");
    const fourth = await space.wingbeat(cwd, ...args);
    await fourth.says(PORTS);
    checkLedger(await fourth.finish());
  },
);

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

wiresTest("an interface that goes away ends the run with its name", async (space, cwd) => {
  space.wire("a");
  const wing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a", "--out", "null");
  await wing.says(/port in: a by AF_XDP/);
  space.ip("link", "del", "dev", "a");
  assert.is(await wing.end(), 1);
  assert.match(wing.output, /the interface a is gone/);
});

test.run();
