/**
 * The forwarding table: DIR-24-8-BASIC (Gupta, Lin, McKeown, "Routing Lookups in Hardware at Memory Access Speeds", INFOCOM 1998).
 *
 * `tbl24` has one u16 for each of the 2^24 leading 24-bit values: 0 where there is no route, a next hop (1..32767), or, with
 * bit 15 set, the number of a group of 256 entries in `tbl8`, indexed by the last octet. One memory access finds the way of
 * nearly every packet, two that of a prefix longer than /24. Entries are 16 bits and not DPDK's 32, so the table is 32 MiB.
 *
 * Both tables lie in SharedArrayBuffers: every worker reads the same copy. They are never written after {@link buildFib}.
 */
import { ConfigError } from "../../runtime/errors.js";
import { adviseHugePages } from "../../runtime/packet/memory.js";
import type { RouteTable } from "./table.js";

/** Entry of an address that no prefix covers. */
export const NO_ROUTE = 0;
/** Bit of a tbl24 entry that says the other 15 are a group of tbl8. */
export const GROUP_BIT = 0x8000;
/** Next hops are 1..MAX_NEXT_HOPS: 15 bits without {@link NO_ROUTE}. */
export const MAX_NEXT_HOPS = GROUP_BIT - 1;
/** Groups of tbl8 that 15 bits can name: /24s that contain longer prefixes. */
export const MAX_GROUPS = GROUP_BIT;
const GROUP_SIZE = 256;

export interface Fib {
  /** 2^24 entries, index = leading 24 bits of the address. */
  readonly tbl24: Uint16Array;
  /** 256 entries per group, each {@link NO_ROUTE} or a next hop. At least one (unused) group. */
  readonly tbl8: Uint16Array;
}

/**
 * Builds both tables. Prefixes are written in ascending length, so a longer one overwrites the part of a shorter one that it
 * covers, whatever the order in the file.
 * @param where file name for the message
 * @throws ConfigError where more than {@link MAX_GROUPS} /24s contain longer prefixes
 */
export function buildFib(routes: RouteTable, where: string): Fib {
  const memory = new SharedArrayBuffer(2 ** 24 * 2);
  adviseHugePages(memory);
  const tbl24 = new Uint16Array(memory);
  const order = byLength(routes);
  let at = 0;
  for (; at < order.length; at++) {
    const route = order[at]!;
    const length = routes.lengths[route]!;
    if (length > 24) break;
    const first = routes.addresses[route]! >>> 8;
    if (length === 24) tbl24[first] = routes.hops[route]!;
    else tbl24.fill(routes.hops[route]!, first, first + 2 ** (24 - length));
  }
  const tbl8 = fillGroups(routes, order.subarray(at), tbl24, where);
  return { tbl24, tbl8 };
}

/** Prefixes longer than /24; `order` lists them in ascending length. */
function fillGroups(routes: RouteTable, order: Uint32Array, tbl24: Uint16Array, where: string): Uint16Array {
  const groups = new Uint16Array(Math.min(order.length, MAX_GROUPS) * GROUP_SIZE);
  let used = 0;
  for (const route of order) {
    const address = routes.addresses[route]!;
    let entry = tbl24[address >>> 8]!;
    if ((entry & GROUP_BIT) === 0) {
      if (used === MAX_GROUPS) {
        throw new ConfigError(
          where,
          `more than ${MAX_GROUPS} different /24 networks contain prefixes longer than /24, which is what the table can hold`,
          "aggregate prefixes longer than /24",
        );
      }
      // The new group starts as what the /24 was: the shorter prefixes are all written already.
      groups.fill(entry, used * GROUP_SIZE, (used + 1) * GROUP_SIZE);
      entry = GROUP_BIT | used++;
      tbl24[address >>> 8] = entry;
    }
    const first = (entry & ~GROUP_BIT) * GROUP_SIZE + (address & 0xff);
    groups.fill(routes.hops[route]!, first, first + 2 ** (32 - routes.lengths[route]!));
  }
  const entries = Math.max(used, 1) * GROUP_SIZE;
  const tbl8 = new Uint16Array(new SharedArrayBuffer(entries * 2));
  tbl8.set(groups.subarray(0, used * GROUP_SIZE));
  return tbl8;
}

/** Indices of all routes in ascending prefix length: a counting sort. */
function byLength(routes: RouteTable): Uint32Array {
  const { count, lengths } = routes;
  const start = new Uint32Array(34);
  for (let i = 0; i < count; i++) start[lengths[i]! + 1]!++;
  for (let length = 1; length < start.length; length++) start[length]! += start[length - 1]!;
  const order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[start[lengths[i]!]!++] = i;
  return order;
}

/** One address, looked up as the batch lookup does it: for tests and tools. */
export function lookup(fib: Fib, address: number): number {
  const entry = fib.tbl24[address >>> 8]!;
  return entry & GROUP_BIT ? fib.tbl8[(entry & ~GROUP_BIT) * GROUP_SIZE + (address & 0xff)]! : entry;
}
