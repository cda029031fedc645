/** Devices that packets are copied to: rounds, on request on any device. To a syncer, and to a packet, nothing differs. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCl } from "../runtime/device/opencl/library.js";
import { isPocl, listDevices, ranked } from "../runtime/device/opencl/platform.js";
import { skipUnless } from "./skip.js";
import { nearTheEnd, openTestDevice, testTable, withTestDevice } from "./support/device-load.js";
import { freshSeed, Random } from "./support/random.js";

const random = new Random(freshSeed());
const mode = "rounds";
console.log(`seed ${random.seed}`);

test("every packet is served once and as it should be; what is copied is counted, to the byte", async () => {
  const { load, report, device } = await withTestDevice(random, { workgroups: 4, mode }, (load, started) => {
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
    const shape = { workgroups: 2, workgroupSize, depth: 2, mode } as const;
    const { load } = await withTestDevice(random, shape, (load) => load.run(packets), nearTheEnd);
    assert.is(load.checked, packets);
  });
}

test("tables are swapped under load, and their room is used again", async () => {
  await withTestDevice(random, { workgroups: 4, mode }, async (load) => {
    for (let i = 0; i < 60; i++) {
      await load.swap(random.int(0, 2), testTable(random.int(0, 255), random.u32() & 0xffff));
      load.run(500);
    }
    load.run(2000);
  });
});

test("a run that is over at once: the memory of large tables is there until the device has them", async () => {
  const nfs = [{ program: "sum", writes: "params", tables: new Uint32Array(24 << 20) }] as const;
  for (let times = 0; times < 3; times++) {
    const device = await openTestDevice({ workgroups: 1, mode, nfs });
    await device.start();
    assert.is((await device.stop()).launches, 0);
    await device.close();
  }
});

test("a stop ends the rounds under way and leaves the other rows as they are", async () => {
  await withTestDevice(random, { workgroups: 4, mode }, async (load) => {
    for (let i = 0; i < 4000; i++) load.add();
    load.pump(true);
    await load.device.stop();
    const unserved = load.takeBack();
    assert.is(load.checked + unserved, 4000);
    assert.ok(unserved > 0, "all were served");
  });
});

test("what the driver compiles at the first launch is compiled when the device has started: no packet waits for it", () => {
  const [best] = ranked(listDevices(openCl()));
  const reason =
    "PoCL is not the best device here, and only its cache shows when it compiles: try where there is no GPU";
  if (skipUnless(best !== undefined && isPocl(best.device), reason)) return;
  const cache = mkdtempSync(join(tmpdir(), "wingbeat-pocl-cache-"));
  try {
    const child = fileURLToPath(new URL("./support/device-child.js", import.meta.url));
    const env = { ...process.env, POCL_CACHE_DIR: cache };
    const { status, stderr } = spawnSync(process.execPath, [child, mode, "start"], { env, encoding: "utf8" });
    assert.is(status, 0, stderr);
    const files = readdirSync(cache, { recursive: true, encoding: "utf8" });
    assert.ok(
      files.some((file) => /rounds[^/]*\.so$/.test(file)),
      `only ${files.join(", ")}`,
    );
  } finally {
    rmSync(cache, { recursive: true });
  }
});

test.run();
