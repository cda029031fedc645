/** The search of the nids for gpu.js: Aho-Corasick over the tables of gpu-tables.ts, byte by byte; answers 1 where a pattern occurs. */
import type { GpuJsConstants, GpuJsProgram, GpuJsThread } from "../../runtime/device/gpujs/program.js";
import { EXACT } from "../../runtime/device/gpujs/program.js";
import { RunError } from "../../runtime/errors.js";

/** Words of the tables; see gpu-tables.ts. */
const ACCEPT = 0;
const TRANSITIONS = 1;
const CLASSES = 16;
/** A slot. */
const MOST = 2048;

interface Tables extends GpuJsThread {
  readonly constants: { readonly transitions: never; readonly classOf: never; readonly accept: never } & Record<
    string,
    never
  >;
}

export const gpujs: GpuJsProgram = {
  kernel(this: Tables, bytes: number[], entries: number[], stride: number): number {
    const length = entries[this.thread.x]!;
    const at = this.thread.x * stride;
    let state = 0;
    for (let i = 0; i < length; i++) {
      state = this.constants.transitions[state + this.constants.classOf[bytes[at + i]!]!]!;
    }
    let hit = 0;
    if (state === this.constants.accept[0]) hit = 1;
    return hit;
  },
  most: MOST,
  words: [],
  constants(table): GpuJsConstants {
    if (table.length === 0) {
      return { transitions: new Float32Array(1), classOf: new Float32Array(256), accept: new Float32Array(1) };
    }
    const accept = table[ACCEPT]!;
    const classOf = Float32Array.from(new Uint8Array(table.buffer, table.byteOffset + CLASSES * 4, 256));
    const entries = accept + 1 + classOf.reduce((most, one) => Math.max(most, one), 0);
    if (entries > EXACT) {
      const problem = `the automaton has ${entries} transitions; gpu.js counts exactly up to ${EXACT}`;
      throw new RunError(
        "nids on gpujs",
        problem,
        "load fewer rules, place the nids on the CPU, or use another --device",
      );
    }
    const first = table[TRANSITIONS]!;
    return {
      transitions: Float32Array.from(table.subarray(first, first + entries)),
      classOf,
      accept: Float32Array.of(accept),
    };
  },
};
