/** ICMP errors of the gateway's own from chains: which drops are answered, on any cores and places, and what chain files say of it. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nf as ipsec } from "../nfs/ipsec/index.js";
import { ReferenceIpsec } from "../nfs/ipsec/reference.js";
import { type LoadedChain, loadChain } from "../runtime/chain/load.js";
import { examine } from "../runtime/cli/check.js";
import { summary } from "../runtime/cli/summary.js";
import { folder, sa, wingbeat } from "./chain-support.js";
import { loadText } from "./ipsec-support.js";
import { execute } from "./support/chain-bench.js";
import { addressBytes, ethernet, ipv4, ipv6, type Segment, udp } from "./support/frames.js";
import { icmpReference } from "./support/icmp-reference.js";
import { freshSeed, Random } from "./support/random.js";

const seed = freshSeed();
const ADDRESSES = { lan: "10.0.0.254", wan: "192.0.2.2" } as const;
const ADDRESS6 = "2001:db8::fe";
const OWN = [...Object.values(ADDRESSES), ADDRESS6].map((text) => [...addressBytes(text)]);
/** The longest that fits in a tunnel over 1400: 84 blocks of 16 bytes, less the trailer of 2. */
const INNER = 1342;
const MTU = { lan: 1500, wan: 1400 } as const;
type Port = keyof typeof MTU;

/** Interfaces that are nowhere: their MTUs and addresses are given. */
const port = (name: Port, more: object = {}) => ({
  ...{ driver: "packet", interface: `no-${name}`, mtu: MTU[name], address: ADDRESSES[name] },
  ...more,
});

function files(
  more: { lan?: object; wan?: object; policy?: string; routes?: string } = {},
): Record<string, string | object> {
  return {
    "chain.json": {
      name: "gateway",
      ports: { lan: port("lan", more.lan ?? { address6: ADDRESS6 }), wan: port("wan", more.wan) },
      types: { esp: { proto: "esp", dst: ADDRESSES.wan }, branch: { dst: "10.2.0.0/16" }, v6: { dst: "::/0" } },
      nfs: {
        open: { type: "ipsec", config: { sas: "in.json" } },
        router: { type: "router", config: { routes: "routes.txt" } },
        protect: { type: "ipsec", config: { sas: "out.json" } },
      },
      policy: "policy.csv",
    },
    "policy.csv": [
      "esp,ingress,open",
      "*,ingress,router",
      "v6,ingress,protect",
      "*,open,router",
      "*,router,egress",
      "branch,router,protect",
      "*,protect,egress:wan",
      more.policy ?? "",
    ].join("\n"),
    "in.json": { sas: [sa("in")] },
    "out.json": { sas: [sa("out", { src: ADDRESSES.wan, dst: "192.0.2.9" })] },
    "routes.txt": more.routes ?? "0.0.0.0/0 192.0.2.1 wan\n10.3.0.0/16 10.0.0.3 lan\n",
  };
}

const load = (of: Record<string, string | object>, warnings: string[] = []): Promise<LoadedChain> =>
  loadChain(join(folder(of), "chain.json"), { warn: (line) => warnings.push(line) });

/** A frame, and what its sender is told. */
interface Case {
  readonly from: Port;
  readonly frame: Uint8Array;
  readonly told?: { readonly kind: "time-exceeded" | "too-big"; readonly largest: number };
}

function cases(r: Random): Case[] {
  const tunnel = new ReferenceIpsec([sa("out") as ConstructorParameters<typeof ReferenceIpsec>[0][number]], {
    ...{ seed: 1, mtu: 1500, slotBytes: 2048 },
    select: () => 0,
  });
  const eth = () => ({
    src: [2, ...r.bytes(5)],
    vlans: r.chance(0.3) ? [r.int(0, 0xffff)] : [],
    padding: r.chance(0.2) ? r.int(1, 20) : 0,
  });
  /** A UDP segment in an IP packet of `bytes` bytes with a header of `header`. */
  const segment = (bytes: number, header = 20): Segment => udp({}, r.bytes(bytes - header - 8));
  const four = (dst: string, bytes: number, more: object = {}) =>
    ethernet(eth(), ipv4({ src: "10.7.6.5", dst, fragment: 0x4000, ...more }, segment(bytes)));
  const time = { kind: "time-exceeded", largest: 0 } as const;
  const big = (largest: number) => ({ kind: "too-big", largest }) as const;
  return Array.from({ length: 70 }, (): Case => {
    const long = r.chance(0.5) ? MTU.wan + 1 : r.int(MTU.wan + 1, MTU.lan);
    switch (r.int(0, 11)) {
      case 0:
        return { from: "lan", frame: four("10.9.0.1", r.int(28, 1400), { ttl: r.int(0, 1) }), told: time };
      case 1:
        return { from: "wan", frame: four("10.3.0.1", r.int(28, 1400), { ttl: r.int(0, 1) }), told: time };
      case 2:
        return { from: "lan", frame: four("10.9.0.1", long), told: big(MTU.wan) };
      case 3:
        return { from: "lan", frame: four("10.9.0.1", long, { fragment: 0 }) };
      case 4:
        return { from: "lan", frame: four("10.2.0.1", r.pick([INNER + 1, long])), told: big(INNER) };
      case 5:
        return { from: "lan", frame: four("10.2.0.1", INNER) };
      case 6:
        return { from: "lan", frame: four("10.9.0.1", MTU.wan) };
      case 7: {
        const bytes = r.pick([INNER, INNER + 1, 1500]);
        const frame = ethernet(eth(), ipv6({}, segment(bytes, 40)));
        return bytes > INNER ? { from: "lan", frame, told: big(INNER) } : { from: "lan", frame };
      }
      // No message in the clear about what came out of a tunnel, nor an IPv6 message by a port without an address.
      case 8:
        return { from: "wan", frame: tunnel.process(four("10.3.0.1", 200, { ttl: 1 }), 256).frame };
      case 9:
        return { from: "wan", frame: tunnel.process(four("10.9.0.1", MTU.wan + 1), 256).frame };
      case 10:
        return { from: "wan", frame: ethernet(eth(), ipv6({}, segment(1500, 40))) };
      default:
        return { from: "lan", frame: four("10.9.0.1", r.int(28, 1400)) };
    }
  });
}

