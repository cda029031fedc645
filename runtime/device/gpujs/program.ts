/**
 * A kernel for gpu.js: a function of JavaScript that gpu.js compiles for its modes, found by name: nfs/<program>/gpujs.ts exports `gpujs`.
 *
 * gpu.js knows f32 and nothing else: whole numbers are exact up to 2^24, and a thread answers with one number. So a packet's bytes come
 * one to a number, u32 words in halves of 16 bits, and tables as numbers below 2^24. The answer becomes params[0]; a kernel that has to write
 * packets, or more than that, cannot be one (ipsec). It is a function (bytes, entries, stride) of this.thread.x = t:
 *
 * ```
 *   bytes[t * stride + i]              byte i of what PLACE names, i below `most`; where `pads`, 0 behind its end, and NaN at `most`
 *   entries[t * width]                 bytes PLACE names, at most `most`; -1: no packet, and the answer is not looked at
 *   entries[t * width + 1 + 2 * k]     upper half of the params' word words[k]
 *   entries[t * width + 2 + 2 * k]     its lower half; width is 1 + 2 * words.length
 *   this.constants                     the tables
 * ```
 */
import { existsSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { importNf } from "../../chain/modules.js";
import { RunError } from "../../errors.js";

/** `this` of a kernel. */
export interface GpuJsThread {
  readonly thread: { readonly x: number };
  readonly constants: Record<string, never>;
}

export type GpuJsConstants = Record<string, Float32Array | number>;

export interface GpuJsProgram {
  /** The function or, where it was put together, its text. */
  readonly kernel: string | ((this: never, bytes: number[], entries: number[], stride: number) => number);
  /** Bytes of a packet it looks at, at most; 0: none. */
  readonly most: number;
  readonly pads?: boolean;
  readonly words: readonly number[];
  /**
   * The tables as gpu.js takes them.
   * @param table words of the tables' memory from the NF's first on; empty when it is only tried whether the kernel compiles
   * @throws RunError where they hold numbers of 2^24 or more
   */
  constants(table: Uint32Array): GpuJsConstants;
  /** Where it was written, for messages about it. */
  readonly where?: string;
}

/** Whole numbers below this are exact. */
export const EXACT = 2 ** 24;

const NFS = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "nfs");

function fileOf(program: string): string {
  return join(NFS, program, "gpujs.js");
}

/** True where there is a kernel of this name for gpu.js, or the program is a user's module. */
export function hasGpuJs(program: string): boolean {
  return isAbsolute(program) || existsSync(fileOf(program));
}

/** @param program name of a kernel, or the absolute path of a user's module */
export async function importGpuJs(program: string): Promise<GpuJsProgram> {
  if (isAbsolute(program)) {
    const { gpu } = await importNf(program, program);
    if (gpu?.plain !== undefined) return gpu.plain as GpuJsProgram;
  } else if (existsSync(fileOf(program))) {
    return ((await import(pathToFileURL(fileOf(program)).href)) as { gpujs: GpuJsProgram }).gpujs;
  }
  throw new RunError(
    "gpujs",
    `there is no kernel ${program} for gpu.js`,
    "place the NF on the CPU, or use another --device",
  );
}
