/** Devices that packets are copied to, of whichever kind. To a syncer, and to a packet, nothing differs. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DeviceOptions } from "../runtime/device/open.js";
import { nearTheEnd, openTestDevice, testTable, withTestDevice } from "./support/device-load.js";
import { freshSeed, Random } from "./support/random.js";

/**
 * @param way the device, and how it is driven
 * @param largeTable words of a table that takes a while to be copied
 */
export function roundsCases(way: Partial<DeviceOptions>, largeTable: number): void {
  const random = new Random(freshSeed());
  console.log(`seed ${random.seed}`);

  test("every packet is served once and as it should be; what is copied is counted, to the byte", async () => {
    const { load, report, device } = await withTestDevice(random, { workgroups: 4, ...way }, (load, started) => {
      assert.is(started, 4);
      load.run(20_000);
    });
    assert.is(load.checked, 20_000);
    assert.is(report.bytesCopied, load.copied);
    assert.ok(report.launches > 1 && report.launches <= load.counters[0]!, `${report.launches} launches`);
    const { persistent, zeroCopy } = device.handle.info;
    assert.equal({ persistent, zeroCopy }, { persistent: false, zeroCopy: false });
  });

  for (const workgroupSize of [1, 16, 256]) {
    test(`workgroups of ${workgroupSize} threads; indices wrap around`, async () => {
      const packets = workgroupSize === 1 ? 2000 : 8000;
      const shape = { workgroups: 2, workgroupSize, depth: 2, ...way } as const;
      const { load } = await withTestDevice(random, shape, (load) => load.run(packets), nearTheEnd);
      assert.is(load.checked, packets);
    });
  }

  test("tables are swapped under load, and their room is used again", async () => {
    await withTestDevice(random, { workgroups: 4, ...way }, async (load) => {
      for (let i = 0; i < 60; i++) {
        await load.swap(random.int(0, 2), testTable(random.int(0, 255), random.u32() & 0xffff));
        load.run(500);
      }
      load.run(2000);
    });
  });

  test("a run that is over at once: the memory of large tables is there until the device has them", async () => {
    const nfs = [{ program: "sum", writes: "params", tables: new Uint32Array(largeTable) }] as const;
    for (let times = 0; times < 3; times++) {
      const device = await openTestDevice({ workgroups: 1, ...way, nfs });
      await device.start();
      assert.is((await device.stop()).launches, 0);
      await device.close();
    }
  });

  test("a stop ends the rounds under way and leaves the other rows as they are", async () => {
    await withTestDevice(random, { workgroups: 4, ...way }, async (load) => {
      for (let i = 0; i < 4000; i++) load.add();
      load.pump(true);
      await load.device.stop();
      const unserved = load.takeBack();
      assert.is(load.checked + unserved, 4000);
      assert.ok(unserved > 0, "all were served");
    });
  });
}
