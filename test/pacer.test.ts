/** Open loop: when packets are due and stamped, and which of them a receive ring misses, against a reference that goes packet by packet. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { controlMemory, stopReceiving } from "../runtime/engine/control.js";
import { counterLayout, PORT, PORT_COUNTERS } from "../runtime/engine/counters.js";
import { Ingress } from "../runtime/engine/ingress.js";
import type { Plan, PlanOptions } from "../runtime/engine/plan.js";
import type { RxPort } from "../runtime/nic/port.js";
import { Arena } from "../runtime/packet/arena.js";
import { SlotPool } from "../runtime/packet/pool.js";
import { freshSeed, Random } from "./support/random.js";

const seed = freshSeed();
const r = new Random(seed);
const ROUNDS = 60;
const SLOTS = 256;
const START = 5e9 + 0.25;

/** Frames numbered by their timestamps: those with number % ports == port. `lengths` are drawn, and the same for all. */
class Numbered implements RxPort {
  /** It throws from now on. */
  damaged = false;
  private at = 0;
  skip?: (count: number) => number;

  constructor(
    private readonly arena: Arena,
    private readonly lengths: Uint16Array,
    private readonly port: number,
    private readonly ports: number,
    withSkip: boolean,
  ) {
    if (withSkip) {
      this.skip = (count) => {
        const some = Math.min(count, this.left);
        this.at += some;
        return some;
      };
    }
  }

  private get left(): number {
    return Math.ceil((this.lengths.length - this.port) / this.ports) - this.at;
  }

  get done(): boolean {
    return this.left === 0;
  }

  receive(slots: Uint32Array, count: number): number {
    if (this.damaged) throw new Error("the capture is damaged");
    const some = Math.min(count, this.left);
    for (let i = 0; i < some; i++, this.at++) {
      const number = this.at * this.ports + this.port;
      const slot = slots[i]!;
      this.arena.tsSec[slot] = 0;
      this.arena.tsNsec[slot] = number;
      this.arena.len[slot] = this.lengths[number]!;
    }
    return some;
  }

  async ready(): Promise<void> {}
  async close(): Promise<void> {}
}

interface Received {
  readonly number: number;
  readonly rxNs: number;
  /** When it was taken. */
  readonly at: number;
}

/** An ingress with a clock that the test sets. */
class Bed {
  readonly arena = Arena.create(SLOTS);
  readonly pool = new SlotPool(0, SLOTS);
  readonly received: Received[] = [];
  readonly rx: readonly Numbered[];
  readonly ingress: Ingress;
  now = START;
  readonly control = new Int32Array(controlMemory(1));
  private readonly counters: Float64Array;
  private readonly burst = new Uint32Array(256);
  private held: number[] = [];

  constructor(
    options: Pick<PlanOptions, "rate" | "ring"> & { readonly duration?: number },
    lengths: Uint16Array,
    readonly ports = 1,
    skip = true,
  ) {
    const names = Array.from({ length: ports }, (_, i) => ({ name: `p${i}` }));
    const plan = { ports: names, nfs: [], drops: [], options: { duration: 0, ...options } } as unknown as Plan;
    const layout = counterLayout(plan);
    this.counters = new Float64Array(layout.length);
    this.rx = names.map((_, port) => new Numbered(this.arena, lengths, port, ports, skip));
    const rx = this.rx.map((one, port) => ({ port, rx: one }));
    this.ingress = new Ingress(plan, this.arena, rx, this.pool, layout, this.counters, this.control, () => this.now);
  }

  /** One burst of at most `max`; its slots stay taken until {@link free}. */
  receive(max: number): number {
    const { arena, burst, now } = this;
    const count = this.ingress.receive(burst, max);
    for (let i = 0; i < count; i++) {
      const slot = burst[i]!;
      this.received.push({ number: arena.tsNsec[slot]!, rxNs: arena.rxNs[slot]!, at: now });
      this.held.push(slot);
    }
    return count;
  }

