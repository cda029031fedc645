/**
 * Initialization vectors (RFC 3602 section 3: unpredictable, never taken from a counter or a previous ciphertext).
 */
import { createHash, randomFillSync } from "node:crypto";
import { type Arena, PARAM_WORDS, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { MAX_BATCH } from "../../runtime/packet/batch.js";
import { encryptCbc, expandKey, SCHEDULE_WORDS } from "./crypto/aes.js";
import { ESP, OP, OP_MASK, PARAM, SA_SHIFT } from "./layout.js";

export interface IvSource {
  /** Sixteen bytes, four native words, for each packet of a batch, from the index {@link reserve} returns. */
  readonly words: Int32Array;
  /** @param count at most MAX_BATCH */
  reserve(count: number): number;
  /**
   * Called when the packets are written, whose params say OP.SEAL: a source whose IVs depend on the packet writes them
   * now.
   */
  settle(slots: Uint32Array, count: number): void;
}

/** Bytes drawn at once: a system call for each IV would cost more than the packet's encryption. */
const POOL_WORDS = 16384;
const IV_WORDS = 4;

/** Production: the operating system's CSPRNG. No word is used twice. */
export class RandomIvs implements IvSource {
  readonly words = new Int32Array(POOL_WORDS);
  private used = POOL_WORDS;

  reserve(count: number): number {
    if (this.used + count * IV_WORDS > POOL_WORDS) {
      randomFillSync(this.words);
      this.used = 0;
    }
    const first = this.used;
    this.used = first + count * IV_WORDS;
    return first;
  }

  settle(): void {}
}

/** Behind the block that is encrypted: zeros, which make CBC of one block plain AES. */
const ZERO_AT = 16;

/**
 * Experiments with `--seed`: AES-128 of (sequence high, sequence low, SA index, 0) under a key hashed from the seed. A
 * function of these alone, so that order, batch size, cores and placement do not change bytes.
 */
export class SeededIvs implements IvSource {
  /** Zeros, until {@link settle}. */
  readonly words = new Int32Array(MAX_BATCH * IV_WORDS);
  private readonly keys = new Uint32Array(SCHEDULE_WORDS);
  private readonly block = new DataView(new ArrayBuffer(32));

  constructor(
    seed: number,
    private readonly arena: Arena,
  ) {
    expandKey(seededIvKey(seed), this.keys, 0);
  }

  reserve(): number {
    return 0;
  }

  settle(slots: Uint32Array, count: number): void {
    const { block } = this;
    const { params, view } = this.arena;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const p = slot * PARAM_WORDS;
      const task = params[p + PARAM.TASK]!;
      if ((task & OP_MASK) !== OP.SEAL) continue;
      block.setUint32(0, params[p + PARAM.SEQ_HIGH]!);
      block.setUint32(4, params[p + PARAM.SEQ_LOW]!);
      block.setUint32(8, task >>> SA_SHIFT);
      block.setUint32(12, 0);
      encryptCbc(block, 0, ZERO_AT, ZERO_AT, this.keys, 0);
      const at = (slot << SLOT_SHIFT) + (params[p + PARAM.PLACE]! & 0xffff) + ESP.IV;
      for (let k = 0; k < ZERO_AT; k += 4) view.setInt32(at + k, block.getInt32(k));
    }
  }
}

/** The AES-128 key all IVs of a seed come from. */
export function seededIvKey(seed: number): Uint8Array {
  return createHash("sha256").update(`wingbeat ipsec iv ${seed}`).digest().subarray(0, 16);
}
