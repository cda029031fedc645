/**
 * ipsec on a GPU: what stands around kernels/ipsec.*, which replaces transform and the decryption in finish.
 *
 * The CPU keeps a back end of its own for the few packets whose high sequence number prepare could not know yet, because
 * the window has moved by so much since: finish verifies and decrypts those, and restores what a kernel decrypted too
 * soon (inbound.ts).
 */
import type { GpuForward, Offload } from "../../runtime/chain/nf.js";
import { PARAM_PLACE } from "../../runtime/device/queue.js";
import { type Arena, PARAM_WORDS } from "../../runtime/packet/arena.js";
import type { Batch } from "../../runtime/packet/batch.js";
import { ESP, OP, OP_MASK, PARAM } from "./layout.js";

// Imported bindings are looked up at each use by V8 11; constants of this module are part of the compiled code.
const PARAMS = PARAM_WORDS;
const { TASK, PLACE, VERDICT } = PARAM;
const { SEAL, OPEN } = OP;
const OPS = OP_MASK;
const KERNEL_PLACE = PARAM_PLACE;
/** PARAM.PLACE counts the ciphertext, PARAM_PLACE all from the ESP header to the end of the ICV. */
const AROUND = (ESP.CIPHER + ESP.ICV_BYTES) << 16;

/** What is sealed is as finish leaves it. */
export const forward: GpuForward<unknown> = {
  final(outcome) {
    if (outcome === "protected") return true;
    return outcome === "opened"
      ? "what comes out of a tunnel passes gate and classifier first"
      : "the CPU decides that";
  },
  changes: [],
  enters: () => "the CPU numbers packets, and checks numbers, in order",
};

/** The NF's own steps: both in arrival order. */
interface Steps {
  /** Writes outcomes, and TASK of every packet of the batch. */
  prepare(batch: Batch): number;
  finish(batch: Batch): void;
}

export class KernelOffload implements Offload {
  constructor(
    private readonly arena: Arena,
    private readonly steps: Steps,
  ) {}

  prepare(batch: Batch, wanted: Uint8Array): number {
    this.steps.prepare(batch);
    const { slots, count } = batch;
    const { params } = this.arena;
    let n = 0;
    for (let i = 0; i < count; i++) {
      const p = slots[i]! * PARAMS;
      const op = params[p + TASK]! & OPS;
      if (op !== SEAL && op !== OPEN) {
        wanted[i] = 0;
        continue;
      }
      wanted[i] = 1;
      n++;
      params[p + KERNEL_PLACE] = params[p + PLACE]! + AROUND;
      // So that a packet no kernel has looked at is never taken for authentic.
      params[p + VERDICT] = 0;
    }
    return n;
  }

  finish(batch: Batch): void {
    this.steps.finish(batch);
  }
}
