/** The WebGPU device: what every device that packets are copied to does, and what it says where it cannot. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DeviceOptions } from "../runtime/device/open.js";
import { TableHeap } from "../runtime/device/tables.js";
import { type AdapterFacts, pickAdapter } from "../runtime/device/webgpu/adapter.js";
import { adaptersHere } from "../runtime/device/webgpu/here.js";
import { shaderSource, workgroupBytes } from "../runtime/device/webgpu/program.js";
import { RunError } from "../runtime/errors.js";
import { folder, gateway } from "./chain-support.js";
import { roundsCases } from "./device-rounds-cases.js";
import { skipUnless } from "./skip.js";
import { DeviceLoad, openTestDevice, withTestDevice } from "./support/device-load.js";
import { load, runLoaded } from "./support/gpu-forms.js";
import { freshSeed, Random } from "./support/random.js";
import { deviceLack } from "./support/webgpu.js";

const lack = await deviceLack();
const random = new Random(freshSeed());
const kind = "webgpu";

if (lack === undefined) {
  const { maxBinding, maxBuffer } = await best();
  // Memory of twice the tables is asked for.
  roundsCases({ kind }, Math.min(24 << 20, Math.floor(Math.min(maxBinding, maxBuffer) / 8) - 1024));
}

function deviceTest(name: string, body: () => Promise<void>): void {
  test(name, async () => {
    if (!skipUnless(lack === undefined, lack ?? "")) await body();
  });
}

async function refusal(options: Partial<DeviceOptions>): Promise<string> {
  try {
    const device = await openTestDevice({ kind, workgroups: 1, ...options });
    await device.close();
  } catch (error) {
    assert.instance(error, RunError);
    return (error as Error).message;
  }
  throw new Error("the device was opened");
}

async function best(): Promise<AdapterFacts> {
  return pickAdapter((await adaptersHere()).map((facts) => ({ facts }))).facts;
}

deviceTest("what it says of itself", async () => {
  const { name, emulated } = await best();
  const { device, load } = await withTestDevice(random, { kind, name: name.toUpperCase() }, (load) => load.run(3000));
  assert.equal(device.handle.info, { kind, name, emulated, persistent: false, zeroCopy: false });
  assert.ok(device.handle.shape.workgroups >= 1);
  assert.is(load.checked, 3000);
});

deviceTest("lost in mid-run: it fails, with what was in flight, and the rows that are not served stay", async () => {
  const device = await openTestDevice({ kind, workgroups: 2, loseAfter: 5 });
  try {
    await device.start();
    const load = new DeviceLoad(device, random);
    let failure: Error | undefined;
    device.failed.catch((error: Error) => {
      failure = error;
    });
    for (const end = performance.now() + 30_000; failure === undefined && performance.now() < end; ) {
      for (let i = 0; i < 100 && load.away < 3000; i++) load.add();
      load.pump(true);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.instance(failure, RunError);
    const words = /^device .*: it is lost \(destroyed.*\); [012] rounds with \d+ rows and \d+ packets were in flight\n/;
    assert.match(failure!.message, words);
    assert.match(failure!.message, "remedy: ");
    await device.stop().then(
      () => assert.unreachable("it stops in order"),
      (error: Error) => assert.is(error, failure),
    );
    assert.ok(load.takeBack() > 0);
  } finally {
    await device.close();
  }
});

deviceTest("lost at the first launch: it does not start", async () => {
  const device = await openTestDevice({ kind, workgroups: 2, loseAfter: 0 });
  try {
    await device.start().then(
      () => assert.unreachable("it starts"),
      (error: Error) => assert.match(error.message, /^device .*: it is lost \(destroyed.*; 0 rounds with 0 rows/),
    );
  } finally {
    await device.close();
  }
});

for (const cores of ["d1", "c1d1n1"]) {
  deviceTest(`${cores}: a run whose device is lost ends, and all its packets are accounted for`, async () => {
    const cwd = folder(gateway(5000));
    const names = ["protect", "open", "nids", "router"];
    const chain = await load(cwd, names, names);
    const form = { kind, place: names, cores, workgroups: 2, depth: 1, loseAfter: 7 } as const;
    const { failure, ledger } = await runLoaded(chain, form, random.u32());
    assert.match(
      failure!,
      /device .*: it is lost \(destroyed.*; [012] rounds with \d+ rows and \d+ packets were in flight/,
    );
    assert.ok(ledger.balanced && ledger.in_flight === 0, JSON.stringify(ledger));
    assert.ok(ledger.drops.some(({ reason, packets }) => reason === "device-stalled" && packets > 0));
  });
}

deviceTest("devices that are opened and closed, started or not, one after the other and side by side", async () => {
  for (let i = 0; i < 3; i++) await (await openTestDevice({ kind })).close();
  const two = await Promise.all([openTestDevice({ kind }), openTestDevice({ kind })]);
  await Promise.all(two.map((device) => device.start()));
  const loads = two.map((device) => new DeviceLoad(device, random));
  for (const load of loads) load.run(1000);
  for (const device of two) await device.close();
});

const nf = (program: string, words = 4) => ({ program, writes: "params" as const, tables: new Uint32Array(words) });

deviceTest("tables that are larger than the adapter takes: the limit, what it is, and what is needed", async () => {
  const { name, maxBinding, maxBuffer } = await best();
  const limit = Math.min(maxBinding, maxBuffer);
  const big = nf("sum", limit / 8 + 1024);
  const needed = 4 * TableHeap.room([big.tables]);
  assert.ok(needed > limit);
  const message = await refusal({ nfs: [big] });
  assert.match(message, new RegExp(`a buffer of ${Math.round(needed / 2 ** 20)} MiB is needed`));
  assert.match(message, `${name} takes at most ${Math.round(limit / 2 ** 20)} MiB`);
  assert.match(message, maxBinding <= maxBuffer ? "maxStorageBufferBindingSize" : "maxBufferSize");
  assert.match(message, "remedy: ");
});

deviceTest("workgroups that are larger than the adapter takes", async () => {
  const { maxWorkgroupSize } = await best();
  if (maxWorkgroupSize >= 1024) return; // the most that can be asked for
  assert.match(await refusal({ workgroupSize: 1024 }), /workgroups of 1024 threads are needed, and .* at most \d+/);
});

deviceTest("a shader that does not compile: file, line and the complaint", async () => {
  const message = await refusal({ nfs: [nf("mark"), nf("broken")] });
  assert.match(message, /broken\.wgsl:3:\d+: .*no_such_variable/);
  assert.match(message, "remedy: ");
});

deviceTest("a kernel or an adapter that is not there is named", async () => {
  assert.match(await refusal({ nfs: [nf("nosuch")] }), /no kernel nosuch\.wgsl in .*test\/kernels/);
  assert.match(await refusal({ name: "no such" }), /^webgpu:no such: no adapter has "no such" in its name/);
});

test("workgroup memory of the kernels of a shader together, in bytes", () => {
  const shape = { workgroups: 1, workgroupSize: 64, depth: 1 };
  const bytes = (...programs: string[]) => workgroupBytes(shaderSource({ shape, programs, entry: "rounds" }));
  assert.is(bytes("router", "nids"), 0);
  assert.is(bytes("ipsec"), 4 * (1024 + 1024 + 256));
  assert.is(bytes("ipsec", "router"), bytes("ipsec"));
});

test.run();
