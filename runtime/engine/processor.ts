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
import { ArrivalNotes } from "./icmp/notes.js";
import { DROP, MAX_VISITS, OUTCOMES_PER_NF, outcomeSource, type Plan, TARGET } from "./plan.js";

/** Outcome codes are below OUTCOMES_PER_NF = 2^5. */
const OUTCOME_BITS = 5;

/** An NF of this thread with its scratch. */
interface Stage {
  readonly index: number;
  readonly nf: Pick<Nf, "process">;
  readonly batch: Batch;
  /** The batch's own array, for packets picked out of a burst. */
  readonly gathered: Uint32Array;
  /** Source column of outcome 0. */
  readonly source: number;
  readonly reparse: Uint8Array;
  readonly reparses: boolean;
}

export class Processor {
  private readonly stages: readonly Stage[];
  /** By NF; undefined where another thread owns it. */
  private readonly stageOf: readonly (Stage | undefined)[];
  private readonly gate: Gate;
  private readonly classifier: Classifier;
  private readonly reasons = new Uint8Array(MAX_BATCH);
  private readonly pending: Uint32Array;
  private readonly one = new Uint32Array(1);
  private readonly notes: ArrivalNotes | undefined;

  /**
   * @param nfs the NFs this thread owns, by index; others are undefined
   * @param counters this thread's block
   * @param countsBytes false where somebody else counts the bytes its NFs are given
   */
  constructor(
    private readonly plan: Plan,
    private readonly arena: Arena,
    nfs: readonly (Pick<Nf, "process"> | undefined)[],
    private readonly layout: CounterLayout,
    private readonly counters: Float64Array,
    private readonly countsBytes = true,
  ) {
    this.gate = new Gate(arena, plan.options.verifyL4);
    this.classifier = new Classifier(plan, arena);
    this.pending = new Uint32Array(TARGET.NF_LIMIT);
    this.notes = plan.icmp && new ArrivalNotes(arena, plan.icmp.notes);
    this.stages = plan.nfOrder.flatMap((index) => {
      const nf = nfs[index];
      if (nf === undefined) return [];
      const { outcomes, reparses } = plan.nfs[index]!;
      const reparse = Uint8Array.from({ length: OUTCOMES_PER_NF }, (_, o) => (outcomes[o]?.reparse ? 1 : 0));
      const batch = new Batch(MAX_BATCH);
      return {
        index,
        nf,
        batch,
        gathered: batch.slots,
        source: outcomeSource(plan.ports.length, index, 0),
        reparse,
        reparses,
      };
    });
    this.stageOf = plan.nfs.map((_, index) => this.stages.find((stage) => stage.index === index));
  }

