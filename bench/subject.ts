/**
 * An NF as a subject of a benchmark: measured exactly as C peers measure themselves (peers/protocol.h).
 *
 * One repeat: rounds of 1024 packets until 60 ms of timed work are done and every frame was taken at least once. In a round the
 * next frames are copied into the slots and pass the gate (not timed), then the NF processes them in batches of 64 (timed).
 */
import type { Nf, NfModule } from "../runtime/chain/nf.js";
import { RunError } from "../runtime/errors.js";
import { Arena, DATA_OFFSET, SLOT_SIZE } from "../runtime/packet/arena.js";
import { Batch } from "../runtime/packet/batch.js";
import { GATE_REASONS, Gate } from "../runtime/packet/gate.js";
import type { FrameSet } from "./frames.js";
import type { Subject } from "./harness.js";

const SLOTS = 1024;
const BATCH = 64;
const TIMED_MS = 60;

export interface NfSubjectOptions {
  /** Makes everything random in the NF a function of it; undefined as in production. */
  readonly seed?: number;
  /** Without native libraries. */
  readonly portable?: boolean;
  /** Outcomes packets may have; any other, and the benchmark would measure something else than it says. */
  readonly expect: readonly string[];
  warn(line: string): void;
}

export class NfSubject implements Subject {
  readonly role = "wingbeat";
  readonly name: string;
  private readonly gate: Gate;
  private readonly slots = Uint32Array.from({ length: SLOTS }, (_, i) => i);
  private readonly reasons = new Uint8Array(SLOTS);
  private readonly batches: readonly Batch[];
  /** Where each frame is kept, and its length. */
  private readonly keptAt: Uint32Array;
  private readonly lengths: Uint16Array;
  private nextFrame = 0;

  /** @param arena its slots from SLOTS on hold the frames to restore from */
  private constructor(
    private readonly nf: Nf,
    private readonly arena: Arena,
    frames: FrameSet,
    portable: boolean,
    private readonly outcomes: readonly string[],
    private readonly expect: readonly string[],
  ) {
    this.name = portable ? "wingbeat, portable" : "wingbeat";
    this.gate = new Gate(arena);
    this.keptAt = new Uint32Array(frames.frames.length);
    this.lengths = Uint16Array.from(frames.frames, (frame) => frame.length);
    let at = SLOTS * SLOT_SIZE;
    frames.frames.forEach((frame, i) => {
      this.keptAt[i] = at;
      arena.u8.set(frame, at);
      at += frame.length;
    });
    this.batches = Array.from({ length: SLOTS / BATCH }, (_, b) => {
      const batch = new Batch(BATCH);
      batch.slots.set(this.slots.subarray(b * BATCH, (b + 1) * BATCH));
      return batch;
    });
  }

  /** @param loaded what the module's `load` returned */
  static open<Config, Loaded>(
    module: NfModule<Config, Loaded>,
    loaded: Loaded,
    frames: FrameSet,
    options: NfSubjectOptions,
  ): NfSubject {
    // The frames lie packed behind the slots: one object per frame would fill the caches with what no C peer has in them.
    const bytes = frames.frames.reduce((sum, frame) => sum + frame.length, 0);
    const arena = Arena.create(SLOTS + Math.ceil(bytes / SLOT_SIZE));
    const nf = module.create(loaded, {
      name: module.type,
      arena,
      seed: options.seed,
      portable: options.portable ?? false,
      warn: options.warn,
    });
    const outcomes = module.outcomes.map((outcome) => outcome.name);
    const subject = new NfSubject(nf, arena, frames, options.portable ?? false, outcomes, options.expect);
    subject.verify();
    return subject;
  }

  get engine(): string {
    return this.nf.engine;
  }

  async repeat(): Promise<number> {
    const { nf, batches } = this;
    let timed = 0;
    let packets = 0;
    while (timed < TIMED_MS || packets < this.lengths.length) {
      this.restore();
      const start = performance.now();
      for (let b = 0; b < batches.length; b++) nf.process(batches[b]!);
      timed += performance.now() - start;
      packets += SLOTS;
    }
    return (timed * 1e6) / packets;
  }

  async close(): Promise<void> {
    this.nf.close?.();
    this.arena.free();
  }

  /** Puts the next frames into all slots and lets them pass the gate. */
  private restore(): void {
    const { arena, keptAt, lengths, slots, reasons } = this;
    const { u8, off, len, wireLen, rxError } = arena;
    for (let slot = 0; slot < SLOTS; slot++) {
      const frame = this.nextFrame;
      this.nextFrame = frame + 1 === lengths.length ? 0 : frame + 1;
      const from = keptAt[frame]!;
      const length = lengths[frame]!;
      u8.copyWithin(slot * SLOT_SIZE + DATA_OFFSET, from, from + length);
      off[slot] = DATA_OFFSET;
      len[slot] = length;
      wireLen[slot] = length;
      rxError[slot] = 0;
    }
    if (this.gate.check(slots, SLOTS, reasons) !== 0) {
      const reason = GATE_REASONS[reasons.find((code) => code !== 0)!];
      throw new RunError("bench", `the gate drops a benchmark frame: ${reason}`, "mend the frame set");
    }
    for (const batch of this.batches) batch.count = BATCH;
  }

  /**
   * One pass over all frames, each of which must have an expected outcome.
   * @throws RunError where one has another
   */
  verify(): void {
    const { outcomes, expect } = this;
    for (let packets = 0; packets < this.lengths.length; packets += SLOTS) {
      this.restore();
      for (const batch of this.batches) {
        this.nf.process(batch);
        const other = batch.outcomes.find((code) => !expect.includes(outcomes[code]!));
        if (other !== undefined) {
          throw new RunError(
            "bench",
            `a benchmark frame has outcome ${outcomes[other]}, expected ${expect.join(" or ")}`,
          );
        }
      }
    }
  }
}
