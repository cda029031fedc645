/** The router's kernel for gpu.js: DIR-24-8 by 16-bit entries as the CPU has them; the destination comes in halves of 16 bits. */
import type { GpuJsProgram, GpuJsThread } from "../../runtime/device/gpujs/program.js";

/** Word of the params with the destination; see gpu.ts. */
const DESTINATION = 1;
const TBL24 = 2 ** 24;
const GROUP_BIT = 0x8000;
const GROUP_SIZE = 256;

interface Tables extends GpuJsThread {
  readonly constants: { readonly tbl24: never; readonly tbl8: never } & Record<string, never>;
}

export const gpujs: GpuJsProgram = {
  /**
   * Numbers stay below 2^24 at every step: 16 bits of the destination, times 256, and 8 more; a group, times 256, and 8 more. A division need
   * not be exact on a GPU (WGSL: 2.5 ULP); times 1/256 is.
   */
  kernel(this: Tables, _bytes: number[], entries: number[], _stride: number): number {
    const upper = entries[this.thread.x * 3 + 1]!;
    const lower = entries[this.thread.x * 3 + 2]!;
    const third = Math.floor(lower * 0.00390625);
    let hop: number = this.constants.tbl24[upper * 256 + third]!;
    if (hop >= 32768) {
      hop = this.constants.tbl8[(hop - 32768) * 256 + (lower - third * 256)]!;
    }
    return hop;
  },
  most: 0,
  words: [DESTINATION],
  constants(table) {
    const entries = new Uint16Array(table.buffer, table.byteOffset, table.length * 2);
    if (entries.length === 0) return { tbl24: new Float32Array(1), tbl8: new Float32Array(1) };
    const tbl24 = Float32Array.from(entries.subarray(0, TBL24));
    let groups = 1;
    for (let i = 0; i < TBL24; i++) {
      const entry = entries[i]!;
      if ((entry & GROUP_BIT) !== 0 && (entry & ~GROUP_BIT) >= groups) groups = (entry & ~GROUP_BIT) + 1;
    }
    return { tbl24, tbl8: Float32Array.from(entries.subarray(TBL24, TBL24 + groups * GROUP_SIZE)) };
  },
};
