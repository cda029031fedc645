/** Random chains, as the files a user would write, and random traffic that reaches what they do. */
import { ReferenceIpsec, type ReferenceSa } from "../../nfs/ipsec/reference.js";
import type { SelectorSpec } from "../../runtime/chain/selector.js";
import { MAX_FRAME } from "../../runtime/packet/arena.js";
import { ethernet, ipv4, ipv6, tcp, udp } from "./frames.js";
import type { Random } from "./random.js";
import { address4, mutated, randomFrame, repairIpv4Checksum } from "./random-frames.js";

export type ChainSa = ReferenceSa & {
  readonly selector?: SelectorSpec;
  readonly cipher: string;
  readonly auth: string;
};

export interface Route {
  readonly prefix: string;
  readonly hop: string;
  readonly port: string;
}

export interface RandomChain {
  readonly files: Record<string, string | object>;
  /** By NF name. */
  readonly sas: ReadonlyMap<string, readonly ChainSa[]>;
  readonly routes: ReadonlyMap<string, readonly Route[]>;
  readonly inputs: readonly string[];
}

/** A frame with the time it was captured at. */
export interface Captured {
  readonly bytes: Uint8Array;
  /** Bytes it had on the wire; more than `bytes` where the capture cut it. */
  readonly wireLen: number;
  readonly sec: number;
  readonly nsec: number;
}

const WORDS = ["EICAR-STANDARD", "UNION SELECT", "cmd.exe", "/etc/passwd", "hello"];

const OUTCOMES: Readonly<Record<string, readonly string[]>> = {
  router: ["forward", "no-route", "ttl-expired", "not-ipv4"],
  nids: ["clean", "alert"],
  ipsec: ["protected", "opened", "bypass", "no-sa", "bad-icv", "replayed", "malformed", "too-big", "seq-exhausted"],
};

/** A chain that may still be refused by the loader: a cycle may turn out to have no way out. */
export function randomChain(r: Random, cyclic: boolean): RandomChain {
  const outputs = r.pick([["out"], ["out", "lan"], ["out", "lan", "wan"]]);
  const inputs = r.chance(0.4) ? ["in", "in2"] : ["in"];
  const mtu = () => (r.chance(0.25) ? { mtu: r.pick([68, 300, 1500, 1746]) } : {});
  const ports = {
    in: { driver: "pcap", file: "in.pcap" },
    ...(inputs.length > 1 ? { in2: { driver: "pcap", file: "in2.pcap.gz", dir: "rx" } } : {}),
    ...Object.fromEntries(outputs.map((name) => [name, { driver: "null", ...mtu() }])),
  };
  const types = randomTypes(r, inputs);
  const names = Array.from({ length: r.int(1, 5) }, (_, i) => `n${i}`);
  const kinds = names.map(() => r.pick(["router", "nids", "ipsec"]));
  const files: Record<string, string | object> = {};
  const sas = new Map<string, readonly ChainSa[]>();
  const routes = new Map<string, readonly Route[]>();
  const shared = Array.from({ length: 3 }, (_, i) => ({ cipher_key: hex(r, 16), auth_key: hex(r, 20), i }));
  const nfs: Record<string, object> = {};
  names.forEach((name, n) => {
    const type = kinds[n]!;
    if (type === "ipsec") {
      sas.set(name, randomSas(r, shared));
      files[`${name}.json`] = { sas: sas.get(name)! };
      nfs[name] = { type, config: { sas: `${name}.json` } };
    } else if (type === "router") {
      routes.set(name, randomRoutes(r, outputs));
      files[`${name}.txt`] = routes
        .get(name)!
        .map((route) => `${route.prefix} ${route.hop} ${route.port}`)
        .join("\n");
      nfs[name] = { type, config: { routes: `${name}.txt` } };
    } else {
      files[`${name}.rules`] = randomRules(r).join("\n");
      nfs[name] = { type, config: { rules: `${name}.rules` } };
    }
  });
  files["policy.csv"] = randomPolicy(r, { names, kinds, outputs, inputs, types: Object.keys(types), cyclic });
  files["chain.json"] = { name: "random", ports, types, nfs, policy: "policy.csv" };
  return { files, sas, routes, inputs };
}

const hex = (r: Random, bytes: number) => Buffer.from(r.bytes(bytes)).toString("hex");

