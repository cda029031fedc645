/**
 * Runs the NFs one thread owns over a burst, in run-to-completion: forwarder (Hummingbird IV-A3) and policy look-up. Packets
 * stay in the burst's order, which is arrival order, at every NF.
 */
import type { Nf } from "../chain/nf.js";
import type { Arena } from "../packet/arena.js";
import { Batch, MAX_BATCH } from "../packet/batch.js";
import { Gate } from "../packet/gate.js";
import { Classifier } from "./classifier.js";
import type { CounterLayout } from "./counters.js";
import { DROP, MAX_VISITS, OUTCOMES_PER_NF, outcomeSource, type Plan, TARGET } from "./plan.js";

/** An NF of this thread with its scratch. */
interface Stage {
  readonly index: number;
  readonly nf: Nf;
  readonly batch: Batch;
  /** Source column of outcome 0. */
  readonly source: number;
  readonly reparse: Uint8Array;
  readonly reparses: boolean;
  /** Packets per outcome of the batch at hand. */
  readonly tally: Uint32Array;
  readonly outcomes: number;
}

export class Processor {
  private readonly stages: readonly Stage[];
  private readonly gate: Gate;
  private readonly classifier: Classifier;
  private readonly reasons = new Uint8Array(MAX_BATCH);
  private readonly pending: Uint32Array;
  private readonly opened = new Uint32Array(1);

  /**
   * @param nfs the NFs this thread owns, by index; others are undefined
   * @param counters this thread's block
   */
  constructor(
    private readonly plan: Plan,
    private readonly arena: Arena,
    nfs: readonly (Nf | undefined)[],
    private readonly layout: CounterLayout,
    private readonly counters: Float64Array,
  ) {
    this.gate = new Gate(arena, plan.options.verifyL4);
    this.classifier = new Classifier(plan, arena);
    this.pending = new Uint32Array(TARGET.NF_LIMIT);
    this.stages = plan.nfOrder.flatMap((index) => {
      const nf = nfs[index];
      if (nf === undefined) return [];
      const { outcomes } = plan.nfs[index]!;
      const reparse = Uint8Array.from({ length: OUTCOMES_PER_NF }, (_, o) => (outcomes[o]?.reparse ? 1 : 0));
      return {
        index,
        nf,
        batch: new Batch(MAX_BATCH),
        source: outcomeSource(plan.ports.length, index, 0),
        reparse,
        reparses: reparse.includes(1),
        tally: new Uint32Array(OUTCOMES_PER_NF),
        outcomes: outcomes.length,
      };
    });
  }

  /** Takes fresh packets, portIn set, from the port to their first target: gate, classifier, policy. */
  admit(slots: Uint32Array, count: number): void {
    const { arena, reasons } = this;
    const { policy, sources } = this.plan;
    const { next, type, portIn } = arena;
    const dropped = this.gate.check(slots, count, reasons);
    if (dropped === 0) {
      this.classifier.classify(slots, count);
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!;
        next[slot] = policy[type[slot]! * sources + portIn[slot]!]!;
      }
    } else {
      // The classifier reads metadata only a passed gate wrote, so the rare bad burst goes packet by packet.
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!;
        if (reasons[i] !== 0) {
          next[slot] = TARGET.DROP + DROP.GATE + reasons[i]!;
        } else {
          this.opened[0] = slot;
          this.classifier.classify(this.opened, 1);
          next[slot] = policy[type[slot]! * sources + portIn[slot]!]!;
        }
      }
    }
    if (this.plan.cyclic) for (let i = 0; i < count; i++) arena.visits[slots[i]!] = 0;
  }

  /**
   * Runs every packet whose target is an NF of this thread until none is left. Packets bound elsewhere are left alone.
   * @param count at most MAX_BATCH
   */
  run(slots: Uint32Array, count: number): void {
    const { next } = this.arena;
    const { stages, pending } = this;
    if (stages.length === 0) return;
    for (;;) {
      pending.fill(0, 0, this.plan.nfs.length);
      for (let i = 0; i < count; i++) {
        const target = next[slots[i]!]!;
        if (target < TARGET.NF_LIMIT) pending[target] = pending[target]! + 1;
      }
      let ran = false;
      for (let s = 0; s < stages.length; s++) {
        const stage = stages[s]!;
        if (pending[stage.index] === 0) continue;
        this.runStage(stage, slots, count);
        ran = true;
      }
      if (!ran) return;
    }
  }

  private runStage(stage: Stage, slots: Uint32Array, count: number): void {
    const { next, len } = this.arena;
    const { batch, index } = stage;
    let n = 0;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if (next[slot] === index) {
        batch.slots[n++] = slot;
        bytes += len[slot]!;
      }
    }
    batch.count = n;
    stage.nf.process(batch);
    this.counters[this.layout.nfBytes + index] = this.counters[this.layout.nfBytes + index]! + bytes;
    this.forward(stage, batch);
  }

  /** Counts outcomes and asks the policy where each packet goes; packets for a later stage of this burst become pending. */
  private forward(stage: Stage, batch: Batch): void {
    const { arena, pending, counters } = this;
    const { policy, sources, cyclic } = this.plan;
    const { next, type, outcome } = arena;
    const { tally, source } = stage;
    const { slots, outcomes, count } = batch;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const code = outcomes[i]!;
      tally[code] = tally[code]! + 1;
      outcome[slot] = code;
      if (stage.reparses && stage.reparse[code] === 1) {
        this.reparse(slot, source + code);
      } else {
        next[slot] = policy[type[slot]! * sources + source + code]!;
      }
      const target = next[slot]!;
      if (target < TARGET.NF_LIMIT) pending[target] = pending[target]! + 1;
    }
    if (cyclic) this.countVisits(slots, count);
    const at = this.layout.outcome + stage.index * OUTCOMES_PER_NF;
    for (let o = 0; o < stage.outcomes; o++) {
      if (tally[o] !== 0) counters[at + o] = counters[at + o]! + tally[o]!;
      tally[o] = 0;
    }
  }

  /** A decapsulated packet is a new packet to everything behind: gate, classifier, then policy with its new type. */
  private reparse(slot: number, source: number): void {
    const { arena, opened, reasons } = this;
    opened[0] = slot;
    arena.rxError[slot] = 0;
    if (this.gate.check(opened, 1, reasons) !== 0) {
      arena.next[slot] = TARGET.DROP + DROP.GATE + reasons[0]!;
      return;
    }
    this.classifier.classify(opened, 1);
    arena.next[slot] = this.plan.policy[arena.type[slot]! * this.plan.sources + source]!;
  }

  private countVisits(slots: Uint32Array, count: number): void {
    const { visits, next } = this.arena;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      visits[slot] = visits[slot]! + 1;
      if (visits[slot]! >= MAX_VISITS && next[slot]! < TARGET.NF_LIMIT) next[slot] = TARGET.DROP + DROP.LOOP;
    }
  }
}
