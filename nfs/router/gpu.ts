/**
 * The router on a GPU: its kernel (kernels/router.*) looks the destination up, the CPU judges before and rewrites behind it.
 *
 * The destination goes to the kernel in the params, since prepare has its cache line at hand for the TTL, and the next hop comes back
 * there: the kernel touches no packet, and a device that copies has no packet bytes to copy either way. On PoCL it is twice as fast as
 * one that reads the packets' headers (16,384 packets, full BGP table, two cores: 103-109 Mpps against 45-57). Rewriting stays on the
 * CPU, where it is a few instructions on a line that is in the cache; in the kernel every header would have to come and go.
 */
import type { GpuForward, Offload } from "../../runtime/chain/nf.js";
import { PARAM_PLACE as PLACE } from "../../runtime/device/queue.js";
import { type Arena, FLAG, PARAM_WORDS, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import type { Batch } from "../../runtime/packet/batch.js";
import { IPV4 } from "../../runtime/packet/protocols.js";
import { rewritePacket } from "./cpu.js";
import { type Fib, NO_ROUTE } from "./fib.js";

// Copies: V8 folds a module's own constants into the code, imported bindings it loads anew.
const SHIFT = SLOT_SHIFT;
const WORDS = PARAM_WORDS;
const PARAM_PLACE = PLACE;
const IS_IPV4 = FLAG.IPV4;
const TTL = IPV4.TTL;
const DST = IPV4.DST;
const NONE = NO_ROUTE;
const rewrite = rewritePacket;

/** Words of the params: next hop or NO_ROUTE, written by the kernel; destination, host byte order. */
const HOP = 0;
const DESTINATION = 1;

/** Outcome codes: indices into the list in index.ts. */
const FORWARD = 0;
const NO_ROUTE_FOUND = 1;
const TTL_EXPIRED = 2;
const NOT_IPV4 = 3;

/** A packet with a next hop is forwarded, and finish writes TTL, checksum and MAC addresses. */
export const forward: GpuForward<unknown> = {
  final: (outcome) => outcome === "forward" || "what is not forwarded the CPU decides",
  changes: ["frame", "ttl"],
  enters: () => ({ reads: ["header"], asks: [DESTINATION], answers: [HOP] }),
};

/** tbl24 (2^24 u16), then tbl8, both as the CPU has them. */
export function gpuTables({ tbl24, tbl8 }: Fib): Uint32Array {
  const tables = new Uint16Array(tbl24.length + tbl8.length);
  tables.set(tbl24);
  tables.set(tbl8, tbl24.length);
  return new Uint32Array(tables.buffer);
}

export class RouterOffload implements Offload {
  /** @param rewrites as nexthops.ts builds it */
  constructor(
    private readonly arena: Arena,
    private readonly rewrites: Uint32Array,
  ) {}

  prepare(batch: Batch, wanted: Uint8Array): number {
    const { slots, outcomes, count } = batch;
    const { flags, l3, u8, view, params } = this.arena;
    let n = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const header = (slot << SHIFT) + l3[slot]!;
      let outcome = FORWARD;
      if ((flags[slot]! & IS_IPV4) === 0) outcome = NOT_IPV4;
      // RFC 1812 section 5.3.1: 1 expires here, 0 should not have come.
      else if (u8[header + TTL]! <= 1) outcome = TTL_EXPIRED;
      outcomes[i] = outcome;
      wanted[i] = outcome === FORWARD ? 1 : 0;
      if (outcome !== FORWARD) continue;
      const at = slot * WORDS;
      params[at + HOP] = NONE;
      params[at + DESTINATION] = view.getUint32(header + DST);
      params[at + PARAM_PLACE] = l3[slot]!; // the header, and 0 bytes of it
      n++;
    }
    return n;
  }

  finish(batch: Batch): void {
    const { slots, outcomes, count } = batch;
    const { l3, off, portOut, u16, u32, params } = this.arena;
    const { rewrites } = this;
    for (let i = 0; i < count; i++) {
      if (outcomes[i] !== FORWARD) continue;
      const slot = slots[i]!;
      const hop = params[slot * WORDS + HOP]!;
      if (hop === NONE) outcomes[i] = NO_ROUTE_FOUND;
      else rewrite(slot, (slot << SHIFT) + l3[slot]!, hop, rewrites, off, portOut, u16, u32);
    }
  }
}
