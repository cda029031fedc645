import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { buildFib, type Fib, lookup, MAX_GROUPS, MAX_NEXT_HOPS } from "../nfs/router/fib.js";
import { nf } from "../nfs/router/index.js";
import { dotted } from "../nfs/router/nexthops.js";
import { linearMatch, MatchByLength, type PlainHop, type PlainRoute } from "../nfs/router/reference.js";
import { type Routes, readRoutes } from "../nfs/router/routes.js";
import { hashPrefix, RouteTable } from "../nfs/router/table.js";
import { ConfigError } from "../runtime/errors.js";
import { contextWith, load, random, routeFile, SEED } from "./router-support.js";

async function read(text: string, warnings: string[] = [], nextHops?: number, gzip = false): Promise<Routes> {
  const { ports, txPorts } = contextWith(warnings);
  return readRoutes(routeFile(text, gzip), { ports, txPorts, nextHops, warn: (line) => warnings.push(line) });
}

/** Tables built once for each set of routes. */
const fibs = new WeakMap<Routes, Fib>();

/** "ADDRESS PORT" of the next hop an address is sent to, "none" without a route. */
function way(routes: Routes, address: string): string {
  const fib = fibs.get(routes) ?? buildFib(routes.table, "test");
  fibs.set(routes, fib);
  const hop = lookup(
    fib,
    address.split(".").reduce((v, o) => v * 256 + Number(o), 0),
  );
  return hop === 0 ? "none" : `${dotted(routes.nextHops.addresses[hop]!)} ${routes.nextHops.ports[hop]}`;
}

