/** The consumer of waiting.test.ts: counts what a ring of slots brings, and how many of its sleeps ended although nobody rang. */
import { parentPort, workerData } from "node:worker_threads";
import { ASLEEP, CONTROL } from "../../runtime/engine/control.js";
import { Waiter } from "../../runtime/engine/wait.js";
import { Poller, WOKEN } from "../../runtime/nic/net/poller.js";
import { RingConsumer } from "../../runtime/packet/ring.js";

export interface ConsumerSetup {
  readonly control: SharedArrayBuffer;
  readonly ring: SharedArrayBuffer;
  readonly slots: number;
  /** Sleeps in poll(2) instead of on the word. */
  readonly inPoll: boolean;
  /** Longest sleep, ms. */
  readonly idleMs: number;
}

const { control: memory, ring, slots, inPoll, idleMs } = workerData as ConsumerSetup;
const control = new Int32Array(memory);
const consumer = new RingConsumer(ring, slots);
/** Tells a sleep that nobody has ended, though there is something, from one after which the thread has waited for its processor. */
class WatchedPoller extends Poller {
  override wait(ms: number, sockets: boolean): WOKEN {
    const woken = super.wait(ms, sockets);
    const rung = woken !== WOKEN.BY_TIME || Atomics.load(control, CONTROL.WAITING) === ASLEEP.NO;
    if (ms === idleMs && !rung && consumer.pending) late++;
    return woken;
  }
}
const waiter = new Waiter("adaptive", control, 0, false, inPoll ? new WatchedPoller([]) : undefined, idleMs);
const burst = new Uint32Array(64);
/** Takes its time after it has looked: whoever gives something meanwhile must ring. */
const look = () => {
  const { pending } = consumer;
  for (let spin = 0; spin < 5000; spin++);
  return pending;
};
let next = 0;
let late = 0;
let outOfOrder = 0;
while (Atomics.load(control, CONTROL.STOP) === 0) {
  const count = consumer.pop(burst, 0, burst.length);
  for (let i = 0; i < count; i++) if (burst[i] !== next++ % slots) outOfOrder++;
  if (count > 0) {
    // What the producer waits for, now and then.
    Atomics.store(control, CONTROL.ENDED, next);
    Atomics.notify(control, CONTROL.ENDED);
    waiter.busy();
    continue;
  }
  const start = performance.now();
  waiter.idle(look);
  if (!inPoll && performance.now() - start >= idleMs && consumer.pending) late++;
}
waiter.close();
parentPort!.postMessage({ items: next, late, outOfOrder });
