/**
 * Ports that receive and send, by cores that hand packets on: the core that sends is another one than those that receive. Two gateways with a
 * tunnel between them, and one without NFs whose links and ends are tried.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RunResult } from "../runtime/engine/result.js";
import { generate } from "../runtime/nic/generator/generate.js";
import { folder, run } from "./chain-support.js";
import { bothWays, byFlow, COUNT, checkLedger, coresOpen, frames, makeTraffic, wiresTest } from "./support/live.js";
import { type Running, until, type Veth } from "./support/veth.js";

/** Networks and tunnel ends, by site. */
const SITES = {
  a: { net: "10.1.0.0/16", end: "192.0.2.1", spi: 4097 },
  b: { net: "10.2.0.0/16", end: "192.0.2.2", spi: 4098 },
} as const;
type Site = keyof typeof SITES;
const other = (site: Site): Site => (site === "a" ? "b" : "a");

/** The SA of what a site sends, as one of the two ends has it. */
function sa(site: Site, direction: "in" | "out"): object {
  const from = SITES[site];
  const to = SITES[other(site)];
  const keys = {
    cipher: "aes-128-cbc",
    cipher_key: `${from.spi}`.repeat(8),
    auth: "sha1-hmac",
    auth_key: `${from.spi}`.repeat(10),
  };
  const way = direction === "out" ? { selector: { src: from.net, dst: to.net } } : { replay_window: 1024 };
  return { sas: [{ name: `from-${site}`, direction, spi: from.spi, src: from.end, dst: to.end, ...keys, ...way }] };
}

/** Both ports are open. */
const OPEN = /(?=[\s\S]*port lan: .* by AF_XDP)(?=[\s\S]*port wan: .* by AF_XDP)/;
const ipsec = (sas: string) => ({ type: "ipsec", config: { sas } });

/** A gateway of a site, with an NF for each direction. */
function gatewayOf(site: Site, lan: object, wan: object): Record<string, string | object> {
  return {
    "chain.json": {
      name: `site-${site}`,
      ports: { lan, wan },
      nfs: { protect: ipsec("out.json"), open: ipsec("in.json") },
      policy: "policy.csv",
    },
    "policy.csv": [
      "*,ingress:lan,protect",
      "*,protect.protected,egress:wan",
      "*,ingress:wan,open",
      "*,open.opened,egress:lan",
      "",
    ].join("\n"),
    "out.json": sa(site, "out"),
    "in.json": sa(other(site), "in"),
  };
}

interface Traffic {
  readonly input: string;
  /** Of each flow, what one core makes of it that protects and opens: what the other site is to receive, as hashes. */
  readonly expected: Readonly<Record<string, string[]>>;
}

const made = new Map<Site, Traffic>();

/** What a site sends; made once. */
function sentBy(site: Site): Traffic {
  const before = made.get(site);
  if (before !== undefined) return before;
  const cwd = folder({
    "chain.json": {
      name: "there",
      ports: { in: { driver: "null" }, out: { driver: "null" } },
      nfs: { protect: ipsec("out.json"), open: ipsec("in.json") },
      policy: "policy.csv",
    },
    "policy.csv": "*,ingress,protect\n*,protect.protected,open\n*,open.opened,egress\n",
    "out.json": sa(site, "out"),
    "in.json": sa(site, "in"),
  });
  const input = join(cwd, "in.pcap");
  const output = join(cwd, "out.pcap");
  const between = { src: SITES[site].net, dst: SITES[other(site)].net };
  const streams = [64, 65, 300, 1300].map((size) => ({ size, payload: "text" as const, ...between }));
  generate(input, { count: COUNT, flows: 64, streams });
  const result = run(cwd, "chain.json", "--in", input, "--out", output, "--cores", "d1");
  assert.is(result.packets.tx, COUNT);
  const traffic = { input, expected: byFlow(output) };
  made.set(site, traffic);
  return traffic;
}

/** True where `some` are of `all`, in their order. */
function inOrder(some: readonly string[], all: readonly string[]): boolean {
  let at = -1;
  return some.every((one) => {
    at = all.indexOf(one, at + 1);
    return at >= 0;
  });
}

/** Waits until all frames have arrived, or, where some were missed on a busy machine, none has for two seconds. */
async function passed(space: Veth): Promise<void> {
  let last = "";
  let since = 0;
  await until(() => {
    const sent = ["a", "b"].map((name) => space.sent(name));
    if (sent.every((packets) => packets >= COUNT)) return true;
    if (`${sent}` !== last) since = Date.now();
    last = `${sent}`;
    return Date.now() - since > 2000;
  }, "the end of what passes");
}

/** Queues of each interface, keys of both gateways' ports, and their `--cores` and order. */
const PAIRS = [
  [1, {}, ["--cores", "d3", "--rx-pattern", "range"], { mode: "skb" }, ["--cores", "d1n2"]],
  [2, { mode: "skb" }, ["--cores", "d2n1", "--order", "none"], {}, ["--cores", "d3"]],
] as const;

