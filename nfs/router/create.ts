/** What a thread that routes needs of the router: no schema and no reader of route files. */
import type { CreateContext, Nf } from "../../runtime/chain/nf.js";
import { CpuRouter } from "./cpu.js";
import type { Fib } from "./fib.js";
import { RouterOffload } from "./gpu.js";

/** Everything a worker needs; the typed arrays are shared memory. */
export interface LoadedRouter {
  readonly fib: Fib;
  readonly rewrites: Uint32Array;
  readonly routes: { readonly loaded: number; readonly skipped_ipv6: number; readonly replaced: number };
  readonly nextHops: number;
  /** Ports that next hops are behind. */
  readonly ports: readonly number[];
}

export function create(loaded: LoadedRouter, context: CreateContext): Nf {
  const { arena, place } = context;
  const router = new CpuRouter(arena, loaded.fib, loaded.rewrites);
  return {
    engine: place === "gpu" ? "dir-24-8 kernel" : "dir-24-8",
    process: (batch) => router.process(batch),
    ...(place === "gpu" && { offload: new RouterOffload(arena, loaded.rewrites) }),
    stats: () => ({ routes: loaded.routes, next_hops: loaded.nextHops }),
  };
}
