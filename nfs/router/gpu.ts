/** The router on a GPU: what its kernel (kernels/router.*) reads, and what the CPU does before and after it. */
import type { Fib } from "./fib.js";

/** tbl24 (2^24 u16), then tbl8, both as the CPU has them. */
export function gpuTables({ tbl24, tbl8 }: Fib): Uint32Array {
  const tables = new Uint16Array(tbl24.length + tbl8.length);
  tables.set(tbl24);
  tables.set(tbl8, tbl24.length);
  return new Uint32Array(tables.buffer);
}
