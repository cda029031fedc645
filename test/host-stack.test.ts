/** A gateway that is a host, too: its own addresses answer through the target `kernel`, while all else is forwarded past the host. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { folder } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { checkLedger } from "./support/live.js";
import { until, Veth, vethLack } from "./support/veth.js";

const lack = vethLack("ping", "ethtool");

const CHAIN = {
  name: "gateway",
  ports: { in: { driver: "null" }, out: { driver: "null" } },
  types: {
    self: { dst: "192.0.2.1" },
    self6: { dst: "2001:db8::1" },
    neighbours: { dst: "ff02::/16" },
    link: { dst: "fe80::/10" },
  },
  policy: "policy.csv",
};
const POLICY = `non-ip,ingress,kernel
self,ingress,kernel
self6,ingress,kernel
neighbours,ingress,kernel
link,ingress,kernel
*,ingress,egress
`;

/** Answers each datagram with itself, and each connection with the length and the sum of what it sent. */
const SERVER = `
const udp = require("node:dgram").createSocket("udp6");
udp.on("message", (text, from) => udp.send(text, from.port, from.address)).bind(7000);
require("node:net").createServer({ allowHalfOpen: true }, (socket) => {
  let bytes = 0, sum = 0;
  socket.on("data", (data) => { bytes += data.length; for (const byte of data) sum += byte; });
  socket.on("end", () => socket.end(bytes + " " + sum));
}).listen(7000, "::", () => console.log("listening"));
`;

/** Asks it so, by both; then sends datagrams to an address behind the gateway. */
const CLIENT = `
const [address, bytes, forwarded] = process.argv.slice(1);
const dgram = require("node:dgram");
const data = Buffer.alloc(Number(bytes), "wingbeat");
const udp = dgram.createSocket("udp4");
const ask = () => udp.send("hello", 7000, address);
const again = setInterval(ask, 1000);
// Asked twice on a busy machine, it answers twice.
udp.once("message", (text) => {
  clearInterval(again);
  console.log("udp " + text);
  const tcp = require("node:net").connect(7000, address, () => tcp.end(data));
  tcp.on("data", (text) => console.log("tcp " + text));
  tcp.on("close", () => {
    let left = Number(forwarded);
    const next = () => left-- === 0 ? udp.close() : udp.send("on " + left, 9, "198.51.100.1", next);
    next();
  });
});
ask();
`;

for (const mode of ["native", "skb"] as const) {
  test(`ping, ARP, neighbour discovery, UDP and TCP of the gateway's own, ${mode} XDP`, async () => {
    if (skipUnless(lack === undefined, lack ?? "")) return;
    const gateway = new Veth();
    const host = new Veth();
    try {
      await answers(gateway, host, mode);
    } finally {
      gateway.remove();
      host.remove();
    }
  });
}

const BYTES = 300_000;
const FORWARDED = 50;

async function answers(gateway: Veth, host: Veth, mode: "native" | "skb"): Promise<void> {
  const cwd = folder({ "chain.json": CHAIN, "policy.csv": POLICY });
  writeFileSync(join(cwd, "server.cjs"), SERVER);
  gateway.wire("a");
  gateway.wire("b");
  gateway.hand("a", host);
  // Checksums and segments are left to hardware that is not there.
  host.run("ethtool", "-K", "ap", "tx", "off");
  gateway.address("a", "192.0.2.1/24");
  gateway.address("a", "2001:db8::1/64");
  const server = gateway.start(cwd, process.execPath, "server.cjs");
  await server.says(/listening/);
  const wing = await gateway.wingbeat(cwd, "chain.json", "--in", `xdp:a,mode=${mode}`, "--out", "xdp:b");
  await wing.says(/port in: .* by AF_XDP/);
  await wing.says(/port out: .* by AF_XDP/);
  // Not before: what a host says of itself when it gets an address is the gateway's, too.
  host.address("ap", "192.0.2.2/24");
  host.address("ap", "2001:db8::2/64");
  host.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.1");
  const echoes = () => icmpEchoes(gateway);
  for (const address of ["192.0.2.1", "2001:db8::1"]) {
    const before = echoes();
    const said = host.run("ping", "-n", "-c", "5", "-i", "0.05", "-W", "20", address);
    assert.match(said, /5 packets transmitted, 5 received, 0% packet loss/, address);
    assert.is(echoes() - before, 5, `${address}: once each`);
  }
  const longest = host.run("ping", "-n", "-c", "1", "-W", "20", "-s", "1472", "-M", "do", "192.0.2.1");
  assert.match(longest, /1 received/);
  const sum = [...Buffer.alloc(BYTES, "wingbeat")].reduce((a, b) => a + b, 0);
  const client = host.start(cwd, process.execPath, "-e", CLIENT, "192.0.2.1", `${BYTES}`, `${FORWARDED}`);
  assert.is(await client.end(), 0, client.output);
  assert.is(client.output, `udp hello\ntcp ${BYTES} ${sum}\n`);
  await until(() => gateway.received("bp") >= FORWARDED, "what is forwarded");
  const neighbours = gateway.ip("neigh", "show", "dev", "a");
  assert.match(neighbours, new RegExp(`192.0.2.2 lladdr ${host.mac("ap")}`), "learnt by ARP");
  const result = await wing.finish();
  await server.end("SIGTERM");
  checkLedger(result);
  assert.equal(result.ledger.drops, []);
  assert.is(result.packets.tx, FORWARDED);
  assert.is(result.ledger.to_kernel, result.packets.rx - FORWARDED);
  assert.is(gateway.received("bp"), FORWARDED, "no packet of the host's is forwarded");
}

/** Echo requests that the host has received, of both versions. */
function icmpEchoes(space: Veth): number {
  const v4 = space
    .run("sh", "-c", "grep ^Icmp: /proc/net/snmp")
    .split("\n")
    .map((line) => line.split(" "));
  const v6 = /^Icmp6InEchos\s+(\d+)/m.exec(space.run("cat", "/proc/net/snmp6"));
  return Number(v4[1]![v4[0]!.indexOf("InEchos")]) + Number(v6![1]);
}

test.run();
