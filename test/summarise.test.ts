import { test } from "uvu";
import * as assert from "uvu/assert";
import { cellKey } from "../runtime/experiment/cell.js";
import { cellResults } from "../runtime/experiment/compare-cells.js";
import { summarise } from "../runtime/experiment/summarise.js";
import { madeUpComparison } from "./support/compare-result.js";
import { cellOf, RAPL, type SampleShape, sampleOf, spanOf } from "./support/samples.js";

const GBPS = [2, 2.1, 1.9, 2.05, 1.95, 2.02, 1.98];
const samples = (shape: (repeat: number) => SampleShape = () => ({})) =>
  GBPS.map((gbps, repeat) => sampleOf({ gbps, repeat, mpps: gbps / 2, ...shape(repeat) }));

function near(actual: number | undefined, expected: number): void {
  assert.ok(actual !== undefined && Math.abs(actual / expected - 1) < 1e-9, `${actual} is not ${expected}`);
}

test("figures are medians with their intervals", () => {
  const found = summarise(samples().reverse(), 7);
  assert.equal(found.gbps, { median: 2, low: 1.9, high: 2.1, confidence: 0.95, samples: 7 });
  assert.is(found.mpps.median, 1);
  assert.is(found.loss.median, 0);
  assert.equal(
    [found.latency_ns!.p50, found.latency_ns!.p99, found.latency_ns!.p999].map(({ median }) => median),
    [2500, 5000, 7500],
  );
  assert.is(found.cpus.median, 1.5);
  assert.equal(found.repeats, [0, 1, 2, 3, 4, 5, 6]);
  assert.equal([found.missing, found.notes, found.energy, found.device], [[], [], null, null]);
  assert.equal(found.nfs, [{ name: "nids", place: "cpu", engine: "x", share: 1 }]);
  assert.is(found.key, samples()[0]!.key);
});

test("energy, and what of it is above idle", () => {
  const energy = summarise(
    samples(() => ({ energy: spanOf(20, 15, RAPL, 0.5) })),
    7,
  ).energy!;
  assert.is(energy.watts.median, 20);
  near(energy.gbps_per_watt!.median, 0.1);
  near(energy.joules_per_packet!.median, 20e-6);
  assert.is(energy.net_watts!.median, 5);
  near(energy.gbps_per_net_watt!.median, 0.4);
  near(energy.net_joules_per_packet!.median, 5e-6);
  near(energy.uncertainty, 0.025);
  assert.is(energy.meter.name, RAPL.name);
});

test("energy without idle, below idle, of no packets, and of nothing", () => {
  const of = (watts: number, idle: number | null, mpps = 1) =>
    summarise(
      samples(() => ({ mpps, energy: spanOf(watts, idle) })),
      7,
    ).energy!;
  assert.equal([of(20, null).net_watts, of(20, null).gbps_per_net_watt], [null, null]);
  const below = of(9, 10);
  assert.is(below.net_watts!.median, -1);
  assert.equal([below.gbps_per_net_watt, below.net_joules_per_packet], [null, null]);
  assert.equal([of(20, 10, 0).joules_per_packet, of(20, 10, 0).net_joules_per_packet], [null, null]);
  assert.equal([of(0, null).gbps_per_watt, of(0, null).uncertainty], [null, Infinity]);
});

test("what is missing, far away or unlike is named, and nothing is dropped", () => {
  const notes = (shape: (repeat: number) => SampleShape, wanted = 7) => summarise(samples(shape), wanted).notes;
  const few = summarise(
    samples().filter(({ repeat }) => repeat !== 2),
    9,
  );
  assert.equal(few.missing, [2, 7, 8]);
  assert.equal(few.notes, ["repeats 2, 7, 8 are missing"]);
  assert.equal(
    notes((repeat) => (repeat === 3 ? { gbps: 0.5 } : {})),
    ["throughput of repeats 3 is far from the others; all of them count"],
  );
  assert.is(
    summarise(
      samples((repeat) => (repeat === 3 ? { gbps: 0.5 } : {})),
      7,
    ).gbps.low,
    0.5,
  );
  const silent = summarise(
    samples((repeat) => (repeat === 3 ? { count: 0 } : {})),
    7,
  );
  assert.is(silent.latency_ns, null);
  assert.equal(silent.notes, ["no packet left in repeats 3: no latency"]);
  assert.equal(
    notes((repeat) => ({ energy: repeat > 4 ? null : spanOf(20) })),
    ["no meter was running in repeats 5, 6: no energy"],
  );
  assert.match(
    notes((repeat) => ({ energy: spanOf(20, 10, { ...RAPL, name: `meter ${repeat % 2}` }) }))[0]!,
    /different meters \(meter 0, meter 1\): no energy/,
  );
  assert.match(notes(() => ({ energy: spanOf(20, 10, { ...RAPL, provenance: "nominal" }) }))[0]!, /energy is nominal/);
});

test("one repeat has no interval; the device is named", () => {
  const found = summarise([sampleOf({ cell: cellOf("gpu"), emulated: true })], 1);
  assert.equal([found.gbps.low, found.gbps.high], [-Infinity, Infinity]);
  assert.is(found.device!.emulated, true);
});

test("nothing, several cells and figures that are none are refused", () => {
  assert.throws(() => summarise([], 3), /no sample/);
  assert.throws(
    () => summarise([sampleOf({}), sampleOf({ cell: cellOf("gpu") })], 3),
    /samples of .* and of .* together/,
  );
  assert.throws(() => summarise([sampleOf({ gbps: Number.NaN })], 1), /not a finite number/);
});

test("a chain from which nothing leaves has no latency under saturation, instead of one of 0", () => {
  const { plan } = madeUpComparison();
  const cell = plan.cells[0]!;
  const resultOf = (counts: readonly number[]) => {
    const samples = counts.map((count, repeat) => sampleOf({ cell, repeat, count, p99: count === 0 ? 0 : 5000 }));
    const saturated = new Map([[cellKey(cell), samples]]);
    const found = cellResults(plan, { saturated, searches: new Map(), loads: [], offered: new Map(), complete: true });
    return found[0]!.saturated_latency;
  };
  assert.is(resultOf([0, 0, 0]), null);
  assert.is(resultOf([1000, 0, 1000])!.p99.median, 5000);
  assert.is(resultOf([1000, 0, 1000])!.p99.samples, 2);
});

test.run();
