/**
 * libhs (Hyperscan, or Vectorscan under the same name) through koffi: version probe, compilation, scratch.
 *
 * Functions and constants as in hs_compile.h and hs_runtime.h of Hyperscan 5.4.
 */
import koffi from "koffi";
import { RunError } from "../../../runtime/errors.js";
import { findLibrary } from "../../../runtime/native/library-path.js";
import { mapRegion, unmapRegion } from "../../../runtime/packet/memory.js";
import type { Pattern } from "./mpse.js";

export const HS_SUCCESS = 0;
/** hs_scan returns it where the callback asked it to stop. */
export const HS_SCAN_TERMINATED = -3;
export const HS_FLAG_CASELESS = 1;
/** Reports each pattern once per scan at most. */
export const HS_FLAG_SINGLEMATCH = 8;
const HS_MODE_BLOCK = 1;

/** int onEvent(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context); non-zero stops. */
const MatchHandler = koffi.proto(
  "int WingbeatHsMatch(uint32_t id, uint64_t from, uint64_t to, uint32_t flags, void *context)",
);
export type MatchHandler = (id: number, from: number, to: number) => number;

type Native = (...args: unknown[]) => unknown;

export interface HyperscanLibrary {
  /** "5.4.0" */
  readonly version: string;
  readonly compileLitMulti: Native;
  readonly freeCompileError: Native;
  readonly allocScratch: Native;
  readonly freeScratch: Native;
  readonly freeDatabase: Native;
  /** hs_scan(database, data, length, flags, scratch, onEvent, context) -> status */
  readonly scan: (
    db: bigint,
    at: number,
    length: number,
    flags: 0,
    scratch: bigint,
    onEvent: bigint,
    context: null,
  ) => number;
}

/** Debian's libhyperscan5 and libvectorscan5 both ship this name. */
const LIBRARY = "libhs.so.5";
let loaded: HyperscanLibrary | string | undefined;

/** The library, or in one sentence why it cannot be used. Loaded once per thread. */
export function loadHyperscan(): HyperscanLibrary | string {
  loaded ??= probe();
  return loaded;
}

function probe(): HyperscanLibrary | string {
  try {
    // By path where the set-up put it into the cache folder; by name where the loader knows better than we do.
    const hs = koffi.load(findLibrary([LIBRARY]) ?? LIBRARY);
    if ((hs.func("int hs_valid_platform()")() as number) !== HS_SUCCESS) {
      return `${LIBRARY} does not run on this processor (hs_valid_platform; Hyperscan needs SSSE3)`;
    }
    const version = (hs.func("const char *hs_version()")() as string).split(" ")[0]!;
    return {
      version,
      compileLitMulti: hs.func(
        "int hs_compile_lit_multi(uint64_t expressions, uint64_t flags, uint64_t ids, uint64_t lens, uint32_t n, uint32_t mode, void *platform, _Out_ void **db, _Out_ void **error)",
      ) as Native,
      freeCompileError: hs.func("int hs_free_compile_error(void *error)") as Native,
      allocScratch: hs.func("int hs_alloc_scratch(void *db, _Inout_ void **scratch)") as Native,
      freeScratch: hs.func("int hs_free_scratch(void *scratch)") as Native,
      freeDatabase: hs.func("int hs_free_database(void *db)") as Native,
      scan: hs.func(
        "int hs_scan(void *db, uint64_t data, uint32_t length, uint32_t flags, void *scratch, void *onEvent, void *context)",
      ) as HyperscanLibrary["scan"],
    };
  } catch (error) {
    return `${LIBRARY} cannot be loaded (${(error as Error).message.split("\n")[0]})`;
  }
}

/** Throws where a call of the library failed. */
export function check(status: number, call: string): void {
  if (status !== HS_SUCCESS) {
    throw new RunError(
      "nids: hyperscan",
      `${call} returned ${status}`,
      'use "engine": "aho-corasick", or reinstall libhyperscan5',
    );
  }
}

/** A JavaScript function as a native match handler; give it to koffi.unregister when no scan will call it any more. */
export function registerHandler(handler: MatchHandler): bigint {
  return koffi.register(handler, koffi.pointer(MatchHandler)) as unknown as bigint;
}

export function unregisterHandler(handler: bigint): void {
  koffi.unregister(handler as never);
}

/**
 * libc's abs as a match handler: it returns the match id, which is never 0 (see {@link compile}), and so stops the scan at the first
 * match without entering JavaScript.
 */
export function nativeAbs(): bigint {
  const dlsym = koffi.load("libc.so.6").func("void *dlsym(void *handle, const char *name)");
  return dlsym(null, "abs") as bigint;
}

/** Compiles patterns to a block-mode database; the match id of pattern i is i + 1, so that it is never 0. */
export function compile(hs: HyperscanLibrary, patterns: readonly Pattern[], extraFlags: number): bigint {
  const n = patterns.length;
  const total = patterns.reduce((sum, { bytes }) => sum + bytes.length, 0);
  // Pointers, lengths (size_t), ids, flags, then the bytes: the library copies what it keeps.
  const region = mapRegion(24 * n + total);
  try {
    const words = new BigUint64Array(region.buffer, 0, 2 * n);
    const ids = new Uint32Array(region.buffer, 16 * n, n);
    const flags = new Uint32Array(region.buffer, 20 * n, n);
    const bytes = new Uint8Array(region.buffer, 24 * n, total);
    let at = 0;
    patterns.forEach((pattern, i) => {
      words[i] = BigInt(region.address + 24 * n + at);
      words[n + i] = BigInt(pattern.bytes.length);
      ids[i] = i + 1;
      flags[i] = (pattern.nocase ? HS_FLAG_CASELESS : 0) | extraFlags;
      bytes.set(pattern.bytes, at);
      at += pattern.bytes.length;
    });
    const { address } = region;
    const db: [bigint | null] = [null];
    const error: [bigint | null] = [null];
    const status = hs.compileLitMulti(
      address,
      address + 20 * n,
      address + 16 * n,
      address + 8 * n,
      n,
      HS_MODE_BLOCK,
      null,
      db,
      error,
    ) as number;
    if (status !== HS_SUCCESS) {
      // hs_compile_error_t { char *message; int expression }
      const said = error[0] === null ? "" : (koffi.decode(error[0], "const char *") as string);
      if (error[0] !== null) hs.freeCompileError(error[0]);
      throw new RunError("nids: hyperscan", `cannot compile ${n} patterns: ${said}`, 'use "engine": "aho-corasick"');
    }
    return db[0]!;
  } finally {
    unmapRegion(region);
  }
}
