/**
 * Memory that intel-ipsec-mb reads: key tables and job arrays, in a mapping of our own, which no garbage collector
 * moves or frees.
 */
import type { Arena } from "../../../runtime/packet/arena.js";
import { PARAM_WORDS, SLOT_SIZE } from "../../../runtime/packet/arena.js";
import { mapRegion, type Region, unmapRegion } from "../../../runtime/packet/memory.js";
import { ESP, KEYS, PARAM, SA_SHIFT } from "../layout.js";
import { SCHEDULE_WORDS } from "./aes.js";
import {
  CBC,
  CIPHER_THEN_HASH,
  DECRYPT,
  ENCRYPT,
  HMAC_SHA1,
  JOB,
  JOB_WORDS,
  KEY_BYTES,
  MAX_BURST,
} from "./ipsec-mb-library.js";
import { STATE_WORDS } from "./sha1.js";

/**
 * Bytes of an SA in the table for outbound and verification: encryption keys (176), inner and outer HMAC state (20
 * each). Decryption keys stand in a table of their own.
 */
export const SEAL_STRIDE = 256;
export const INNER_AT = 4 * SCHEDULE_WORDS;
export const OUTER_AT = INNER_AT + 4 * STATE_WORDS;
export const OPEN_STRIDE = 192;
/** Bytes from one tag computed for verification to the next. */
const TAG_STRIDE = 16;
export const TAG_WORDS = TAG_STRIDE / 4;
const LINE = 64;
const U32 = 0x1_0000_0000;

/** An array of MAX_BURST jobs. */
export interface Jobs {
  /** Its first word in {@link JobMemory.words}. */
  readonly word: number;
  readonly address: bigint;
}

export class JobMemory {
  readonly words: Uint32Array;
  /** Outbound; verification; cipher alone. */
  readonly seal: Jobs;
  readonly check: Jobs;
  readonly open: Jobs;
  /** First word of the tags computed for verification, TAG_WORDS for each job. */
  readonly tags: number;
  /** Addresses of the key tables. */
  readonly sealKeys: number;
  readonly openKeys: number;
  /** Upper halves of addresses have to be written for each packet: arena or keys lie across a 4 GiB boundary. */
  readonly acrossBoundary: boolean;
  private readonly region: Region;

  constructor(
    private readonly arena: Arena,
    keys: Uint32Array,
  ) {
    const sas = keys.length / KEYS.WORDS;
    let bytes = 0;
    const take = (size: number) => {
      const at = bytes;
      bytes += Math.ceil(size / LINE) * LINE;
      return at;
    };
    const sealAt = take(sas * SEAL_STRIDE);
    const openAt = take(sas * OPEN_STRIDE);
    const jobsAt = [0, 1, 2].map(() => take(MAX_BURST * JOB_WORDS * 4));
    const tagsAt = take(MAX_BURST * TAG_STRIDE);
    this.region = mapRegion(bytes);
    const { address } = this.region;
    this.words = new Uint32Array(this.region.buffer);
    this.sealKeys = address + sealAt;
    this.openKeys = address + openAt;
    this.tags = tagsAt / 4;
    const [seal, check, open] = jobsAt.map((at) => ({ word: at / 4, address: BigInt(address + at) }));
    this.seal = seal!;
    this.check = check!;
    this.open = open!;
    const crosses = (from: number, size: number) => upper(from) !== upper(from + size - 1);
    this.acrossBoundary = crosses(arena.address, arena.u8.length) || crosses(address, bytes);

    this.writeKeys(keys, sas, sealAt, openAt);
    for (let k = 0; k < MAX_BURST; k++) {
      this.initialiseJob(this.seal.word + k * JOB_WORDS, ENCRYPT);
      this.initialiseJob(this.check.word + k * JOB_WORDS, ENCRYPT);
      this.initialiseJob(this.open.word + k * JOB_WORDS, DECRYPT);
      const tag = address + tagsAt + k * TAG_STRIDE;
      this.words[this.check.word + k * JOB_WORDS + JOB.TAG] = tag;
      this.words[this.check.word + k * JOB_WORDS + JOB.TAG + 1] = upper(tag);
    }
  }

  /** AES round keys as bytes in FIPS 197 order; HMAC states as native words. */
  private writeKeys(keys: Uint32Array, sas: number, seal: number, open: number): void {
    const view = new DataView(this.region.buffer);
    for (let sa = 0; sa < sas; sa++) {
      const from = sa * KEYS.WORDS;
      for (let k = 0; k < SCHEDULE_WORDS; k++) {
        view.setUint32(seal + sa * SEAL_STRIDE + 4 * k, keys[from + KEYS.ENCRYPT + k]!);
        view.setUint32(open + sa * OPEN_STRIDE + 4 * k, keys[from + KEYS.DECRYPT + k]!);
      }
      for (let k = 0; k < 2 * STATE_WORDS; k++) {
        view.setUint32(seal + sa * SEAL_STRIDE + INNER_AT + 4 * k, keys[from + KEYS.INNER + k]!, true);
      }
    }
  }

  /** What is the same for every packet. Offsets within a job are relative to the ESP header. */
  private initialiseJob(job: number, direction: number): void {
    const { words } = this;
    words[job + JOB.KEY_BYTES] = KEY_BYTES;
    words[job + JOB.CIPHER_OFFSET] = ESP.CIPHER;
    words[job + JOB.IV_BYTES] = ESP.BLOCK_BYTES;
    words[job + JOB.TAG_BYTES] = ESP.ICV_BYTES;
    words[job + JOB.MODE] = CBC;
    words[job + JOB.DIRECTION] = direction;
    words[job + JOB.HASH] = HMAC_SHA1;
    words[job + JOB.ORDER] = CIPHER_THEN_HASH;
    this.writeUpperHalves(job, this.arena.address, 0);
  }

  /** Upper halves of the addresses in a job: a slot or an SA's record of keys never lies across a 4 GiB boundary. */
  private writeUpperHalves(job: number, slotAddress: number, sa: number): void {
    const { words } = this;
    const packet = upper(slotAddress);
    const sealKey = upper(this.sealKeys + sa * SEAL_STRIDE);
    words[job + JOB.SRC + 1] = packet;
    words[job + JOB.DST + 1] = packet;
    words[job + JOB.IV + 1] = packet;
    words[job + JOB.ENC_KEYS + 1] = sealKey;
    words[job + JOB.INNER + 1] = sealKey;
    words[job + JOB.OUTER + 1] = sealKey;
    words[job + JOB.DEC_KEYS + 1] = upper(this.openKeys + sa * OPEN_STRIDE);
    // The tags of verification jobs do not go into the packet; their addresses never change.
    if (job < this.check.word) words[job + JOB.TAG + 1] = packet;
  }

  /**
   * What {@link initialiseJob} wrote for all packets holds for each only where neither arena nor keys cross a 4 GiB
   * boundary.
   */
  correctUpperHalves(jobs: number, slots: Uint32Array, from: number, n: number): void {
    const { arena } = this;
    for (let k = 0; k < n; k++) {
      const slot = slots[from + k]!;
      const sa = arena.params[slot * PARAM_WORDS + PARAM.TASK]! >>> SA_SHIFT;
      this.writeUpperHalves(jobs + k * JOB_WORDS, arena.address + slot * SLOT_SIZE, sa);
    }
  }

  /** Unmaps; keys do not stay in memory that goes back to the system. */
  free(): void {
    this.words.fill(0);
    unmapRegion(this.region);
  }
}

/** Upper half of an address, which is below 2^53. */
function upper(address: number): number {
  return Math.floor(address / U32);
}
