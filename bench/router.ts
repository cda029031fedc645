/** The router against DPDK's rte_lpm, on a full BGP table where there is one. */
import { createWriteStream, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { buildFib } from "../nfs/router/fib.js";
import { type LoadedRouter, nf } from "../nfs/router/index.js";
import { buildRewrites, dotted, MacTable } from "../nfs/router/nexthops.js";
import { type Routes, readRoutes } from "../nfs/router/routes.js";
import { seededRandom, udpFrames, writeFrames } from "./frames.js";
import type { Bench, BenchOptions, Subject } from "./harness.js";
import { Peer, PeerSkipped } from "./peer.js";
import { NfSubject } from "./subject.js";

const NEXT_HOPS = 64;
/** Prefixes per length from /8 on, of a full BGP table of 2024 in thousandths. */
const LENGTH_SHARES = [0, 0, 0, 0, 0, 1, 1, 2, 15, 9, 15, 28, 47, 56, 120, 107, 599];
const SYNTHETIC_ROUTES = 900_000;

export interface BenchRoutes {
  readonly loaded: LoadedRouter;
  readonly routes: Routes;
  /** Where the table is from. */
  readonly source: string;
  /** An address in a random one of its prefixes, host byte order. */
  destination(random: (limit: number) => number): number;
}

/** A full BGP table where the data is there, else a synthetic one. */
export async function loadBenchRoutes(options: BenchOptions, synthetic = SYNTHETIC_ROUTES): Promise<BenchRoutes> {
  const bgp = join(options.data, "rib/bart_prefixes.txt.gz");
  const real = existsSync(bgp);
  const file = real ? bgp : syntheticTable(options, synthetic);
  const routes = await readRoutes(file, { ports: ["in", "out"], txPorts: [1], nextHops: NEXT_HOPS, warn: () => {} });
  const { table, nextHops } = routes;
  const loaded = {
    fib: buildFib(table, file),
    rewrites: buildRewrites(nextHops, new MacTable(new Map(), new Map())),
    routes: { loaded: table.count, skipped_ipv6: routes.skippedIpv6, replaced: routes.replaced },
    nextHops: nextHops.count,
    ports: [1],
  };
  return {
    loaded,
    routes,
    source: real ? "a full BGP table" : "a synthetic table with a BGP table's prefix lengths",
    destination: (random) => {
      const route = random(table.count);
      return (table.addresses[route]! + random(2 ** (32 - table.lengths[route]!))) >>> 0;
    },
  };
}

const router: Bench = {
  nf: "router",
  async setUp(options) {
    const { loaded, routes, source, destination } = await loadBenchRoutes(options);
    const peerRoutes = join(options.scratch, "peer-routes.txt");
    await writePeerRoutes(peerRoutes, routes);
    return {
      note: `${routes.table.count} prefixes (${source}), ${routes.nextHops.count} next hops; destinations spread over all prefixes`,
      frames: (size) => udpFrames({ size, count: options.frames, seed: options.seed, destination }),
      async subjects(frames) {
        const framesFile = join(options.scratch, "router-frames.bin");
        writeFrames(framesFile, frames);
        const { warn } = options;
        const subjects: Subject[] = [NfSubject.open(nf, loaded, frames, { expect: ["forward"], warn })];
        const spec = { source: "router", pkgConfig: "libdpdk", packages: ["gcc", "pkg-config", "libdpdk-dev"] };
        const peer = await Peer.open(spec, framesFile, peerRoutes);
        if (peer instanceof PeerSkipped) return { subjects, skipped: [peer.reason] };
        return { subjects: [...subjects, peer], skipped: [] };
      },
    };
  },
};
export const benches: readonly Bench[] = [router];

/** Distinct random prefixes between 1.0.0.0 and 223.255.255.255. */
function syntheticTable(options: BenchOptions, count: number): string {
  const random = seededRandom(options.seed);
  const lengths = LENGTH_SHARES.flatMap((share, i) => new Array<number>(share).fill(8 + i));
  const lines = new Set<string>();
  while (lines.size < count) {
    const length = lengths[random(lengths.length)]!;
    const size = 2 ** (32 - length);
    const address = 2 ** 24 + random(223 * 2 ** 24 - 1);
    lines.add(`${dotted(Math.floor(address / size) * size)}/${length}`);
  }
  const file = join(options.scratch, "routes.txt");
  writeFileSync(file, [...lines].join("\n"));
  return file;
}

/** `PREFIX/LEN NEXTHOP` lines in ascending prefix length, as peers/router.c wants them. */
async function writePeerRoutes(file: string, routes: Routes): Promise<void> {
  const { table } = routes;
  const order = Array.from({ length: table.count }, (_, i) => i).sort((a, b) => table.lengths[a]! - table.lengths[b]!);
  const out = createWriteStream(file);
  let text = "";
  for (const route of order) {
    text += `${dotted(table.addresses[route]!)}/${table.lengths[route]} ${table.hops[route]}\n`;
    if (text.length > 1 << 20) {
      out.write(text);
      text = "";
    }
  }
  out.end(text);
  await finished(out);
}
