/**
 * Initialization vectors (RFC 3602 section 3: unpredictable, never taken from a counter or a previous ciphertext).
 */
import { createHash, randomFillSync } from "node:crypto";
import { MAX_BATCH } from "../../runtime/packet/batch.js";
import { encryptCbc, expandKey, SCHEDULE_WORDS } from "./crypto/aes.js";
import { WORK } from "./layout.js";

export interface IvSource {
  /** Where {@link draw} leaves IVs: sixteen bytes each, four native words. */
  readonly words: Int32Array;
  /**
   * IVs for `count` packets.
   * @param count at most MAX_BATCH
   * @param work their WORK records, of which INDEX, SEQ_HIGH and SEQ_LOW are read
   * @returns index of the first one's first word
   */
  draw(count: number, work: Int32Array): number;
}

/** Bytes drawn at once: a system call for each IV would cost more than the packet's encryption. */
const POOL_WORDS = 16384;
const IV_WORDS = 4;

/** Production: the operating system's CSPRNG. No word is used twice. */
export class RandomIvs implements IvSource {
  readonly words = new Int32Array(POOL_WORDS);
  private used = POOL_WORDS;

  draw(count: number): number {
    if (this.used + count * IV_WORDS > POOL_WORDS) {
      randomFillSync(this.words);
      this.used = 0;
    }
    const first = this.used;
    this.used = first + count * IV_WORDS;
    return first;
  }
}

/** Behind the block that is encrypted: zeros, which make CBC of one block plain AES. */
const ZERO_AT = 16;

/**
 * Experiments with `--seed`: AES-128 of (sequence high, sequence low, SA index, 0) under a key hashed from the seed. A function of these alone, so
 * that order, batch size, cores and placement do not change bytes.
 */
export class SeededIvs implements IvSource {
  readonly words = new Int32Array(MAX_BATCH * IV_WORDS);
  private readonly keys = new Uint32Array(SCHEDULE_WORDS);
  private readonly block = new DataView(new ArrayBuffer(32));

  constructor(seed: number) {
    expandKey(seededIvKey(seed), this.keys, 0);
  }

  draw(count: number, work: Int32Array): number {
    const { block } = this;
    for (let i = 0; i < count; i++) {
      const at = i << WORK.SHIFT;
      block.setInt32(0, work[at + WORK.SEQ_HIGH]!);
      block.setInt32(4, work[at + WORK.SEQ_LOW]!);
      block.setInt32(8, work[at + WORK.INDEX]!);
      block.setUint32(12, 0);
      encryptCbc(block, 0, ZERO_AT, ZERO_AT, this.keys, 0);
      for (let k = 0; k < IV_WORDS; k++) this.words[i * IV_WORDS + k] = block.getInt32(4 * k, true);
    }
    return 0;
  }
}

/** The AES-128 key all IVs of a seed come from. */
export function seededIvKey(seed: number): Uint8Array {
  return createHash("sha256").update(`wingbeat ipsec iv ${seed}`).digest().subarray(0, 16);
}
