/**
 * router: IPv4 forwarding by longest prefix match
 *
 * Purpose
 *   Looks the destination up, decrements the TTL, updates the header checksum, writes the next hop's and the egress port's MAC
 *   addresses and chooses the egress port. VLAN tags stay as they came. Any packet that is not forwarded is left untouched.
 *
 * Outcomes (in the order they are decided)
 *   not-ipv4      drops: an IPv6 or non-IP frame
 *   ttl-expired   drops: TTL 0 or 1 on arrival; the sender is told by ICMP (time exceeded), see OutcomeSpec.icmp
 *   no-route      drops: no prefix covers the destination
 *   forward       follows the NF's row; `egress` is the port of the route
 *
 * Configuration
 *   routes      file name, relative to the chain file; plain or gzip. Each line one of (formats may be mixed, '#' comments)
 *                 PREFIX/LEN NEXTHOP PORT   PORT may be left out where only one port transmits
 *                 PREFIX/LEN                plain prefix list, see next_hops
 *                 TABLE_DUMP2|..            `bgpdump -m`; the first path of each prefix counts. It names no ports: a next hop
 *                                           leaves by the transmitting port number hash(address) modulo their count
 *               Order does not matter. A prefix named twice: the last line counts, with a warning. IPv6 prefixes are skipped
 *               with a warning. Bits set behind the prefix length are refused.
 *   next_hops   count, 1..32767, default 16: how many synthetic next hops plain prefixes are spread over. Prefix p gets
 *               hash(p) modulo next_hops = i (MurmurHash3's finaliser over address and length), which is address
 *               100.64.0.1 + i behind transmitting port number i modulo their count.
 *   neighbours  {next hop's address: MAC}, default {}. One that is missing is 02:00 and the four octets of the address:
 *               10.1.2.3 is 02:00:0a:01:02:03.
 *   port_macs   {port's name: MAC}, default {}. One that is missing is 02:01:00:00:00 and the port's index in the chain.
 *
 * Example
 *   "router": {"type": "router", "place": "cpu", "config": {"routes": "routes.txt", "neighbours": {"192.0.2.1": "00:16:3e:01:02:03"}}}
 *   routes.txt:  0.0.0.0/0    192.0.2.1  out
 *                10.1.0.0/16  192.0.2.9  lan
 *
 * Limits
 *   IPv4 only; 32,767 pairs of next hop and port; 32,768 /24s that contain longer prefixes; no ARP, no directly
 *   connected networks (every route names a next hop), no equal-cost paths. The table takes 32 MiB, shared by all threads.
 *
 * Sources
 *   RFC 1812 section 5 (forwarding), RFC 1624 equation 3 (checksum), Gupta, Lin, McKeown, INFOCOM 1998 (DIR-24-8-BASIC).
 */
import { z } from "zod";
import type { LoadContext, NfModule } from "../../runtime/chain/nf.js";
import { ConfigError } from "../../runtime/errors.js";
import { create, type LoadedRouter } from "./create.js";
import { buildFib, MAX_NEXT_HOPS } from "./fib.js";
import { forward, gpuTables } from "./gpu.js";
import { buildRewrites, dotted, MacTable, macBytes, type NextHops } from "./nexthops.js";
import { readRoutes } from "./routes.js";

const mac = z
  .string()
  .regex(/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/, "expected a MAC address such as 00:16:3e:01:02:03")
  // RFC 1812 section 3.3.2: a router must not believe that a group address belongs to one neighbour.
  .refine((text) => (macBytes(text)[0]! & 1) === 0, "expected a unicast MAC address: bit 0 of the first octet is set");

const schema = z.strictObject({
  routes: z
    .string()
    .min(1)
    .describe("Route file: PREFIX/LEN NEXTHOP PORT lines, plain prefixes or `bgpdump -m`; plain or gzip"),
  next_hops: z
    .int()
    .min(1)
    .max(MAX_NEXT_HOPS)
    .optional()
    .describe("How many synthetic next hops plain prefixes are spread over; default 16"),
  neighbours: z
    .record(z.ipv4(), mac)
    .optional()
    .describe("MAC address by next hop; default 02:00 and the address's octets"),
  port_macs: z
    .record(z.string(), mac)
    .optional()
    .describe("MAC address by port; default 02:01:00:00:00 and the port's index"),
});

export type { LoadedRouter };
export type RouterConfig = z.infer<typeof schema>;

async function load(config: RouterConfig, context: LoadContext): Promise<LoadedRouter> {
  if ((context.nameablePorts ?? context.txPorts).length === 0) {
    throw new ConfigError(
      context.where,
      "a router needs a port that transmits, and the chain has none",
      "add one to `ports`",
    );
  }
  const ports = portMacs(config, context);
  const file = context.resolve(config.routes);
  const { ports: names, txPorts, nameablePorts } = context;
  const warn = (line: string) => context.warn(`${context.name}: ${line}`);
  const routes = await readRoutes(file, { ports: names, txPorts, nameablePorts, nextHops: config.next_hops, warn });
  const macs = new MacTable(neighbourMacs(config, routes.nextHops, warn), ports);
  return {
    fib: buildFib(routes.table, file),
    rewrites: buildRewrites(routes.nextHops, macs),
    routes: { loaded: routes.table.count, skipped_ipv6: routes.skippedIpv6, replaced: routes.replaced },
    nextHops: routes.nextHops.count,
    ports: [...new Set(routes.nextHops.ports.slice(1))],
  };
}

function portMacs(config: RouterConfig, context: LoadContext): Map<number, string> {
  const macs = new Map<number, string>();
  for (const [name, address] of Object.entries(config.port_macs ?? {})) {
    const port = context.ports.indexOf(name);
    if (port < 0) {
      throw new ConfigError(
        `${context.where}.port_macs`,
        `${JSON.stringify(name)} is not a port of the chain`,
        `use one of: ${context.ports.join(", ")}`,
      );
    }
    macs.set(port, address);
  }
  return macs;
}

function neighbourMacs(config: RouterConfig, hops: NextHops, warn: (line: string) => void): Map<number, string> {
  const macs = new Map<number, string>();
  const used = new Set(hops.addresses.slice(1));
  for (const [text, address] of Object.entries(config.neighbours ?? {})) {
    const ip = text.split(".").reduce((value, octet) => value * 256 + Number(octet), 0);
    if (!used.has(ip)) warn(`\`neighbours\` names ${dotted(ip)}, which is the next hop of no route`);
    macs.set(ip, address);
  }
  return macs;
}

export const nf: NfModule<RouterConfig, LoadedRouter> = {
  type: "router",
  outcomes: [
    { name: "forward" },
    { name: "no-route", drops: true },
    { name: "ttl-expired", drops: true, icmp: "time-exceeded" },
    { name: "not-ipv4", drops: true },
  ],
  schema,
  gpu: { program: "router", writes: "params", tables: ({ fib }) => gpuTables(fib), forward },
  egressPorts: (loaded) => loaded.ports,
  replicable: () => true,
  load,
  create,
};