for (const [queues, keysOfA, coresOfA, keysOfB, coresOfB] of PAIRS) {
  const name = `a tunnel both ways at once, ${coresOfA.slice(1).join(" ")} and ${coresOfB.slice(1).join(" ")}`;
  wiresTest(name, async (space, cwd) => {
    for (const wire of ["a", "b", "net"]) space.wire(wire, queues);
    const port = (name: string, keys: object) => ({ driver: "xdp", interface: name, dir: "both", ...keys });
    const sites = ["a", "b"] as const;
    const runs = {
      a: await space.wingbeat(
        folder(gatewayOf("a", port("a", keysOfA), port("net", keysOfA))),
        "chain.json",
        ...coresOfA,
      ),
      b: await space.wingbeat(
        folder(gatewayOf("b", port("b", keysOfB), port("netp", keysOfB))),
        "chain.json",
        ...coresOfB,
      ),
    };
    const dumps = sites.map((site) =>
      space.start(cwd, "dumpcap", "-q", "-P", "-B", "32", "-i", `${site}p`, "-w", join(cwd, `${site}.pcap`)),
    );
    for (const dump of dumps) await dump.says(/File: /);
    for (const site of sites) {
      await runs[site].says(OPEN);
      if (queues === 2) for (const name of ["lan", "wan"]) await coresOpen(runs[site], 2, name);
    }
    const replays = sites.map((site) =>
      space.start(cwd, "tcpreplay", "-q", "-i", `${site}p`, "--pps", "8000", sentBy(site).input),
    );
    for (const replay of replays) assert.is(await replay.end(), 0, replay.output);
    await passed(space);
    const results = { a: await runs.a.finish("SIGINT"), b: await runs.b.finish("SIGTERM") };
    for (const site of sites) {
      const result = results[site];
      const what = `${site}: ${JSON.stringify(result.ports)}: `;
      checkLedger(result, what);
      const [lan, wan] = result.ports;
      const [farLan, farWan] = results[other(site)].ports;
      // Where a machine is too busy to take what comes, it is missed; else all of it arrives.
      assert.is(lan!.ipackets + lan!.imissed, space.sent(`${site}p`), what);
      assert.is(wan!.opackets, lan!.ipackets - wan!.oerrors, what);
      assert.is(wan!.opackets, farWan!.ipackets + farWan!.imissed, what);
      assert.is(farLan!.opackets, farWan!.ipackets - farLan!.oerrors, what);
      assert.ok(farLan!.opackets > 0, what);
      assert.is(result.order.flow_reordered, 0, what);

      const file = join(cwd, `${other(site)}.pcap`);
      const there = COUNT + farLan!.opackets;
      await until(
        () => frames(file).length >= there,
        `${there} frames at the far end`,
        () => `${frames(file).length}`,
      );
      assert.is(frames(file).length, there);
      const arrived = byFlow(file);
      for (const [flow, expected] of Object.entries(sentBy(site).expected)) {
        assert.ok(inOrder(arrived[flow] ?? [], expected), `${what}flow ${flow}`);
        if (farLan!.opackets === COUNT) assert.equal(arrived[flow], expected, `${what}flow ${flow}`);
      }
    }
    for (const dump of dumps) await dump.end("SIGINT");
  });
}

wiresTest("AF_PACKET both ways, by cores that hand on", (space) => {
  const opened = (wing: Running) => wing.says(/(?=[\s\S]*port lan: .*sendmmsg)(?=[\s\S]*port wan: .*sendmmsg)/);
  return bothWays(space, 1, { driver: "packet" }, opened, "--cores", "d2", "--order", "global");
});

const GATEWAY = {
  "policy.csv": "*,ingress:lan,egress:wan\n*,ingress:wan,egress:lan\n",
  "chain.json": {
    name: "gateway",
    ports: {
      lan: { driver: "xdp", interface: "a" },
      wan: { driver: "xdp", interface: "b", ring: 64 },
    },
    policy: "policy.csv",
  },
};
/** One receives and one sends, by wan in bursts that are longer than its TX ring where there is enough to do. */
const D2 = ["chain.json", "--cores", "d2", "--batch", "256"] as const;

/** Sends by both wires' far ends, so many times the capture; 0: until it is killed. */
const endless = (space: Veth, cwd: string, input: string): Running[] =>
  ["ap", "bp"].map((name) =>
    space.start(cwd, "tcpreplay", "-q", "-i", name, "--pps", "4000", "--loop", "1000000", input),
  );

async function passing(space: Veth): Promise<void> {
  const seen = ["a", "b"].map((name) => space.sent(name));
  await until(() => ["a", "b"].every((name, i) => space.sent(name) > seen[i]! + COUNT / 2), "packets both ways");
}

