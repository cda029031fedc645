/** The drivers packet and mmsg, and auto, on virtual wires. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { folder, gateway, run } from "./chain-support.js";
import { COUNT, capture, checkLedger, frames, makeTraffic, PORTS, traffic, wiresTest } from "./support/live.js";
import { until } from "./support/veth.js";

const PACKET_PORTS = /(?=[\s\S]*port in: .* by AF_PACKET)(?=[\s\S]*port out: .* by AF_PACKET)/;

for (const [input, output] of [
  ["packet:a", "packet:b"],
  ["mmsg:a", "mmsg:b"],
  ["mmsg:a,messages=1", "mmsg:b,messages=1"],
] as const) {
  wiresTest(`frames leave as they came, in order, from ${input} to ${output}`, async (space, cwd) => {
    space.wire("a");
    space.wire("b");
    const file = traffic(cwd);
    const dump = await capture(space, cwd, "bp");
    const wing = await space.wingbeat(cwd, "chain.json", "--in", input, "--out", output);
    await wing.says(PACKET_PORTS);
    space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", file);
    await space.until("a", COUNT);
    const result = await wing.finish();
    checkLedger(result);
    assert.equal([result.packets.rx, result.packets.tx], [COUNT, COUNT]);
    await dump.end();
    assert.equal(frames(join(cwd, "out.pcap")), frames(file));
  });
}

wiresTest("a chain gives the digest it gives from a capture, and VLAN tags stay", async (space) => {
  const cwd = folder(gateway());
  space.wire("a");
  const file = traffic(cwd);
  const tagged = join(cwd, "tagged.pcap");
  // A tag goes behind the addresses: the kernel takes it out of the frame, the port puts it back.
  writeFileSync(tagged, tag(readFileSync(file)));
  const same = ["--seed", "3", "--out", "null", "--in"];
  const expected = run(cwd, "chain.json", ...same, tagged);
  for (const driver of ["packet", "mmsg"]) {
    const before = space.received("a");
    const wing = await space.wingbeat(cwd, "chain.json", ...same, `${driver}:a`);
    await wing.says(/port in: .* by AF_PACKET/);
    space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", tagged);
    await space.until("a", before + COUNT);
    const result = await wing.finish();
    checkLedger(result);
    assert.is(result.digest, expected.digest, driver);
    assert.equal(result.ledger.drops, expected.ledger.drops, driver);
  }
});

/** A capture whose frames of 300 bytes all have a VLAN tag. */
function tag(capture: Buffer): Buffer {
  const parts = [capture.subarray(0, 24)];
  for (let at = 24; at < capture.length; ) {
    const length = capture.readUInt32LE(at + 8);
    const frame = capture.subarray(at + 16, at + 16 + length);
    const header = Buffer.from(capture.subarray(at, at + 16));
    at += 16 + length;
    if (length !== 300) {
      parts.push(header, frame);
      continue;
    }
    header.writeUInt32LE(length + 4, 8);
    header.writeUInt32LE(length + 4, 12);
    parts.push(header, frame.subarray(0, 12), Buffer.from([0x81, 0, 0x20, 7]), frame.subarray(12));
  }
  return Buffer.concat(parts);
}

wiresTest("what has arrived is received although the port is stopped in the same moment", async (space) => {
  space.wire("a");
  const child = fileURLToPath(new URL("support/drain-child.js", import.meta.url));
  const ports = [
    { driver: "packet", interface: "a" },
    { driver: "mmsg", interface: "a" },
    { driver: "xdp", interface: "a", mode: "native" },
    { driver: "xdp", interface: "a", mode: "skb" },
  ].map((port) => JSON.stringify(port));
  const rounds = JSON.parse(space.run(process.execPath, child, "5", ...ports)) as { sent: number; received: number }[];
  assert.is(rounds.length, 5 * ports.length);
  for (const round of rounds) assert.is(round.received, round.sent, JSON.stringify(round));
});

wiresTest("what does not leave is counted: too long for the link, or the link down", async (space, cwd) => {
  space.wire("b");
  const input = makeTraffic(cwd, [1400, 1600], 200);
  const chain = JSON.parse(readFileSync(join(cwd, "chain.json"), "utf8"));
  chain.ports.out.mtu = 1700;
  writeFileSync(join(cwd, "chain.json"), JSON.stringify(chain));
  const wing = await space.wingbeat(cwd, "chain.json", "--in", input, "--out", "packet:b");
  const result = await wing.finish("by itself");
  checkLedger(result);
  const long = result.ledger.dropped;
  assert.ok(long > 0 && long < 200);
  assert.equal(result.ledger.drops, [{ nf: "egress", reason: "tx-error", packets: long }]);
  await until(() => space.packets("bp").packets >= 200 - long, "the frames that are short enough");

  space.ip("link", "set", "dev", "bp", "down");
  const down = await space.wingbeat(cwd, "chain.json", "--in", input, "--out", "packet:b");
  const lost = await down.finish("by itself");
  checkLedger(lost);
  assert.is(lost.packets.tx, 0);
  assert.is(lost.ports[1]!.oerrors, 200);
});

wiresTest("auto takes AF_XDP, and AF_PACKET without the rights for it, and says why", async (space, cwd) => {
  space.wire("a");
  space.wire("b");
  const args = ["chain.json", "--in", "auto:a", "--out", "auto:b"] as const;
  const wing = await space.wingbeat(cwd, ...args);
  await wing.says(PORTS);
  checkLedger(await wing.finish());
  const lacking = ["setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin"];
  const running = space.start(cwd, ...lacking, ...space.command(...args));
  await running.says(/lacks CAP_BPF and CAP_NET_ADMIN; AF_PACKET instead/);
  await running.says(/port in: a by AF_PACKET/);
  assert.is(await running.end("SIGINT"), 0, running.output);
});

test.run();
