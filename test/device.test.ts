/** The persistent OpenCL device, and the same packets in rounds. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DeviceOptions } from "../runtime/device/open.js";
import { lineAt, WG } from "../runtime/device/queue.js";
import { attachRegion } from "../runtime/packet/memory.js";
import { DeviceLoad, openTestDevice, testTable } from "./support/device-load.js";
import { freshSeed, Random } from "./support/random.js";

const random = new Random(freshSeed());
console.log(`seed ${random.seed}`);

/** Opens, starts, hands over, stops and closes. */
async function withDevice(
  options: Partial<DeviceOptions>,
  use: (load: DeviceLoad, started: number) => void | Promise<void>,
  prepare: (words: Int32Array) => void = () => {},
) {
  const device = await openTestDevice(options);
  prepare(new Int32Array(attachRegion(device.handle.queue).buffer));
  try {
    const started = await device.start();
    const load = new DeviceLoad(device, random);
    await use(load, started);
    const report = await device.stop();
    return { load, report, device };
  } finally {
    await device.close();
  }
}

// First of all: PoCL takes its number of threads from the first device that is opened in a process.
for (const workgroups of [8, 1, 2, 3, 5]) {
  test(`${workgroups} workgroups: all register, every packet is served once and as it should be`, async () => {
    const { load, report, device } = await withDevice({ workgroups }, (load, started) => {
      assert.is(started, workgroups);
      load.run(20_000);
    });
    assert.is(load.checked, 20_000);
    assert.is(load.counters[1], 20_000);
    assert.is(load.counters[0]! * 64, load.counters[1]! + load.counters[2]!, "rows hold packets and dummies");
    assert.equal(report, { bytesCopied: 0, launches: 1 });
    assert.is(device.handle.info.persistent, true);
    assert.is(device.handle.info.zeroCopy, true);
  });
}

for (const workgroupSize of [1, 2, 16, 128, 256]) {
  for (const mode of ["persistent", "rounds"] as const) {
    test(`${mode}: workgroups of ${workgroupSize} threads`, async () => {
      const packets = workgroupSize === 1 ? 2000 : 8000;
      const { load } = await withDevice({ workgroups: 2, workgroupSize, mode, depth: 4 }, (load) => load.run(packets));
      assert.is(load.checked, packets);
    });
  }
}

for (const mode of ["persistent", "rounds"] as const) {
  test(`${mode}: indices wrap around`, async () => {
    const { load } = await withDevice(
      { workgroups: 3, workgroupSize: 16, depth: 2, mode },
      (load) => load.run(10_000),
      (words) => {
        // A few rows before 2^32, and before 2^31.
        for (const [workgroup, index] of [0xffff_fff0, 0x7fff_fff8, 0xffff_ffff].entries()) {
          words[lineAt(workgroup) + WG.CPU_INDEX] = index;
          words[lineAt(workgroup) + WG.GPU_INDEX] = index;
        }
      },
    );
    assert.is(load.checked, 10_000);
  });

  test(`${mode}: tables are swapped under load, their room is used again`, async () => {
    await withDevice({ workgroups: 2, workgroupSize: 16, mode }, async (load) => {
      for (let i = 0; i < 60; i++) {
        await load.swap(random.int(0, 2), testTable(random.int(0, 255), random.u32() & 0xffff));
        load.run(500);
      }
      load.run(2000);
    });
  });
}

test("rounds: what is copied is counted, to the byte; nothing else differs for the syncer", async () => {
  const { load, report, device } = await withDevice({ workgroups: 4, mode: "rounds" }, (load) => load.run(20_000));
  assert.is(load.checked, 20_000);
  assert.is(report.bytesCopied, load.copied);
  assert.ok(report.launches > 1 && report.launches <= load.counters[0]!, `${report.launches} launches`);
  assert.is(device.handle.info.persistent, false);
  assert.is(device.handle.info.zeroCopy, false);
});

test("slices of 1 ms under load: no row is lost or served twice", async () => {
  const { load, report } = await withDevice({ workgroups: 4, sliceMs: 1 }, async (load) => {
    const end = performance.now() + 2000;
    while (performance.now() < end) load.run(2000);
  });
  assert.ok(report.launches >= 5, `only ${report.launches} launches`);
  assert.is(load.checked, load.counters[1]);
  assert.is(report.bytesCopied, 0);
});

test("a packet that stops no row: dummies alone, a single packet, a full row", async () => {
  const { load } = await withDevice({ workgroups: 1, workgroupSize: 64 }, (load) => {
    load.run(1);
    load.run(64);
    load.run(63);
  });
  assert.is(load.checked, 128);
  assert.is(load.counters[0]! * 64 - load.counters[2]!, 128);
});

test("stops within 100 ms, while idle and with rows in flight", async () => {
  let fastest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 6; i++) {
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
    // The fastest: others may have the processors.
    fastest = Math.min(fastest, performance.now() - from);
    await device.close();
  }
  assert.ok(fastest <= 100, `${fastest} ms`);
});

test("closed without having been started, and stopped twice", async () => {
  const unused = await openTestDevice({ workgroups: 1 });
  await unused.close();
  const device = await openTestDevice({ workgroups: 1 });
  await device.start();
  assert.equal(await device.stop(), await device.stop());
  await device.close();
});

test.run();
