import { CONTROL, QUIET } from "./control.js";
import type { GpuStage } from "./gpu-stage.js";
import type { Pipeline, PipelineParts, Sink } from "./pipeline.js";
import { TARGET } from "./plan.js";
import type { Processor } from "./processor.js";

/**
 * Order under a cyclic policy, where any two packets at once could overtake each other at an NF: one packet is taken to its end before
 * the next begins, and each visit of a GPU NF is a row of its own that is waited for.
 */
export class SerialPipeline implements Pipeline {
  sink: Sink = () => {
    throw new Error("a pipeline has no sink");
  };
  readonly polling = false;
  private readonly one = new Uint32Array(1);
  private readonly collected: Uint32Array;
  private readonly stageOf: (GpuStage | undefined)[];

  /**
   * @param processor of all CPU NFs of the thread
   * @param pause called between fruitless polls
   */
  constructor(
    private readonly parts: PipelineParts,
    private readonly processor: Processor,
    private readonly control: Int32Array,
    private readonly clock: () => number,
    private readonly pause: () => void,
  ) {
    this.collected = new Uint32Array(parts.row);
    this.stageOf = Array.from({ length: TARGET.NF_LIMIT }, (_, nf) => parts.stages.find((s) => s.index === nf));
  }

  take(slots: Uint32Array, count: number): void {
    const { one } = this;
    for (let i = 0; i < count; i++) {
      one[0] = slots[i]!;
      if (this.toItsEnd()) this.sink(one, 1);
    }
  }

  /** @returns false where the run was aborted meanwhile */
  private toItsEnd(): boolean {
    const { one } = this;
    const { next } = this.parts.arena;
    for (;;) {
      this.processor.run(one, 1);
      const target = next[one[0]!]!;
      const stage = target < TARGET.NF_LIMIT ? this.stageOf[target] : undefined;
      if (stage === undefined) return true;
      stage.prepare(one, 1);
      if (stage.wantedCount > 0) {
        stage.send();
        if (!this.untilServed()) return false;
      }
      stage.finish(one, 1);
    }
  }

  private untilServed(): boolean {
    const { port } = this.parts;
    for (;;) {
      port.publish(this.clock(), QUIET.YES);
      if (port.collect(this.collected) > 0) return true;
      if (Atomics.load(this.control, CONTROL.ABORT) === 1) return false;
      this.pause();
    }
  }

  served(): void {
    throw new Error("one packet at a time needs no CPUSyncer core");
  }

  turn(): boolean {
    return false;
  }
}
