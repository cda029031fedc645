/**
 * Two gateways between two hosts, each in a namespace of its own: host - gateway - the net between - gateway - host. The hosts' own kernels speak
 * to each other, and what the net between sees is ESP and nothing else.
 */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadChain } from "../runtime/chain/load.js";
import { examine } from "../runtime/cli/check.js";
import { folder, ROOT } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { checkLedger } from "./support/live.js";
import { readPcap } from "./support/pcap.js";
import { type Running, until, Veth, vethLack } from "./support/veth.js";

const lack = vethLack("dumpcap", "ethtool", "ping");
const BYTES = 4_000_000;
const PORT = "7007";
const ESP = 50;
const IGMP = 2;
/** 0.0.0.0 */
const NOBODY = Buffer.alloc(4);
/** Receives, sends back what has come and ends; and its peer, which compares. */
const ECHO = `require("node:net").createServer((c) => c.pipe(c).on("close", () => process.exit(0))).listen(${PORT}, () => console.log("listening"))`;
const ASK = `const { createHash, randomBytes } = require("node:crypto");
const sent = randomBytes(${BYTES});
const back = [];
const c = require("node:net").connect(${PORT}, "10.2.0.2", () => c.end(sent));
c.on("data", (some) => back.push(some)).on("end", () => {
  const same = Buffer.concat(back).equals(sent);
  console.log(same ? "the same" : "other bytes");
  process.exit(same ? 0 : 1);
});`;

/** The four namespaces and what connects them. */
class Sites {
  readonly hosts = { a: new Veth(), b: new Veth() };
  readonly gateways = { a: new Veth(), b: new Veth() };
  /** A bridge, where everything that passes can be seen. */
  readonly net = new Veth();

  constructor() {
    this.net.ip("link", "add", "name", "net0", "type", "bridge");
    this.net.ip("link", "set", "dev", "net0", "up");
    this.site("a", "10.1.0", "10.2.0.0/16");
    this.site("b", "10.2.0", "10.1.0.0/16");
  }

  /** What the example takes for granted: names, addresses and MAC addresses; a smaller MTU for the hosts, and checksums in what they send. */
  private site(site: "a" | "b", prefix: string, beyond: string): void {
    const gateway = this.gateways[site];
    const host = this.hosts[site];
    const { net } = this;
    gateway.wire("lan0");
    gateway.hand("lan0", host);
    gateway.ip("link", "set", "dev", "lan0", "address", `02:00:00:00:0${site}:00`);
    gateway.wire("wan0");
    gateway.ip("link", "set", "dev", "wan0", "address", `02:00:00:00:0${site}:01`);
    gateway.ip("link", "set", "dev", "wan0p", "name", `to-${site}`, "netns", net.name);
    net.ip("link", "set", "dev", `to-${site}`, "master", "net0", "up");
    host.ip("link", "set", "dev", "lan0p", "address", `02:00:00:00:0${site}:02`, "mtu", "1400");
    host.address("lan0p", `${prefix}.2/24`);
    host.ip("neigh", "add", `${prefix}.1`, "lladdr", `02:00:00:00:0${site}:00`, "dev", "lan0p");
    host.ip("route", "add", beyond, "via", `${prefix}.1`);
    host.run("ethtool", "-K", "lan0p", "tx", "off");
  }

  remove(): void {
    for (const space of [...Object.values(this.hosts), ...Object.values(this.gateways), this.net]) space.remove();
  }
}

test("check has nothing to say against the example, and names the reasons that its ledger has", async () => {
  for (const site of ["a", "b"]) {
    const warnings: string[] = [];
    const options = { warn: (line: string) => warnings.push(line) };
    const result = examine(await loadChain(join(ROOT, "examples", "tunnel", `${site}.json`), options), warnings);
    assert.equal(result.warnings, []);
    const next = (type: string, at: string) => result.policy.find((row) => row.type === type && row.at === at)!.next;
    assert.is(next("outward", "ingress:lan"), "ipsec");
    assert.is(next("default", "ingress:lan"), "drop (policy: drop)");
    assert.is(next("non-ip", "ingress:lan"), "drop (policy: non-ip)");
  }
});

