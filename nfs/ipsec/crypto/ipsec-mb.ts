/**
 * The back end on intel-ipsec-mb (libIPSec_MB.so.1, version 1.3): bursts of jobs that the library spreads over SIMD lanes.
 *
 * Jobs are built here, in memory of our own: a burst for the cipher and one for the hash over the same jobs. Structure layouts are those of
 * version 1.3; the version is checked and a known answer computed before the first packet.
 */
import koffi from "koffi";
import { RunError } from "../../../runtime/errors.js";
import { type Arena, PARAM_WORDS, SLOT_SHIFT, SLOT_SIZE } from "../../../runtime/packet/arena.js";
import { MAX_BATCH } from "../../../runtime/packet/batch.js";
import { mapRegion, type Region, unmapRegion } from "../../../runtime/packet/memory.js";
import { ESN_BIT, ESP, KEYS, OP, OP_MASK, PARAM, SA_SHIFT } from "../layout.js";
import { SCHEDULE_WORDS } from "./aes.js";
import type { EspCrypto } from "./esp-crypto.js";
import { STATE_WORDS } from "./sha1.js";

const VERSION = /^v?1\.3\.\d/;

/** Byte offsets of function pointers in IMB_MGR. */
const CIPHER_BURST = 992;
const HASH_BURST = 1008;
const MANAGER_BYTES = 1016;

/** IMB_JOB: 200 bytes. Offsets in u32 words. */
const JOB_WORDS = 50;
const JOB = {
  ENC_KEYS: 0,
  DEC_KEYS: 2,
  KEY_BYTES: 4,
  SRC: 6,
  DST: 8,
  CIPHER_OFFSET: 10,
  CIPHER_BYTES: 12,
  HASH_OFFSET: 14,
  HASH_BYTES: 16,
  IV: 18,
  IV_BYTES: 20,
  TAG: 22,
  TAG_BYTES: 24,
  INNER: 26,
  OUTER: 28,
  MODE: 33,
  DIRECTION: 34,
  HASH: 35,
  ORDER: 36,
} as const;
const CBC = 1;
const ENCRYPT = 1;
const DECRYPT = 2;
const HMAC_SHA1 = 1;
const CIPHER_THEN_HASH = 1;
const KEY_BYTES = 16;

/** IMB_MAX_BURST_SIZE */
const MAX_BURST = 128;
const U32 = 0x1_0000_0000;
/** Tags computed for verification. */
const TAG_STRIDE = 16;
/** Per SA: encryption keys (176 bytes), inner and outer HMAC state (20 each); decryption keys stand in a table of their own. */
const SEAL_STRIDE = 256;
const INNER_AT = 4 * SCHEDULE_WORDS;
const OUTER_AT = INNER_AT + 4 * STATE_WORDS;
const OPEN_STRIDE = 192;

// Imported bindings and properties of objects are looked up at each use by V8 11; constants of this module are part of the compiled code.
const SHIFT = SLOT_SHIFT;
const PARAMS = PARAM_WORDS;
const { SEAL, VERIFY } = OP;
const { TASK, PLACE, SEQ_HIGH, VERDICT } = PARAM;
const OPS = OP_MASK;
const ESN = ESN_BIT;
const TO_SA = SA_SHIFT;
const { ENC_KEYS, DEC_KEYS, SRC, DST, CIPHER_BYTES, HASH_BYTES, IV, TAG, INNER, OUTER } = JOB;
const { CIPHER: CIPHER_AT, IV: IV_AT } = ESP;

type CipherBurst = (
  manager: unknown,
  jobs: bigint,
  n: number,
  mode: number,
  direction: number,
  keyBytes: number,
) => number;
type HashBurst = (manager: unknown, jobs: bigint, n: number, hash: number) => number;

interface Library {
  readonly version: string;
  allocate(flags: bigint): unknown;
  initialise(manager: unknown, arch: null): void;
  release(manager: unknown): void;
}

const cipherBurstType = koffi.proto(
  "uint32_t imb_cipher_burst(void *mgr, void *jobs, uint32_t n, int mode, int dir, int key)",
);
const hashBurstType = koffi.proto("uint32_t imb_hash_burst(void *mgr, void *jobs, uint32_t n, int hash)");

