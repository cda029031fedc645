/**
 * Counters of a run in shared memory: each thread adds into a block of its own, the control plane sums the blocks whenever it likes.
 * A counter is a float64 (exact to 2^53), written by one thread only.
 */
import { SYNC_COUNTERS } from "../device/syncer.js";
import { OUTCOMES_PER_NF, type Plan } from "./plan.js";

/** Where each group of counters starts in a block. */
export interface CounterLayout {
  /** PORT_COUNTERS per port, by {@link PORT}. */
  readonly port: number;
  /** OUTCOMES_PER_NF per NF. */
  readonly outcome: number;
  /** One per NF: bytes of the frames it was given. */
  readonly nfBytes: number;
  /** One per drop reason of the plan. */
  readonly drop: number;
  readonly toKernel: number;
  /** Messages of our own; what they answer is a drop. */
  readonly originated: number;
  /** Packets that left by a port after one that had arrived later. */
  readonly reordered: number;
  /** Packets that left by a port after one of their own flow that had arrived later (flow-audit.ts). */
  readonly flowReordered: number;
  /** SYNC_COUNTERS of a CPUSyncer (device/syncer.ts). */
  readonly sync: number;
  /** One for each pair of NFs between which packets stay on the device, then one for what the device did in vain; none without. */
  readonly hops: number;
  readonly length: number;
}

/** Counters of a port, by the names of DPDK's rte_eth_stats. */
export const enum PORT {
  IPACKETS = 0,
  IBYTES = 1,
  OPACKETS = 2,
  OBYTES = 3,
  /** Packets that found the receive ring full. */
  IMISSED = 4,
  /** Packets that could not be received: longer than a slot. */
  IERRORS = 5,
  /** Packets that did not leave; they are drops, and not among OPACKETS. */
  OERRORS = 6,
}

export const PORT_COUNTERS = 7;

export function counterLayout(plan: Pick<Plan, "ports" | "nfs" | "drops" | "device">): CounterLayout {
  const port = 0;
  const outcome = port + plan.ports.length * PORT_COUNTERS;
  const nfBytes = outcome + plan.nfs.length * OUTCOMES_PER_NF;
  const drop = nfBytes + plan.nfs.length;
  const toKernel = drop + plan.drops.length;
  const originated = toKernel + 1;
  const reordered = originated + 1;
  const flowReordered = reordered + 1;
  const sync = flowReordered + 1;
  const hops = sync + SYNC_COUNTERS;
  const pairs = plan.device?.hops?.pairs.length;
  const length = hops + (pairs === undefined ? 0 : pairs + 1);
  return { port, outcome, nfBytes, drop, toKernel, originated, reordered, flowReordered, sync, hops, length };
}

const LINE_BYTES = 64;

function blockBytes(layout: CounterLayout): number {
  // A block ends on a cache line of its own, so that threads do not write into each other's lines.
  return Math.ceil((layout.length * 8) / LINE_BYTES) * LINE_BYTES;
}

export function counterMemory(layout: CounterLayout, threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer(blockBytes(layout) * threads);
}

export function counterBlock(memory: SharedArrayBuffer, layout: CounterLayout, thread: number): Float64Array {
  return new Float64Array(memory, blockBytes(layout) * thread, layout.length);
}

/** The sum over all threads. */
export function sumCounters(memory: SharedArrayBuffer, layout: CounterLayout): Float64Array {
  const sum = new Float64Array(layout.length);
  const threads = memory.byteLength / blockBytes(layout);
  for (let t = 0; t < threads; t++) {
    const block = counterBlock(memory, layout, t);
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + block[i]!;
  }
  return sum;
}
