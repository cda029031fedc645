/** How threads wait: what they announce, what wakes them, and that no wake-up is lost. */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ASLEEP, CONTROL, controlMemory, ring, ringAll, stopReceiving } from "../runtime/engine/control.js";
import type { CounterLayout } from "../runtime/engine/counters.js";
import { LivePorts } from "../runtime/engine/live-ports.js";
import { Waiter } from "../runtime/engine/wait.js";
import { closeEvent, openEvent, signal, takeSignals } from "../runtime/native/eventfd.js";
import { Poller, WOKEN } from "../runtime/nic/net/poller.js";
import type { RxPort } from "../runtime/nic/port.js";
import type { SlotPool } from "../runtime/packet/pool.js";
import { RingProducer, ringBytes } from "../runtime/packet/ring.js";
import { freshSeed, Random } from "./support/random.js";
import type { ConsumerSetup } from "./support/waiting-worker.js";

/** Longer than any test: who sleeps so long has not been woken. */
const FOR_EVER = 900;
/** The same of a thread that can only be told by the clock whether it was woken, and may have to wait for its processor then. */
const FOR_EVER_BY_CLOCK = 20_000;
const nothing = () => false;

function alone(): Int32Array {
  return new Int32Array(controlMemory(1));
}

test("spin, yield and sleep announce nothing and ask for nothing", () => {
  for (const policy of ["spin", "yield", "sleep"] as const) {
    const control = alone();
    const waiter = new Waiter(policy, control, 0, false);
    const never = () => {
      throw new Error("asked");
    };
    for (let i = 0; i < 300; i++) {
      waiter.idle(never);
      assert.is(control[CONTROL.WAITING], ASLEEP.NO);
    }
  }
});

test("adaptive announces its sleep before it looks once more, and does not sleep where there is work", () => {
  for (const poller of [undefined, new Poller([])]) {
    const control = alone();
    const waiter = new Waiter("adaptive", control, 0, false, poller, FOR_EVER);
    const seen: number[] = [];
    const work = () => {
      seen.push(control[CONTROL.WAITING]!);
      return true;
    };
    for (let i = 0; i < 200; i++) waiter.idle(work);
    assert.ok(seen.length > 0 && seen.length < 200, "it spins first, then looks");
    assert.ok(seen.every((word) => word === (poller === undefined ? ASLEEP.ON_WORD : ASLEEP.IN_POLL)));
    assert.is(control[CONTROL.WAITING], ASLEEP.NO);
    waiter.busy();
    const before = seen.length;
    waiter.idle(work);
    assert.is(seen.length, before, "after work it spins again");
    waiter.close();
  }
});

test("what concerns everybody is heard, also by who had not announced a sleep when it happened", () => {
  const control = alone();
  const waiter = new Waiter("adaptive", control, 0, false, new Poller([]), FOR_EVER);
  stopReceiving(control);
  let asked = 0;
  for (let i = 0; i < 10; i++) {
    waiter.idle(() => {
      asked++;
      return true;
    });
  }
  // Two rounds are spun; the third sees the event, and does not even ask.
  assert.is(asked, 10 - 2 - 1);
  waiter.close();
});

test("who rings first wakes; a thread that is awake is left alone", () => {
  const control = alone();
  const poller = new Poller([]);
  const waiter = new Waiter("adaptive", control, 0, false, poller, FOR_EVER);
  ring(control, 0);
  assert.is(poller.wait(0, false), WOKEN.BY_TIME);
  control[CONTROL.WAITING] = ASLEEP.IN_POLL;
  ring(control, 0);
  assert.is(control[CONTROL.WAITING], ASLEEP.NO);
  ring(control, 0);
  assert.is(poller.wait(FOR_EVER, false), WOKEN.BY_BELL);
  assert.is(poller.wait(0, false), WOKEN.BY_TIME, "one signal, not two");
  waiter.close();
});

test("a poller tells its bell from its sockets, and hears of sockets only where it is to", () => {
  const socket = openEvent();
  const poller = new Poller([socket]);
  signal(socket, 3);
  assert.is(poller.wait(1, false), WOKEN.BY_TIME);
  assert.is(poller.wait(FOR_EVER, true), WOKEN.BY_SOCKET);
  signal(poller.bell);
  assert.is(poller.wait(FOR_EVER, true), WOKEN.BY_BELL);
  assert.is(takeSignals(socket), 3);
  assert.is(takeSignals(socket), 0);
  assert.is(poller.wait(1, true), WOKEN.BY_TIME);
  poller.close();
  closeEvent(socket);
});

