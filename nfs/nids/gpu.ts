/**
 * The nids on a GPU: its kernel (kernels/nids.*) says which packets hold a pattern, the CPU does the rest, as it does behind its own
 * search: connections, rules, alerts.
 */
import type { CreateContext, GpuForward, Offload } from "../../runtime/chain/nf.js";
import { PARAM_PLACE as PLACE } from "../../runtime/device/queue.js";
import { type Arena, PARAM_WORDS, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import type { Batch } from "../../runtime/packet/batch.js";
import { Nids } from "./cpu.js";
import type { NidsLoaded } from "./load.js";

// Copies: V8 folds a module's own constants into the code, imported bindings it loads anew.
const SHIFT = SLOT_SHIFT;
const WORDS = PARAM_WORDS;
const PARAM_PLACE = PLACE;
/** Between prepare and finish, which judges. */
const UNJUDGED = 0;
/** Word of the params in which the kernel leaves its answer: 1 where some pattern may occur, else 0. */
const HIT = 0;

/** A packet without any pattern is clean unless some rule has none: such rules are asked for every packet. */
export const forward: GpuForward<NidsLoaded> = {
  final(outcome, { patternOf }) {
    if (outcome !== "clean") return "rules are judged on the CPU";
    return patternOf.includes(-1) ? "a rule without content is judged on the CPU for every packet" : true;
  },
  changes: [],
  enters: ({ patterns }) =>
    patterns.length === 0
      ? "its rules have no content to search for"
      : { reads: ["data"], asks: [PLACE], answers: [HIT] },
};

/** Its `engine` names both: the kernel's, and the one that identifies the patterns of a packet that hit. */
export class GpuNids extends Nids {
  declare readonly engine: string; // the base class's field, or its value would be lost
  readonly offload: Offload;

  constructor(loaded: NidsLoaded, context: CreateContext) {
    super(loaded, context);
    const searches = loaded.patterns.length > 0;
    if (searches) this.engine = `aho-corasick kernel, ${this.engine}`;
    this.offload = new NidsOffload(this, context.arena, searches);
  }
}

class NidsOffload implements Offload {
  /** @param searches false where no rule has a pattern: then the kernel is not needed */
  constructor(
    private readonly nids: Nids,
    private readonly arena: Arena,
    private readonly searches: boolean,
  ) {}

  prepare(batch: Batch, wanted: Uint8Array): number {
    const { nids, searches } = this;
    const { params } = this.arena;
    const { slots, outcomes, count } = batch;
    nids.ranges(batch);
    const { starts, lengths } = nids;
    let n = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const length = lengths[i]!;
      const want = searches && length > 0 ? 1 : 0;
      params[slot * WORDS + HIT] = 0;
      params[slot * WORDS + PARAM_PLACE] = (starts[i]! - (slot << SHIFT)) | (length << 16);
      outcomes[i] = UNJUDGED;
      wanted[i] = want;
      n += want;
    }
    return n;
  }

  finish(batch: Batch): void {
    const { nids } = this;
    const { params } = this.arena;
    const { slots, count } = batch;
    // identify() wants to know where to look once more.
    nids.ranges(batch);
    const { hits } = nids;
    let n = 0;
    for (let i = 0; i < count; i++) if (params[slots[i]! * WORDS + HIT] !== 0) hits[n++] = i;
    nids.confirm(batch, n);
  }
}