function randomTypes(r: Random, inputs: readonly string[]): Record<string, SelectorSpec> {
  const pool: SelectorSpec[] = [
    { dst: "10.1.0.0/16" },
    { proto: "esp" },
    { proto: ["tcp", "sctp"], dport: "0-30" },
    { dst: "2001:db8:1::/48" },
    { fragment: true },
    { port: r.pick(inputs) },
    { vlan: "0-2000" },
    { dscp: "0-31", src: "10.0.0.0/14" },
  ];
  const count = r.int(0, 4);
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`t${i}`, r.pick(pool)]));
}

function randomSas(r: Random, shared: readonly { cipher_key: string; auth_key: string; i: number }[]): ChainSa[] {
  const sas: ChainSa[] = [];
  for (const { i, cipher_key, auth_key } of shared) {
    const common = { spi: 300 + i, src: "192.0.2.1", dst: `10.3.3.${i + 1}`, cipher_key, auth_key };
    const crypto = { cipher: "aes-128-cbc", auth: "sha1-hmac", esn: i === 2 };
    if (r.chance(0.6)) {
      const selector = r.pick<SelectorSpec | undefined>([
        undefined,
        { dst: "10.2.0.0/15" },
        { src: "10.1.0.0/16", proto: "udp" },
        { dst: "2001:db8::/34" },
        { fragment: false, vlan: "0-4000" },
      ]);
      const seq_start = r.chance(0.1) ? 0xffff_fff0 : 1;
      sas.push({ ...common, ...crypto, name: `out${i}`, direction: "out", seq_start, ...(selector && { selector }) });
    }
    if (r.chance(0.6)) {
      sas.push({ ...common, ...crypto, name: `in${i}`, direction: "in", replay_window: r.pick([0, 32, 64, 1024]) });
    }
  }
  if (sas.length > 0) return sas;
  const { cipher_key, auth_key } = shared[0]!;
  return [
    {
      ...{ name: "out", direction: "out", spi: 300, src: "192.0.2.1", dst: "10.3.3.1" },
      ...{ cipher: "aes-128-cbc", auth: "sha1-hmac", cipher_key, auth_key },
    },
  ];
}

function randomRoutes(r: Random, outputs: readonly string[]): Route[] {
  const pool = ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.2.2.0/24", "10.3.3.0/30", "10.3.3.2/32", "10.0.0.128/25"];
  const chosen = pool.filter(() => r.chance(0.6));
  if (chosen.length === 0) chosen.push("10.0.0.0/8");
  return chosen.map((prefix, i) => ({ prefix, hop: `192.0.2.${10 + i}`, port: r.pick(outputs) }));
}

function randomRules(r: Random): string[] {
  const pool = [
    'alert ip any any -> any any (msg:"a"; content:"cmd.exe"; nocase; sid:1;)',
    'alert tcp any any -> any any (msg:"b"; content:"UNION"; content:"SELECT"; distance:1; sid:2;)',
    'drop udp any any -> any any (msg:"c"; content:"EICAR-STANDARD"; sid:3;)',
    'alert ip any any -> any any (msg:"d"; content:"|00 01|"; depth:40; sid:4;)',
    'alert tcp any any -> any any (msg:"e"; flow:established; content:"hello"; sid:5;)',
    'alert udp any any <> any 0:30 (msg:"f"; content:"|41|"; sid:6;)',
    'pass ip any any -> 10.1.0.0/16 any (msg:"g"; content:"passwd"; sid:7;)',
    'alert icmp any any -> any any (msg:"h"; itype:8; sid:8;)',
    'alert ip any any -> any any (msg:"i"; dsize:<30; content:"|50|"; sid:9;)',
  ];
  const chosen = pool.filter(() => r.chance(0.5));
  return chosen.length > 0 ? chosen : [pool[0]!];
}

interface PolicyParts {
  readonly names: readonly string[];
  readonly kinds: readonly string[];
  readonly outputs: readonly string[];
  readonly inputs: readonly string[];
  readonly types: readonly string[];
  readonly cyclic: boolean;
}

