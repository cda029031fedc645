/** A device that cannot be opened, or has fewer workgroups than it was asked for. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DeviceOptions } from "../runtime/device/open.js";
import { lineAt, WG } from "../runtime/device/queue.js";
import { ConfigError, RunError } from "../runtime/errors.js";
import { attachRegion } from "../runtime/packet/memory.js";
import { openTestDevice, withTestDevice } from "./support/device-load.js";
import { freshSeed, Random } from "./support/random.js";

const random = new Random(freshSeed());
console.log(`seed ${random.seed}`);

async function refusal(options: Partial<DeviceOptions>): Promise<Error> {
  try {
    const device = await openTestDevice(options);
    await device.close();
  } catch (error) {
    return error as Error;
  }
  throw new Error("the device was opened");
}

// First: PoCL takes its number of threads from the first device that is opened in a process.
test("more workgroups than run at once: start() says how many there are, and only those that registered get work", async () => {
  process.env["POCL_MAX_PTHREAD_COUNT"] = "2";
  const { report } = await withTestDevice(random, { workgroups: 5 }, (load, started) => {
    assert.is(started, 2);
    const words = new Int32Array(attachRegion(load.device.handle.queue).buffer);
    const registered = [0, 1, 2, 3, 4].filter((queue) => Atomics.load(words, lineAt(queue) + WG.STARTED) !== 0);
    assert.equal(registered, [0, 1]);
    load.run(5000);
    assert.is(load.checked, 5000);
  });
  assert.is(report.launches, 1, "those that run serve the queues that get work");
});

test("slices, and fewer workgroups than were asked for: the queues in use are as many as run, and no row stays behind", async () => {
  await withTestDevice(random, { workgroups: 5, sliceMs: 2 }, (load, started) => {
    assert.is(started, 2);
    const words = new Int32Array(attachRegion(load.device.handle.queue).buffer);
    const used = () => [0, 1, 2, 3, 4].filter((queue) => Atomics.load(words, lineAt(queue) + WG.GPU_INDEX) !== 0);
    const end = performance.now() + 30_000;
    while (used().length < 2 && performance.now() < end) load.run(5000);
    assert.equal(used(), [0, 1]);
    assert.is(load.checked, load.counters[1]);
  });
});

const nf = (program: string) => ({ program, writes: "params" as const, tables: new Uint32Array(4) });

test("a kernel that does not compile: the log says where", async () => {
  const error = await refusal({ workgroups: 1, nfs: [nf("mark"), nf("broken")] });
  assert.instance(error, RunError);
  assert.match(error.message, /no_such_variable/);
  assert.match(error.message, /broken\.cl:\d+/);
  assert.match(error.message, /remedy: /);
});

test("a kernel that is not there: named, with the folders that were looked through", async () => {
  const error = await refusal({ workgroups: 1, nfs: [nf("nosuch")] });
  assert.instance(error, RunError);
  assert.match(error.message, /no kernel nosuch\.cl in .*test\/kernels/);
});

test("a device that is not there, and numbers out of range", async () => {
  const missing = await refusal({ name: "no such device" });
  assert.instance(missing, RunError);
  assert.match(missing.message, /opencl:no such device/);
  for (const [options, message] of [
    [{ workgroups: 0 }, /workgroups: found 0, expected a whole number of 1 to/],
    [{ workgroupSize: 48 }, /workgroupSize: found 48, expected a power of two/],
    [{ depth: 2.5 }, /depth: found 2.5/],
    [{ slots: 0 }, /arena: found 0 slots/],
  ] as const) {
    const error = await refusal(options);
    assert.instance(error, ConfigError);
    assert.match(error.message, message);
  }
});

test.run();
