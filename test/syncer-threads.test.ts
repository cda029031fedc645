/** CPUSyncers and a device in threads of their own, over one memory: what random schedules in one thread cannot show. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HOST } from "../runtime/device/queue.js";
import { SYNC, SYNC_COUNTERS, Syncer } from "../runtime/device/syncer.js";
import { Arena, PARAM_WORDS } from "../runtime/packet/arena.js";
import { attachRegion } from "../runtime/packet/memory.js";
import { fakeDevice } from "./support/fake-device.js";
import { type GpuWorkerData, served } from "./support/gpu-worker.js";
import { freshSeed, Random } from "./support/random.js";

const PACKETS = 40_000;
const SLOTS = 512;

test(`${PACKETS} packets through a device in another thread, that leaves and is launched again`, async () => {
  const seed = freshSeed();
  const random = new Random(seed);
  const nfs = [
    { program: 1, table: 5 },
    { program: 2, table: 9 },
  ];
  const shape = { workgroups: 3, workgroupSize: 8, depth: 4 };
  const device = fakeDevice({ ...shape, nfs, startIndex: 2 ** 32 - 100 });
  const arena = Arena.create(SLOTS);
  const counters = new Float64Array(2 * SYNC_COUNTERS);
  // A minute without progress is an error on any machine.
  const options = { stall: 60e9 };
  const syncers = [
    new Syncer(device.handle, arena, [0, 2], counters, 0, options),
    new Syncer(device.handle, arena, [1], counters, SYNC_COUNTERS, options),
  ];
  const workerData: GpuWorkerData = { handle: device.handle, arena: arena.handle, seed };
  const worker = new Worker(new URL("./support/gpu-worker.js", import.meta.url), { workerData });
  let failure: unknown;
  worker.on("error", (error) => {
    failure = error;
  });

  const { params } = arena;
  const free = Array.from({ length: SLOTS }, (_, i) => i);
  const nfOf = new Uint8Array(SLOTS);
  const out = new Uint32Array(16);
  let sent = 0;
  let back = 0;
  const check = (slot: number) => {
    const at = slot * PARAM_WORDS;
    const { program, table } = nfs[nfOf[slot]!]!;
    assert.is(params[at + 1], served(params[at]!, program, table), `seed ${seed}: slot ${slot} was not written`);
    assert.is(params[at + 2], 1, `seed ${seed}: slot ${slot} was served ${params[at + 2]} times`);
    free.push(slot);
    back++;
  };
  try {
    while (back < PACKETS && failure === undefined) {
      const burst = free.splice(0, Math.min(random.int(0, 40), PACKETS - sent));
      const nf = random.int(0, 1);
      for (const slot of burst) {
        const at = slot * PARAM_WORDS;
        params[at] = sent++;
        params[at + 1] = 0;
        params[at + 2] = 0;
        nfOf[slot] = nf;
      }
      const syncer = random.pick(syncers);
      syncer.add(nf, Uint32Array.from(burst), 0, burst.length);
      for (const each of syncers) {
        each.publish(performance.now() * 1e6, sent === PACKETS || free.length === 0);
        for (let n = each.collect(out); n > 0; n = each.collect(out))
          for (const slot of out.subarray(0, n)) check(slot);
        const stall = each.stalled(performance.now() * 1e6);
        assert.is(stall, undefined, `seed ${seed}: ${JSON.stringify(stall)}`);
      }
      // Gives the other thread its turn, and errors their way here.
      if (burst.length === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    Atomics.store(new Int32Array(attachRegion(device.handle.queue).buffer), HOST.STOP, 1);
  }
  if (failure === undefined) await once(worker, "exit");
  if (failure !== undefined) throw failure;
  assert.is(free.length, SLOTS);
  assert.is(counters[SYNC.PACKETS]! + counters[SYNC_COUNTERS + SYNC.PACKETS]!, PACKETS);
  device.close();
  arena.free();
});

test.run();