async function refusal(action: Promise<unknown>): Promise<ConfigError> {
  try {
    await action;
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("was not refused");
}

test("longest prefix wins whatever the order of lines", async () => {
  const lines = [
    "0.0.0.0/0 192.0.2.1 lan",
    "10.0.0.0/8 192.0.2.2 wan",
    "10.1.0.0/16 192.0.2.3 lan",
    "10.1.2.0/24 192.0.2.4 wan",
    "10.1.2.128/25 192.0.2.5 lan",
    "10.1.2.130/32 192.0.2.6 wan",
    "255.255.255.255/32 192.0.2.7 wan",
  ];
  for (const order of [lines, [...lines].reverse(), [3, 6, 5, 0, 2, 4, 1].map((i) => lines[i]!)]) {
    const routes = await read(order.join("\n"));
    assert.is(way(routes, "11.0.0.0"), "192.0.2.1 1");
    assert.is(way(routes, "10.2.0.0"), "192.0.2.2 2");
    assert.is(way(routes, "10.1.3.0"), "192.0.2.3 1");
    assert.is(way(routes, "10.1.2.127"), "192.0.2.4 2");
    assert.is(way(routes, "10.1.2.129"), "192.0.2.5 1");
    assert.is(way(routes, "10.1.2.130"), "192.0.2.6 2");
    assert.is(way(routes, "10.1.2.131"), "192.0.2.5 1");
    assert.is(way(routes, "255.255.255.254"), "192.0.2.1 1");
    assert.is(way(routes, "255.255.255.255"), "192.0.2.7 2");
  }
});

test("plain prefixes are spread over synthetic next hops by hash, the same in any order", async () => {
  const prefixes = Array.from({ length: 500 }, (_, i) => `${i % 200}.${i >> 2}.0.0/16`);
  const warnings: string[] = [];
  const forwards = await read(prefixes.join("\n"), warnings, 7);
  const backwards = await read([...prefixes].reverse().join("\r\n"), warnings, 7, true);
  assert.equal(warnings, []);
  assert.is(forwards.nextHops.count, 7);
  for (const prefix of prefixes) {
    const address = prefix.split("/")[0]!;
    const value = address.split(".").reduce((v, o) => v * 256 + Number(o), 0);
    const i = hashPrefix(value, 16) % 7;
    assert.is(way(forwards, address), `100.64.0.${1 + i} ${1 + (i % 2)}`);
    assert.is(way(backwards, address), way(forwards, address));
  }
  assert.is((await read("10.0.0.0/8\n11.0.0.0/8\n")).nextHops.count <= 16, true);
});

test("bgpdump -m: the first path counts, several paths are no warning, IPv6 is counted", async () => {
  const dump = (prefix: string, hop: string, type = "TABLE_DUMP2", kind = "B") =>
    `${type}|1700000000|${kind}|198.51.100.1|65001|${prefix}|65001 {3356,174} 1234|IGP|${hop}|0|0|65001:1|NAG||`;
  const warnings: string[] = [];
  const routes = await read(
    [
      "# made with bgpdump -m",
      dump("10.0.0.0/8", "192.0.2.1"),
      dump("10.0.0.0/8", "192.0.2.2"),
      dump("2001:db8::/32", "2001:db8::1"),
      dump("10.1.0.0/16", "2001:db8::1"),
      dump("10.2.0.0/16", "192.0.2.3", "TABLE_DUMP"),
    ].join("\n"),
    warnings,
  );
  assert.is(routes.table.count, 2);
  assert.is(routes.skippedIpv6, 2);
  assert.is(way(routes, "10.1.0.0").split(" ")[0], "192.0.2.1");
  assert.is(way(routes, "10.2.0.0").split(" ")[0], "192.0.2.3");
  assert.is(warnings.length, 2);
  assert.match(warnings[0]!, "skipped 2 IPv6");
  assert.match(warnings[1]!, "spread over lan, wan");
  for (const [line, problem] of [
    [dump("10.0.0.0/8", "192.0.2.1", "BGP4MP", "A"), "is not a route of a table dump"],
    [dump("10.0.0.0/8", "192.0.2.1", "TABLE_DUMP2", "A"), "is not a route of a table dump"],
    [dump("10.0.0/8", "192.0.2.1"), "is not an IPv4 prefix"],
    [dump("10.0.0.1/8", "192.0.2.1"), "has bits set behind"],
    [dump("10.0.0.0/8", "x"), "is not a unicast IPv4 address"],
    ["TABLE_DUMP2|1700000000|B|198.51.100.1", "is not an IPv4 prefix"],
  ] as const) {
    assert.match((await refusal(read(`\n${line}\n`))).message, new RegExp(`txt:2: .*${problem}`), line);
  }
});

test("prefixes that meet in the hash index stay apart", () => {
  const bucket = (address: number, length: number) => hashPrefix(address, length) & 0x1ffff;
  const next = random(SEED);
  let met = 0;
  while (met < 3) {
    const address = (next(2 ** 24) << 8) >>> 0;
    if (bucket(address, 24) !== bucket(address, 31)) continue;
    met++;
    const table = new RouteTable();
    assert.equal(
      [24, 31, 24, 31].map((length) => table.intern(address, length)),
      [0, 1, 0, 1],
    );
  }
});

test("repeated prefixes: the last line counts, one warning with their number", async () => {
  const warnings: string[] = [];
  const routes = await read("10.0.0.0/8 192.0.2.1 lan\n10.0.0.0/8 192.0.2.2 lan\n10.0.0.0/8 192.0.2.3 wan\n", warnings);
  assert.is(routes.table.count, 1);
  assert.is(way(routes, "10.0.0.0"), "192.0.2.3 2");
  assert.is(warnings.length, 1);
  assert.match(warnings[0]!, "2 lines repeat a prefix");
});

test("mixed formats, comments, blanks and a last line without its end", async () => {
  const warnings: string[] = [];
  const routes = await read(
    "# c\n\n   \t\n\r\n10.0.0.0/8 192.0.2.1 lan # why\n  11.0.0.0/8\n2001:db8::/32 2001:db8::1 lan\n12.0.0.0/8\t192.0.2.2\twan",
    warnings,
    1,
  );
  assert.is(way(routes, "10.0.0.0"), "192.0.2.1 1");
  assert.is(way(routes, "11.0.0.0"), "100.64.0.1 1");
  assert.is(way(routes, "12.0.0.0"), "192.0.2.2 2");
  assert.equal(warnings.length, 1);
});

test("every mistake is refused with file, line and remedy", async () => {
  for (const [line, problem, remedy] of [
    ["10.0.0.0", "has no prefix length", "10.0.0.0/32"],
    ["10.0.0.0/33 192.0.2.1 lan", "is not an IPv4 prefix", "0..32"],
    ["10.0.0.0/08 192.0.2.1 lan", "is not an IPv4 prefix", "0..32"],
    ["10.0.0.0/240 192.0.2.1 lan", "is not an IPv4 prefix", "0..32"],
    ["10.0.0/8 192.0.2.1 lan", "is not an IPv4 prefix", "octets"],
    ["10.0.0.256/32 192.0.2.1 lan", "is not an IPv4 prefix", "octets"],
    ["010.0.0.0/8 192.0.2.1 lan", "is not an IPv4 prefix", "leading zeros"],
    ["hello 192.0.2.1 lan", '"hello" is not an IPv4 prefix', "octets"],
    ["2001:db8::/129", "is not an IPv4 prefix", "octets"],
    ["10.1.2.3/8 192.0.2.1 lan", "10.1.2.3/8 has bits set behind its prefix length", "10.0.0.0/8"],
    ["1.2.3.4/0 192.0.2.1 lan", "has bits set behind", "0.0.0.0/0"],
    ["10.0.0.0/8 192.0.2 lan", 'next hop "192.0.2" is not a unicast', "192.0.2.1"],
    ["10.0.0.0/8 lan", 'next hop "lan" is not a unicast', "192.0.2.1"],
    ["10.0.0.0/8 2001:db8::1 lan", "is not a unicast IPv4", "192.0.2.1"],
    ["10.0.0.0/8 224.0.0.1 lan", "is not a unicast IPv4", "192.0.2.1"],
    ["10.0.0.0/8 0.0.0.0 lan", "is not a unicast IPv4", "192.0.2.1"],
    ["10.0.0.0/8 192.0.2.1", "no port behind the next hop", "lan, wan"],
    ["10.0.0.0/8 192.0.2.1 # lan", "no port behind the next hop", "lan, wan"],
    ["10.0.0.0/8 192.0.2.1 dmz", '"dmz" is not a port of the chain', "lan, wan"],
    ["10.0.0.0/8 192.0.2.1 lanx", '"lanx" is not a port of the chain', "lan, wan"],
    ["10.0.0.0/8 192.0.2.1 in", '"in" does not transmit', "lan, wan"],
    ["10.0.0.0/8 192.0.2.1 lan wan", 'unexpected "wan"', "PREFIX/LEN NEXTHOP PORT"],
  ] as const) {
    const error = await refusal(read(`# comment\n9.0.0.0/8 192.0.2.1 lan\n${line}\n8.0.0.0/8 192.0.2.1 lan\n`));
    assert.match(error.message, /routes-\d+\.txt:3: /, line);
    assert.ok(error.message.includes(problem), `${line}: ${error.message}`);
    assert.ok(error.message.split("remedy: ")[1]?.includes(remedy), `${line}: ${error.message}`);
  }
});

test("files that are no route files", async () => {
  assert.match(
    (await refusal(load({ routes: "/nonexistent/routes.txt" }))).message,
    "/nonexistent/routes.txt: cannot be read",
  );
  assert.match((await refusal(read("# nothing\n"))).message, "holds no IPv4 route");
  assert.match((await refusal(read(""))).message, "holds no IPv4 route");
  assert.match((await refusal(read("x".repeat(3_000_000)))).message, "longer than 65536 bytes");
  const cut = routeFile("10.0.0.0/8 192.0.2.1 lan\n".repeat(1000), true);
  const half = routeFile(readFileSync(cut).subarray(0, 60));
  assert.match((await refusal(load({ routes: half }))).message, "cannot be read: unexpected end of file");
});

test("one transmitting port needs no port column; none at all is refused", async () => {
  const routes = routeFile("10.0.0.0/8 192.0.2.1\n");
  assert.is((await load({ routes }, [], { txPorts: [2] })).rewrites[4 + 3], 2);
  assert.match((await refusal(load({ routes }, [], { txPorts: [] }))).message, "needs a port that transmits");
});

test("MACs: configured ones, documented ones, and mistakes in them", async () => {
  const routes = routeFile("10.0.0.0/8 10.1.2.3 lan\n11.0.0.0/8 10.1.2.4 wan\n");
  const warnings: string[] = [];
  const { rewrites } = await load(
    {
      routes,
      neighbours: { "10.1.2.4": "00:16:3E:01:02:03", "10.9.9.9": "00:16:3e:01:02:04" },
      port_macs: { wan: "0a:00:00:00:00:01" },
    },
    warnings,
  );
  const macs = (hop: number) => Buffer.from(rewrites.buffer, hop * 16, 12).toString("hex");
  assert.is(macs(1), "02000a010203020100000001");
  assert.is(macs(2), "00163e0102030a0000000001");
  assert.is(warnings.length, 1);
  assert.match(warnings[0]!, "10.9.9.9");
  assert.match(
    (await refusal(load({ routes, port_macs: { dmz: "0a:00:00:00:00:01" } }))).message,
    /port_macs: "dmz".*\n.*in, lan, wan/,
  );
  for (const config of [
    { routes, port_macs: { lan: "0a:00:00:00:00" } },
    { routes, neighbours: { "10.1.2.4": "01:00:5e:00:00:01" } },
    { routes, neighbours: { gateway: "0a:00:00:00:00:01" } },
    { routes, next_hops: 0 },
    { routes, next_hops: MAX_NEXT_HOPS + 1 },
    { routes, nexthops: 3 },
    {},
  ]) {
    assert.is(nf.schema.safeParse(config).success, false, JSON.stringify(config));
  }
});

test("next_hops that has no effect is said", async () => {
  const warnings: string[] = [];
  await read("10.0.0.0/8 192.0.2.1 lan", warnings, 4);
  assert.match(warnings.join(), "`next_hops` has no effect");
});

test("both sides of the table's limits", async () => {
  const hops = (count: number) =>
    Array.from(
      { length: count },
      (_, i) => `${dotted((0x0b000000 + i * 256) >>> 0)}/24 ${dotted(0x0a000001 + i)} lan`,
    ).join("\n");
  const full = await read(hops(MAX_NEXT_HOPS));
  assert.is(full.nextHops.count, MAX_NEXT_HOPS);
  assert.is(way(full, dotted(0x0b000000 + (MAX_NEXT_HOPS - 1) * 256)), `${dotted(0x0a000001 + MAX_NEXT_HOPS - 1)} 1`);
  const tooMany = await refusal(read(hops(MAX_NEXT_HOPS + 1)));
  assert.match(tooMany.message, new RegExp(`txt:${MAX_NEXT_HOPS + 1}: .*one more next hop than the 32767`));

  const groups = (count: number) =>
    Array.from(
      { length: count },
      (_, i) => `${dotted((0x0b000000 + i * 256) >>> 0)}/32 10.0.0.${1 + (i % 2)} lan`,
    ).join("\n");
  const grouped = await read(groups(MAX_GROUPS));
  assert.is(way(grouped, dotted(0x0b000000 + (MAX_GROUPS - 1) * 256)), "10.0.0.2 1");
  assert.is(way(grouped, dotted(0x0b000000 + (MAX_GROUPS - 1) * 256 + 1)), "none");
  const overfull = await read(groups(MAX_GROUPS + 1));
  assert.throws(() => buildFib(overfull.table, "r.txt"), /r\.txt: more than 32768 different \/24/);
});

const data = process.env.WINGBEAT_DATA ?? join(dirname(fileURLToPath(import.meta.url)), "../../../shared/data");
const bgp = join(data, "rib/bart_prefixes.txt.gz");
if (existsSync(bgp)) {
  test("a full BGP table: lookups agree with plain longest prefix match", async () => {
    const next = random(SEED);
    const { ports, txPorts } = contextWith([]);
    const warnings: string[] = [];
    const routes = await readRoutes(bgp, { ports, txPorts, nextHops: 251, warn: (line) => warnings.push(line) });
    assert.is(routes.table.count, 901_899);
    assert.is(routes.skippedIpv6, 160_147);
    assert.is(warnings.length, 1);
    const fib = buildFib(routes.table, bgp);
    assert.is(fib.tbl24.byteLength, 2 ** 25);

    // The reference reads the file by itself; the port of a hop stands for its number i, to be compared.
    const hops = Array.from(
      { length: 251 },
      (_, i): PlainHop => ({ port: i, neighbourMac: new Uint8Array(6), portMac: new Uint8Array(6) }),
    );
    const plain: PlainRoute[] = [];
    for (const line of gunzipSync(readFileSync(bgp)).toString().split("\n")) {
      const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)\s*$/.exec(line);
      if (match === null) continue;
      const [a, b, c, d, length] = match.slice(1).map(Number) as [number, number, number, number, number];
      const address = a * 2 ** 24 + b * 2 ** 16 + c * 256 + d;
      plain.push({ address, length, hop: hops[hashPrefix(address, length) % 251]! });
    }
    const reference = new MatchByLength(plain);
    const check = (address: number, want: PlainHop | undefined) => {
      const hop = lookup(fib, address);
      const found = hop === 0 ? undefined : routes.nextHops.addresses[hop]! - 0x6440_0001;
      if (found !== want?.port) assert.is(found, want?.port, `seed ${SEED} address ${dotted(address)}`);
    };
    for (let i = 0; i < 100_000; i++) {
      const route = plain[next(plain.length)]!;
      const size = 2 ** (32 - route.length);
      const near = (route.address + [0, -1, size - 1, size][i & 3]!) >>> 0;
      const address = i % 8 < 4 ? near : next(2 ** 32);
      check(address, reference.match(address));
    }
    for (const route of plain) {
      if (route.length <= 24) continue;
      const first = Math.floor(route.address / 256) * 256;
      for (let address = first; address < first + 256; address++) check(address, reference.match(address));
    }
    for (let i = 0; i < 150; i++) {
      const address = i % 2 === 0 ? plain[next(plain.length)]!.address : next(2 ** 32);
      check(address, linearMatch(plain, address));
    }
  });
} else {
  test.skip(`full BGP table: ${bgp} is missing; WINGBEAT_DATA names another folder`, () => {});
  console.log(`skipped: full BGP table, ${bgp} is missing (set WINGBEAT_DATA to the data folder)`);
}

test.run();
