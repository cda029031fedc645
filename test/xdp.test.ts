/** AF_XDP ports on virtual wires: what goes in by tcpreplay comes out as dumpcap sees it, and every packet is accounted for. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { folder, gateway, run } from "./chain-support.js";
import { bothWays, byFlow, COUNT, capture, checkLedger, frames, PORTS, traffic, wiresTest } from "./support/live.js";

for (const mode of ["native", "skb"] as const) {
  wiresTest(`frames leave as they came, in order, ${mode} XDP`, async (space, cwd) => {
    space.wire("a");
    space.wire("b");
    const input = traffic(cwd);
    const dump = await capture(space, cwd, "bp");
    const wing = await space.wingbeat(cwd, "chain.json", "--in", `xdp:a,mode=${mode}`, "--out", "xdp:b");
    await wing.says(PORTS);
    assert.match(
      wing.output,
      mode === "native" ? /a by AF_XDP, native XDP, copied/ : /a by AF_XDP, generic XDP, copied/,
    );
    assert.ok(space.attached("a"));
    space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
    await space.until("a", COUNT);
    const result = await wing.finish();
    checkLedger(result);
    assert.not(space.attached("a"), "the program is taken off");
    assert.is(result.packets.rx, COUNT);
    assert.is(result.packets.tx, COUNT);
    await dump.end();
    assert.equal(frames(join(cwd, "out.pcap")), frames(input));
  });
}

wiresTest("a chain of ipsec, nids and router gives the digests it gives from a capture", async (space) => {
  const cwd = folder(gateway());
  space.wire("a");
  space.wire("b");
  const input = traffic(cwd);
  const same = ["--seed", "7", "--in"];
  const expected = run(cwd, "chain.json", ...same, input, "--out", "null");
  const wing = await space.wingbeat(cwd, "chain.json", ...same, "xdp:a", "--out", "xdp:b");
  await wing.says(PORTS);
  space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
  await space.until("a", COUNT);
  const result = await wing.finish("SIGTERM");
  checkLedger(result);
  assert.ok(result.packets.tx > 0);
  assert.ok(result.nfs.find((nf) => nf.name === "protect")!.outcomes["protected"]! > 0);
  assert.is(result.digest, expected.digest);
  assert.equal(result.ledger.drops, expected.ledger.drops);
  assert.equal(
    result.nfs.map((nf) => nf.outcomes),
    expected.nfs.map((nf) => nf.outcomes),
  );
});

wiresTest("four queues into one port, each flow in order", async (space, cwd) => {
  space.wire("a", 4);
  space.wire("b");
  const input = traffic(cwd);
  const dump = await capture(space, cwd, "bp");
  const wing = await space.wingbeat(cwd, "chain.json", "--in", "xdp:a", "--out", "xdp:b");
  await wing.says(/queues 0 to 3/);
  await wing.says(PORTS);
  space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
  await space.until("a", COUNT);
  const result = await wing.finish();
  checkLedger(result);
  assert.is(result.packets.tx, COUNT);
  await dump.end();
  assert.equal(byFlow(join(cwd, "out.pcap")), byFlow(input));
});

wiresTest("both directions of a gateway at once, on two ports", (space) =>
  bothWays(space, 1, {}, (wing) => wing.says(/(?=[\s\S]*port lan: .* by AF_XDP)(?=[\s\S]*port wan: .* by AF_XDP)/)),
);

for (const [driver, link] of [
  ["xdp", "up"],
  ["packet", "down"],
] as const) {
  wiresTest(`a core with nothing to receive sleeps: ${driver}, link ${link}`, async (space, cwd) => {
    space.wire("a");
    const wing = await space.wingbeat(cwd, "chain.json", "--in", `${driver}:a`, "--out", "null");
    await wing.says(/port in: a by AF_/);
    space.ip("link", "set", "dev", "a", link);
    // Fields of /proc/PID/stat behind the name: utime and stime are the 12th and 13th, in hundredths of a second.
    const spent = () => {
      const fields = readFileSync(`/proc/${wing.child.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
      return Number(fields[11]) + Number(fields[12]);
    };
    // It comes to rest when it has started, which takes as long as the machine is busy.
    let percent = 100;
    for (const end = Date.now() + 30_000; percent >= 15 && Date.now() < end; ) {
      const before = spent();
      const start = Date.now();
      await delay(1500);
      percent = (spent() - before) / ((Date.now() - start) / 1000);
    }
    await wing.finish();
    assert.ok(percent < 15, `${percent} % of a core: spinning takes 100 on a free one, sleeping 1 to 2`);
  });
}

test.run();
