/** The nids on a GPU: what its kernel (kernels/nids.*) reads, and what the CPU does before and after it. */
import { buildAutomaton } from "./mpse/ac-build.js";
import type { Pattern } from "./mpse/mpse.js";

/** The automaton: ... */
export function gpuTables(patterns: readonly Pattern[]): Uint32Array {
  return new Uint32Array(buildAutomaton(patterns).table);
}