/** Runs a chain over the cases. @returns the messages expected, and those sent, by arrival number */
function play(r: Random, chain: LoadedChain, list: readonly Case[], execution: object, answers = (_: Case) => true) {
  const input = new Map(
    (["lan", "wan"] as const).map((name) => [
      name,
      list.flatMap(({ from, frame }, i) =>
        from === name ? [{ bytes: frame, wireLen: frame.length, sec: i, nsec: 0 }] : [],
      ),
    ]),
  );
  const { result, sent } = execute(r, chain, input, seed, false, {
    ...{ cores: { io: 1, nf: 0, sync: 0 }, batch: 16, slots: 64, portable: true, order: "flow", hiccups: 0 },
    ...execution,
  });
  const messages = sent.filter(({ frame }) => isMessage(frame));
  const ids = messages.filter(({ frame }) => frame[l3Of(frame)] === 0x45).map(({ frame }) => idOf(frame));
  const last = new Set(ids);
  assert.is(last.size, ids.length, "no two messages have one identification");
  const expected = list.flatMap((one, i) => {
    if (one.told === undefined || !answers(one)) return [];
    const found = messages.find(({ arrival }) => arrival === i + 1);
    const frame = icmpReference(one.frame, {
      ...one.told,
      address: ADDRESSES[one.from],
      address6: one.from === "lan" ? ADDRESS6 : undefined,
      own: OWN,
      mtu: MTU[one.from],
      id: found === undefined ? 0 : idOf(found.frame),
    });
    return frame === undefined ? [] : [{ port: one.from, frame: [...frame], arrival: i + 1 }];
  });
  const found = messages
    .map(({ port: name, frame, arrival }) => ({ port: name, frame: [...frame], arrival }))
    .sort((a, b) => a.arrival - b.arrival);
  return { expected, found, result };
}

const l3Of = (frame: Uint8Array) => (frame[12] === 0x81 ? 18 : 14);
/** Senders of cases have other sources, and send no ICMP. */
const isMessage = (frame: Uint8Array) => {
  const l3 = l3Of(frame);
  return frame[l3]! >> 4 === 4 ? frame[l3 + 9] === 1 : frame[l3 + 6] === 58;
};
const idOf = (frame: Uint8Array) => frame[l3Of(frame) + 4]! * 256 + frame[l3Of(frame) + 5]!;

const GPU = { workgroups: 2, workgroupSize: 8, depth: 2, resident: 2, spared: 0.3, pace: 1 };
const EXECUTIONS: readonly object[] = [
  {},
  { batch: 1 },
  { cores: { io: 1, nf: 2, sync: 0 } },
  { cores: { io: 2, nf: 1, sync: 0 } },
  { cores: { io: 2, nf: 2, sync: 0 }, order: "none" },
  { gpu: { ...GPU, nfs: ["router"] } },
  { cores: { io: 1, nf: 1, sync: 1 }, gpu: { ...GPU, nfs: ["open", "router", "protect"] } },
  { order: "none", gpu: { ...GPU, nfs: ["protect"] } },
];

test(`senders are told what a plain builder tells them, on any cores and places (seed ${seed})`, async () => {
  const r = new Random(seed);
  const chain = await load(files());
  for (const execution of EXECUTIONS) {
    const what = `${JSON.stringify(execution)}, seed ${seed}`;
    const { expected, found, result } = play(r, chain, cases(r), execution);
    assert.equal(found, expected, what);
    const { ledger, packets } = result;
    assert.is(ledger.originated, expected.length, what);
    assert.ok(expected.length > 5, what);
    assert.ok(ledger.balanced, what);
    assert.is(ledger.rx + ledger.originated, ledger.tx + ledger.dropped, what);
    assert.is(packets.tx, ledger.tx);
    assert.match(summary(result), `70 received + ${expected.length} originated = `);
  }
});