test("packets that come fast are taken together, after naps in which only the bell is heard; one nap in vain ends that", () => {
  const socket = openEvent();
  const waits: { ms: number; sockets: boolean }[] = [];
  const answers: WOKEN[] = [];
  const poller = new (class extends Poller {
    override wait(ms: number, sockets: boolean): WOKEN {
      waits.push({ ms, sockets });
      return answers.shift() ?? WOKEN.BY_TIME;
    }
  })([socket]);
  const waiter = new Waiter("adaptive", alone(), 0, false, poller);
  const sleep = (answer: WOKEN, found: boolean) => {
    answers.push(answer);
    const before = waits.length;
    while (waits.length === before) waiter.idle(nothing, false, true);
    if (found) waiter.busy();
    return waits.at(-1)!;
  };
  // The poller answers at once: a packet has come within less than a nap.
  assert.ok(sleep(WOKEN.BY_SOCKET, true).sockets);
  // Unless something else has the processor meanwhile.
  for (let tries = 0; tries < 1000 && sleep(WOKEN.BY_SOCKET, true).sockets; tries++);
  for (let i = 0; i < 3; i++) {
    const nap = sleep(WOKEN.BY_TIME, true);
    assert.not(nap.sockets);
    assert.ok(nap.ms < 0.1);
  }
  assert.not(sleep(WOKEN.BY_TIME, false).sockets, "the nap that is in vain");
  const long = sleep(WOKEN.BY_TIME, false);
  assert.ok(long.sockets && long.ms >= 1, JSON.stringify(long));
  waiter.close();
  closeEvent(socket);
});

test("where rounds take all there is and have more each time, it naps before the next; a round that moved something else begins anew", () => {
  const waits: boolean[] = [];
  const poller = new (class extends Poller {
    override wait(_ms: number, sockets: boolean): WOKEN {
      waits.push(sockets);
      return WOKEN.BY_TIME;
    }
  })([]);
  const waiter = new Waiter("adaptive", alone(), 0, false, poller);
  const untilNap = () => {
    let rounds = 0;
    for (; waits.length === 0 && rounds < 100; rounds++) waiter.drained(nothing);
    return rounds;
  };
  const first = untilNap();
  assert.ok(first > 1 && first < 100, "after some such rounds, not after one");
  assert.equal(waits.splice(0), [false], "a nap, in which only the bell is heard");
  assert.is(untilNap(), 1, "and from then on after each");
  waits.length = 0;
  waiter.busy();
  assert.equal(waits, [], "rounds with more to come are not interrupted");
  waiter.drained(() => true);
  assert.equal(waits, [], "nor is there a nap where others have left something");
  // A nap in vain: what follows is a sleep on the sockets, and packets that come slowly are taken as they come.
  waiter.drained(nothing);
  waits.length = 0;
  while (waits.length === 0) waiter.idle(nothing, false, true);
  assert.equal(waits.splice(0), [true]);
  for (let i = 1; i < first; i++) waiter.drained(nothing);
  waiter.busy();
  for (let i = 1; i < first; i++) waiter.drained(nothing);
  assert.equal(waits, []);
  waiter.close();
});

