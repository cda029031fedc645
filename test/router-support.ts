/** What the router's tests share: random numbers from a printed seed, contexts, files, frames. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type LoadedRouter, nf, type RouterConfig } from "../nfs/router/index.js";
import type { PlainHop, PlainRoute } from "../nfs/router/reference.js";
import type { LoadContext } from "../runtime/chain/nf.js";
import { Random as Numbers } from "./support/random.js";

/** The ports of {@link contextWith}; lan and wan transmit. */
export const PORTS = ["in", "lan", "wan"];

/** Random integers in [0, limit). */
export type Random = (limit: number) => number;

export function random(seed: number): Random {
  const numbers = new Numbers(seed);
  return (limit) => numbers.int(0, limit - 1);
}

/** A seed that differs on every run, or the one to run again: WINGBEAT_TEST_SEED. */
export const SEED = Number(process.env.WINGBEAT_TEST_SEED ?? Date.now() % 2 ** 31);

const directory = mkdtempSync(join(tmpdir(), "wingbeat-router-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
let files = 0;

/** Writes a route file and returns its name. */
export function routeFile(text: string | Buffer, gzip = false): string {
  const file = join(directory, `routes-${files++}.txt${gzip ? ".gz" : ""}`);
  writeFileSync(file, gzip ? gzipSync(text) : text);
  return file;
}

/** Chain ports in, lan, wan, of which lan and wan transmit. */
export function contextWith(warnings: string[], overrides: Partial<LoadContext> = {}): LoadContext {
  return {
    name: "router",
    where: "chain.json: nfs.router.config",
    resolve: (path) => path,
    ports: PORTS,
    txPorts: [1, 2],
    mtu: [1500, 1500, 1500],
    warn: (line) => warnings.push(line),
    ...overrides,
  };
}

export async function load(
  config: RouterConfig,
  warnings: string[] = [],
  overrides: Partial<LoadContext> = {},
): Promise<LoadedRouter> {
  return nf.load(nf.schema.parse(config), contextWith(warnings, overrides));
}

export interface FrameOptions {
  readonly destination: number;
  readonly ttl: number;
  /** 802.1Q tags. */
  readonly tags: number;
  /** 32-bit words of IPv4 options (NOPs). */
  readonly options: number;
  readonly payload: number;
  /** Bytes of Ethernet padding behind the packet. */
  readonly padding: number;
  readonly kind: "ipv4" | "ipv6" | "arp";
}

/** An Ethernet frame the gate lets pass; bytes that do not matter are random. */
export function frameOf(next: Random, options: FrameOptions): Uint8Array {
  const { kind, tags } = options;
  const l3 = 14 + 4 * tags;
  const header = kind === "ipv4" ? 20 + 4 * options.options : kind === "ipv6" ? 40 : 28;
  const frame = Uint8Array.from({ length: l3 + header + options.payload + options.padding }, () => next(256));
  const view = new DataView(frame.buffer);
  for (let tag = 0; tag < tags; tag++) view.setUint16(12 + 4 * tag, tag === 0 && tags > 1 ? 0x88a8 : 0x8100);
  view.setUint16(l3 - 2, { ipv4: 0x0800, ipv6: 0x86dd, arp: 0x0806 }[kind]);
  if (kind === "ipv6") {
    frame[l3] = 0x60;
    view.setUint16(l3 + 4, options.payload);
    frame[l3 + 6] = 59; // no next header
  } else if (kind === "ipv4") {
    frame[l3] = 0x45 + options.options;
    view.setUint16(l3 + 2, header + options.payload);
    view.setUint16(l3 + 6, 0x4000);
    frame[l3 + 8] = options.ttl;
    frame[l3 + 9] = 253; // for experiments, RFC 3692: no L4 header to be validated
    view.setUint32(l3 + 16, options.destination);
    frame.fill(1, l3 + 20, l3 + header);
    writeChecksum(view, l3, header);
  }
  return frame;
}

export function writeChecksum(view: DataView, l3: number, header: number): void {
  view.setUint16(l3 + 10, 0);
  let sum = 0;
  for (let i = 0; i < header; i += 2) sum += view.getUint16(l3 + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(l3 + 10, ~sum & 0xffff);
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export interface Table {
  readonly lines: string;
  readonly routes: PlainRoute[];
  readonly config: { neighbours: Record<string, string>; port_macs: Record<string, string> };
}

export const octets = (mac: string) => Uint8Array.from(mac.split(":").map((octet) => Number.parseInt(octet, 16)));
const dotted = (address: number) => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
const mac2 = (octet: number) => octet.toString(16).padStart(2, "0");

/** Random nested prefixes, some neighbours with a configured MAC; the wan port with one, the lan port without. */
export function randomTable(next: Random, count: number): Table {
  const neighbours: Record<string, string> = {};
  const port_macs = { wan: "0a:00:00:00:00:09" };
  const hops: { text: string; hop: PlainHop }[] = [];
  for (let i = 0; i < 40; i++) {
    const last = i + 1;
    const ip = `10.${i % 7}.255.${last}`;
    const port = 1 + (i % 2);
    let mac = `02:00:0a:${mac2(i % 7)}:ff:${mac2(last)}`;
    if (i % 3 === 0) {
      mac = `0C:22:33:44:55:${mac2(i)}`;
      neighbours[ip] = mac;
    }
    const portMac = octets(port === 2 ? port_macs.wan : "02:01:00:00:00:01");
    hops.push({ text: `${ip} ${PORTS[port]}`, hop: { port, neighbourMac: octets(mac), portMac } });
  }
  const bases = Array.from({ length: 8 }, () => next(2 ** 32));
  const seen = new Set<string>();
  const routes: PlainRoute[] = [];
  // Every next hop is used once at least, or the loader rightly warns of neighbours nobody uses.
  let lines = "# random table\n\n";
  while (routes.length < count) {
    // Short prefixes are rare, or no address would be left without a route.
    const length = routes.length === 0 && next(3) === 0 ? 0 : next(150) === 0 ? 1 + next(7) : 8 + next(25);
    const size = 2 ** (32 - length);
    const near = (bases[next(bases.length)]! ^ (next(2 ** 16) * (next(2) === 0 ? 1 : 2 ** 8))) >>> 0;
    const address = Math.floor(near / size) * size;
    const prefix = `${dotted(address)}/${length}`;
    if (seen.has(prefix)) continue;
    seen.add(prefix);
    const { text, hop } = hops[routes.length % hops.length]!;
    routes.push({ address, length, hop });
    lines += `${next(4) === 0 ? "  " : ""}${prefix}\t${text}${next(5) === 0 ? "  # comment" : ""}${next(3) === 0 ? "\r" : ""}\n`;
  }
  return { lines, routes, config: { neighbours, port_macs } };
}

/** Addresses where a mistake would show: the ends of a prefix and their outer neighbours; else anywhere. */
export function destination(next: Random, routes: readonly PlainRoute[]): number {
  if (next(4) === 0) return next(2 ** 32);
  const route = routes[next(routes.length)]!;
  const size = 2 ** (32 - route.length);
  const at = [0, -1, size - 1, size, next(size)][next(5)]!;
  return (route.address + at) >>> 0;
}

/** A frame of any kind, mostly short, whose destination is near a prefix. */
export function randomFrame(next: Random, routes: readonly PlainRoute[]): FrameOptions {
  const kind = next(8);
  return {
    destination: destination(next, routes),
    ttl: next(6) === 0 ? next(3) : 1 + next(255),
    tags: next(3) === 0 ? 1 + next(2) : 0,
    options: next(4) === 0 ? 1 + next(10) : 0,
    payload: next(5) === 0 ? next(1400) : next(60),
    padding: next(3) === 0 ? next(20) : 0,
    kind: kind === 0 ? "ipv6" : kind === 1 ? "arp" : "ipv4",
  };
}
