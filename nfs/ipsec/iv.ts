/**
 * Initialization vectors (RFC 3602 section 3: unpredictable, never taken from a counter or a previous ciphertext).
 */
import { createHash, randomFillSync } from "node:crypto";
import { encryptCbc, expandKey, SCHEDULE_WORDS } from "./crypto/aes.js";

export interface IvSource {
  /** Writes the 16-byte IV at byte `at` of `view`, for a packet of SA `sa` with the 64-bit sequence number (high, low). */
  write(view: DataView, at: number, sa: number, high: number, low: number): void;
}

/** Bytes drawn at once: a system call for each IV would cost more than the packet's encryption. */
const POOL_WORDS = 16384;
const IV_WORDS = 4;

/** Production: the operating system's CSPRNG. Every word is used once. */
export class RandomIvs implements IvSource {
  private readonly pool = new Int32Array(POOL_WORDS);
  private used = POOL_WORDS;

  write(view: DataView, at: number): void {
    if (this.used === POOL_WORDS) {
      randomFillSync(this.pool);
      this.used = 0;
    }
    const { pool, used } = this;
    this.used = used + IV_WORDS;
    view.setInt32(at, pool[used]!);
    view.setInt32(at + 4, pool[used + 1]!);
    view.setInt32(at + 8, pool[used + 2]!);
    view.setInt32(at + 12, pool[used + 3]!);
  }
}

/** Words of the block that is encrypted, and of the zero block that stands in for CBC's IV, in bytes. */
const ZERO_AT = 16;

/**
 * Experiments with `--seed`: AES-128 of (sequence high, sequence low, SA index, 0) under a key hashed from the seed. A function of these alone, so
 * that order, batch size, cores and placement do not change bytes.
 */
export class SeededIvs implements IvSource {
  private readonly keys = new Uint32Array(SCHEDULE_WORDS);
  private readonly block = new DataView(new ArrayBuffer(32));

  constructor(seed: number) {
    expandKey(seededIvKey(seed), this.keys, 0);
  }

  write(view: DataView, at: number, sa: number, high: number, low: number): void {
    const { block } = this;
    block.setUint32(0, high);
    block.setUint32(4, low);
    block.setUint32(8, sa);
    block.setUint32(12, 0);
    encryptCbc(block, 0, 16, ZERO_AT, this.keys, 0);
    for (let i = 0; i < 16; i += 4) view.setInt32(at + i, block.getInt32(i));
  }
}

/** The AES-128 key all IVs of a seed come from. */
export function seededIvKey(seed: number): Uint8Array {
  return createHash("sha256").update(`wingbeat ipsec iv ${seed}`).digest().subarray(0, 16);
}
