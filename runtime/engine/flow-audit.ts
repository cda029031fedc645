/**
 * Order within flows, audited where it is not kept by construction: counts packets that left by a port after one of their own
 * flow that had arrived later.
 *
 * Two packets are of one flow when they were so on arrival and are so as they leave: what a tunnel takes in or lets out changes its
 * flow on the way. A flow is a hash of the symmetric 5-tuple (packet/flow-hash.ts), both directions together.
 *
 * An approximation: the table has room for ENTRIES flows, and a flow that falls on the entry of another takes it over, so with many
 * flows at once some reordering is missed; and two flows whose 32-bit keys are equal count as one.
 */
import type { Arena } from "../packet/arena.js";
import { MAX_BATCH } from "../packet/batch.js";
import { FlowHash } from "../packet/flow-hash.js";

const ENTRIES = 1 << 15;
/** Odd constants that spread a product over all its bits (the golden ratio's, and one of MurmurHash3's). */
const SPREAD = 0x9e37_79b1;
const PORT_SPREAD = 0x85eb_ca6b;

export class FlowAudit {
  private readonly hash: FlowHash;
  private readonly hashes = new Uint32Array(MAX_BATCH);
  private readonly keys = new Uint32Array(ENTRIES);
  private readonly last = new Float64Array(ENTRIES);

  constructor(private readonly arena: Arena) {
    this.hash = new FlowHash(arena);
  }

  /** Notes the flows of packets that have just arrived, gate passed. */
  arrived(slots: Uint32Array, count: number): void {
    const { flow } = this.arena;
    const { hashes } = this;
    this.hash.hash(slots, count, hashes);
    for (let i = 0; i < count; i++) flow[slots[i]!] = hashes[i]!;
  }

  /**
   * @param port by which they leave
   * @returns how many of them leave after one of their flow that arrived later
   */
  left(slots: Uint32Array, count: number, port: number): number {
    const { flow, arrival } = this.arena;
    const { hashes, keys, last } = this;
    this.hash.hash(slots, count, hashes);
    let reordered = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const key = Math.imul(flow[slot]! ^ Math.imul(hashes[i]!, SPREAD), SPREAD) ^ Math.imul(port + 1, PORT_SPREAD);
      const at = (key >>> 8) & (ENTRIES - 1);
      const number = arrival[slot]!;
      if (keys[at] === key >>> 0 && number < last[at]!) {
        reordered++;
      } else {
        keys[at] = key;
        last[at] = number;
      }
    }
    return reordered;
  }
}
