/** The heartbeat, with the test in the place of the device thread, so that it can fall silent. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { OpenClContext } from "../runtime/device/opencl/context.js";
import { openCl } from "../runtime/device/opencl/library.js";
import { PersistentServer } from "../runtime/device/opencl/persistent.js";
import { listDevices, pickDevice } from "../runtime/device/opencl/platform.js";
import { HOST, lineAt, ROW, ROW_HEADER, rowAt, WG } from "../runtime/device/queue.js";
import { attachRegion } from "../runtime/packet/memory.js";

const sleeping = new Int32Array(new SharedArrayBuffer(4));
const sleep = (ms: number) => Atomics.wait(sleeping, 0, 0, ms);

/** Waits, for a minute at most. */
function until(condition: () => boolean, what: string): void {
  const end = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`${what}: not within a minute`);
    sleep(1);
  }
}

test("without a sign of life the kernel returns; its host is back: it is launched again, and goes on where it was", () => {
  const cl = openCl();
  const device = new OpenClContext(cl, pickDevice(listDevices(cl), undefined, "--device opencl"));
  const lines: string[] = [];
  const shape = { workgroups: 1, workgroupSize: 16, depth: 2 };
  const server = new PersistentServer(device, {
    shape,
    programs: ["pass"],
    slots: 64,
    tableWords: 4,
    sliceMs: 0,
    // Longer than this thread may have to wait for its processor.
    patienceMs: 2000,
    kernelFolders: [],
    warn: (line) => void lines.push(line),
  });
  const words = new Int32Array(attachRegion(server.regions.queue).buffer);
  const load = (word: number) => Atomics.load(words, word);
  const line = lineAt(0);
  let cpuIndex = 0;
  const serveRow = () => {
    const row = rowAt(shape, 0, cpuIndex);
    words[row + ROW.COUNT] = 1;
    for (let i = 0; i < shape.workgroupSize; i++) words[row + ROW_HEADER + i] = i === 0 ? 5 : -1;
    Atomics.store(words, line + WG.CPU_INDEX, ++cpuIndex);
    until(() => {
      server.step(performance.now());
      return load(line + WG.GPU_INDEX) === cpuIndex;
    }, "a row");
  };

  server.launch(performance.now());
  until(() => load(line + WG.STARTED) === 1, "registration");
  const first = load(HOST.PATIENCE) >>> 0;
  serveRow();
  // It lives on for as long as it is looked after, and its patience is put into polls.
  const beat = load(HOST.HEARTBEAT);
  until(() => {
    server.step(performance.now());
    return load(HOST.HEARTBEAT) >= beat + 10;
  }, "ten beats");
  assert.is(load(line + WG.LEFT), 0);
  assert.ok(load(HOST.PATIENCE) >>> 0 < first, "patience has been measured");
  assert.equal(lines, []);

  // Silence.
  until(() => load(line + WG.LEFT) === 3, "the kernel has not given up");
  server.step(performance.now());
  until(() => {
    server.step(performance.now());
    return load(HOST.LAUNCH) === 2 && load(line + WG.STARTED) === 2;
  }, "second launch");
  assert.is(lines.length, 1);
  assert.match(lines[0]!, /no heartbeat .* launched again/);
  serveRow();
  serveRow();
  assert.is(load(line + WG.GPU_INDEX), 3);

  server.halt();
  until(() => {
    server.step(performance.now());
    return server.ended;
  }, "the end");
  assert.is(load(line + WG.LEFT), 1);
  assert.is(server.report().launches, 2);
  server.close();
});

test.run();
