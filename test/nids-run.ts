/** Runs packets through the nids and through its reference. */

import { nf } from "../nfs/nids/index.js";
import type { NidsLoaded } from "../nfs/nids/load.js";
import { NidsReference, type Verdict } from "../nfs/nids/reference.js";
import type { Nf } from "../runtime/chain/nf.js";
import type { Arena } from "../runtime/packet/arena.js";
import { Batch } from "../runtime/packet/batch.js";
import { arenaWith, type FrameSpec, loadContext } from "./nids-frames.js";
import { Random } from "./support/random.js";

export interface Loaded {
  readonly loaded: NidsLoaded;
  readonly warnings: readonly string[];
}

/** Loads rules as a worker gets them: validated, and cloned as postMessage clones. */
export async function loadRules(rules: string | string[], more: Record<string, unknown> = {}): Promise<Loaded> {
  const context = loadContext();
  const loaded = await nf.load(nf.schema.parse({ rules, ...more }), context);
  return { loaded: structuredClone(loaded) as NidsLoaded, warnings: context.warnings };
}

export function create(loaded: NidsLoaded, arena: Arena, portable = false): Nf {
  return nf.create(loaded, { name: "nids", arena, seed: undefined, portable, warn: () => {} });
}

/** Verdicts of the nids on slots [0, count), in batches of the given size. */
export function judgeAll(nids: Nf, arena: Arena, count: number, batchSize = 64): Verdict[] {
  nids.keepAlerts?.();
  const outcomes: number[] = [];
  const batch = new Batch(batchSize);
  for (let first = 0; first < count; first += batchSize) {
    batch.count = Math.min(batchSize, count - first);
    for (let i = 0; i < batch.count; i++) batch.slots[i] = first + i;
    batch.outcomes.fill(77);
    nids.process(batch);
    outcomes.push(...batch.outcomes.subarray(0, batch.count));
  }
  const names = nf.outcomes.map((outcome) => outcome.name as Verdict["outcome"]);
  const verdicts = outcomes.map((code) => ({ outcome: names[code]!, sids: [] as number[] }));
  for (const [arrival, sid] of nids.alerts!()) {
    verdicts[[...arena.arrival.subarray(0, count)].indexOf(arrival)]!.sids.push(sid);
  }
  return verdicts;
}

export function judgeByReference(loaded: NidsLoaded, arena: Arena, count: number): Verdict[] {
  const reference = new NidsReference(arena, loaded.rules);
  return Array.from({ length: count }, (_, slot) => reference.judge(slot));
}

/** The signature ids each packet gets from the given rules. */
export async function sidsOf(
  rules: string[],
  specs: FrameSpec[],
  vars: Record<string, string> = {},
): Promise<number[][]> {
  const { loaded } = await loadRules(rules, { vars });
  const arena = arenaWith(specs);
  const nids = create(loaded, arena);
  const sids = judgeAll(nids, arena, specs.length).map((verdict) => [...verdict.sids]);
  nids.close?.();
  arena.free();
  return sids;
}

/** A small deterministic generator, so that a failing test can be repeated from its seed. */
export function randomFrom(seed: number): (below: number) => number {
  const random = new Random(seed);
  return (below) => random.int(0, below - 1);
}