  free(count = this.held.length): void {
    const slots = Uint32Array.from(this.held.splice(0, count));
    this.pool.put(slots, 0, slots.length);
  }

  get(counter: PORT): number {
    let sum = 0;
    for (let port = 0; port < this.ports; port++) sum += this.counters[port * PORT_COUNTERS + counter]!;
    return sum;
  }

  close(): void {
    this.free();
    this.arena.free();
  }
}

const lengthsOf = (count: number) => Uint16Array.from({ length: count }, () => r.int(60, 1514));
/** A step of the clock: mostly shorter than a burst takes to fall due, now and then a long stall. */
const step = (pps: number) => ((r.chance(0.05) ? r.int(1, 500_000) : r.int(1, 40_000)) / pps) * 1e6;

test(`packets are due at start + k / rate, however late they are taken, and nothing drifts (seed ${seed})`, () => {
  for (let round = 0; round < ROUNDS; round++) {
    const pps = r.pick([1000, 333_333.3, 1e6, 14_880_952, r.int(1, 20e6)]);
    const bed = new Bed({ rate: { unit: "pps", value: pps } }, lengthsOf(20_000));
    while (!bed.ingress.done) {
      // As many as are due at once, in bursts.
      while (bed.receive(64) > 0) bed.free();
      const due = Math.floor(((bed.now - START) * pps) / 1e9) + 1;
      const got = bed.received.length;
      // One more or less where a packet falls due on the very tick.
      assert.ok(bed.ingress.done || Math.abs(got - due) <= 1, `${got} received, ${due} due at ${pps}; seed ${seed}`);
      bed.now += step(pps);
    }
    bed.received.forEach(({ number, rxNs, at }, k) => {
      assert.is(number, k);
      assert.ok(Math.abs(rxNs - (START + (k * 1e9) / pps)) < 1e-3, `packet ${k} at ${pps}: ${rxNs}; seed ${seed}`);
      assert.ok(rxNs <= at + 1e-3, `packet ${k} was taken before it was due; seed ${seed}`);
    });
    bed.close();
  }
});

test(`at a rate in bits, a packet is due when the bits before it have had their time (seed ${seed})`, () => {
  for (let round = 0; round < ROUNDS; round++) {
    const bps = r.pick([1e6, 1e9, 12.5e9, r.int(1e5, 2e9)]);
    const lengths = lengthsOf(5000);
    const ports = r.pick([1, 1, 2, 3]);
    const bed = new Bed({ rate: { unit: "bps", value: bps } }, lengths, ports);
    while (!bed.ingress.done) {
      while (bed.receive(64) > 0) bed.free();
      bed.now += step(bps / 6000);
    }
    let bits = 0;
    bed.received.forEach(({ number, rxNs, at }, k) => {
      assert.is(number, k, `seed ${seed}`);
      assert.ok(Math.abs(rxNs - (START + (bits * 1e9) / bps)) < 1e-3, `packet ${k} at ${bps} bps; seed ${seed}`);
      assert.ok(rxNs <= at, `packet ${k} was taken before it was due; seed ${seed}`);
      // What was due when the loop last looked has been taken then.
      const before = bed.received[k - 1]?.at ?? START;
      assert.ok(rxNs > before || at === before, `packet ${k} was left waiting; seed ${seed}`);
      bits += lengths[number]! * 8;
    });
    assert.is(bed.received.length, lengths.length);
    bed.close();
  }
});

/** Which packets a ring takes and misses, as they fall due one by one. */
class RingReference {
  readonly queue: number[] = [];
  readonly missed: number[] = [];
  private due = 0;

  constructor(
    private readonly pps: number,
    private readonly ring: number,
    private readonly count: number,
  ) {}

  advance(now: number): void {
    const interval = 1e9 / this.pps;
    const due = Math.min(this.count, Math.floor((now - START) / interval) + 1);
    for (; this.due < due; this.due++) (this.queue.length < this.ring ? this.queue : this.missed).push(this.due);
  }
}