test(`a policy row that leads the outcome elsewhere, and ports with icmp off, have no messages (seed ${seed})`, async () => {
  const r = new Random(seed);
  const list = cases(r);
  const kernel = await load(files({ policy: "*,router.ttl-expired,kernel" }));
  const elsewhere = play(r, kernel, list, {}, ({ told }) => told!.kind === "too-big");
  assert.equal(elsewhere.found, elsewhere.expected);
  assert.ok(elsewhere.expected.length > 0);
  assert.is(elsewhere.result.ledger.to_kernel > 0, true);

  const oneSide = await load(files({ lan: { icmp: false, address: undefined } }));
  const wan = play(r, oneSide, list, {}, ({ from }) => from === "wan");
  assert.equal(wan.found, wan.expected);

  const none = await load(files({ lan: { address: undefined }, wan: { address: undefined } }));
  assert.equal(play(r, none, list, {}, () => false).found, []);
});

test("ipsec tells the longest packet that fits, whatever the MTU", () => {
  const loaded = loadText(JSON.stringify({ sas: [sa("out")] }));
  for (let mtu = 68; mtu <= 1746; mtu++) {
    // Outer header, SPI and number, IV; ciphertext in blocks with its trailer; ICV.
    const outer = (bytes: number) => 20 + 8 + 16 + Math.ceil((bytes + 2) / 16) * 16 + 12;
    let longest = mtu;
    while (longest > 0 && outer(longest) > mtu) longest--;
    assert.is(ipsec.largest!({ ...loaded, mtu }), longest, `mtu ${mtu}`);
  }
});

test("check says where messages come from, and why there are none", async () => {
  const said = async (more: Parameters<typeof files>[0], warnings: string[] = []) => {
    const { icmp } = examine(await load(files(more), warnings), []);
    return icmp.map(({ port: name, address, address6, why }) => [name, address, address6, why]);
  };
  assert.equal(await said({}), [
    ["lan", ADDRESSES.lan, ADDRESS6, null],
    ["wan", ADDRESSES.wan, null, 'no-wan has no IPv6 address ("address6")'],
  ]);
  assert.equal(await said({ lan: { address: undefined }, wan: { icmp: false, address: undefined } }), [
    ["lan", null, null, 'no-lan is not here to be asked for its addresses ("address" and "address6" name others)'],
    ["wan", null, null, '"icmp" is false'],
  ]);
  const warnings: string[] = [];
  const oneWay = { lan: { dir: "rx" }, wan: { dir: "tx" }, routes: "0.0.0.0/0 192.0.2.1 wan" };
  assert.equal(await said(oneWay, warnings), [["lan", null, null, 'it does not send; "dir": "both" lets it']]);
  assert.match(warnings.join("\n"), /ports\.lan\.address: no message comes from it, since the port does not send/);
  assert.match(warnings.join("\n"), /ports\.wan\.address: no message comes from it, since the port does not receive/);
  const cwd = folder(files());
  const done = wingbeat(["check", "chain.json"], cwd);
  assert.match(
    done.stdout,
    /icmp: lan -> from 10\.0\.0\.254 and 2001:db8::fe\nicmp: wan -> from 192\.0\.2\.2; no-wan has/,
  );
});

test("addresses that cannot be are refused with the key", async () => {
  const refused: readonly (readonly [Parameters<typeof files>[0], RegExp])[] = [
    [
      { lan: { address: "224.0.0.1" } },
      /ports\.lan\.address: an address that one host can have \(found "224\.0\.0\.1"\)/,
    ],
    [{ lan: { address: "somewhere" } }, /ports\.lan\.address: .*IPv4/],
    [{ lan: { address6: "somewhere" } }, /ports\.lan\.address6: .*IPv6/],
    [{ lan: { address: "10.0.0" } }, /ports\.lan\.address: .*IPv4/],
    [{ lan: { address6: "ff02::1" } }, /ports\.lan\.address6: an address that one host can have/],
    [{ lan: { address6: "::ffff:10.0.0.1" } }, /ports\.lan\.address6: an address that one host can have/],
    [
      { lan: { address: ADDRESSES.wan } },
      /ports\.wan\.address: port lan on no-lan has the address 192\.0\.2\.2 as well[\s\S]*give each/,
    ],
    [
      { lan: { icmp: false } },
      /ports\.lan\.address: is where ICMP messages come from, and `icmp` is false[\s\S]*remove/,
    ],
  ];
  for (const [more, problem] of refused) {
    const error = await load(files(more)).then(
      () => undefined,
      (one: Error) => one,
    );
    assert.ok(error, String(problem));
    assert.match(error.message, problem);
  }
  // One interface, by two sockets.
  const shared = { driver: "packet", interface: "no-lan", address: ADDRESSES.lan };
  await load(files({ lan: shared, wan: shared }));
});

test.run();
