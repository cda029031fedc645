/**
 * What a thread that owns GPU NFs does with packets: CPU NFs and GPU stages in the order packets visit them. Order decides which:
 *
 *   OrderedPipeline   flow, global: CPU segment -> GPU stage -> CPU segment -> ... ; every packet passes every stage, and
 *                     leaves each in the order it came (within its lane), so each NF sees packets in the order the CPU placement shows.
 *   FreePipeline      none: a packet goes to its next NF as soon as its row is done, round in circles where the policy has them.
 *   SerialPipeline    flow or global under a cyclic policy: one packet at a time (serial-pipeline.ts).
 *
 * A thread without GPU NFs has no pipeline, and runs its Processor alone.
 */
import type { Arena } from "../packet/arena.js";
import { MAX_BATCH } from "../packet/batch.js";
import type { QUIET } from "./control.js";
import type { GpuStage } from "./gpu-stage.js";
import { TARGET } from "./plan.js";
import type { Processor } from "./processor.js";
import { ReorderBuffer } from "./reorder-buffer.js";
import type { SyncPort } from "./sync-port.js";

/** Takes packets that have nothing more to do in the thread; they are its own when it returns. */
export type Sink = (slots: Uint32Array, count: number) => void;

export interface Pipeline {
  /** Where packets go that leave. Set before the first packet. */
  sink: Sink;
  /** True while only polling brings packets back. */
  readonly polling: boolean;
  /** Takes packets whose `next` is known. @param count at most MAX_BATCH */
  take(slots: Uint32Array, count: number): void;
  /** Packets the device is done with, from a CPUSyncer core. */
  served(slots: Uint32Array, count: number): void;
  /** Collects, finishes and publishes, without waiting; true where something moved. */
  turn(now: number, quiet: QUIET): boolean;
}

export interface PipelineParts {
  readonly arena: Arena;
  readonly port: SyncPort;
  /** In visiting order. */
  readonly stages: readonly GpuStage[];
  /** By slot, as the stages have it. */
  readonly done: Uint8Array;
  /** Packets per burst. */
  readonly batch: number;
  /** Entries of a row. */
  readonly row: number;
}

abstract class PolledPipeline implements Pipeline {
  sink: Sink = () => {
    throw new Error("a pipeline has no sink");
  };
  private readonly collected: Uint32Array;

  constructor(protected readonly parts: PipelineParts) {
    this.collected = new Uint32Array(parts.row);
  }

  get polling(): boolean {
    return this.parts.port.polling;
  }

  abstract take(slots: Uint32Array, count: number): void;

  served(slots: Uint32Array, count: number): void {
    this.mark(slots, count);
    this.settle();
  }

  turn(now: number, quiet: QUIET): boolean {
    const { port } = this.parts;
    const { collected } = this;
    let moved = false;
    for (;;) {
      const count = port.collect(collected);
      if (count === 0) break;
      moved = true;
      this.mark(collected, count);
    }
    // What is released may be for a later GPU NF: it goes out with the rows of this turn.
    if (moved) this.settle();
    return port.publish(now, quiet) || moved;
  }

  /** Takes note that packets are done; any number of them. */
  protected abstract mark(slots: Uint32Array, count: number): void;

  /** Lets everything go on that can. */
  protected abstract settle(): void;
}

export class OrderedPipeline extends PolledPipeline {
  private readonly outs: readonly Uint32Array[];

  /** @param segments CPU NFs before the first stage, between stages, and after the last */
  constructor(
    parts: PipelineParts,
    private readonly segments: readonly Processor[],
  ) {
    super(parts);
    this.outs = parts.stages.map(() => new Uint32Array(MAX_BATCH));
  }

  take(slots: Uint32Array, count: number): void {
    this.pass(0, slots, count);
  }