  /** Takes fresh packets, portIn set, from the port to their first target: gate, classifier, policy. */
  admit(slots: Uint32Array, count: number): void {
    const { arena, reasons, classifier } = this;
    const { next } = arena;
    const dropped = this.gate.check(slots, count, reasons);
    if (dropped === 0) {
      classifier.direct(slots, count);
    } else {
      // The classifier reads metadata only a passed gate wrote, so the rare bad burst goes packet by packet.
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!;
        this.one[0] = slot;
        if (reasons[i] !== 0) next[slot] = TARGET.DROP + DROP.GATE + reasons[i]!;
        else classifier.direct(this.one, 1);
      }
    }
    if (this.notes !== undefined) this.notes.take(slots, count);
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
    pending.fill(0, 0, this.plan.nfs.length);
    let target = TARGET.DROP as number;
    let run = 0;
    for (let i = 0; i < count; i++) {
      const now = next[slots[i]!]!;
      if (now !== target) {
        this.expect(target, run);
        target = now;
        run = 0;
      }
      run++;
    }
    if (run === count && !this.plan.cyclic && !this.runWhole(target, slots, count)) return;
    if (run < count || this.plan.cyclic) this.expect(target, run);
    // Once through in visiting order; again only where a cyclic policy handed packets back.
    for (let ran = true; ran; ) {
      ran = false;
      for (let s = 0; s < stages.length; s++) {
        const stage = stages[s]!;
        if (pending[stage.index] === 0) continue;
        this.runStage(stage, slots, count);
        ran = true;
      }
    }
  }

  /** The same, but each NF takes its packets once: what a cyclic policy hands back to an NF stays bound for it. */
  runOnce(slots: Uint32Array, count: number): void {
    for (const stage of this.stages) this.runStage(stage, slots, count);
  }

  /** Notes that `count` packets are bound for a target. Called once for a run of packets alike: one access instead of many. */
  private expect(target: number, count: number): void {
    if (target < TARGET.NF_LIMIT) this.pending[target] = this.pending[target]! + count;
  }

  /**
   * The case that pays to treat apart: all packets of the burst are bound for one NF, and then for the next. Nothing is gathered, and
   * `next` is written once at the end.
   * @returns true where the packets have parted and some may be pending
   */
  private runWhole(first: number, slots: Uint32Array, count: number): boolean {
    const { next, type } = this.arena;
    const { policy, sources } = this.plan;
    const kind = type[slots[0]!]!;
    let alike = true;
    for (let i = 1; i < count && alike; i++) alike = type[slots[i]!] === kind;
    let target = first;
    for (;;) {
      const stage = target < TARGET.NF_LIMIT ? this.stageOf[target] : undefined;
      if (stage === undefined || stage.reparses || !alike) {
        if (target !== first) for (let i = 0; i < count; i++) next[slots[i]!] = target;
        if (stage !== undefined) this.expect(target, count);
        return stage !== undefined;
      }
      const { batch } = stage;
      batch.slots = slots;
      this.process(stage, count);
      const { outcomes } = batch;
      const outcome = outcomes[0]!;
      let same = 1;
      while (same < count && outcomes[same] === outcome) same++;
      if (same < count) {
        this.forwardRuns(stage, batch);
        return true;
      }
      // Counted, but not noted as pending: the whole burst goes on in this loop.
      this.countOutcome(stage, outcome, count);
      target = policy[kind * sources + stage.source + outcome]!;
    }
  }

  /** Hands the first `count` packets of the stage's batch to its NF. */
  private process(stage: Stage, count: number): void {
    const { batch } = stage;
    if (this.countsBytes) this.countBytes(stage, batch.slots, count);
    batch.count = count;
    stage.nf.process(batch);
  }

  private countBytes(stage: Stage, slots: Uint32Array, count: number): void {
    const { len } = this.arena;
    let bytes = 0;
    for (let i = 0; i < count; i++) bytes += len[slots[i]!]!;
    const at = this.layout.nfBytes + stage.index;
    this.counters[at] = this.counters[at]! + bytes;
  }

  private runStage(stage: Stage, slots: Uint32Array, count: number): void {
    const { next } = this.arena;
    const { batch, index, gathered } = stage;
    batch.slots = gathered;
    let n = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if (next[slot] === index) gathered[n++] = slot;
    }
    this.pending[index] = 0;
    this.process(stage, n);
    if (stage.reparses || this.plan.cyclic) this.forwardEach(stage, batch);
    else this.forwardRuns(stage, batch);
  }

  /** Counts outcomes and asks the policy where packets go, once for each run of packets of one type and outcome. */
  private forwardRuns(stage: Stage, batch: Batch): void {
    const { policy, sources } = this.plan;
    const { next, type } = this.arena;
    const { slots, outcomes, count } = batch;
    let key = -1;
    let target = 0;
    let start = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const now = (type[slot]! << OUTCOME_BITS) | outcomes[i]!;
      if (now !== key) {
        if (i > start) this.conclude(stage, outcomes[start]!, target, i - start);
        key = now;
        start = i;
        target = policy[type[slot]! * sources + stage.source + outcomes[i]!]!;
      }
      next[slot] = target;
    }
    if (count > start) this.conclude(stage, outcomes[start]!, target, count - start);
  }

  /** The same packet by packet, where one may have to be classified anew or may have gone round too often. */
  private forwardEach(stage: Stage, batch: Batch): void {
    const { policy, sources, cyclic } = this.plan;
    const { next, type } = this.arena;
    const { slots, outcomes, count } = batch;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const source = stage.source + outcomes[i]!;
      if (stage.reparse[outcomes[i]!] === 1) this.reparse(slot, source);
      else next[slot] = policy[type[slot]! * sources + source]!;
      if (cyclic) this.countVisit(slot);
      this.conclude(stage, outcomes[i]!, next[slot]!, 1);
    }
  }

  private conclude(stage: Stage, outcome: number, target: number, count: number): void {
    this.countOutcome(stage, outcome, count);
    this.expect(target, count);
  }

  private countOutcome(stage: Stage, outcome: number, count: number): void {
    const at = this.layout.outcome + stage.index * OUTCOMES_PER_NF + outcome;
    this.counters[at] = this.counters[at]! + count;
  }

  /** A decapsulated packet is a new packet to everything behind: gate, classifier, then policy with its new type. */
  private reparse(slot: number, source: number): void {
    const { arena, one, reasons } = this;
    one[0] = slot;
    this.notes?.markOpened(slot);
    arena.rxError[slot] = 0;
    if (this.gate.check(one, 1, reasons) !== 0) {
      arena.next[slot] = TARGET.DROP + DROP.GATE + reasons[0]!;
      return;
    }
    this.classifier.classify(slot);
    arena.next[slot] = this.plan.policy[arena.type[slot]! * this.plan.sources + source]!;
  }

  private countVisit(slot: number): void {
    const { visits, next } = this.arena;
    visits[slot] = visits[slot]! + 1;
    if (visits[slot]! >= MAX_VISITS && next[slot]! < TARGET.NF_LIMIT) next[slot] = TARGET.DROP + DROP.LOOP;
  }
}