/** @returns the library, or why it cannot be used */
export function loadIpsecMb(): Library | string {
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load("libIPSec_MB.so.1");
  } catch {
    return "libIPSec_MB.so.1 is not installed";
  }
  const version = String(library.func("const char *imb_get_version_str(void)")()).replace(/^v/, "");
  if (!VERSION.test(version)) return `libIPSec_MB.so.1 is version ${version}, layouts are known for 1.3`;
  return {
    version,
    allocate: library.func("void *alloc_mb_mgr(uint64_t flags)"),
    initialise: library.func("void init_mb_mgr_auto(void *mgr, void *arch)"),
    release: library.func("void free_mb_mgr(void *mgr)"),
  };
}

export class IpsecMbCrypto implements EspCrypto {
  readonly engine: string;
  private readonly manager: unknown;
  private readonly cipherBurst: CipherBurst;
  private readonly hashBurst: HashBurst;
  private readonly region: Region;
  private readonly words: Uint32Array;
  /** Addresses. */
  private readonly sealKeys: number;
  private readonly openKeys: number;
  private readonly tags: number;
  /** First words of the job arrays, and their addresses. */
  private readonly sealJobs: number;
  private readonly checkJobs: number;
  private readonly openJobs: number;
  private readonly sealJobsAt: bigint;
  private readonly checkJobsAt: bigint;
  private readonly openJobsAt: bigint;
  /** Lower halves of addresses: of slot 0, and of the first SA's encryption keys. */
  private readonly arenaLow: number;
  private readonly keysLow: number;
  private readonly acrossBoundary: boolean;
  private readonly toSeal = new Uint32Array(MAX_BATCH);
  private readonly toCheck = new Uint32Array(MAX_BATCH);
  /** The first ICV word of each packet in the verification burst: the high sequence number may lie over it meanwhile. */
  private readonly covered = new Int32Array(MAX_BURST);

  constructor(
    private readonly library: Library,
    private readonly arena: Arena,
    keys: Uint32Array,
  ) {
    this.engine = `ipsec-mb ${library.version}`;
    const manager = library.allocate(0n);
    if (manager === null) throw new RunError("ipsec", "alloc_mb_mgr failed: out of memory");
    this.manager = manager;
    library.initialise(manager, null);
    const pointers = new BigUint64Array(koffi.view(manager, MANAGER_BYTES));
    this.cipherBurst = koffi.decode(pointers[CIPHER_BURST / 8]!, cipherBurstType) as CipherBurst;
    this.hashBurst = koffi.decode(pointers[HASH_BURST / 8]!, hashBurstType) as HashBurst;

    const sas = keys.length / KEYS.WORDS;
    let bytes = 0;
    const take = (size: number) => {
      const at = bytes;
      bytes += Math.ceil(size / 64) * 64;
      return at;
    };
    const seal = take(sas * SEAL_STRIDE);
    const open = take(sas * OPEN_STRIDE);
    const jobs = [
      take(MAX_BURST * JOB_WORDS * 4),
      take(MAX_BURST * JOB_WORDS * 4),
      take(MAX_BURST * JOB_WORDS * 4),
    ] as const;
    const tags = take(MAX_BURST * TAG_STRIDE);
    this.region = mapRegion(bytes);
    this.words = new Uint32Array(this.region.buffer);
    const { address } = this.region;
    this.sealKeys = address + seal;
    this.openKeys = address + open;
    this.tags = address + tags;
    [this.sealJobs, this.checkJobs, this.openJobs] = jobs.map((at) => at / 4) as [number, number, number];
    [this.sealJobsAt, this.checkJobsAt, this.openJobsAt] = jobs.map((at) => BigInt(address + at)) as [
      bigint,
      bigint,
      bigint,
    ];
    this.writeKeys(keys, sas, seal, open);
    this.arenaLow = arena.address | 0;
    this.keysLow = this.sealKeys | 0;
    for (let k = 0; k < MAX_BURST; k++) {
      this.initialiseJob(this.sealJobs + k * JOB_WORDS, ENCRYPT);
      this.initialiseJob(this.checkJobs + k * JOB_WORDS, ENCRYPT);
      this.initialiseJob(this.openJobs + k * JOB_WORDS, DECRYPT);
      this.words[this.checkJobs + k * JOB_WORDS + TAG] = this.tags + k * TAG_STRIDE;
      this.words[this.checkJobs + k * JOB_WORDS + TAG + 1] = this.upper(this.tags + k * TAG_STRIDE);
    }
    const crosses = (from: number, size: number) => this.upper(from) !== this.upper(from + size - 1);
    this.acrossBoundary = crosses(arena.address, arena.u8.length) || crosses(address, bytes);
  }

