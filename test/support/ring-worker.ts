/**
 * The two ends of test/ring.test.ts, each in a worker. Slots circulate: the producer sends them by one ring, the consumer gives
 * them back by the other. Each item carries its number in memory beside the ring, as packets lie beside slot numbers, so the test
 * also sees whether a push publishes what was written before it.
 */
import { parentPort, workerData } from "node:worker_threads";
import { RingConsumer, RingProducer } from "../../runtime/packet/ring.js";
import { Random } from "./random.js";

export interface RingJob {
  readonly role: "produce" | "consume";
  readonly there: SharedArrayBuffer;
  readonly back: SharedArrayBuffer;
  /** One u32 per slot. */
  readonly contents: SharedArrayBuffer;
  readonly slots: number;
  readonly items: number;
  readonly seed: number;
}

const job = workerData as RingJob;
const { slots, items } = job;
const r = new Random(job.seed);
const contents = new Uint32Array(job.contents);
const sleeping = new Int32Array(new SharedArrayBuffer(4));
/** Two cores may be busy: after some spinning, let others run. */
let idle = 0;
const pause = () => {
  if (++idle % 64 === 0) Atomics.wait(sleeping, 0, 0, 0.05);
};
const deadline = Date.now() + 150_000;
const burst = () => (r.chance(0.2) ? 1 : r.int(1, slots));
const tag = (item: number) => Math.imul(item, 2654435761) >>> 0;

function produce(): string {
  const out = new RingProducer(job.there, slots);
  const back = new RingConsumer(job.back, slots);
  const free = Uint32Array.from({ length: slots }, (_, i) => i);
  let count = slots;
  for (let sent = 0; sent < items; ) {
    const returned = back.pop(free, count, slots);
    count += returned;
    if (count > slots) return `more slots came back than there are: ${count}`;
    const size = Math.min(burst(), count, items - sent);
    if (size === 0) {
      if (Date.now() > deadline) return `stuck at item ${sent}`;
      pause();
      continue;
    }
    for (let i = count - size; i < count; i++) contents[free[i]!] = tag(sent++);
    out.push(free, count - size, size);
    count -= size;
  }
  return "ok";
}

function consume(): string {
  const input = new RingConsumer(job.there, slots);
  const back = new RingProducer(job.back, slots);
  const got = new Uint32Array(slots + 2);
  for (let received = 0; received < items; ) {
    const max = burst();
    got[max + 1] = 0xabcdef;
    const count = input.pop(got, 1, max);
    if (count > max || got[max + 1] !== 0xabcdef) return `asked for ${max}, got ${count}`;
    if (count === 0) {
      if (Date.now() > deadline) return `stuck at item ${received}`;
      pause();
      continue;
    }
    for (let i = 1; i <= count; i++) {
      const slot = got[i]!;
      if (slot >= slots) return `item ${received}: slot ${slot} does not exist`;
      if (contents[slot] !== tag(received)) return `item ${received}: found ${contents[slot]}, not ${tag(received)}`;
      contents[slot] = 0;
      received++;
    }
    back.push(got, 1, count);
  }
  return "ok";
}

parentPort?.postMessage(job.role === "produce" ? produce() : consume());
