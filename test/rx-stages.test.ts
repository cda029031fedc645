/** The times of stages, by a clock that a test moves. */
import { performance } from "node:perf_hooks";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { STAGE, type StageReport, StageTimes } from "../runtime/nic/shared-queue/stages.js";

let ms = 1000;
test.before(() => {
  // A clock that costs nothing: nothing is subtracted.
  performance.now = () => ms;
});
test.after(() => {
  // The method of its class is there again.
  Reflect.deleteProperty(performance, "now");
});

/** One call that takes so many ns in each stage, and then some in the loop. */
function call(
  stages: StageTimes,
  packets: number,
  ns: { hw: number; cas: number; buffer: number; rest: number },
): void {
  const timed = stages.begin();
  const pass = (some: number, stage: STAGE) => {
    ms += some / 1e6;
    if (timed) stages.lap(stage);
  };
  pass(ns.hw / 2, STAGE.HARDWARE);
  pass(ns.cas, STAGE.CAS);
  pass(ns.buffer, STAGE.BUFFER);
  pass(ns.hw / 2, STAGE.HARDWARE);
  if (packets === 0) return;
  stages.received(packets, timed);
  ms += ns.rest / 1e6;
  if (stages.under) stages.forwarded();
}

/** In whole ns: the clock is in ms. */
const rounded = (report: StageReport) =>
  Object.fromEntries(Object.entries(report).map(([key, value]) => [key, value === null ? null : Math.round(value)]));

test("nothing timed, nothing said", () => {
  const stages = new StageTimes();
  const nothing = { hardware_ns: null, cas_ns: null, buffer_ns: null, rx_ns: null, entire_ns: null };
  assert.not(stages.used);
  assert.equal(stages.report(), { packets: 0, ...nothing });
  for (let i = 0; i < 15; i++) call(stages, 10, { hw: 1, cas: 1, buffer: 1, rest: 1 });
  assert.equal(stages.report(), { packets: 150, ...nothing }, "the 16th is the first");
});

test("one burst of 16 is timed, by packets; calls that find nothing are not", () => {
  const stages = new StageTimes();
  for (let i = 1; i <= 64; i++) {
    const timed = i % 16 === 0;
    const few = { hw: 200, cas: 300, buffer: 500, rest: 1000 };
    if (i === 32) call(stages, 0, { hw: 9000, cas: 9000, buffer: 0, rest: 0 });
    else if (timed) call(stages, i === 16 ? 10 : 30, i === 16 ? few : { hw: 400, cas: 100, buffer: 1500, rest: 2000 });
    else call(stages, 1, { hw: 7777, cas: 7777, buffer: 7777, rest: 7777 });
  }
  // 1000 ns for 10 packets, and twice 2000 for 30; rest 1000 and twice 2000.
  assert.equal(rounded(stages.report()), {
    packets: 60 + 70,
    hardware_ns: Math.round((200 + 800) / 70),
    cas_ns: Math.round((300 + 200) / 70),
    buffer_ns: Math.round((500 + 3000) / 70),
    rx_ns: Math.round(5000 / 70),
    entire_ns: Math.round(10_000 / 70),
  });
});

test("bursts in which the processor was taken away do not count", () => {
  const stages = new StageTimes();
  for (let i = 1; i <= 16 * 100; i++) {
    const taken = i % (16 * 25) === 0;
    call(stages, 10, { hw: 100, cas: taken ? 4e6 : 200, buffer: 300, rest: 400 });
  }
  assert.equal(rounded(stages.report()), {
    packets: 16_000,
    hardware_ns: 10,
    cas_ns: 20,
    buffer_ns: 30,
    rx_ns: 60,
    entire_ns: 100,
  });
});

test("of more bursts than are remembered, those remembered are of all times", () => {
  const stages = new StageTimes();
  // Dear in the second half: a mean over the first ones, or over the last, would show one of the two.
  for (let i = 0; i < 16 * 8192; i++) call(stages, 1, { hw: i < 16 * 4096 ? 100 : 300, cas: 0, buffer: 0, rest: 0 });
  const { hardware_ns: ns } = stages.report();
  assert.ok(ns! > 150 && ns! < 250, `${ns} ns`);
});

test("what a parent moves on, nobody forwards in its thread", () => {
  const stages = new StageTimes();
  for (let i = 0; i < 16; i++) {
    const timed = stages.begin();
    ms += 320 / 1e6;
    if (timed) stages.lap(STAGE.HARDWARE);
    stages.moved(32, timed);
  }
  assert.not(stages.under);
  const { packets, hardware_ns, entire_ns } = stages.report();
  assert.equal([packets, Math.round(hardware_ns!), entire_ns], [512, 10, null]);
});

test.run();
