/** The persistent OpenCL device: every packet is compared with what the host computes. test/device-rounds.test.ts has the other kind. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HOST } from "../runtime/device/queue.js";
import { RunError } from "../runtime/errors.js";
import { attachRegion } from "../runtime/packet/memory.js";
import { DeviceLoad, nearTheEnd, openTestDevice, testTable, withTestDevice } from "./support/device-load.js";
import { freshSeed, Random } from "./support/random.js";

const random = new Random(freshSeed());
console.log(`seed ${random.seed}`);

// Eight first: PoCL takes its number of threads from the first device that is opened in a process.
for (const workgroups of [8, 1, 2, 5]) {
  test(`${workgroups} workgroups: all register, every packet is served once and as it should be`, async () => {
    const { load, report, device } = await withTestDevice(random, { workgroups }, (load, started) => {
      assert.is(started, workgroups);
      load.run(20_000);
    });
    assert.is(load.checked, 20_000);
    assert.is(load.counters[1], 20_000);
    assert.is(load.counters[0]! * 64, load.counters[1]! + load.counters[2]!, "rows hold packets and dummies");
    assert.equal(report, { bytesCopied: 0, copyMs: 0, launches: 1 });
    const { persistent, zeroCopy, emulated } = device.handle.info;
    assert.equal({ persistent, zeroCopy, emulated }, { persistent: true, zeroCopy: true, emulated: true });
  });
}

for (const workgroupSize of [1, 16, 128, 256]) {
  test(`workgroups of ${workgroupSize} threads; indices wrap around`, async () => {
    const packets = workgroupSize === 1 ? 2000 : 8000;
    const shape = { workgroups: 2, workgroupSize, depth: 2 };
    const { load } = await withTestDevice(random, shape, (load) => load.run(packets), nearTheEnd);
    assert.is(load.checked, packets);
  });
}

test("tables are swapped under load, and their room is used again", async () => {
  await withTestDevice(random, { workgroups: 2 }, async (load) => {
    for (let i = 0; i < 60; i++) {
      await load.swap(random.int(0, 2), testTable(random.int(0, 255), random.u32() & 0xffff));
      load.run(500);
    }
    load.run(2000);
  });
});

test("a table with no room is refused; the device goes on", async () => {
  await withTestDevice(random, { workgroups: 1 }, async (load) => {
    const error = await load.device.swapTable(0, new Uint32Array(10_000)).catch((error: Error) => error);
    assert.match(String(error), /40000 bytes does not fit/);
    load.run(1000);
  });
});

test("slices of 1 ms under load: no row is lost or served twice", async () => {
  const { load, report } = await withTestDevice(random, { workgroups: 8, sliceMs: 1 }, (load) => {
    const words = new Int32Array(attachRegion(load.device.handle.queue).buffer);
    const least = performance.now() + 1000;
    const most = performance.now() + 60_000;
    // How long a slice takes is the machine's affair; some of them have to come and go.
    const goesOn = (now: number) => now < least || (now < most && Atomics.load(words, HOST.LAUNCH) < 10);
    while (goesOn(performance.now())) load.run(2000);
  });
  assert.ok(report.launches >= 10, `only ${report.launches} launches`);
  assert.is(load.checked, load.counters[1]);
  assert.is(report.bytesCopied, 0);
});

test("edge rows: one packet and dummies, a full row, a dummy in one column", async () => {
  const { load } = await withTestDevice(random, { workgroups: 1 }, (load) => {
    for (const packets of [1, 64, 63]) {
      for (let i = 0; i < packets; i++) load.add(0);
      load.run(0);
    }
  });
  assert.equal([...load.counters], [3, 128, 64]);
});

test("stops within 100 ms, while idle and with rows in flight", async () => {
  let fastest = Number.POSITIVE_INFINITY;
  // The fastest: others may have the processors.
  for (let i = 0; i < 6 || (fastest > 100 && i < 40); i++) {
    const device = await openTestDevice({ workgroups: 2 });
    await device.start();
    const load = new DeviceLoad(device, random);
    load.run(1000);
    if (i % 2 === 1) {
      for (let n = 0; n < 3000; n++) load.add();
      load.pump(false);
    }
    const from = performance.now();
    await device.stop();
    fastest = Math.min(fastest, performance.now() - from);
    // A row is served whole or not at all.
    assert.is(load.takeBack() + load.checked, i % 2 === 1 ? 4000 : 1000);
    await device.close();
  }
  assert.ok(fastest <= 100, `${fastest} ms`);
});

test("a kernel that ends by itself: the device says that it has failed, and so do stop and what comes after", async () => {
  const device = await openTestDevice({ workgroups: 2 });
  await device.start();
  const failure = device.failed.catch((error: Error) => error);
  const words = new Int32Array(attachRegion(device.handle.queue).buffer);
  Atomics.store(words, HOST.STOP, 1); // behind the device's back
  // A device at work does not keep a process alive.
  const alive = setInterval(() => {}, 1000);
  const error = await failure;
  clearInterval(alive);
  assert.instance(error, RunError);
  assert.match(
    (error as Error).message,
    /^device .*: the kernel ended although nobody stopped it\n.*remedy: .*--slice/s,
  );
  assert.is(await device.stop().catch((error: Error) => error), error);
  assert.is(await device.swapTable(0, testTable(1, 1)).catch((error: Error) => error), error);
  await device.close();
});

test("closed without having been started; stopped twice", async () => {
  const unused = await openTestDevice({ workgroups: 1 });
  await unused.close();
  const device = await openTestDevice({ workgroups: 1 });
  await device.start();
  assert.equal(await device.stop(), await device.stop());
  await device.close();
});

test.run();