function randomPolicy(r: Random, { names, kinds, outputs, inputs, types, cyclic }: PolicyParts): string {
  // A random order in which an acyclic chain is passed, so that it is not the order of the chain file.
  const order = names.map((name) => ({ name, at: r.u32() })).sort((a, b) => a.at - b.at);
  const rank = new Map(order.map(({ name }, i) => [name, i]));
  const ends = ["egress", "egress", ...outputs.map((name) => `egress:${name}`), "kernel", "drop"];
  const target = (from: number) => {
    const open = names.filter((name) => cyclic || rank.get(name)! > from);
    return open.length > 0 && r.chance(0.75) ? r.pick(open) : r.pick(ends);
  };
  const rows = new Map<string, string>();
  const anyType = () => r.pick(["*", ...types, "default", "non-ip"]);
  const row = (type: string, at: string, from: number) => rows.set(`${type},${at}`, target(from));
  row("*", "ingress", -1);
  for (let i = r.int(0, 3); i > 0; i--) row(anyType(), r.chance(0.3) ? `ingress:${r.pick(inputs)}` : "ingress", -1);
  names.forEach((name, n) => {
    const from = rank.get(name)!;
    row("*", name, from);
    for (let i = r.int(0, 2); i > 0; i--) row(anyType(), name, from);
    for (let i = r.int(0, 3); i > 0; i--) row(anyType(), `${name}.${r.pick(OUTCOMES[kinds[n]!]!)}`, from);
  });
  return [...rows].map(([key, next]) => `${key},${next}`).join("\n");
}

/** Frames for a chain: of every kind, spoilt ones, text for rules, and ESP for its inbound SAs, some of it twice or late. */
export function randomTraffic(r: Random, chain: RandomChain, count: number): Captured[] {
  const remotes = [...chain.sas.values()].flatMap((sas) =>
    sas
      .filter((sa) => sa.direction === "in")
      .map((sa) => {
        const out = { ...sa, direction: "out" as const };
        return new ReferenceIpsec([out], { seed: 1, mtu: 1e6, slotBytes: 2048, select: () => 0 });
      }),
  );
  const earlier: Uint8Array[] = [];
  const captured: Captured[] = [];
  let sec = 1_700_000_000;
  let nsec = 0;
  for (let i = 0; i < count; i++) {
    let bytes = r.chance(0.3) ? textFrame(r) : randomFrame(r, r.pick([20, 100, 100, 400, 1500, 1750]));
    if (r.chance(0.05)) bytes = fullFrame(r);
    if (remotes.length > 0 && r.chance(0.4)) {
      const { outcome, frame } = r.pick(remotes).process(bytes, 256);
      if (outcome === "protected") {
        bytes = Uint8Array.from(frame);
        if (r.chance(0.1)) bytes[15] = r.int(0, 255); // a congestion mark on the way
        repairIpv4Checksum(bytes);
        earlier.push(bytes);
      }
    }
    if (earlier.length > 0 && r.chance(0.1)) bytes = r.pick(earlier);
    if (r.chance(0.15)) bytes = mutated(r, bytes);
    const wireLen = r.chance(0.02) ? bytes.length + r.int(1, 100) : bytes.length;
    nsec += r.chance(0.2) ? 0 : r.int(0, 400_000_000);
    if (nsec >= 1e9) {
      nsec -= 1e9;
      sec++;
    }
    captured.push({ bytes, wireLen, sec, nsec });
  }
  return captured;
}

/** Few flows both ways, with words that rules look for. */
function textFrame(r: Random): Uint8Array {
  const ends = [r.int(1, 3), r.int(1, 3)] as const;
  const ports = { sport: r.pick([20, 80, 4000]), dport: r.pick([20, 80, 4000]) };
  const payload = Buffer.from(`${"x".repeat(r.int(0, 60))}${r.pick(WORDS)} ${"yA".repeat(r.int(0, 30))}`);
  const segment = r.chance(0.5)
    ? tcp({ ...ports, flags: r.pick([2, 0x12, 0x10, 0x18, 0x11, 4]) }, payload)
    : udp(ports, payload);
  const vlans = r.chance(0.2) ? [r.int(1, 4094)] : [];
  const packet = r.chance(0.7)
    ? ipv4({ src: `10.1.0.${ends[0]}`, dst: `10.${r.int(0, 3)}.0.${ends[1]}`, ttl: r.pick([0, 1, 2, 64]) }, segment)
    : ipv6({ src: `2001:db8:1::${ends[0]}`, dst: `2001:db8:2::${ends[1]}` }, segment);
  return ethernet({ vlans, padding: r.chance(0.1) ? r.int(1, 40) : 0 }, packet);
}

/** As long as a slot takes, or a few bytes less or more. */
function fullFrame(r: Random): Uint8Array {
  const bytes = MAX_FRAME - 14 - 28 - r.int(-2, 80);
  const segment = udp({ sport: r.int(1, 60), dport: r.int(1, 60) }, r.bytes(bytes));
  return ethernet({}, ipv4({ src: address4(r), dst: address4(r) }, segment));
}
