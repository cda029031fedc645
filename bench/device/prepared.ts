/** Packets an NF has prepared for its kernel, kept so that they can be served again and again, and compared with what the CPU makes of them. */
import type { Nf, NfModule, Offload } from "../../runtime/chain/nf.js";
import { RunError } from "../../runtime/errors.js";
import { Arena, DATA_OFFSET, SLOT_SIZE } from "../../runtime/packet/arena.js";
import { Batch } from "../../runtime/packet/batch.js";
import { GATE_REASONS, Gate } from "../../runtime/packet/gate.js";
import type { FrameSet } from "../frames.js";

const BATCH = 64;
/** So that IVs are the same on both sides. */
const SEED = 1;

/** An NF with what it has loaded, of any type. */
export interface LoadedNf {
  readonly module: NfModule<never, never>;
  readonly loaded: unknown;
}

export class PreparedNf {
  readonly slots: Uint32Array;
  private readonly nf: Nf;
  private readonly offload: Offload;
  private readonly batches: readonly Batch[];
  private readonly bytes: Uint8Array;
  private readonly params: Uint32Array;

  /**
   * Puts frame i into slot i and has the NF prepare all.
   * @throws RunError where the gate drops one, or the kernel is not needed for one: the figures would be of fewer packets
   */
  constructor(
    private readonly source: LoadedNf,
    private readonly frames: FrameSet,
    private readonly arena: Arena,
  ) {
    const { module } = source;
    this.slots = Uint32Array.from({ length: frames.frames.length }, (_, i) => i);
    this.batches = fill(arena, frames);
    this.nf = create(source, arena, "gpu");
    if (this.nf.offload === undefined) throw new RunError("bench", `${module.type} has no kernel`);
    this.offload = this.nf.offload;
    const wanted = new Uint8Array(BATCH);
    for (const batch of this.batches) {
      const count = this.offload.prepare(batch, wanted);
      if (count === batch.count) continue;
      const at = wanted.subarray(0, batch.count).indexOf(0);
      const outcome = module.outcomes[batch.outcomes[at]!]?.name;
      throw new RunError("bench", `${module.type} does not want a frame served (${outcome})`, "mend the frame set");
    }
    this.bytes = arena.u8.slice(0, this.slots.length * SLOT_SIZE);
    this.params = arena.params.slice();
  }

  /** True where the kernel writes to packets, so that they have to be restored to be served once more. */
  get writesPackets(): boolean {
    return this.source.module.gpu?.writes === "packet";
  }

  /** As prepare left them. */
  restore(): void {
    this.arena.params.set(this.params);
    if (this.writesPackets) this.arena.u8.set(this.bytes);
  }

  /**
   * To be called once, when the kernel has served every packet once.
   * @throws RunError where bytes or outcomes are not the CPU's
   */
  verify(): void {
    const { source, frames, arena, offload } = this;
    const { type } = source.module;
    for (const batch of this.batches) offload.finish(batch);
    const other = Arena.create(this.slots.length);
    const batches = fill(other, frames);
    const nf = create(source, other, "cpu");
    for (const [b, batch] of batches.entries()) {
      nf.process(batch);
      const found = this.batches[b]!.outcomes;
      for (let i = 0; i < batch.count; i++) {
        const name = (code: number) => source.module.outcomes[code]?.name;
        if (batch.outcomes[i] === found[i]) continue;
        const what = `outcome ${name(found[i]!)}, on the CPU ${name(batch.outcomes[i]!)}`;
        throw new RunError("bench", `${type}, frame ${b * BATCH + i}: ${what}`, "report this as a bug");
      }
    }
    const frameOf = (from: Arena, slot: number) => {
      const at = slot * SLOT_SIZE + from.off[slot]!;
      return Buffer.from(from.buffer, at, from.len[slot]!);
    };
    for (const slot of this.slots) {
      if (frameOf(arena, slot).equals(frameOf(other, slot))) continue;
      throw new RunError("bench", `${type}, frame ${slot}: its bytes are not those of the CPU`, "report this as a bug");
    }
    nf.close?.();
    other.free();
  }

  close(): void {
    this.nf.close?.();
  }
}

function create({ module, loaded }: LoadedNf, arena: Arena, place: "cpu" | "gpu"): Nf {
  return module.create(loaded as never, {
    name: module.type,
    arena,
    seed: SEED,
    portable: false,
    place,
    warn: () => {},
  });
}

/** Frames into slots, through the gate, in batches. */
function fill(arena: Arena, { frames }: FrameSet): Batch[] {
  const slots = Uint32Array.from({ length: frames.length }, (_, i) => i);
  for (const [slot, frame] of frames.entries()) {
    arena.u8.set(frame, slot * SLOT_SIZE + DATA_OFFSET);
    arena.off[slot] = DATA_OFFSET;
    arena.len[slot] = frame.length;
    arena.wireLen[slot] = frame.length;
    arena.rxError[slot] = 0;
  }
  const reasons = new Uint8Array(slots.length);
  if (new Gate(arena).check(slots, slots.length, reasons) !== 0) {
    const reason = GATE_REASONS[reasons.find((code) => code !== 0)!];
    throw new RunError("bench", `the gate drops a frame: ${reason}`, "mend the frame set");
  }
  const batches: Batch[] = [];
  for (let first = 0; first < slots.length; first += BATCH) {
    const batch = new Batch(BATCH);
    batch.count = Math.min(BATCH, slots.length - first);
    batch.slots.set(slots.subarray(first, first + batch.count));
    batches.push(batch);
  }
  return batches;
}
