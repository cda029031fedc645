/**
 * The chains of the paper's experiments (table II: AES-128-CBC with HMAC-SHA1, Aho-Corasick over 147 rules, DIR-24-8-BASIC), as files that
 * `wingbeat run` takes as well. Keys, literals, routes and traffic are made from one seed: everybody measures the same.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { RunError } from "../../errors.js";
import { makeFolder } from "../../folders.js";
import { Random } from "../../nic/generator/random.js";

/** ipsec, nids, router: each alone. two: ipsec, nids. three: ipsec, nids, router. mix-A-B: as three, but B % of the packets pass by the NIDS. */
export const PAPER_CHAINS = ["ipsec", "nids", "router", "two", "three", "mix-50-50", "mix-93-7"] as const;
export type PaperChain = (typeof PAPER_CHAINS)[number];

/** Of everything that is made here, whatever `--seed` says: that one orders cells. */
const SEED = 2022;
/** Rules of the paper's NIDS. */
const LITERALS = 147;
const LITERAL_BYTES = { least: 6, most: 24 };
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./";
/** Of the plain traffic's packets, those that hold a literal: the NIDS does not find nothing all the time. */
const HITS = 0.01;
const FLOWS = 1000;
/** Of the benchmarking range (RFC 2544), which traffic goes to. */
const SLASH_24 = 512;
const OTHER_ROUTES = 10_000;
const NEXT_HOPS = 16;
/** Tunnels, one for each /18 of the range; their far ends are in TEST-NET-3 (RFC 5737). */
const TUNNELS = 8;
const FIRST_SPI = 4096;

/** Which of the NFs a chain has, in the order packets take. */
export function nfsOf(chain: PaperChain): readonly string[] {
  if (chain === "ipsec" || chain === "nids" || chain === "router") return [chain];
  return chain === "two" ? ["ipsec", "nids"] : ["ipsec", "nids", "router"];
}

/** The file of a chain in a folder that {@link writePaperChains} has filled. */
export function chainFile(folder: string, chain: PaperChain): string {
  return join(folder, `${chain}.json`);
}

/**
 * Writes all chains with what they read. The same bytes every time.
 * @throws RunError where the folder cannot be written
 */
export function writePaperChains(folder: string): void {
  const files: Record<string, string> = {
    "literals.rules": rules(),
    "routes.txt": routes(),
    "sas.json": json({ sas: associations() }),
  };
  for (const chain of PAPER_CHAINS) {
    files[`${chain}.json`] = json(chainOf(chain));
    files[`${chain}-policy.csv`] = policy(chain);
  }
  try {
    makeFolder(folder);
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  } catch (error) {
    throw new RunError("paper", `cannot write chains to ${folder}: ${(error as Error).message}`, "free space there");
  }
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

const CONFIG: Readonly<Record<string, object>> = {
  ipsec: { sas: "sas.json" },
  nids: { rules: "literals.rules" },
  router: { routes: "routes.txt" },
};

/** The paper's flows f1 and f2 differ in their destination. */
const DESTINATIONS = { f1: "198.18.0.1", f2: "198.19.0.1" } as const;

function chainOf(chain: PaperChain): object {
  const shares = /^mix-(\d+)-(\d+)$/.exec(chain)?.slice(1).map(Number);
  const streams = shares && Object.values(DESTINATIONS).map((dst, i) => ({ weight: shares[i], dst: `${dst}/32` }));
  const types =
    shares && Object.fromEntries(Object.entries(DESTINATIONS).map(([name, dst]) => [name, { dst: `${dst}/32` }]));
  return {
    name: `paper-${chain}`,
    ports: {
      in: { driver: "generator", flows: FLOWS, seed: SEED, size: 1024, hits: HITS, rules: "literals.rules", streams },
      out: { driver: "null" },
    },
    types,
    nfs: Object.fromEntries(nfsOf(chain).map((nf) => [nf, { type: nf, config: CONFIG[nf] }])),
    policy: `${chain}-policy.csv`,
  };
}

function policy(chain: PaperChain): string {
  const stops = ["ingress", ...nfsOf(chain), "egress"];
  const rows = stops.slice(1).map((next, i) => ["*", stops[i]!, next]);
  if (chain.startsWith("mix")) rows.push(["f2", "ipsec", "router"]);
  return ["packet type,current NF,next NF", ...rows.map((row) => row.join(",")), ""].join("\n");
}

function rules(): string {
  const random = new Random(SEED);
  const lines: string[] = [];
  for (let i = 1; i <= LITERALS; i++) {
    const bytes = random.between(LITERAL_BYTES.least, LITERAL_BYTES.most);
    const literal = Array.from({ length: bytes }, () => LETTERS[random.below(LETTERS.length)]).join("");
    lines.push(`alert ip any any -> any any (msg:"literal ${i}"; content:"${literal}"; sid:${i}; rev:1;)\n`);
  }
  return lines.join("");
}

function associations(): object[] {
  const random = new Random(SEED + 1);
  const key = (bytes: number) => {
    const made = Buffer.alloc(bytes);
    random.fill(made, 0, bytes);
    return made.toString("hex");
  };
  return Array.from({ length: TUNNELS }, (_, i) => ({
    name: `tunnel-${i + 1}`,
    direction: "out",
    spi: FIRST_SPI + i,
    src: "192.0.2.100",
    dst: `203.0.113.${i + 1}`,
    cipher: "aes-128-cbc",
    cipher_key: key(16),
    auth: "sha1-hmac",
    auth_key: key(20),
    selector: { dst: `198.${18 + (i >> 2)}.${64 * (i & 3)}.0/18` },
  }));
}

/** Routes to all that is sent to (its /24s one by one, tunnel ends by host routes), among others that make a table of usual size. */
function routes(): string {
  const random = new Random(SEED + 2);
  const found = new Map<string, string>();
  const add = (address: number, length: number) => {
    const network = length === 0 ? 0 : (address & (-1 << (32 - length))) >>> 0;
    const dotted = [24, 16, 8, 0].map((shift) => (network >>> shift) & 255).join(".");
    found.set(`${dotted}/${length}`, `192.0.2.${1 + random.below(NEXT_HOPS)}`);
  };
  const BENCHMARK = 0xc612_0000;
  const TEST_NET_3 = 0xcb00_7100;
  add(0, 0);
  for (let i = 0; i < SLASH_24; i++) add(BENCHMARK + i * 256, 24);
  for (let i = 1; i <= TUNNELS; i++) add(TEST_NET_3 + i, 32);
  // Most routes of the internet are /24s and some shorter; a few longer ones need the second table of DIR-24-8.
  while (found.size < 1 + SLASH_24 + TUNNELS + OTHER_ROUTES) {
    const kind = random.fraction();
    const length = kind < 0.55 ? 24 : kind < 0.95 ? random.between(16, 23) : random.between(25, 32);
    add((random.between(1, 223) * 2 ** 24 + random.below(2 ** 24)) >>> 0, length);
  }
  return [...found].map(([prefix, hop]) => `${prefix} ${hop} out\n`).join("");
}
