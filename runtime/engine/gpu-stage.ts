/**
 * An NF on a GPU, as the thread that owns it sees it: prepare, the way to the device, and finish with all that follows for an NF
 * (outcome, policy, gate and classifier again). Between the two a packet's outcome is kept here, by slot, since packets are
 * finished in other batches than they were prepared in.
 */
import type { Nf, Offload } from "../chain/nf.js";
import type { Arena } from "../packet/arena.js";
import { Batch, MAX_BATCH } from "../packet/batch.js";
import { Ahead } from "./ahead.js";
import type { CounterLayout } from "./counters.js";
import type { Lanes } from "./lanes.js";
import type { Plan } from "./plan.js";
import { Processor } from "./processor.js";
import { ReorderBuffer } from "./reorder-buffer.js";
import type { SyncPort } from "./sync-port.js";

/** What the GPU stages of one thread share; a packet is in one of them at most. */
export interface StageContext {
  readonly plan: Plan;
  readonly arena: Arena;
  readonly layout: CounterLayout;
  readonly counters: Float64Array;
  readonly port: SyncPort;
  readonly lanes: Lanes;
  /** By slot: 1 when the device has nothing to do for the packet, or has done it. */
  readonly done: Uint8Array;
  /** By slot: the outcome prepare wrote. */
  readonly kept: Uint8Array;
}

/** The finish of an NF in the place of its process: outcomes first become what prepare wrote. */
class Finish {
  constructor(
    private readonly offload: Offload,
    private readonly kept: Uint8Array,
  ) {}

  process(batch: Batch): void {
    const { kept } = this;
    const { slots, outcomes, count } = batch;
    for (let i = 0; i < count; i++) outcomes[i] = kept[slots[i]!]!;
    this.offload.finish(batch);
  }
}

export class GpuStage {
  /** Of the last {@link prepare}: packets that need no kernel, and packets that do. */
  readonly spared = new Uint32Array(MAX_BATCH);
  readonly wanted = new Uint32Array(MAX_BATCH);
  sparedCount = 0;
  wantedCount = 0;
  /** By lane; used where order is kept. */
  private readonly buffers: readonly ReorderBuffer[];
  private readonly offload: Offload;
  private readonly finisher: Processor;
  private readonly batch = new Batch(MAX_BATCH);
  private readonly wants = new Uint8Array(MAX_BATCH);
  private readonly outboxes: readonly Uint32Array[];
  private readonly outboxCount: Uint32Array;
  /** Where the device hands packets on by itself. */
  private readonly ahead: Ahead | undefined;
  /** Packets in all buffers. */
  private held = 0;

  constructor(
    readonly index: number,
    nf: Nf,
    private readonly context: StageContext,
  ) {
    const { plan, arena, layout, counters, port, kept } = context;
    this.offload = nf.offload!;
    this.buffers = Array.from({ length: port.lanes }, () => new ReorderBuffer(arena.slots));
    this.outboxes = Array.from({ length: port.lanes }, () => new Uint32Array(MAX_BATCH));
    this.outboxCount = new Uint32Array(port.lanes);
    const only = plan.nfs.map((_, i) => (i === index ? new Finish(this.offload, kept) : undefined));
    const { handle, hops, numberOf } = plan.device!;
    const { next, params } = arena;
    this.ahead = hops && new Ahead({ handle, hops, numberOf, next, params, counters, at: layout.hops }, index);
    // Bytes are counted here, before prepare: afterwards a frame may have another length.
    this.finisher = new Processor(plan, arena, only, layout, counters, false);
  }

  /**
   * Picks the packets bound for the NF out of a burst and prepares them; `done` is written for each. Those in `wanted` are then to go to
   * the device.
   * @param count at most MAX_BATCH
   * @returns how many are bound for it
   */
  prepare(slots: Uint32Array, count: number): number {
    const { arena, kept, done, counters, layout } = this.context;
    const { next, len } = arena;
    const { batch, wants, spared, wanted } = this;
    const bound = batch.slots;
    let n = 0;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      if (next[slot] !== this.index) continue;
      bound[n++] = slot;
      bytes += len[slot]!;
    }
    this.sparedCount = 0;
    this.wantedCount = 0;
    if (n === 0) return 0;
    batch.count = n;
    this.offload.prepare(batch, wants);
    if (this.ahead !== undefined) this.ahead.use(batch, wants);
    const { outcomes } = batch;
    let idle = 0;
    let busy = 0;
    for (let i = 0; i < n; i++) {
      const slot = bound[i]!;
      kept[slot] = outcomes[i]!;
      if (wants[i] === 0) {
        done[slot] = 1;
        spared[idle++] = slot;
      } else {
        done[slot] = 0;
        wanted[busy++] = slot;
      }
    }
    this.sparedCount = idle;
    this.wantedCount = busy;
    const at = layout.nfBytes + this.index;
    counters[at] = counters[at]! + bytes;
    return n;
  }

  /** Gives what was prepared and is wanted to the device, where lanes do not matter. */
  send(): void {
    if (this.wantedCount > 0) this.context.port.add(this.index, 0, this.wanted, this.wantedCount);
  }

  /**
   * Takes a whole burst in where order is kept: packets that are not bound for the NF wait in their lane for those in front of them.
   * @returns false where nothing has to wait: the burst is through, and stays the caller's
   */
  enter(slots: Uint32Array, count: number): boolean {
    const { next } = this.context.arena;
    const { done } = this.context;
    const { buffers, index } = this;
    const bound = this.prepare(slots, count);
    if (this.held === 0 && this.wantedCount === 0) {
      if (bound > 0) this.finish(slots, count);
      return false;
    }
    if (bound < count) for (let i = 0; i < count; i++) if (next[slots[i]!] !== index) done[slots[i]!] = 1;
    this.held += count;
    if (buffers.length > 1) {
      this.enterLanes(slots, count);
      return true;
    }
    const buffer = buffers[0]!;
    for (let i = 0; i < count; i++) buffer.push(slots[i]!);
    this.send();
    return true;
  }

  /** The flow is asked for after prepare, which makes all packets of an outbound SA one flow, and before a kernel works on them. */
  private enterLanes(slots: Uint32Array, count: number): void {
    const { port, lanes, done } = this.context;
    const { buffers, outboxes, outboxCount } = this;
    lanes.assign(slots, count);
    outboxCount.fill(0);
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const lane = lanes.of[i]!;
      buffers[lane]!.push(slot);
      if (done[slot] === 1) continue;
      const at = outboxCount[lane]!;
      outboxes[lane]![at] = slot;
      outboxCount[lane] = at + 1;
    }
    for (let lane = 0; lane < outboxes.length; lane++) {
      const n = outboxCount[lane]!;
      if (n > 0) port.add(this.index, lane, outboxes[lane]!, n);
    }
  }

  /**
   * The next packets of a lane that may leave, finished.
   * @returns how many lie in `out`; 0: the first is not done
   */
  release(lane: number, out: Uint32Array, max: number): number {
    const count = this.buffers[lane]!.release(this.context.done, out, max);
    if (count === 0) return 0;
    this.held -= count;
    this.finish(out, count);
    return count;
  }

  /** Finishes the packets of a burst that are still bound for the NF: their `next` becomes what the policy says. */
  finish(slots: Uint32Array, count: number): void {
    // Where the NF is next once more, the packet has to be prepared once more.
    if (this.context.plan.cyclic) this.finisher.runOnce(slots, count);
    else this.finisher.run(slots, count);
    if (this.ahead !== undefined) this.ahead.settle(slots, count);
  }
}
