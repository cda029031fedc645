/**
 * The router on a CPU core: passes over the whole batch, so that the cache misses of one pass overlap instead of each packet
 * waiting for its own. prepare touches packet headers, transform the big table, finish the headers (now in the cache) again.
 */
import { type Arena, FLAG, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { type Batch, MAX_BATCH } from "../../runtime/packet/batch.js";
import { IPV4 } from "../../runtime/packet/protocols.js";
import { type Fib, GROUP_BIT, NO_ROUTE } from "./fib.js";
import { REWRITE_PORT, REWRITE_SHIFT } from "./nexthops.js";

export const FORWARD = 0;
export const NO_ROUTE_OUTCOME = 1;
export const TTL_EXPIRED = 2;
export const NOT_IPV4 = 3;

/** u16 words from the start of an IPv4 header. */
const TTL_WORD = IPV4.TTL >> 1;
const CHECKSUM_WORD = IPV4.CHECKSUM >> 1;
const DST_WORD = IPV4.DST >> 1;

export class CpuRouter {
  /** Batch positions of packets that are still to be routed. */
  private readonly live = new Uint16Array(MAX_BATCH);
  /** Their destinations, host byte order. */
  private readonly destinations = new Uint32Array(MAX_BATCH);
  /** Their next hops. */
  private readonly hops = new Uint16Array(MAX_BATCH);

  /** @param rewrites as nexthops.ts builds it */
  constructor(
    private readonly arena: Arena,
    private readonly fib: Fib,
    private readonly rewrites: Uint16Array,
  ) {}

  process(batch: Batch): void {
    const count = this.prepare(batch);
    lookupAll(this.fib.tbl24, this.fib.tbl8, this.destinations, this.hops, count);
    this.finish(batch, count);
  }

  /** Writes the outcome of packets that need no lookup; gathers the destinations of the others and returns how many. */
  private prepare(batch: Batch): number {
    const { slots, outcomes, count } = batch;
    const { flags, l3, u16 } = this.arena;
    const { live, destinations } = this;
    let n = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if ((flags[slot]! & FLAG.IPV4) === 0) {
        outcomes[i] = NOT_IPV4;
        continue;
      }
      const word = ((slot << SLOT_SHIFT) + l3[slot]!) >> 1;
      // TTL is the low byte of its word in a little-endian load. RFC 1812 section 5.3.1: 1 expires here, 0 should not have come.
      if ((u16[word + TTL_WORD]! & 0xff) <= 1) {
        outcomes[i] = TTL_EXPIRED;
        continue;
      }
      const high = u16[word + DST_WORD]!;
      const low = u16[word + DST_WORD + 1]!;
      destinations[n] = ((high & 0xff) << 24) | ((high & 0xff00) << 8) | ((low & 0xff) << 8) | (low >> 8);
      live[n++] = i;
    }
    return n;
  }

  /** Rewrites what has a next hop and writes the remaining outcomes. */
  private finish(batch: Batch, count: number): void {
    const { slots, outcomes } = batch;
    const { off, l3, portOut, u16 } = this.arena;
    const { live, hops, rewrites } = this;
    for (let n = 0; n < count; n++) {
      const i = live[n]!;
      const hop = hops[n]!;
      if (hop === NO_ROUTE) {
        outcomes[i] = NO_ROUTE_OUTCOME;
        continue;
      }
      const slot = slots[i]!;
      const from = hop << REWRITE_SHIFT;
      const to = ((slot << SLOT_SHIFT) + off[slot]!) >> 1;
      u16[to] = rewrites[from]!;
      u16[to + 1] = rewrites[from + 1]!;
      u16[to + 2] = rewrites[from + 2]!;
      u16[to + 3] = rewrites[from + 3]!;
      u16[to + 4] = rewrites[from + 4]!;
      u16[to + 5] = rewrites[from + 5]!;
      portOut[slot] = rewrites[from + REWRITE_PORT]!;

      // RFC 1624 equation 3: HC' = ~(~HC + ~m + m'), m the word of TTL and protocol. In little-endian words m' = m - 1, so
      // ~m + m' = 0xfffe. The sum is never 0, so HC' is never 0xffff, as in a header summed anew (which is never all zero).
      const word = ((slot << SLOT_SHIFT) + l3[slot]!) >> 1;
      u16[word + TTL_WORD] = u16[word + TTL_WORD]! - 1;
      const sum = (u16[word + CHECKSUM_WORD]! ^ 0xffff) + 0xfffe;
      u16[word + CHECKSUM_WORD] = ~(sum + (sum >>> 16));
      outcomes[i] = FORWARD;
    }
  }
}

/**
 * The transform: next hops of destinations[0, count), a pure function of addresses and read-only tables. Two loops, because the
 * loads of the first are independent of each other and a processor keeps many of them in flight; the rare second access waits
 * for none of them.
 */
export function lookupAll(
  tbl24: Uint16Array,
  tbl8: Uint16Array,
  destinations: Uint32Array,
  hops: Uint16Array,
  count: number,
): void {
  for (let n = 0; n < count; n++) hops[n] = tbl24[destinations[n]! >>> 8]!;
  for (let n = 0; n < count; n++) {
    const entry = hops[n]!;
    if ((entry & GROUP_BIT) !== 0) hops[n] = tbl8[((entry & ~GROUP_BIT) << 8) | (destinations[n]! & 0xff)]!;
  }
}
