/**
 * The nids at work: ranges -> scan -> confirm.
 *
 *   ranges   which bytes of each packet are searched (prepare)
 *   scan     the multi-pattern search over them (transform: a GPU may write `hits` instead)
 *   confirm  connection table, rules of the packets that hit, outcomes, alerts (finish; in arrival order)
 *
 * A GPU searches the same ranges for `NidsLoaded.patterns`, fills `hits` and leaves the rest to confirm.
 *
 * A packet without a hit costs the search and nothing else, unless a loaded rule needs every packet (no positive content, or
 * a `flow` option, for which connections must be watched).
 */
import type { CreateContext, Nf } from "../../runtime/chain/nf.js";
import { type Arena, FLAG, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { type Batch, MAX_BATCH } from "../../runtime/packet/batch.js";
import { Evaluator } from "./evaluate.js";
import { EveWriter } from "./eve.js";
import { FlowTable } from "./flow.js";
import type { NidsLoaded } from "./load.js";
import { openMpse } from "./mpse/index.js";
import type { Mpse } from "./mpse/mpse.js";
import { blocks, type Rule } from "./rules/rule.js";

/** Outcome codes, in the order of index.ts. */
export const CLEAN = 0;
export const ALERT = 1;
export const DROP = 2;

export class Nids implements Nf {
  readonly engine: string;
  /** Searched bytes of packet i of the batch: arena bytes [starts[i], starts[i] + lengths[i]). */
  readonly starts = new Uint32Array(MAX_BATCH);
  readonly lengths = new Uint32Array(MAX_BATCH);
  /** Indices within the batch of packets in which the search found something, ascending. */
  readonly hits = new Uint32Array(MAX_BATCH);

  private readonly arena: Arena;
  private readonly rules: readonly Rule[];
  /** True when an `ip` rule has a pattern: then everything behind the IP header is searched. */
  private readonly wholeIp: boolean;
  private readonly mpse: Mpse | null;
  private readonly evaluator: Evaluator;
  private readonly eve: EveWriter | null;
  private readonly flows: FlowTable | null;
  /** Per packet of the batch what the connection table says; all 0 without a table. */
  private readonly flowBits = new Uint8Array(MAX_BATCH);
  /** Rules without a pattern, ascending. */
  private readonly everyPacket: Uint32Array;
  /** Rules of pattern p: ruleOf[firstRule[p], firstRule[p + 1]). */
  private readonly firstRule: Uint32Array;
  private readonly ruleOf: Uint32Array;
  private readonly found: Uint32Array;
  private readonly candidates: Uint32Array;
  private readonly matched: Uint32Array;
  private readonly skipped: number;
  private alertCount = 0;
  private kept: (readonly [number, number])[] | null = null;

  constructor(loaded: NidsLoaded, context: CreateContext) {
    const { rules, patterns, patternOf } = loaded;
    const { arena, portable } = context;
    this.arena = arena;
    this.rules = rules;
    this.skipped = loaded.skipped;
    this.wholeIp = searchesWholeIp(rules);
    this.evaluator = new Evaluator(arena, rules);
    this.flows = rules.some((rule) => needsTable(rule)) ? new FlowTable(arena) : null;

    const indices = rules.map((_, index) => index);
    this.everyPacket = Uint32Array.from(indices.filter((index) => patternOf[index] === -1));
    const withPattern = indices.filter((index) => patternOf[index] !== -1);
    this.ruleOf = Uint32Array.from(withPattern.sort((a, b) => patternOf[a]! - patternOf[b]! || a - b));
    this.firstRule = new Uint32Array(patterns.length + 1);
    for (const index of withPattern) this.firstRule[patternOf[index]! + 1]!++;
    for (let pattern = 0; pattern < patterns.length; pattern++)
      this.firstRule[pattern + 1]! += this.firstRule[pattern]!;
    this.found = new Uint32Array(patterns.length);
    this.candidates = new Uint32Array(rules.length);
    this.matched = new Uint32Array(rules.length);

    const warn = (line: string) => context.warn(line);
    this.mpse = patterns.length === 0 ? null : openMpse(patterns, arena, { engine: loaded.engine, portable, warn });
    this.engine = this.mpse?.engine ?? "no patterns";
    this.eve = loaded.alerts === null ? null : new EveWriter(loaded.alerts, arena, rules);
  }

  process(batch: Batch): void {
    this.ranges(batch);
    this.confirm(batch, this.scan(batch.count));
  }

  /** Fills `starts` and `lengths` for the batch. */
  ranges(batch: Batch): void {
    const { arena, starts, lengths } = this;
    const { slots, count } = batch;
    if (this.wholeIp) {
      const { l4, l3end } = arena;
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!;
        const from = l4[slot]!;
        starts[i] = (slot << SLOT_SHIFT) + from;
        lengths[i] = l3end[slot]! - from;
      }
      return;
    }
    const { flags, payload, payloadEnd } = arena;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const from = payload[slot]!;
      starts[i] = (slot << SLOT_SHIFT) + from;
      lengths[i] = (flags[slot]! & FLAG.L4) !== 0 ? payloadEnd[slot]! - from : 0;
    }
  }

  /** Fills `hits`; returns how many there are. */
  scan(count: number): number {
    return this.mpse === null ? 0 : this.mpse.scan(this.starts, this.lengths, count, this.hits);
  }

  /**
   * Writes the outcomes of the batch.
   * @param hitCount valid entries of `hits`
   */
  confirm(batch: Batch, hitCount: number): void {
    const { slots, outcomes, count } = batch;
    const { flows, flowBits, hits } = this;
    for (let i = 0; i < count; i++) outcomes[i] = CLEAN;
    if (flows !== null) for (let i = 0; i < count; i++) flowBits[i] = flows.track(slots[i]!);
    if (this.everyPacket.length === 0) {
      for (let h = 0; h < hitCount; h++) {
        const i = hits[h]!;
        outcomes[i] = this.judge(slots[i]!, i, true);
      }
      return;
    }
    for (let i = 0, h = 0; i < count; i++) {
      const hit = h < hitCount && hits[h] === i;
      if (hit) h++;
      outcomes[i] = this.judge(slots[i]!, i, hit);
    }
  }

  /** The outcome of one packet; writes its alerts. */
  private judge(slot: number, i: number, hit: boolean): number {
    const { arena, evaluator, rules, candidates, matched } = this;
    if ((arena.flags[slot]! & (FLAG.IPV4 | FLAG.IPV6)) === 0) return CLEAN;
    evaluator.packet(slot);
    const candidateCount = this.gatherCandidates(i, hit);
    const flow = this.flowBits[i]!;
    let matchedCount = 0;
    for (let c = 0; c < candidateCount; c++) {
      const index = candidates[c]!;
      if (!evaluator.matches(index, flow)) continue;
      if (rules[index]!.action === "pass") return CLEAN; // pass rules come first
      matched[matchedCount++] = index;
    }
    let outcome = CLEAN;
    for (let m = 0; m < matchedCount; m++) {
      const { action, sid } = rules[matched[m]!]!;
      this.alertCount++;
      this.kept?.push([arena.arrival[slot]!, sid]);
      this.eve?.write(slot, matched[m]!);
      if (blocks(action)) outcome = DROP;
      else if (action === "alert" && outcome === CLEAN) outcome = ALERT;
    }
    return outcome;
  }

  /** Rules that may match the packet, ascending, into `candidates`; returns how many. Each rule has one pattern at most. */
  private gatherCandidates(i: number, hit: boolean): number {
    const { candidates, everyPacket, found, firstRule, ruleOf } = this;
    candidates.set(everyPacket);
    let count = everyPacket.length;
    if (!hit || this.mpse === null) return count;
    const patterns = this.mpse.identify(this.starts[i]!, this.lengths[i]!, found);
    for (let p = 0; p < patterns; p++) {
      const end = firstRule[found[p]! + 1]!;
      for (let r = firstRule[found[p]!]!; r < end; r++) candidates[count++] = ruleOf[r]!;
    }
    // Insertion sort: few come from hits, and those before them are in order.
    for (let c = Math.max(1, everyPacket.length); c < count; c++) {
      const rule = candidates[c]!;
      let at = c;
      for (; at > 0 && candidates[at - 1]! > rule; at--) candidates[at] = candidates[at - 1]!;
      candidates[at] = rule;
    }
    return count;
  }

  stats(): Record<string, unknown> {
    const { flows } = this;
    return {
      rules: { loaded: this.rules.length, skipped: this.skipped },
      alerts: this.alertCount,
      ...(flows === null ? {} : { flows_evicted: flows.evicted }),
    };
  }

  flush(): void {
    this.eve?.flush();
  }

  close(): void {
    try {
      this.eve?.close();
    } finally {
      this.mpse?.close();
    }
  }

  keepAlerts(): void {
    this.kept ??= [];
  }

  alerts(): ReadonlyArray<readonly [number, number]> {
    return this.kept ?? [];
  }
}

/** Whether everything behind the IP header is searched, and not the L4 payload alone. */
export function searchesWholeIp(rules: readonly Rule[]): boolean {
  return rules.some((rule) => rule.protocol.buffer === "ip" && rule.pattern !== null);
}

/** Whether a rule can only be evaluated with a connection table. */
export function needsTable(rule: Rule): boolean {
  return rule.flow !== null && (rule.flow.direction !== "any" || rule.flow.established !== null);
}
