import { performance } from "node:perf_hooks";

/** The moment all threads of a run count from, as main took it: nanoseconds of the monotonic clock. */
export type Epoch = bigint;

export function takeEpoch(): Epoch {
  return process.hrtime.bigint();
}

/**
 * Nanoseconds since `epoch`, the same in every thread. `performance.now()` is the cheap clock of each thread but counts from the
 * thread's own start; the monotonic clock, which allocates a BigInt, is read once to tie the two together.
 */
export function clockSince(epoch: Epoch): () => number {
  const offset = Number(process.hrtime.bigint() - epoch) - performance.now() * 1e6;
  return () => performance.now() * 1e6 + offset;
}