/** What came in is what the far ends have sent, and what left is what the interfaces have. */
function checkAccount(result: RunResult, sent: Readonly<Record<"ap" | "bp" | "a" | "b", number>>): void {
  const what = `${JSON.stringify([result.ports, sent])}: `;
  checkLedger(result, what);
  const [lan, wan] = result.ports;
  assert.is(lan!.ipackets + lan!.imissed + lan!.ierrors, sent.ap, what);
  assert.is(wan!.ipackets + wan!.imissed + wan!.ierrors, sent.bp, what);
  assert.equal([lan!.opackets, wan!.opackets], [sent.a, sent.b], what);
  const oerrors = lan!.oerrors + wan!.oerrors;
  assert.is(result.ledger.dropped, oerrors, what);
  assert.equal(result.ledger.drops, oerrors === 0 ? [] : [{ nf: "egress", reason: "tx-error", packets: oerrors }]);
}

wiresTest(
  "links down at the start and later, and frames that the driver refuses, while one core receives and one sends",
  async (space) => {
    const cwd = folder(GATEWAY);
    space.wire("a");
    space.wire("b");
    space.ip("link", "set", "dev", "b", "down");
    const input = makeTraffic(cwd, [64, 65, 300, 1400], COUNT);
    const wing = await space.wingbeat(cwd, ...D2);
    await wing.says(/port wan: the link of b is down; waiting for it/);
    await wing.says(/port lan: a by AF_XDP/);
    const replay = (name: string) =>
      space.start(cwd, "tcpreplay", "-q", "-i", name, "--pps", "8000", "--loop", "2", input);
    const toNowhere = replay("ap");
    await toNowhere.end();
    space.ip("link", "set", "dev", "b", "up");
    await wing.says(/port wan: b by AF_XDP/);
    const flapped = replay("ap");
    await until(() => space.sent("b") > COUNT / 4, "packets after the link was up");
    space.ip("link", "set", "dev", "b", "down");
    await delay(200);
    space.ip("link", "set", "dev", "b", "up");
    await flapped.end();
    // Bursts that the TX ring does not hold.
    const seen = space.received("a");
    const left = space.sent("b");
    wing.child.kill("SIGSTOP");
    space.run("tcpreplay", "-q", "-i", "ap", "--topspeed", input);
    await space.until("a", seen + COUNT);
    wing.child.kill("SIGCONT");
    await until(() => space.sent("b") > left + COUNT / 4, "packets in long bursts");
    const before = { a: space.sent("a"), b: space.sent("b") };
    // Refused between others that are not, while the receiver sleeps in poll(2) now and then.
    space.ip("link", "set", "dev", "bp", "mtu", "600");
    const both = [replay("ap"), replay("bp")];
    for (const one of both) await one.end();
    await until(() => space.sent("a") > before.a && space.sent("b") > before.b, "packets both ways");
    const result = await wing.finish();
    assert.is(result.cores, "d2n0");
    const sent = (name: string) => space.sent(name);
    checkAccount(result, { ap: sent("ap"), bp: sent("bp"), a: sent("a"), b: sent("b") });
    assert.ok(result.ports[1]!.oerrors > COUNT, "all at the start, and those of 1400 bytes");
  },
);

wiresTest("Ctrl-C, kill -9 and the end of an interface in the middle of traffic both ways", async (space) => {
  const cwd = folder(GATEWAY);
  space.wire("a");
  space.wire("b");
  const replays = endless(space, cwd, makeTraffic(cwd, [64, 300], COUNT));
  const left = () => ({ a: space.sent("a"), b: space.sent("b") });
  for (const signal of ["SIGINT", "SIGKILL"] as const) {
    const before = left();
    const wing = await space.wingbeat(cwd, ...D2);
    await wing.says(OPEN);
    await passing(space);
    if (signal === "SIGKILL") {
      await wing.end(signal);
      await until(() => !space.attached("a") && !space.attached("b"), "interfaces left alone");
      continue;
    }
    const result = await wing.finish(signal);
    const { a, b } = left();
    const [lan, wan] = result.ports;
    const came = (port: typeof lan) => port!.ipackets + port!.imissed + port!.ierrors;
    checkAccount(result, { ap: came(lan), bp: came(wan), a: a - before.a, b: b - before.b });
    assert.is(result.packets.tx + result.ledger.dropped, result.packets.rx);
  }
  const wing = await space.wingbeat(cwd, ...D2);
  await wing.says(OPEN);
  await passing(space);
  space.ip("link", "del", "dev", "b");
  assert.is(await wing.end(), 1, wing.output);
  assert.is(wing.output.match(/the interface b is gone/g)?.length, 1, wing.output);
  const result = JSON.parse(readFileSync(wing.json, "utf8")) as RunResult;
  checkLedger(result);
  assert.is(result.packets.tx + result.ledger.dropped, result.packets.rx);
  for (const replay of replays) await replay.end("SIGKILL");
});

test.run();
