/**
 * Fewer workgroups run in a launch than there are queues in use, as where another program has taken a part of the device since: every
 * syncer has its turn, also one that has none of the queues that are served. The test is in the place of the device thread.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DeviceHandle } from "../runtime/device/device.js";
import { OpenClContext } from "../runtime/device/opencl/context.js";
import { openCl } from "../runtime/device/opencl/library.js";
import { PersistentServer } from "../runtime/device/opencl/persistent.js";
import { listDevices, pickDevice } from "../runtime/device/opencl/platform.js";
import { HOST } from "../runtime/device/queue.js";
import { SYNC, Syncer } from "../runtime/device/syncer.js";
import { WAKE_BYTES } from "../runtime/device/wake.js";
import { Arena } from "../runtime/packet/arena.js";
import { attachRegion } from "../runtime/packet/memory.js";

const SLOTS = 64;
const sleeping = new Int32Array(new SharedArrayBuffer(4));
// One thread runs one workgroup at a time.
for (const name of ["POCL_MAX_PTHREAD_COUNT", "POCL_CPU_MAX_CU_COUNT"]) process.env[name] = "1";

for (const sliceMs of [0, 5]) {
  test(`slices of ${sliceMs} ms: a syncer none of whose queues is served has its turn, also while another has rows all the time`, () => {
    const cl = openCl();
    const device = new OpenClContext(cl, pickDevice(listDevices(cl), undefined, "--device opencl"));
    const shape = { workgroups: 3, workgroupSize: 4, depth: 2 };
    const server = new PersistentServer(device, {
      ...{ shape, programs: ["pass"], slots: SLOTS, tableWords: 4, sliceMs, patienceMs: 60_000, kernelFolders: [] },
      warn: (line) => console.log(line),
    });
    const { info, regions, lockStep } = server;
    const wake = new SharedArrayBuffer(WAKE_BYTES);
    const handle: DeviceHandle = { info, shape, lockStep, ...regions, wake, nfs: [{ program: 0, table: 0 }] };
    const arena = Arena.attach({ slots: SLOTS, region: regions.arena, owned: false });
    // One has queues 0 and 2, which may follow each other; slots come round again and again.
    const parties = [[0, 2], [1]].map((workgroups, i) => {
      const counters = new Float64Array(3);
      const free = Array.from({ length: SLOTS / 2 }, (_, slot) => slot + (i * SLOTS) / 2);
      return { syncer: new Syncer(handle, arena, workgroups, counters, 0), counters, free };
    });
    const one = new Uint32Array(1);
    const out = new Uint32Array(SLOTS);
    const round = (feed: readonly boolean[]) => {
      server.step(performance.now());
      parties.forEach(({ syncer, free }, i) => {
        while (feed[i] && free.length > 0) {
          one[0] = free.pop()!;
          syncer.add(0, one, 0, 1);
        }
        syncer.publish(performance.now() * 1e6, true);
        for (let n = syncer.collect(out); n > 0; n = syncer.collect(out)) free.push(...out.subarray(0, n));
      });
      Atomics.wait(sleeping, 0, 0, 0.05);
    };
    const until = (done: () => boolean, feed: readonly boolean[], what: string) => {
      const end = performance.now() + 60_000;
      while (!done()) {
        if (performance.now() > end) throw new Error(`${what}: not within a minute`);
        round(feed);
      }
    };
    const rows = (i: number) => parties[i]!.counters[SYNC.ROWS]!;
    server.launch(performance.now());
    // Only the second has anything: nothing tells the device so but that it asks.
    until(() => rows(1) > 0 && parties[1]!.free.length > 0, [false, true], "a syncer alone");
    // The first never pauses.
    for (let times = 0; times < 3; times++) {
      const before = [rows(0), rows(1)];
      const both = () => rows(0) > before[0]! + 10 && rows(1) > before[1]! + 10;
      until(both, [true, true], "two syncers");
    }
    until(() => parties.every(({ free }) => free.length === SLOTS / 2), [false, false], "the last rows");
    assert.equal([...new Set(parties.flatMap(({ free }) => free))].length, SLOTS, "every slot is back once");
    const words = new Int32Array(attachRegion(regions.queue).buffer);
    assert.ok(Atomics.load(words, HOST.LAUNCH) > 1);
    server.halt();
    while (!server.ended) server.step(performance.now());
    server.close();
  });
}

test.run();
