/**
 * Threads of test/rx-patterns.test.ts: one plays NIC, the others receive by a pattern, each from a pool of its own. A packet's number
 * stands in its frame, so that what a thread reads also shows whether its slot was its own at that time.
 */
import { parentPort, workerData } from "node:worker_threads";
import { openRings, SyntheticNic, type SyntheticRings } from "../../bench/live/shared-queue/synthetic-ring.js";
import type { QueueShare } from "../../runtime/nic/shared-queue/end.js";
import { joinQueue } from "../../runtime/nic/shared-queue/queue.js";
import { Arena, type ArenaHandle, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { SlotPool } from "../../runtime/packet/pool.js";
import { Random } from "./random.js";

/** Words that the test and its threads agree on. */
export const enum CONTROL {
  /** 1: threads are to stop, as at Ctrl-C. */
  STOP = 0,
  /** 1: the first thread has taken the program off. */
  DETACH = 1,
  /** 1: the NIC is done. */
  DETACHED = 2,
  /** Packets received by all threads. */
  RECEIVED = 3,
}

export interface QueueJob {
  readonly rings: SyntheticRings;
  readonly share: QueueShare;
  readonly arena: ArenaHandle;
  readonly control: SharedArrayBuffer;
  /** By packet number: how often it was received. */
  readonly seen: SharedArrayBuffer;
  readonly packets: number;
  readonly seed: number;
  /** -1: the NIC. */
  readonly thread: number;
  /** Slots of each thread, and those it supplies. */
  readonly slots: number;
  readonly stock: number;
  /** This thread sleeps now and then, with packets and its turn. */
  readonly stalls: boolean;
}

export interface QueueAnswer {
  /** "ok", or what was wrong. */
  readonly verdict: string;
  /** Of the NIC: produced. */
  readonly packets: number;
  /** Of a receiver: its pool at the end. */
  readonly slots: readonly number[];
}

const BURST = 64;
const FRAME_WORD = 256 >> 2;
const SECONDS = 150;

const job = workerData as QueueJob;
const r = new Random(job.seed);
const arena = Arena.attach(job.arena);
const control = new Int32Array(job.control);
const sleeping = new Int32Array(new SharedArrayBuffer(4));
const sleep = (ms: number) => Atomics.wait(sleeping, 0, 0, ms);
const deadline = Date.now() + SECONDS * 1000;
let idle = 0;
/** Two cores may be busy: after some spinning, let others run. */
const pause = () => {
  if (++idle % 32 === 0) sleep(0.05);
};
const burst = (most: number) => (r.chance(0.3) ? r.int(1, 4) : r.int(1, most));

function nic(): QueueAnswer {
  const ring = new SyntheticNic(job.rings, arena.u32, 60);
  while (ring.produced < job.packets && Atomics.load(control, CONTROL.DETACH) === 0) {
    if (Date.now() > deadline) return { verdict: `stuck at ${ring.produced}`, packets: 0, slots: [] };
    if (ring.produce(Math.min(burst(job.rings.size), job.packets - ring.produced)) === 0) pause();
  }
  Atomics.store(control, CONTROL.DETACHED, 1);
  Atomics.notify(control, CONTROL.DETACHED);
  return { verdict: "ok", packets: ring.produced, slots: [] };
}

function receiver(): QueueAnswer {
  const { share, thread, slots, stock } = job;
  const end = joinQueue({ share, ...openRings(job.rings), arena, thread, wake: () => {} });
  const seen = new Uint8Array(job.seen);
  const pool = new SlotPool(thread * slots, slots);
  const some = new Uint32Array(Math.max(stock, BURST));
  end.supply(some, pool.take(some, stock));
  const held: number[] = [];
  let last = 0;
  let stopped = false;
  const wrong = (verdict: string): QueueAnswer => ({ verdict, packets: 0, slots: [] });
  const free = (count: number) => {
    for (const slot of held.splice(0, count)) pool.put(Uint32Array.of(slot), 0, 1);
  };
  while (!end.settled) {
    if (Date.now() > deadline) return wrong(`stuck behind packet ${last}, stopped ${stopped}`);
    if (!stopped && Atomics.load(control, CONTROL.STOP) === 1) {
      if (thread === 0) {
        Atomics.store(control, CONTROL.DETACH, 1);
        Atomics.wait(control, CONTROL.DETACHED, 0, SECONDS * 1000);
      }
      end.stop();
      stopped = true;
    }
    const taken = pool.take(some, burst(BURST));
    const count = end.receive(some, taken);
    for (let i = 0; i < count; i++) {
      const slot = some[i]!;
      const number = arena.arrival[slot]!;
      const word = arena.u32[((slot << SLOT_SHIFT) >> 2) + FRAME_WORD];
      if (word !== number) return wrong(`slot ${slot} is said to have packet ${number}, and has ${word}`);
      if (number <= last) return wrong(`packet ${number} after ${last}`);
      if (arena.len[slot] !== 60 || arena.off[slot] !== 256) return wrong(`packet ${number}: length or offset`);
      last = number;
      Atomics.add(seen, number, 1);
      held.push(slot);
    }
    Atomics.add(control, CONTROL.RECEIVED, count);
    pool.put(some, count, taken - count);
    if (job.stalls && r.chance(0.0005)) sleep(20);
    if (count === 0) pause();
    // Packets are under way for a while; at times for so long that the pool is empty.
    if (count === 0 || r.chance(0.6)) free(r.int(0, held.length));
  }
  free(held.length);
  let back = 0;
  for (let count = end.withdraw(some); count > 0; count = end.withdraw(some)) {
    pool.put(some, 0, count);
    back += count;
  }
  if (back !== stock) return wrong(`${back} slots come back, ${stock} were supplied`);
  const all = new Uint32Array(slots);
  if (pool.take(all, slots) !== slots) return wrong(`slots are missing: ${slots - pool.available}`);
  return { verdict: "ok", packets: 0, slots: Array.from(all) };
}

parentPort?.postMessage(job.thread < 0 ? nic() : receiver());
