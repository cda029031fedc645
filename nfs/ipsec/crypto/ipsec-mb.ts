/**
 * The back end on intel-ipsec-mb (libIPSec_MB.so.1, version 1.3): bursts of jobs that the library spreads over SIMD
 * lanes.
 *
 * Jobs are built here, in memory of our own: a burst for the cipher and one for the hash over the same jobs. Structure
 * layouts are those of version 1.3; the version is checked and a known answer computed before the first packet.
 */
import { type Arena, PARAM_WORDS, SLOT_SHIFT } from "../../../runtime/packet/arena.js";
import { MAX_BATCH } from "../../../runtime/packet/batch.js";
import { ESN_BIT, ESP, OP, OP_MASK, PARAM, SA_SHIFT } from "../layout.js";
import type { EspCrypto } from "./esp-crypto.js";
import {
  CBC,
  completed,
  createManager,
  DECRYPT,
  ENCRYPT,
  HMAC_SHA1,
  JOB,
  JOB_WORDS,
  KEY_BYTES,
  type Library,
  MAX_BURST,
  type Manager,
} from "./ipsec-mb-library.js";
import { INNER_AT, JobMemory, OPEN_STRIDE, OUTER_AT, SEAL_STRIDE, TAG_WORDS } from "./ipsec-mb-memory.js";

// Imported bindings and properties of objects are looked up at each use by V8 11; constants of this module are part of
// the compiled code.
const SHIFT = SLOT_SHIFT;
const PARAMS = PARAM_WORDS;
const { SEAL, VERIFY } = OP;
const { TASK, PLACE, SEQ_HIGH, VERDICT } = PARAM;
const OPS = OP_MASK;
const ESN = ESN_BIT;
const TO_SA = SA_SHIFT;
const { ENC_KEYS, DEC_KEYS, SRC, DST, CIPHER_BYTES, HASH_BYTES, IV, TAG, INNER, OUTER } = JOB;
const JOB_STRIDE = JOB_WORDS;
const KEY_STRIDE = SEAL_STRIDE;
const INNER_STATE = INNER_AT;
const OUTER_STATE = OUTER_AT;
const { CIPHER: CIPHER_AT, IV: IV_AT } = ESP;

export class IpsecMbCrypto implements EspCrypto {
  readonly engine: string;
  private readonly manager: Manager;
  private readonly memory: JobMemory;
  /** Lower halves of addresses: of slot 0, and of the first SA's encryption keys. */
  private readonly arenaLow: number;
  private readonly keysLow: number;
  private readonly toSeal = new Uint32Array(MAX_BATCH);
  private readonly toCheck = new Uint32Array(MAX_BATCH);
  /**
   * The first ICV word of each packet in the verification burst: the high sequence number may lie over it meanwhile.
   */
  private readonly covered = new Int32Array(MAX_BURST);

  constructor(
    private readonly library: Library,
    private readonly arena: Arena,
    keys: Uint32Array,
  ) {
    this.engine = `ipsec-mb ${library.version}`;
    this.manager = createManager(library);
    this.memory = new JobMemory(arena, keys);
    this.arenaLow = arena.address | 0;
    this.keysLow = this.memory.sealKeys | 0;
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
    const { toSeal, arenaLow, keysLow } = this;
    const { words } = this.memory;
    const first = this.memory.seal.word;
    const { params, view } = this.arena;
    for (let k = 0; k < n; k++) {
      const slot = toSeal[from + k]!;
      const p = slot * PARAMS;
      const job = first + k * JOB_STRIDE;
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
      const key = (keysLow + (task >>> TO_SA) * KEY_STRIDE) | 0;
      words[job + ENC_KEYS] = key;
      words[job + SRC] = low;
      words[job + DST] = low + CIPHER_AT;
      words[job + CIPHER_BYTES] = cipherBytes;
      words[job + HASH_BYTES] = covered;
      words[job + IV] = low + IV_AT;
      words[job + TAG] = low + icv;
      words[job + INNER] = key + INNER_STATE;
      words[job + OUTER] = key + OUTER_STATE;
    }
    if (this.memory.acrossBoundary) this.memory.correctUpperHalves(first, toSeal, from, n);
  }

  private seal(from: number, n: number): void {
    this.buildSeals(from, n);
    this.cipher(this.memory.seal.address, n, ENCRYPT);
    this.hash(this.memory.seal.address, n);
  }