  /** Upper half of an address, which is below 2^53. */
  private upper(address: number): number {
    return Math.floor(address / U32);
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
    const packet = this.upper(slotAddress);
    const sealKey = this.upper(this.sealKeys + sa * SEAL_STRIDE);
    words[job + SRC + 1] = packet;
    words[job + DST + 1] = packet;
    words[job + IV + 1] = packet;
    words[job + ENC_KEYS + 1] = sealKey;
    words[job + INNER + 1] = sealKey;
    words[job + OUTER + 1] = sealKey;
    words[job + DEC_KEYS + 1] = this.upper(this.openKeys + sa * OPEN_STRIDE);
    // The tags of verification jobs do not go into the packet; their addresses never change.
    if (job < this.checkJobs) words[job + TAG + 1] = packet;
  }

  /** What {@link initialiseJob} wrote for all packets holds for each only where neither arena nor keys cross a 4 GiB boundary. */
  private correctUpperHalves(jobs: number, slots: Uint32Array, from: number, n: number): void {
    const { arena } = this;
    for (let k = 0; k < n; k++) {
      const slot = slots[from + k]!;
      const sa = arena.params[slot * PARAMS + TASK]! >>> TO_SA;
      this.writeUpperHalves(jobs + k * JOB_WORDS, arena.address + slot * SLOT_SIZE, sa);
    }
  }

