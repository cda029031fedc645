import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openRx } from "../runtime/nic/drivers.js";
import { openCaptureRx } from "../runtime/nic/pcap/rx.js";
import { portSchema } from "../runtime/nic/port-config.js";
import { openReplay } from "../runtime/nic/replay.js";
import { MAX_FRAME, SLOT_SHIFT } from "../runtime/packet/arena.js";
import { arena, classic, context, drain, fill, fresh, read, readFile, rejects } from "./ports-util.js";
import { freshSeed, Random } from "./support/random.js";

const seed = freshSeed();
const r = new Random(seed);

const put = (bytes: Uint8Array) => {
  const file = fresh(".pcap");
  writeFileSync(file, bytes);
  return file;
};

test("a capture replayed is the capture, N times, without the file", async () => {
  const lengths = [0, 1, 7, 8, 60, 64, 65, 128, 239, 240, 241, 248, 1514, MAX_FRAME, 9000];
  const records = lengths.map((n, i) => ({ sec: i, ticks: i, data: fill(n, i), original: n === 65 ? 70 : n }));
  for (const bytes of [classic(records), gzipSync(classic(records))]) {
    const file = put(bytes);
    const once = await readFile(file);
    const port = await openRx({ driver: "pcap", file }, context(), { loop: 3 });
    writeFileSync(file, ""); // not read again
    assert.equal(await drain(port), [...once, ...once, ...once]);
    assert.is(port.done, true);
    await port.close();
  }
});

test("captures longer than a block of memory keep their order", async () => {
  const records = Array.from({ length: 14000 }, (_, i) => ({ sec: i, ticks: 0, data: fill(1400, i) }));
  const file = put(classic(records));
  const frames = await read({ driver: "pcap", file }, [], { loop: 2 });
  assert.is(frames.length, 28000);
  for (const [i, frame] of frames.entries()) {
    if (frame.sec !== i % 14000 || !frame.bytes.equals(records[i % 14000]!.data))
      assert.unreachable(`packet ${i} is another`);
  }
});

test("loop 0 goes on until it is closed", async () => {
  const file = put(classic([1, 2, 3].map((sec) => ({ sec, ticks: 0, data: fill(60, sec) }))));
  const port = await openRx({ driver: "pcap", file }, context(), { loop: 0 });
  const frames = await drain(port, 7, 10_000);
  assert.equal(
    frames.slice(0, 4).map((f) => f.sec),
    [1, 2, 3, 1],
  );
  assert.is(port.done, false);
  await port.close();
  await port.close();
  assert.is(port.done, true);
  assert.is(port.receive(new Uint32Array(4), 4), 0);
});

test(`frames passed over are as if received, in captures and generators (seed ${seed})`, async () => {
  // Some blocks of 8 MiB, and frames on both sides of what is copied in words.
  const lengths = Array.from({ length: 13_000 }, () => (r.chance(0.2) ? r.int(0, 300) : r.int(1000, 1514)));
  const file = put(classic(lengths.map((n, i) => ({ sec: i, ticks: i % 1000, data: fill(n, i) }))));
  const generator = { driver: "generator", size: "imix", count: 9000, pps: 333_333.3 } as const;
  for (const config of [{ driver: "pcap", file } as const, portSchema.parse(generator)]) {
    const whole = await read(config, [], { loop: 3 });
    const port = await openRx(config, context(), { loop: 3 });
    const slots = Uint32Array.from({ length: 64 }, (_, i) => i);
    let at = 0;
    for (let turn = 0; !port.done; turn++) {
      const count = r.pick([0, 1, 2, 63, r.int(0, 30), r.int(0, 3000), ...(r.chance(0.02) ? [20_000] : [])]);
      const skipped = port.skip!(count);
      assert.is(skipped, Math.min(count, whole.length - at), `seed ${seed}`);
      at += skipped;
      const got = port.receive(slots, r.int(0, 64));
      for (let i = 0; i < got; i++, at++) {
        const { bytes, sec, nsec } = whole[at]!;
        const same = arena.tsSec[i] === sec && Math.abs(arena.tsNsec[i]! - nsec) <= 1;
        const start = (i << SLOT_SHIFT) + arena.off[i]!;
        if (!same || !bytes.equals(arena.u8.subarray(start, start + arena.len[i]!)))
          assert.unreachable(`turn ${turn}: packet ${at} is another; seed ${seed}`);
      }
    }
    assert.is(at, whole.length);
    assert.is(port.skip!(5), 0);
    await port.close();
  }
});

test("an empty capture replayed for ever is done at once", async () => {
  assert.equal(await read({ driver: "pcap", file: put(classic([])) }, [], { loop: 0 }), []);
});

test("warnings and errors of the capture come through", async () => {
  const warnings: string[] = [];
  const whole = classic([
    { sec: 0, ticks: 0, data: fill(60) },
    { sec: 0, ticks: 0, data: fill(60) },
  ]);
  const frames = await read({ driver: "pcap", file: put(whole.subarray(0, -1)) }, warnings, { loop: 2 });
  assert.is(frames.length, 2);
  assert.is(warnings.length, 1);
  const error = await rejects(read({ driver: "pcap", file: put(classic([], { link: 113 })) }, [], { loop: 2 }));
  assert.match(error.message, /link type 113/);
});

test("a capture over the memory limit is refused by name", async () => {
  const file = put(classic(Array.from({ length: 1500 }, () => ({ sec: 0, ticks: 0, data: fill(1500) }))));
  const opening = openReplay((loading) => openCaptureRx(file, loading), file, 2, context(), 1024 * 1024);
  const error = await rejects(opening);
  assert.is(error.name, "ConfigError");
  assert.match(error.message, `${file}: takes more than 1 MiB of memory, the limit for --loop`);
});

test("playing makes no garbage: neither 64-bit words nor views become objects", async () => {
  const file = put(
    classic(Array.from({ length: 1000 }, (_, i) => ({ sec: 0, ticks: 0, data: fill(64 + (i % 300), i) }))),
  );
  const port = await openRx({ driver: "pcap", file }, context(), { loop: 0 });
  const slots = Uint32Array.from({ length: 64 }, (_, i) => i);
  for (let i = 0; i < 5000; i++) port.receive(slots, 64); // until it is compiled
  // Short runs and their median, so that a collection in between hides nothing.
  const grown: number[] = [];
  for (let run = 0; run < 31; run++) {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 30; i++) port.receive(slots, 64);
    grown.push((process.memoryUsage().heapUsed - before) / (30 * 64));
  }
  const perPacket = grown.sort((a, b) => a - b)[15]!;
  await port.close();
  // A BigInt has 24 bytes, and a packet tens of words.
  assert.ok(perPacket < 8, `${perPacket.toFixed(1)} bytes of heap per packet`);
});

test.run();
