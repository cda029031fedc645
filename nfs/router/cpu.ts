/**
 * The router on a CPU core: passes over the whole batch, so that the cache misses of one pass overlap instead of each packet
 * waiting for its own. gather and prepare touch packet headers, the transform the big table, finish the headers again.
 */
import { type Arena, FLAG, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { type Batch, MAX_BATCH } from "../../runtime/packet/batch.js";
import { IPV4 } from "../../runtime/packet/protocols.js";
import { type Fib, GROUP_BIT, NO_ROUTE } from "./fib.js";
import { REWRITE_PORT, REWRITE_SHIFT } from "./nexthops.js";

// Copies, because V8 loads an imported or exported binding anew, with checks, wherever it is used, while it folds a module's
// own constant into the code: a fifth of the time per packet.
const SHIFT = SLOT_SHIFT;
const TTL = IPV4.TTL;
const DST = IPV4.DST;
const TTL_WORD = IPV4.TTL >> 1;
const CHECKSUM_WORD = IPV4.CHECKSUM >> 1;
const IS_IPV4 = FLAG.IPV4;
const GROUP = GROUP_BIT;
const NONE = NO_ROUTE;
const HOP_SHIFT = REWRITE_SHIFT;
const PORT_WORD = REWRITE_PORT;

/** Outcome codes: indices into the list in index.ts. gpu.ts has the same. */
const FORWARD = 0;
const NO_ROUTE_FOUND = 1;
const TTL_EXPIRED = 2;
const NOT_IPV4 = 3;

export class CpuRouter {
  /** By position in the batch: where the IPv4 header begins in the arena, destination (host byte order), next hop. */
  private readonly headers = new Uint32Array(MAX_BATCH);
  private readonly destinations = new Uint32Array(MAX_BATCH);
  private readonly hops = new Uint16Array(MAX_BATCH);

  /** @param rewrites as nexthops.ts builds it */
  constructor(
    private readonly arena: Arena,
    private readonly fib: Fib,
    private readonly rewrites: Uint32Array,
  ) {}

  process(batch: Batch): void {
    this.gather(batch.slots, batch.count);
    this.prepare(batch);
    lookupAll(this.fib.tbl24, this.fib.tbl8, this.destinations, this.hops, batch.count);
    this.finish(batch);
  }

  /**
   * Reads the destinations without a look at anything else; of a frame that is not IPv4, bytes of its slot that mean nothing.
   * Four at a time, so that the misses of four headers overlap; the headers are in the cache afterwards.
   */
  private gather(slots: Uint32Array, count: number): void {
    const { l3, view } = this.arena;
    const { headers, destinations } = this;
    let i = 0;
    for (; i + 3 < count; i += 4) {
      const slotA = slots[i]!;
      const slotB = slots[i + 1]!;
      const slotC = slots[i + 2]!;
      const slotD = slots[i + 3]!;
      const a = (slotA << SHIFT) + l3[slotA]!;
      const b = (slotB << SHIFT) + l3[slotB]!;
      const c = (slotC << SHIFT) + l3[slotC]!;
      const d = (slotD << SHIFT) + l3[slotD]!;
      const toA = view.getUint32(a + DST);
      const toB = view.getUint32(b + DST);
      const toC = view.getUint32(c + DST);
      const toD = view.getUint32(d + DST);
      headers[i] = a;
      headers[i + 1] = b;
      headers[i + 2] = c;
      headers[i + 3] = d;
      destinations[i] = toA;
      destinations[i + 1] = toB;
      destinations[i + 2] = toC;
      destinations[i + 3] = toD;
    }
    for (; i < count; i++) {
      const at = (slots[i]! << SHIFT) + l3[slots[i]!]!;
      headers[i] = at;
      destinations[i] = view.getUint32(at + DST);
    }
  }

  /** Judges what needs no lookup. A packet that is out is looked up all the same: a branch per packet would cost more. */
  private prepare(batch: Batch): void {
    const { slots, outcomes, count } = batch;
    const { flags, u8 } = this.arena;
    const { headers } = this;
    for (let i = 0; i < count; i++) {
      if ((flags[slots[i]!]! & IS_IPV4) === 0) outcomes[i] = NOT_IPV4;
      // RFC 1812 section 5.3.1: 1 expires here, 0 should not have come.
      else if (u8[headers[i]! + TTL]! <= 1) outcomes[i] = TTL_EXPIRED;
      else outcomes[i] = FORWARD;
    }
  }

  /** Rewrites what has a next hop and writes the remaining outcomes. */
  private finish(batch: Batch): void {
    const { slots, outcomes, count } = batch;
    const { off, portOut, u16, u32 } = this.arena;
    const { headers, hops, rewrites } = this;
    for (let i = 0; i < count; i++) {
      if (outcomes[i] !== FORWARD) continue;
      if (hops[i] === NONE) outcomes[i] = NO_ROUTE_FOUND;
      else rewrite(slots[i]!, headers[i]!, hops[i]!, rewrites, off, portOut, u16, u32);
    }
  }
}

/**
 * Writes what forwarding changes in one packet.
 * @param header first byte of its IPv4 header in the arena
 */
function rewrite(
  slot: number,
  header: number,
  hop: number,
  rewrites: Uint32Array,
  off: Uint16Array,
  portOut: Uint8Array,
  u16: Uint16Array,
  u32: Uint32Array,
): void {
  const from = hop << HOP_SHIFT;
  const start = (slot << SHIFT) + off[slot]!;
  if ((start & 3) === 0) {
    const to = start >> 2;
    u32[to] = rewrites[from]!;
    u32[to + 1] = rewrites[from + 1]!;
    u32[to + 2] = rewrites[from + 2]!;
  } else {
    // Some decapsulated frames do not begin at a multiple of 4.
    writeMacs(u16, start >> 1, rewrites, from);
  }
  portOut[slot] = rewrites[from + PORT_WORD]!;

  // TTL is the low byte of its word in a little-endian load, and is not 0 here, so the subtraction stays within it.
  // RFC 1624 equation 3: HC' = ~(~HC + ~m + m'), m the word of TTL and protocol. In little-endian words m' = m - 1, so
  // ~m + m' = 0xfffe. The sum is never 0, so HC' is never 0xffff, as in a header summed anew (which is never all zero).
  const word = header >> 1;
  u16[word + TTL_WORD] = u16[word + TTL_WORD]! - 1;
  const sum = (u16[word + CHECKSUM_WORD]! ^ 0xffff) + 0xfffe;
  u16[word + CHECKSUM_WORD] = ~(sum + (sum >>> 16));
}

/** For gpu.ts: a name of its own, since an exported one would be slow to call from here. */
export const rewritePacket = rewrite;

function writeMacs(u16: Uint16Array, to: number, rewrites: Uint32Array, from: number): void {
  for (let word = 0; word < 3; word++) {
    u16[to + 2 * word] = rewrites[from + word]!;
    u16[to + 2 * word + 1] = rewrites[from + word]! >>> 16;
  }
}

/**
 * The transform: next hops of destinations[0, count), a pure function of addresses and read-only tables. The loads are
 * independent of each other, four in one turn of the loop, so a processor keeps many misses in flight.
 */
function lookupAll(
  tbl24: Uint16Array,
  tbl8: Uint16Array,
  destinations: Uint32Array,
  hops: Uint16Array,
  count: number,
): void {
  let i = 0;
  for (; i + 3 < count; i += 4) {
    const a = tbl24[destinations[i]! >>> 8]!;
    const b = tbl24[destinations[i + 1]! >>> 8]!;
    const c = tbl24[destinations[i + 2]! >>> 8]!;
    const d = tbl24[destinations[i + 3]! >>> 8]!;
    hops[i] = a;
    hops[i + 1] = b;
    hops[i + 2] = c;
    hops[i + 3] = d;
    if (((a | b | c | d) & GROUP) !== 0) lookupLong(tbl8, destinations, hops, i, i + 4);
  }
  for (let rest = i; rest < count; rest++) hops[rest] = tbl24[destinations[rest]! >>> 8]!;
  lookupLong(tbl8, destinations, hops, i, count);
}

/** The second access of those in [from, to) whose /24 holds longer prefixes. */
function lookupLong(tbl8: Uint16Array, destinations: Uint32Array, hops: Uint16Array, from: number, to: number): void {
  for (let i = from; i < to; i++) {
    const entry = hops[i]!;
    if ((entry & GROUP) !== 0) hops[i] = tbl8[((entry & ~GROUP) << 8) | (destinations[i]! & 0xff)]!;
  }
}
