/** Latencies: the table of the hot path against HdrHistogram, and which packets count. */
import { build } from "hdr-histogram-js";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { counterLayout } from "../runtime/engine/counters.js";
import { Egress } from "../runtime/engine/egress.js";
import type { Plan } from "../runtime/engine/plan.js";
import { TARGET } from "../runtime/engine/plan.js";
import { LatencyTable, sumLatencies } from "../runtime/measure/latency.js";
import { histogramOf, percentilesOf } from "../runtime/measure/percentiles.js";
import { openNullTx } from "../runtime/nic/null.js";
import { Arena } from "../runtime/packet/arena.js";
import { folder, run } from "./chain-support.js";
import { freshSeed, Random } from "./support/random.js";

const seed = freshSeed();
const r = new Random(seed);
const LIMIT = 60e9;

const plain = () =>
  build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LIMIT,
    numberOfSignificantValueDigits: 3,
    autoResize: true,
  });

/** Values of all magnitudes, with fractions; the edges of buckets among them. */
function value(): number {
  const bits = r.int(0, 36);
  const base = 2 ** bits;
  if (r.chance(0.3)) return Math.max(0, base + r.int(-2, 2));
  return base * (1 + r.u32() / 2 ** 32);
}

test(`every value is counted where HdrHistogram counts it (seed ${seed})`, () => {
  const edges = Array.from({ length: 37 }, (_, bits) => [2 ** bits - 1, 2 ** bits, 2 ** bits + 1]).flat();
  for (const one of [
    0,
    0.4,
    1,
    1.9,
    2047,
    2048,
    2049,
    4095,
    4096,
    LIMIT,
    ...edges,
    ...Array.from({ length: 500 }, value),
  ]) {
    const table = new LatencyTable();
    table.record(one);
    const expected = plain();
    expected.recordValue(Math.min(LIMIT, Math.max(1, Math.floor(one))));
    const found = histogramOf(table);
    assert.is(found.getValueAtPercentile(100), expected.getValueAtPercentile(100), `${one}; seed ${seed}`);
    assert.is(found.maxValue, expected.maxValue, `${one}; seed ${seed}`);
    assert.is(percentilesOf(table).max, Math.min(LIMIT, Math.max(1, Math.floor(one))));
  }
});

test(`percentiles are HdrHistogram's (seed ${seed})`, () => {
  for (let round = 0; round < 40; round++) {
    const table = new LatencyTable();
    const expected = plain();
    const [center, spread] = [r.int(1, 32), r.int(0, 4)];
    let max = 0;
    for (let i = r.int(1, 5000); i > 0; i--) {
      const one = r.chance(0.01) ? value() : 2 ** (center + (spread * r.u32()) / 2 ** 32);
      table.record(one);
      const whole = Math.min(LIMIT, Math.max(1, Math.floor(one)));
      max = Math.max(max, whole);
      expected.recordValue(whole);
    }
    const found = histogramOf(table);
    assert.is(found.totalCount, expected.totalCount);
    assert.is(found.maxValue, expected.maxValue);
    for (const p of [0, 0.1, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 100])
      assert.is(found.getValueAtPercentile(p), expected.getValueAtPercentile(p), `p${p}, round ${round}; seed ${seed}`);
    const at = (p: number) => Math.min(max, expected.getValueAtPercentile(p));
    const count = expected.totalCount;
    assert.equal(percentilesOf(table), { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max, count });
  }
});

test(`what several threads have recorded adds up (seed ${seed})`, () => {
  const all = new LatencyTable();
  const tables = Array.from({ length: 3 }, () => new LatencyTable());
  for (let i = 0; i < 3000; i++) {
    const one = value();
    all.record(one);
    r.pick(tables).record(one);
  }
  assert.equal(percentilesOf(sumLatencies(tables)), percentilesOf(all));
  assert.equal(percentilesOf(sumLatencies([])), percentilesOf(new LatencyTable()));
});

test("nothing recorded: zeros, of no packet", () => {
  assert.equal(percentilesOf(new LatencyTable()), { p50: 0, p90: 0, p99: 0, p999: 0, max: 0, count: 0 });
});

test(`what was received within the warm-up is not recorded, and counts in everything else (seed ${seed})`, () => {
  const count = 64;
  const arena = Arena.create(count);
  for (const warmUpMs of [undefined, 0, 5]) {
    const plan = { ports: [{}], nfs: [], drops: [], options: { warmUpMs } } as unknown as Plan;
    const layout = counterLayout(plan);
    const counters = new Float64Array(layout.length);
    const latency = new LatencyTable();
    const egress = new Egress(plan, arena, [openNullTx()], layout, counters, latency, undefined);
    const first = 7e9;
    const expected: number[] = [];
    for (let burst = 0; burst < 100; burst++) {
      const slots = Uint32Array.from({ length: r.int(1, count) }, (_, i) => i);
      const now = first + burst * 200_000 + 100_000;
      for (const slot of slots) {
        arena.next[slot] = TARGET.EGRESS;
        arena.len[slot] = 60;
        // The first packet of all says when the first was received.
        const received = burst === 0 && slot === 0 ? first : first + r.int(0, burst * 200_000);
        arena.rxNs[slot] = received;
        if (received >= first + (warmUpMs ?? 0) * 1e6) expected.push(now - received);
      }
      egress.release(slots, slots.length, now);
    }
    const { max, count: recorded } = percentilesOf(latency);
    assert.is(recorded, expected.length, `${warmUpMs} ms; seed ${seed}`);
    assert.is(max, Math.max(...expected));
    assert.ok(warmUpMs === 5 ? recorded < counters[2]! : recorded === counters[2]);
  }
  arena.free();
});

test("a run at a rate: latency of every packet, from when it was due", () => {
  const cwd = folder({
    "chain.json": {
      name: "forward",
      ports: { in: { driver: "generator", count: 4000 }, out: { driver: "null" } },
      policy: "policy.csv",
    },
    "policy.csv": "*,ingress,egress",
  });
  // All are due within 4 ms, and code is compiled meanwhile: what comes late has waited, and says so.
  const { latency_ns, packets, seconds } = run(cwd, "chain.json", "--rate", "1Mpps");
  assert.is(latency_ns.count, 4000);
  assert.is(packets.tx, 4000);
  assert.ok(latency_ns.p50 <= latency_ns.p90 && latency_ns.p90 <= latency_ns.p99);
  // The last packet was due 3.999 ms after the first: what the run took beyond is its latency at the least.
  assert.ok(latency_ns.max >= seconds * 1e9 - 3_999_000 - 1000, `${latency_ns.max} ns in ${seconds} s`);
});

test.run();