for (const [name, ports, skip] of [
  ["one port that can skip", 1, true],
  ["one that cannot", 1, false],
  ["three ports", 3, true],
] as const) {
  test(`a ring takes what finds room and misses the rest: ${name} (seed ${seed})`, () => {
    let missed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const ring = r.pick([1, 2, 63, 64, 65, 100, 300, 4096]);
      const pps = r.int(1000, 5e6);
      const count = 20_000;
      const reference = new RingReference(pps, ring, count);
      const bed = new Bed({ rate: { unit: "pps", value: pps }, ring }, lengthsOf(count), ports, skip);
      const about = `ring ${ring}, ${pps} pps, seed ${seed}`;
      // Time counts from the first call.
      bed.receive(0);
      while (!bed.ingress.done) {
        reference.advance(bed.now);
        for (let turns = r.int(0, 6); turns > 0; turns--) {
          const before = bed.received.length;
          const free = bed.pool.available;
          const got = bed.receive(r.int(1, 256));
          const expected = reference.queue.splice(0, got);
          assert.equal(
            bed.received.slice(before).map(({ number }) => number),
            expected,
            about,
          );
          // Where ports are merged, some slots hold what is read ahead; where one cannot skip, passing over takes slots for a moment.
          if (got === 0 && ports === 1 && free > 0) assert.ok(reference.queue.length === 0 || bed.ingress.done, about);
          if (r.chance(0.7)) bed.free(r.int(1, SLOTS));
        }
        bed.free(r.int(0, 2));
        bed.now += step(pps);
      }
      const received = bed.received.length;
      // Of the last ones due the input has nothing any more.
      assert.is(bed.get(PORT.IPACKETS), received, about);
      assert.is(received + bed.get(PORT.IMISSED), count, about);
      assert.is(bed.get(PORT.IMISSED), reference.missed.length, about);
      for (const { number, rxNs } of bed.received)
        assert.ok(Math.abs(rxNs - (START + (number * 1e9) / pps)) < 1e-3, about);
      missed += reference.missed.length;
      bed.close();
    }
    assert.ok(missed > 0);
  });
}

for (const [what, duration] of [
  ["a stop", 0],
  ["the end of --duration", 1],
] as const) {
  test(`${what} is seen while packets are passed over, however many there are`, () => {
    const count = 60_000;
    const bed = new Bed({ rate: { unit: "pps", value: 1e6 }, ring: 1, duration }, lengthsOf(count), 2, false);
    assert.is(bed.receive(64), 1);
    // All of them are due; a thousand read, it is to end.
    bed.now += 900e6;
    const [first] = bed.rx;
    const receive = first!.receive.bind(first);
    let read = 0;
    first!.receive = (slots, max) => {
      const got = receive(slots, max);
      read += got;
      if (read >= 1000 && duration > 0) bed.now = START + duration * 1e9;
      else if (read >= 1000) stopReceiving(bed.control);
      return got;
    };
    assert.is(bed.receive(64), 1);
    assert.is(bed.receive(64), 0);
    assert.ok(bed.ingress.done);
    const missed = bed.get(PORT.IMISSED);
    assert.ok(missed > 0 && missed < 4000, `${missed} missed`);
    bed.free();
    assert.is(bed.pool.available, SLOTS);
    bed.close();
  });
}

test("a port that fails while packets are passed over ends the input, and they are not counted as missed", () => {
  const bed = new Bed({ rate: { unit: "pps", value: 1e6 }, ring: 1 }, lengthsOf(100), 1, false);
  assert.is(bed.receive(64), 1);
  bed.now += 10_000;
  assert.is(bed.receive(64), 1);
  bed.rx[0]!.damaged = true;
  bed.now += 10_000;
  assert.is(bed.receive(64), 0);
  assert.is(bed.get(PORT.IMISSED), 0);
  assert.match(String(bed.ingress.failure), /damaged/);
  bed.receive(64);
  assert.ok(bed.ingress.done);
  bed.free();
  assert.is(bed.pool.available, SLOTS);
  bed.close();
});

test.run();
