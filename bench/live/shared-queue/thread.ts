/**
 * A thread of the experiment live-rx-patterns: plays NIC, or receives by a pattern and forwards as DPDK's L2FWD does: new addresses in the
 * Ethernet header, then the frame is sent, which here takes no time: its slot is free again.
 */
import { parentPort, workerData } from "node:worker_threads";
import { yieldCpu } from "../../../runtime/native/yield-cpu.js";
import type { QueueEnd, QueueShare } from "../../../runtime/nic/shared-queue/end.js";
import { joinQueue } from "../../../runtime/nic/shared-queue/queue.js";
import { type StageReport, StageTimes } from "../../../runtime/nic/shared-queue/stages.js";
import { Arena, type ArenaHandle, SLOT_SHIFT } from "../../../runtime/packet/arena.js";
import { SlotPool } from "../../../runtime/packet/pool.js";
import { openRings, SyntheticNic, type SyntheticRings } from "./synthetic-ring.js";

/** What the experiment says to its threads, in a word that grows. */
export const enum PHASE {
  WARM_UP = 0,
  MEASURE = 1,
  END = 2,
}

export interface ThreadJob {
  /** -1: the NIC. */
  readonly thread: number;
  readonly rings: SyntheticRings;
  readonly share: QueueShare;
  readonly arena: ArenaHandle;
  /** {@link PHASE}, and behind it by thread the packets it has received while warming up. */
  readonly phase: SharedArrayBuffer;
  /** Slots of each thread, and those it puts into the fill ring. */
  readonly slots: number;
  readonly stock: number;
}

/** Of a receiving thread; of the NIC, undefined. */
export interface ThreadAnswer extends StageReport {
  /** Of the window it was measured in. */
  readonly seconds: number;
  /** Bursts whose first frame was not that of its number. */
  readonly wrong: number;
}

const BYTES = 60;
/** As large as an area (papers: N = 5), which is DPDK's usual burst, too. */
const BURST = 32;
/** Fruitless polls before other threads of the processor go first. */
const SPINS = 64;
/** From a slot to its first u16. */
const SHIFT = SLOT_SHIFT - 1;

const job = workerData as ThreadJob;
const phase = new Int32Array(job.phase);
const arena = Arena.attach(job.arena);

function nic(): void {
  const ring = new SyntheticNic(job.rings, arena.u32, BYTES);
  while (Atomics.load(phase, 0) !== PHASE.END) if (ring.produce(job.rings.size) < BURST) yieldCpu();
}

/** New source and destination address. */
function forward(slots: Uint32Array, count: number): void {
  const { u16, off } = arena;
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!;
    const at = (slot << SHIFT) + (off[slot]! >> 1);
    u16[at] = 0x0002;
    u16[at + 1] = 0;
    u16[at + 2] = slot;
    u16[at + 3] = 0x0002;
    u16[at + 4] = 0;
    u16[at + 5] = 1;
  }
}

/** Receives until the phase is over. @returns bursts whose first frame was another's */
function loop(end: QueueEnd, pool: SlotPool, slots: Uint32Array, now: PHASE): number {
  const stages = end.stages!;
  const { u32, off, arrival } = arena;
  let idle = 0;
  let wrong = 0;
  while (Atomics.load(phase, 0) === now) {
    const taken = pool.take(slots, BURST);
    const count = end.receive(slots, taken);
    const first = slots[0]!;
    if (count > 0 && u32[((first << SHIFT) + (off[first]! >> 1)) >> 1] !== arrival[first]! >>> 0) wrong++;
    forward(slots, count);
    pool.put(slots, 0, taken);
    if (stages.under) stages.forwarded();
    if (count > 0) {
      idle = 0;
      if (now === PHASE.WARM_UP) Atomics.add(phase, 1 + job.thread, count);
      continue;
    }
    if (++idle >= SPINS) {
      idle = 0;
      yieldCpu();
    }
  }
  return wrong;
}

function receiver(): ThreadAnswer {
  const { share, thread, stock } = job;
  const end = joinQueue({ share, ...openRings(job.rings), arena, thread, wake: () => {} });
  const pool = new SlotPool(thread * job.slots, job.slots);
  const slots = new Uint32Array(Math.max(stock, BURST));
  end.supply(slots, pool.take(slots, stock));
  end.stages = new StageTimes();
  loop(end, pool, slots, PHASE.WARM_UP);
  end.stages = new StageTimes();
  const start = performance.now();
  const wrong = loop(end, pool, slots, PHASE.MEASURE);
  const seconds = (performance.now() - start) / 1000;
  return { ...end.stages.report(), seconds, wrong };
}

if (job.thread < 0) {
  nic();
  parentPort!.postMessage(undefined);
} else {
  parentPort!.postMessage(receiver());
}
