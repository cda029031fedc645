/** What hosts behind a gateway learn from its ICMP messages: who is on the way, and how long a packet may be. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { folder } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { checkLedger, wiresTest } from "./support/live.js";
import { Veth, vethLack } from "./support/veth.js";

const HOST = "10.0.0.1";
const FAR = "192.0.2.1";
const FAR6 = "2001:db8:2::1";
const GATEWAY = "10.0.0.254";
const GATEWAY6 = "2001:db8:1::fe";
const FAR_MTU = 1400;

/** A gateway without addresses between two hosts; what is behind it takes packets of FAR_MTU. */
function lay(space: Veth, near: Veth, far: Veth) {
  space.wire("a");
  space.wire("b");
  space.hand("a", near);
  space.hand("b", far);
  // Frames on a wire keep the checksums that the hardware would have written, and with `packet` the kernel sees them, too.
  for (const [host, name] of [
    [near, "ap"],
    [far, "bp"],
  ] as const)
    host.run("ethtool", "-K", name, "tx", "off");
  space.run("sysctl", "-qw", "net.ipv4.ip_forward=0");
  space.ip("link", "set", "dev", "b", "mtu", `${FAR_MTU}`);
  const macs = { a: space.mac("a"), b: space.mac("b"), near: near.mac("ap"), far: far.mac("bp") };
  near.address("ap", `${HOST}/24`);
  near.address("ap", "2001:db8:1::1/64");
  far.address("bp", `${FAR}/24`);
  for (const [host, name, gateway, mac] of [
    [near, "ap", GATEWAY, macs.a],
    [near, "ap", GATEWAY6, macs.a],
    [far, "bp", "192.0.2.254", macs.b],
  ] as const) {
    host.ip("neigh", "replace", gateway, "lladdr", mac, "dev", name, "nud", "permanent");
    host.ip("route", "add", "default", "via", gateway, "dev", name);
  }
  return macs;
}

function chain(driver: string, macs: Record<"a" | "b" | "near" | "far", string>, lan: object) {
  const config = {
    ...{ routes: "routes.txt", port_macs: { lan: macs.a, wan: macs.b } },
    neighbours: { [HOST]: macs.near, [FAR]: macs.far },
  };
  return folder({
    "chain.json": {
      name: "gateway",
      ports: { lan: { driver, interface: "a", ...lan }, wan: { driver, interface: "b" } },
      types: { v6: { dst: "::/0" } },
      nfs: { router: { type: "router", config } },
      policy: "policy.csv",
    },
    "policy.csv":
      "*,ingress,router\n*,router,egress\nv6,ingress:lan,egress:wan\nv6,ingress:wan,egress:lan\nv6,router,egress:wan",
    "routes.txt": `10.0.0.0/24 ${HOST} lan\n192.0.2.0/24 ${FAR} wan\n`,
  });
}

const lack = vethLack("ping", "tshark", "dumpcap", "ethtool");

// With `packet` the kernel sees everything, too; it has no addresses, so that it keeps silent.
for (const [driver, cores, lan] of [
  ["xdp", "d1n1", {}],
  ["packet", "d2n1", { address: GATEWAY, address6: GATEWAY6 }],
] as const) {
  wiresTest(`a host finds its gateway, and the MTU behind it (${driver}, ${cores})`, async (space, cwd) => {
    if (skipUnless(lack === undefined, lack ?? "")) return;
    const [near, far] = [new Veth(), new Veth()];
    try {
      const macs = lay(space, near, far);
      if (driver === "xdp") for (const own of [`${GATEWAY}/24`, `${GATEWAY6}/64`]) space.address("a", own);
      const wing = await space.wingbeat(cwd, join(chain(driver, macs, lan), "chain.json"), "--cores", cores);
      await wing.says(/(?=[\s\S]*port lan: a by)(?=[\s\S]*port wan: b by)/);
      const file = join(cwd, "near.pcap");
      const messages = "icmp[0] == 11 or icmp[0] == 3 or (icmp6 and ip6[40] == 2)";
      const dump = near.start(cwd, "dumpcap", "-q", "-P", "-c", "3", "-i", "ap", "-f", messages, "-w", file);
      await dump.says(/File: /);
      /** One echo request; what ping says of it. */
      const ping = async (...args: string[]) => {
        const running = near.start(cwd, "ping", "-n", "-c", "1", "-W", "10", ...args);
        await running.end();
        return running.output;
      };
      assert.match(await ping(FAR), /1 received/);
      assert.match(await ping("-t", "1", FAR), /From 10\.0\.0\.254 icmp_seq=1 Time to live exceeded/);
      const long = ["-M", "do", "-s", "1472", FAR];
      assert.match(await ping(...long), /From 10\.0\.0\.254 icmp_seq=1 Frag needed and DF set \(mtu = 1400\)/);
      assert.match(near.ip("route", "get", FAR), /mtu 1400/);
      assert.match(await ping(...long), /message too long, mtu[=:] ?1400/);
      assert.match(await ping("-M", "do", "-s", `${FAR_MTU - 28}`, FAR), /1 received/);
      assert.match(
        await ping("-6", "-M", "do", "-s", "1452", FAR6),
        /From 2001:db8:1::fe icmp_seq=1 Packet too big: mtu=1400/,
      );
      assert.match(near.ip("-6", "route", "get", FAR6), /mtu 1400/);
      const result = await wing.finish();
      checkLedger(result);
      assert.is(result.ledger.originated, 3);
      const drops = result.ledger.drops.map(({ nf, reason, packets }) => `${nf} ${reason} ${packets}`).sort();
      assert.equal(
        drops.filter((one) => !one.startsWith("policy")),
        ["egress too-big 2", "router ttl-expired 1"],
      );
      assert.is(await dump.end(), 0, dump.output);
      if (driver === "xdp") checkDecoded(near, file);
    } finally {
      near.remove();
      far.remove();
    }
  });
}

/** epan/proto.h: PI_WARN. */
const WARNING = 0x60_0000;

/** Tshark takes the messages for good ones, and finds in them what was sent. */
function checkDecoded(space: Veth, file: string): void {
  const names = ["icmp.type", "icmp.mtu", "icmp.checksum.status", "ip.checksum.status", "ip.src"];
  names.push(
    "icmpv6.type",
    "icmpv6.mtu",
    "icmpv6.checksum.status",
    "ipv6.src",
    "ip.ttl",
    "_ws.malformed",
    "_ws.expert.severity",
  );
  const fields = ["-T", "fields", ...names.flatMap((name) => ["-e", name])];
  const text = space.run("tshark", "-r", file, "-o", "ip.check_checksum:TRUE", ...fields);
  const lines = text.trimEnd().split("\n");
  const severities = lines.map((line) => line.split("\t")[11] ?? "");
  // A note that a TTL of 1 is small is none.
  assert.not(
    severities.some((some) => some.split(",").some((one) => Number(one) >= WARNING)),
    `${severities}`,
  );
  // The second of each is of what is quoted. Its header is whole again, TTL included; at its ICMP checksum tshark does not look (2).
  assert.equal(
    lines.map((line) => line.split("\t").slice(0, 11).join(" ").trim()),
    [
      `11,8  1,2 1,1 ${GATEWAY},${HOST}     64,1`,
      `3,8 1400 1,2 1,1 ${GATEWAY},${HOST}     64,64`,
      `2,128 1400 1,2 ${GATEWAY6},2001:db8:1::1`,
    ],
  );
}

test.run();
