/**
 * libIPSec_MB.so.1 (intel-ipsec-mb), version 1.3: how to find it, what it is called by, and the layout of its
 * structures. Source: intel-ipsec-mb.h of version 1.3.0.
 */
import koffi from "koffi";
import { RunError } from "../../../runtime/errors.js";
import { findLibrary } from "../../../runtime/native/library-path.js";

const VERSION = /^v?1\.3\.\d/;

/** Byte offsets of function pointers in IMB_MGR. */
const CIPHER_BURST = 992;
const HASH_BURST = 1008;
const MANAGER_BYTES = 1016;

/** IMB_JOB: 200 bytes. Offsets in u32 words. */
export const JOB_WORDS = 50;
export const JOB = {
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
/** Values of its enumerations. */
export const CBC = 1;
export const ENCRYPT = 1;
export const DECRYPT = 2;
export const HMAC_SHA1 = 1;
export const CIPHER_THEN_HASH = 1;
export const KEY_BYTES = 16;

export type CipherBurst = (
  manager: unknown,
  jobs: bigint,
  n: number,
  mode: number,
  direction: number,
  keyBytes: number,
) => number;
export type HashBurst = (manager: unknown, jobs: bigint, n: number, hash: number) => number;

export interface Library {
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
    library = koffi.load(findLibrary(["libIPSec_MB.so.1"]) ?? "libIPSec_MB.so.1");
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

/** An IMB_MGR and the two functions that are called through it. */
export interface Manager {
  readonly pointer: unknown;
  /** Encrypts or decrypts `n` jobs at address `jobs`; returns how many it finished. At most {@link MAX_BURST}. */
  readonly cipherBurst: CipherBurst;
  readonly hashBurst: HashBurst;
}

/** IMB_MAX_BURST_SIZE */
export const MAX_BURST = 128;

/** Allocates a manager for the instruction sets this processor has; the owner gives it back with `library.release`. */
export function createManager(library: Library): Manager {
  const pointer = library.allocate(0n);
  if (pointer === null) throw new RunError("ipsec", "alloc_mb_mgr failed: out of memory");
  library.initialise(pointer, null);
  const pointers = new BigUint64Array(koffi.view(pointer, MANAGER_BYTES));
  return {
    pointer,
    cipherBurst: koffi.decode(pointers[CIPHER_BURST / 8]!, cipherBurstType) as CipherBurst,
    hashBurst: koffi.decode(pointers[HASH_BURST / 8]!, hashBurstType) as HashBurst,
  };
}

/** @throws RunError where the library did less than it was given */
export function completed(done: number, expected: number): void {
  if (done !== expected) {
    throw new RunError(
      "ipsec",
      `intel-ipsec-mb finished ${done} of ${expected} jobs`,
      "run with the portable back end",
    );
  }
}