  transform(slots: Uint32Array, count: number): void {
    const { params } = this.arena;
    const { toSeal, toCheck } = this;
    let seals = 0;
    let checks = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const op = params[slot * PARAMS + TASK]! & OPS;
      if (op === SEAL) toSeal[seals++] = slot;
      else if (op === VERIFY) toCheck[checks++] = slot;
    }
    for (let from = 0; from < seals; from += MAX_BURST) this.seal(from, Math.min(seals - from, MAX_BURST));
    for (let from = 0; from < checks; from += MAX_BURST) this.check(from, Math.min(checks - from, MAX_BURST));
  }

  /** Jobs for toSeal[from, from + n). */
  private buildSeals(from: number, n: number): void {
    const { words, toSeal, sealJobs, arenaLow, keysLow } = this;
    const { params, view } = this.arena;
    for (let k = 0; k < n; k++) {
      const slot = toSeal[from + k]!;
      const p = slot * PARAMS;
      const job = sealJobs + k * JOB_WORDS;
      const task = params[p + TASK]!;
      const place = params[p + PLACE]!;
      const esp = (slot << SHIFT) + (place & 0xffff);
      const cipherBytes = place >>> 16;
      const icv = CIPHER_AT + cipherBytes;
      let covered = icv;
      if ((task & ESN) !== 0) {
        // Goes where the ICV will be, which the library writes after it has read everything.
        view.setInt32(esp + icv, params[p + SEQ_HIGH]! | 0);
        covered += 4;
      }
      const low = (arenaLow + esp) | 0;
      const key = (keysLow + (task >>> TO_SA) * SEAL_STRIDE) | 0;
      words[job + ENC_KEYS] = key;
      words[job + SRC] = low;
      words[job + DST] = low + CIPHER_AT;
      words[job + CIPHER_BYTES] = cipherBytes;
      words[job + HASH_BYTES] = covered;
      words[job + IV] = low + IV_AT;
      words[job + TAG] = low + icv;
      words[job + INNER] = key + INNER_AT;
      words[job + OUTER] = key + OUTER_AT;
    }
    if (this.acrossBoundary) this.correctUpperHalves(sealJobs, toSeal, from, n);
  }

  private seal(from: number, n: number): void {
    this.buildSeals(from, n);
    completed(this.cipherBurst(this.manager, this.sealJobsAt, n, CBC, ENCRYPT, KEY_BYTES), n);
    completed(this.hashBurst(this.manager, this.sealJobsAt, n, HMAC_SHA1), n);
  }

  private buildChecks(from: number, n: number): void {
    const { words, toCheck, covered, checkJobs, arenaLow, keysLow } = this;
    const { params, view } = this.arena;
    for (let k = 0; k < n; k++) {
      const slot = toCheck[from + k]!;
      const p = slot * PARAMS;
      const job = checkJobs + k * JOB_WORDS;
      const task = params[p + TASK]!;
      const place = params[p + PLACE]!;
      const esp = (slot << SHIFT) + (place & 0xffff);
      const key = (keysLow + (task >>> TO_SA) * SEAL_STRIDE) | 0;
      const icv = CIPHER_AT + (place >>> 16);
      let bytes = icv;
      covered[k] = view.getInt32(esp + icv, true);
      if ((task & ESN) !== 0) {
        view.setInt32(esp + icv, params[p + SEQ_HIGH]! | 0);
        bytes += 4;
      }
      words[job + SRC] = arenaLow + esp;
      words[job + HASH_BYTES] = bytes;
      words[job + INNER] = key + INNER_AT;
      words[job + OUTER] = key + OUTER_AT;
    }
    if (this.acrossBoundary) this.correctUpperHalves(checkJobs, toCheck, from, n);
  }

  /** Computes the tags and compares them, all three words whatever the first says. */
  private check(from: number, n: number): void {
    this.buildChecks(from, n);
    completed(this.hashBurst(this.manager, this.checkJobsAt, n, HMAC_SHA1), n);
    const { words, toCheck, covered } = this;
    const { params, view } = this.arena;
    const tags = (this.tags - this.region.address) / 4;
    for (let k = 0; k < n; k++) {
      const slot = toCheck[from + k]!;
      const p = slot * PARAMS;
      const place = params[p + PLACE]!;
      const icv = (slot << SHIFT) + (place & 0xffff) + CIPHER_AT + (place >>> 16);
      const tag = tags + (k * TAG_STRIDE) / 4;
      if ((params[p + TASK]! & ESN) !== 0) view.setInt32(icv, covered[k]!, true);
      const differs =
        (words[tag]! ^ covered[k]!) |
        (words[tag + 1]! ^ view.getInt32(icv + 4, true)) |
        (words[tag + 2]! ^ view.getInt32(icv + 8, true));
      params[p + VERDICT] = differs === 0 ? 1 : 0;
    }
  }

  decrypt(slots: Uint32Array, count: number): void {
    const keysLow = this.openKeys | 0;
    for (let from = 0; from < count; from += MAX_BURST) {
      const n = Math.min(count - from, MAX_BURST);
      this.buildCiphers(this.openJobs, slots, from, n, DEC_KEYS, keysLow, OPEN_STRIDE);
      completed(this.cipherBurst(this.manager, this.openJobsAt, n, CBC, DECRYPT, KEY_BYTES), n);
    }
  }

  encrypt(slots: Uint32Array, count: number): void {
    for (let from = 0; from < count; from += MAX_BURST) {
      const n = Math.min(count - from, MAX_BURST);
      this.buildCiphers(this.sealJobs, slots, from, n, ENC_KEYS, this.keysLow, SEAL_STRIDE);
      completed(this.cipherBurst(this.manager, this.sealJobsAt, n, CBC, ENCRYPT, KEY_BYTES), n);
    }
  }

  /** Jobs of the cipher alone, with the key table that begins at `keysLow`. */
  private buildCiphers(
    jobs: number,
    slots: Uint32Array,
    from: number,
    n: number,
    keyField: number,
    keysLow: number,
    stride: number,
  ): void {
    const { words, arenaLow } = this;
    const { params } = this.arena;
    for (let k = 0; k < n; k++) {
      const slot = slots[from + k]!;
      const p = slot * PARAMS;
      const job = jobs + k * JOB_WORDS;
      const place = params[p + PLACE]!;
      const src = (arenaLow + (slot << SHIFT) + (place & 0xffff)) | 0;
      words[job + keyField] = keysLow + (params[p + TASK]! >>> TO_SA) * stride;
      words[job + SRC] = src;
      words[job + DST] = src + CIPHER_AT;
      words[job + CIPHER_BYTES] = place >>> 16;
      words[job + IV] = src + IV_AT;
    }
    if (this.acrossBoundary) this.correctUpperHalves(jobs, slots, from, n);
  }

  close(): void {
    this.library.release(this.manager);
    // Keys do not stay in memory that goes back to the system.
    this.words.fill(0);
    unmapRegion(this.region);
  }
}

function completed(done: number, expected: number): void {
  if (done !== expected) {
    throw new RunError(
      "ipsec",
      `intel-ipsec-mb finished ${done} of ${expected} jobs`,
      "run with the portable back end",
    );
  }
}