test("interfaces are drained where nothing is left that had come before every socket was looked at", () => {
  const seed = freshSeed();
  const random = new Random(seed);
  let drained = 0;
  for (let run = 0; run < 20; run++) {
    /** By port and socket: for each packet the call before which it came. */
    const queues = Array.from({ length: random.int(1, 3) }, () =>
      Array.from({ length: random.int(1, 4) }, (): number[] => []),
    );
    const burst = random.int(1, 8);
    const ports = queues.map((sockets, port) => {
      let turn = 0;
      const receive = (_slots: Uint32Array, want: number) => {
        for (let i = 0; i < sockets.length; i++) {
          const queue = sockets[turn++ % sockets.length]!;
          if (queue.length > 0) return queue.splice(0, Math.min(want, burst)).length;
        }
        return 0;
      };
      const live = { descriptors: sockets.map((_, i) => i), burst, update() {}, imissed: 0, ierrors: 0 };
      return { port, rx: { done: false, receive, live } as unknown as RxPort };
    });
    const layout = { port: 0 } as CounterLayout;
    const pool = { available: 1 } as SlotPool;
    const counters = new Float64Array(64);
    const live = new LivePorts(
      ports,
      pool,
      layout,
      counters,
      (rx, slots, want) => rx.receive(slots, want),
      (error) => {
        throw error;
      },
    );
    const slots = new Uint32Array(8);
    const calls = queues.length * Math.max(...queues.map(({ length }) => length));
    const sockets = queues.flat().length;
    for (let call = 0; call < 2000; call++) {
      for (const queue of queues.flat()) {
        for (let n = random.chance(0.3 / sockets) ? random.int(1, 12) : 0; n > 0; n--) queue.push(call);
      }
      if (live.receive(slots, slots.length, 0) === 0 || !live.drained) continue;
      drained++;
      const left = Math.min(...queues.flat(2));
      assert.ok(
        left > call - calls,
        `a packet of call ${left} is left after ${call}, ${calls} to come to all; seed ${seed}`,
      );
    }
  }
  assert.ok(drained > 0, `seed ${seed}`);
});

test("what wakes nobody is looked for after short sleeps that grow", () => {
  const waits: number[] = [];
  const poller = new (class extends Poller {
    override wait(ms: number): WOKEN {
      waits.push(ms);
      return WOKEN.BY_TIME;
    }
  })([]);
  const waiter = new Waiter("adaptive", alone(), 0, false, poller);
  const sleep = () => {
    const before = waits.length;
    while (waits.length === before) waiter.idle(nothing, true, false);
    return waits.at(-1)!;
  };
  const slept = Array.from({ length: 12 }, sleep);
  assert.ok(slept[0]! < 0.1, `${slept}`);
  for (let i = 1; i < slept.length; i++) assert.ok(slept[i] === 2 * slept[i - 1]! || slept[i] === slept.at(-1));
  assert.ok(slept.at(-1)! < 5);
  waiter.busy();
  assert.is(sleep(), slept[0]);
  waiter.close();
});

for (const inPoll of [false, true]) {
  test(`no wake-up is lost between two threads, asleep ${inPoll ? "in poll" : "on the word"}`, async () => {
    const seed = freshSeed();
    const random = new Random(seed);
    const slots = 1024;
    const memory = { control: controlMemory(1), ring: new SharedArrayBuffer(ringBytes(slots)) };
    const setup: ConsumerSetup = { ...memory, slots, inPoll, idleMs: inPoll ? FOR_EVER : FOR_EVER_BY_CLOCK };
    const worker = new Worker(new URL("./support/waiting-worker.js", import.meta.url), { workerData: setup });
    const control = new Int32Array(memory.control);
    const producer = new RingProducer(memory.ring, slots);
    const burst = new Uint32Array(64);
    // Its descriptors are closed with it, and the last test counts them.
    const ended = Promise.all([once(worker, "message"), once(worker, "exit")]);
    let items = 0;
    const deadline = performance.now() + 1500;
    // The next is given when all before it are seen: a wake-up that is lost is a sleep of its full length.
    while (performance.now() < deadline || items <= 100) {
      for (let spin = random.int(0, 40_000); spin > 0; spin--);
      const count = random.int(1, 8);
      for (let i = 0; i < count; i++) burst[i] = items++ % slots;
      producer.push(burst, 0, count);
      ring(control, 0);
      for (let seen = 0; seen !== items; seen = Atomics.load(control, CONTROL.ENDED)) {
        Atomics.wait(control, CONTROL.ENDED, seen, 1000);
      }
    }
    stopReceiving(control);
    const [[report]] = await ended;
    assert.equal(report, { items, late: 0, outOfOrder: 0 }, `seed ${seed}`);
  });
}

test("the bell of a thread is closed with it", () => {
  const open = () => readdirSync("/proc/self/fd").length;
  const before = open();
  const control = alone();
  const waiter = new Waiter("adaptive", control, 0, false, new Poller([]));
  assert.is(open(), before + 1);
  waiter.close();
  assert.is(open(), before);
  ringAll(control);
});

test.run();