test("ping and TCP between hosts of two sites go through the tunnel of the example, and nothing goes past it", async () => {
  if (skipUnless(lack === undefined, lack ?? "")) return;
  const sites = new Sites();
  try {
    const { hosts, gateways, net } = sites;
    const runs: Running[] = [];
    for (const site of ["a", "b"] as const) {
      const cwd = folder();
      cpSync(join(ROOT, "examples", "tunnel"), cwd, { recursive: true });
      // One by one core, one by two, of which the second sends.
      runs.push(await gateways[site].wingbeat(cwd, `${site}.json`, "--cores", site === "a" ? "d1" : "d2"));
    }
    const dump = net.start(folder(), "dumpcap", "-q", "-P", "-B", "64", "-i", "net0", "-w", "net.pcap");
    await dump.says(/File: /);
    for (const run of runs) await run.says(/(?=[\s\S]*port lan: lan0 by AF_XDP)(?=[\s\S]*port wan: wan0 by AF_XDP)/);

    for (const bytes of [0, 56, 1300]) {
      assert.ok(hosts.a.answers("10.2.0.2", 30, bytes), `from a, ${bytes} bytes`);
      assert.ok(hosts.b.answers("10.1.0.2", 30, bytes), `from b, ${bytes} bytes`);
    }
    const echo = hosts.b.start(folder(), process.execPath, "-e", ECHO);
    await echo.says(/listening/);
    assert.is(hosts.a.run(process.execPath, "-e", ASK), "the same\n");
    await echo.end();
    // No SA selects this, and nothing may leave in the clear.
    hosts.a.ip("route", "add", "198.18.0.0/15", "via", "10.1.0.1");
    assert.not(hosts.a.answers("198.18.0.1", 1));

    const results = [await runs[0]!.finish(), await runs[1]!.finish("SIGTERM")];
    for (const [i, result] of results.entries()) {
      checkLedger(result, `gateway ${i}: `);
      const [ipsec, router] = result.nfs;
      assert.is(ipsec!.outcomes["protected"]! + ipsec!.outcomes["opened"]!, result.packets.tx);
      assert.is(router!.outcomes["forward"], result.packets.tx);
      assert.ok(result.bytes.tx > 2 * BYTES);
    }
    const [a, b] = results;
    const ways = [
      [a!, b!],
      [b!, a!],
    ] as const;
    for (const [from, to] of ways) {
      const wan = to.ports.find(({ name }) => name === "wan")!;
      assert.is(from.nfs[0]!.outcomes["protected"], to.nfs[0]!.outcomes["opened"]! + wan.imissed);
    }
    assert.equal(a!.ledger.drops, [{ nf: "policy", reason: "drop", packets: 1 }]);
    assert.equal(b!.ledger.drops, []);

    const esp = a!.nfs[0]!.outcomes["protected"]! + b!.nfs[0]!.outcomes["protected"]!;
    // What kernels say of groups they are in (RFC 3376) is theirs, and has no address of either site.
    const igmp = (frame: Uint8Array) => frame[23] === IGMP && Buffer.from(frame.subarray(26, 30)).equals(NOBODY);
    const read = () => readPcap(join(dump.cwd, "net.pcap")).records.filter(({ frame }) => !igmp(frame));
    await until(
      () => read().length >= esp,
      `${esp} frames in the capture`,
      () => `${read().length}`,
    );
    await dump.end("SIGINT");
    const seen = read();
    for (const { frame } of seen) {
      const what = Buffer.from(frame.subarray(0, 34)).toString("hex");
      assert.equal([frame[12], frame[13], frame[23]], [8, 0, ESP], `a frame that is not ESP: ${what}`);
    }
    assert.is(seen.length, esp);
  } finally {
    sites.remove();
  }
});

test.run();