  /** Through CPU segment k, into GPU stage k and what lies behind. */
  private pass(k: number, slots: Uint32Array, count: number): void {
    const { stages } = this.parts;
    for (let s = k; ; s++) {
      this.segments[s]!.run(slots, count);
      if (s === stages.length) {
        this.sink(slots, count);
        return;
      }
      if (stages[s]!.enter(slots, count)) {
        this.release(s);
        return;
      }
    }
  }

  /** What can leave stage k goes on, in bursts. */
  private release(k: number): void {
    const { stages, port, batch } = this.parts;
    const stage = stages[k]!;
    const out = this.outs[k]!;
    for (let lane = 0; lane < port.lanes; lane++) {
      for (let n = stage.release(lane, out, batch); n > 0; n = stage.release(lane, out, batch)) {
        this.pass(k + 1, out, n);
      }
    }
  }

  protected mark(slots: Uint32Array, count: number): void {
    const { done } = this.parts;
    for (let i = 0; i < count; i++) done[slots[i]!] = 1;
  }

  protected settle(): void {
    for (let k = 0; k < this.parts.stages.length; k++) this.release(k);
  }
}

export class FreePipeline extends PolledPipeline {
  /** By stage, packets to finish; the last one: packets the device did not serve. */
  private readonly ready: readonly ReorderBuffer[];
  /** By NF, its stage; the number of stages where the NF is none of them. */
  private readonly stageOf = new Uint8Array(TARGET.NF_LIMIT);
  private readonly outboxes: readonly Uint32Array[];
  private readonly outboxCount: Uint32Array;
  private readonly burst = new Uint32Array(MAX_BATCH);

  /** @param processor of all CPU NFs of the thread */
  constructor(
    parts: PipelineParts,
    private readonly processor: Processor,
  ) {
    super(parts);
    const { stages, arena } = parts;
    const places = stages.length + 1;
    this.ready = Array.from({ length: places }, () => new ReorderBuffer(arena.slots));
    this.outboxes = Array.from({ length: places }, () => new Uint32Array(MAX_BATCH));
    this.outboxCount = new Uint32Array(places);
    this.stageOf.fill(stages.length);
    stages.forEach((stage, k) => {
      this.stageOf[stage.index] = k;
    });
  }

  take(slots: Uint32Array, count: number): void {
    this.route(slots, count);
    this.settle();
  }

  /** Each packet to its stage, or out. */
  private route(slots: Uint32Array, count: number): void {
    const { outboxes, outboxCount, stageOf } = this;
    const { stages, arena } = this.parts;
    const { next } = arena;
    this.processor.run(slots, count);
    const out = stages.length;
    outboxCount.fill(0);
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const target = next[slot]!;
      const k = target < TARGET.NF_LIMIT ? stageOf[target]! : out;
      const at = outboxCount[k]!;
      outboxes[k]![at] = slot;
      outboxCount[k] = at + 1;
    }
    for (let k = 0; k < out; k++) {
      const n = outboxCount[k]!;
      if (n === 0) continue;
      const stage = stages[k]!;
      stage.prepare(outboxes[k]!, n);
      stage.send();
      this.mark(stage.spared, stage.sparedCount);
    }
    if (outboxCount[out]! > 0) this.sink(outboxes[out]!, outboxCount[out]!);
  }

  protected mark(slots: Uint32Array, count: number): void {
    const { ready, stageOf } = this;
    const { arena, done, stages } = this.parts;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const target = arena.next[slot]!;
      done[slot] = 1;
      ready[target < TARGET.NF_LIMIT ? stageOf[target]! : stages.length]!.push(slot);
    }
  }

  protected settle(): void {
    const { ready, burst } = this;
    const { stages, done, batch } = this.parts;
    for (let moved = true; moved; ) {
      moved = false;
      for (let k = 0; k < ready.length; k++) {
        const count = ready[k]!.release(done, burst, batch);
        if (count === 0) continue;
        moved = true;
        if (k < stages.length) {
          stages[k]!.finish(burst, count);
          this.route(burst, count);
        } else {
          this.sink(burst, count);
        }
      }
    }
  }
}
