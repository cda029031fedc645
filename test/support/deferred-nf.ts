/**
 * Any NF as one on a GPU, for tests of the engine: what it does happens in finish, and its kernel stamps the packet, so that each
 * packet the device has to see is served exactly once between prepare and finish. Which packets that are is up to the caller.
 */
import type { Nf, Offload } from "../../runtime/chain/nf.js";
import { PARAM_PLACE } from "../../runtime/device/queue.js";
import { type Arena, PARAM_WORDS } from "../../runtime/packet/arena.js";
import { MAX_BATCH } from "../../runtime/packet/batch.js";

/** Words of a slot's params. */
const PROGRAM = 0;
const SERVED = 1;
const WANTED = 2;

export interface Deferral {
  readonly program: number;
  /** Whether the kernel has to see a packet. */
  wants(slot: number): boolean;
  /** Packets have to come in arrival order. */
  readonly inOrder: boolean;
}

/** What the kernel does. */
export function stamp(arena: Arena, program: number, slot: number): void {
  const { params } = arena;
  const at = slot * PARAM_WORDS;
  if (params[at + PROGRAM] !== program)
    throw new Error(`program ${program} was given a packet of ${params[at + PROGRAM]}`);
  if (params[at + WANTED] !== 1) throw new Error(`slot ${slot} was served and not wanted`);
  params[at + SERVED]!++;
}

export function deferred(nf: Nf, arena: Arena, { program, wants, inOrder }: Deferral): Nf {
  const { params, arrival } = arena;
  let prepared = 0;
  let finished = 0;
  const check = (slot: number, last: number, part: string) => {
    if (inOrder && arrival[slot]! < last) throw new Error(`${part}: packet ${arrival[slot]} came after ${last}`);
    return arrival[slot]!;
  };
  const offload: Offload = {
    prepare({ slots, outcomes, count }, wanted) {
      if (count < 1 || count > MAX_BATCH) throw new Error(`a batch of ${count}`);
      let total = 0;
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!;
        prepared = check(slot, prepared, "prepare");
        const at = slot * PARAM_WORDS;
        const want = wants(slot) ? 1 : 0;
        params[at + PROGRAM] = program;
        params[at + SERVED] = 0;
        params[at + WANTED] = want;
        params[at + PARAM_PLACE] = (arena.off[slot]! | (arena.len[slot]! << 16)) >>> 0;
        // Finish has to see what was written here, whatever batches it comes in.
        outcomes[i] = (slot * 7 + program) & 31;
        wanted[i] = want;
        total += want;
      }
      return total;
    },
    finish(batch) {
      for (let i = 0; i < batch.count; i++) {
        const slot = batch.slots[i]!;
        finished = check(slot, finished, "finish");
        const at = slot * PARAM_WORDS;
        if (batch.outcomes[i] !== ((slot * 7 + program) & 31))
          throw new Error(`slot ${slot}: prepare's outcome is lost`);
        if (params[at + PROGRAM] !== program) throw new Error(`slot ${slot}: another NF's params`);
        if (params[at + SERVED] !== params[at + WANTED])
          throw new Error(`slot ${slot}: wanted ${params[at + WANTED]}, served ${params[at + SERVED]} times`);
      }
      nf.process(batch);
    },
  };
  return {
    process() {
      throw new Error("an NF on a GPU was processed on the CPU");
    },
    offload,
    engine: nf.engine,
    stats: () => nf.stats?.() ?? {},
    flush: () => nf.flush?.(),
    close: () => nf.close?.(),
    keepAlerts: () => nf.keepAlerts?.(),
    alerts: () => nf.alerts?.() ?? [],
  };
}
