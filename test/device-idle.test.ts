/** A device thread with nothing in flight sleeps, and is woken by the row that comes next: devices that serve rounds. */
import { setTimeout as delay } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { whyNoDevice } from "../bench/device/bed.js";
import { type DeviceOptions, openDevice } from "../runtime/device/open.js";
import { HOST } from "../runtime/device/queue.js";
import { Syncer } from "../runtime/device/syncer.js";
import { WAKE } from "../runtime/device/wake.js";
import { Arena } from "../runtime/packet/arena.js";
import { attachRegion } from "../runtime/packet/memory.js";
import { skipUnless } from "./skip.js";
import { deviceLack } from "./support/webgpu.js";

type Kind = Pick<DeviceOptions, "kind" | "gpuJsMode" | "mode">;
const SLOTS = 256;
/** A look a millisecond takes 5 % of a core here, polling all of it. */
const MOST_PERCENT = 30;
const MEASURED_MS = 1000;
/** In which a thread without work goes to sleep, on a machine that is busy with something else. */
const ASLEEP_MS = 20_000;

const noAdapter = await deviceLack();
const noOpenCl = whyNoDevice(true);
const DEVICES: readonly (readonly [string, string | undefined, Kind])[] = [
  ["opencl rounds", noOpenCl, { kind: "opencl", mode: "rounds" }],
  ["webgpu", noAdapter, { kind: "webgpu" }],
  ["gpujs webasm", undefined, { kind: "gpujs", gpuJsMode: "webasm" }],
  ["gpujs cpu", undefined, { kind: "gpujs", gpuJsMode: "cpu" }],
  ["gpujs webgpu", noAdapter, { kind: "gpujs", gpuJsMode: "webgpu" }],
];

/** DIR-24-8 without a route. */
const nfs = [{ program: "router", writes: "params", tables: new Uint32Array(2 ** 23) }] as const;

for (const [name, lack, options] of DEVICES) {
  test(`${name}: asleep while nothing is in flight, awake when a row is published`, async () => {
    if (skipUnless(lack === undefined, lack ?? "")) return;
    const device = await openDevice({ ...options, workgroups: 2, slots: SLOTS, nfs, warn: () => {} });
    try {
      await device.start();
      const words = new Int32Array(attachRegion(device.handle.queue).buffer);
      const wake = new Int32Array(device.handle.wake);
      const arena = Arena.attach({ slots: SLOTS, region: device.arena, owned: false });
      const counters = new Float64Array(3);
      const syncer = new Syncer(device.handle, arena, [0, 1], counters, 0);
      const slots = Uint32Array.from({ length: SLOTS }, (_, slot) => slot);
      const out = new Uint32Array(SLOTS);
      for (let round = 0; round < 3; round++) {
        for (const end = performance.now() + ASLEEP_MS; Atomics.load(words, HOST.ASLEEP) === 0; await delay(1)) {
          assert.ok(performance.now() < end, "it stays awake");
        }
        if (round === 0) {
          const before = process.cpuUsage();
          const start = performance.now();
          await delay(MEASURED_MS);
          const { user, system } = process.cpuUsage(before);
          const percent = (user + system) / 10 / (performance.now() - start);
          assert.ok(percent < MOST_PERCENT, `${percent.toFixed(1)} % of a core`);
        }
        const woken = Atomics.load(wake, WAKE);
        arena.params.fill(7);
        syncer.add(0, slots, 0, SLOTS);
        assert.is(syncer.publish(performance.now() * 1e6, true), SLOTS / 64);
        assert.not.equal(Atomics.load(wake, WAKE), woken, "who publishes wakes it");
        let back = 0;
        for (const end = performance.now() + ASLEEP_MS; back < SLOTS; await delay(1)) {
          assert.ok(performance.now() < end, "rows are not served");
          for (let got = syncer.collect(out); got > 0; got = syncer.collect(out)) back += got;
        }
        for (let slot = 0; slot < SLOTS; slot++) assert.is(arena.params[slot * 8], 0, "no route");
      }
    } finally {
      await device.close();
    }
  });
}

test.run();