  private buildChecks(from: number, n: number): void {
    const { toCheck, covered, arenaLow, keysLow } = this;
    const { words } = this.memory;
    const first = this.memory.check.word;
    const { params, view } = this.arena;
    for (let k = 0; k < n; k++) {
      const slot = toCheck[from + k]!;
      const p = slot * PARAMS;
      const job = first + k * JOB_STRIDE;
      const task = params[p + TASK]!;
      const place = params[p + PLACE]!;
      const esp = (slot << SHIFT) + (place & 0xffff);
      const key = (keysLow + (task >>> TO_SA) * KEY_STRIDE) | 0;
      const icv = CIPHER_AT + (place >>> 16);
      let bytes = icv;
      covered[k] = view.getInt32(esp + icv, true);
      if ((task & ESN) !== 0) {
        view.setInt32(esp + icv, params[p + SEQ_HIGH]! | 0);
        bytes += 4;
      }
      words[job + SRC] = arenaLow + esp;
      words[job + HASH_BYTES] = bytes;
      words[job + INNER] = key + INNER_STATE;
      words[job + OUTER] = key + OUTER_STATE;
    }
    if (this.memory.acrossBoundary) this.memory.correctUpperHalves(first, toCheck, from, n);
  }

  /** Computes the tags and compares them, all three words whatever the first says. */
  private check(from: number, n: number): void {
    this.buildChecks(from, n);
    this.hash(this.memory.check.address, n);
    const { toCheck, covered } = this;
    const { words, tags } = this.memory;
    const { params, view } = this.arena;
    for (let k = 0; k < n; k++) {
      const slot = toCheck[from + k]!;
      const p = slot * PARAMS;
      const place = params[p + PLACE]!;
      const icv = (slot << SHIFT) + (place & 0xffff) + CIPHER_AT + (place >>> 16);
      const tag = tags + k * TAG_WORDS;
      if ((params[p + TASK]! & ESN) !== 0) view.setInt32(icv, covered[k]!, true);
      const differs =
        (words[tag]! ^ covered[k]!) |
        (words[tag + 1]! ^ view.getInt32(icv + 4, true)) |
        (words[tag + 2]! ^ view.getInt32(icv + 8, true));
      params[p + VERDICT] = differs === 0 ? 1 : 0;
    }
  }

  decrypt(slots: Uint32Array, count: number): void {
    const keysLow = this.memory.openKeys | 0;
    for (let from = 0; from < count; from += MAX_BURST) {
      const n = Math.min(count - from, MAX_BURST);
      this.buildCiphers(this.memory.open.word, slots, from, n, DEC_KEYS, keysLow, OPEN_STRIDE);
      this.cipher(this.memory.open.address, n, DECRYPT);
    }
  }

  encrypt(slots: Uint32Array, count: number): void {
    for (let from = 0; from < count; from += MAX_BURST) {
      const n = Math.min(count - from, MAX_BURST);
      this.buildCiphers(this.memory.seal.word, slots, from, n, ENC_KEYS, this.keysLow, SEAL_STRIDE);
      this.cipher(this.memory.seal.address, n, ENCRYPT);
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
    const { arenaLow } = this;
    const { words } = this.memory;
    const { params } = this.arena;
    for (let k = 0; k < n; k++) {
      const slot = slots[from + k]!;
      const p = slot * PARAMS;
      const job = jobs + k * JOB_STRIDE;
      const place = params[p + PLACE]!;
      const src = (arenaLow + (slot << SHIFT) + (place & 0xffff)) | 0;
      words[job + keyField] = keysLow + (params[p + TASK]! >>> TO_SA) * stride;
      words[job + SRC] = src;
      words[job + DST] = src + CIPHER_AT;
      words[job + CIPHER_BYTES] = place >>> 16;
      words[job + IV] = src + IV_AT;
    }
    if (this.memory.acrossBoundary) this.memory.correctUpperHalves(jobs, slots, from, n);
  }

  private cipher(jobs: bigint, n: number, direction: number): void {
    completed(this.manager.cipherBurst(this.manager.pointer, jobs, n, CBC, direction, KEY_BYTES), n);
  }

  private hash(jobs: bigint, n: number): void {
    completed(this.manager.hashBurst(this.manager.pointer, jobs, n, HMAC_SHA1), n);
  }

  close(): void {
    this.library.release(this.manager.pointer);
    this.memory.free();
  }
}
