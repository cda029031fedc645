import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CaptureClock } from "../runtime/nic/pcap/clock.js";
import { MAX_FRAME, RX_ERROR } from "../runtime/packet/arena.js";
import { block, epb, fill, fresh, iface, option, Pieces, readFile, rejects, section } from "./ports-util.js";

const put = (...parts: Uint8Array[]) => {
  const file = fresh(".pcapng");
  writeFileSync(file, Buffer.concat(parts));
  return file;
};
const tsresol = (le: boolean, value: number) => option(le, 9, Uint8Array.of(value));
const tsoffset = (le: boolean, seconds: bigint) => {
  const b = Buffer.alloc(8);
  le ? b.writeBigInt64LE(seconds) : b.writeBigInt64BE(seconds);
  return option(le, 14, b);
};
const end = (le: boolean) => option(le, 0, Buffer.alloc(0));

for (const le of [true, false]) {
  test(`every packet block, ${le ? "little" : "big"}-endian`, async () => {
    const simple = (original: number, data: Uint8Array) => block(le, 3, new Pieces(le).u32(original).raw(data).bytes);
    const obsolete = block(le, 2, new Pieces(le).u16(0, 7).u32(0, 1_500_000, 61, 100).raw(fill(61)).bytes);
    const file = put(
      section(le),
      iface(le),
      epb(le, 0, 1_700_000_000_123_456n, fill(64)),
      simple(60, fill(60)),
      obsolete,
      epb(le, 0, 2_000_001n, fill(63), 63, Buffer.concat([option(le, 1, Buffer.from("a comment")), end(le)])),
      epb(le, 0, 0n, fill(0), 0),
    );
    const frames = await readFile(file);
    assert.equal(
      frames.map((f) => [f.bytes.length, f.wireLen, f.rxError, f.sec, f.nsec]),
      [
        [64, 64, 0, 1_700_000_000, 123_456_000],
        [60, 60, 0, 0, 0],
        [61, 100, RX_ERROR.TRUNCATED, 1, 500_000_000],
        [63, 63, 0, 2, 1000],
        [0, 0, 0, 0, 0],
      ],
    );
    for (const frame of frames) assert.equal(frame.bytes, fill(frame.bytes.length));
  });

  test(`clocks of interfaces, ${le ? "little" : "big"}-endian`, async () => {
    const now = 1_700_000_000n;
    const file = put(
      section(le),
      iface(le, 1, 0, Buffer.concat([option(le, 2, Buffer.from("eth0")), tsresol(le, 9), end(le)])),
      iface(le, 1, 0, tsresol(le, 3)),
      iface(le, 1, 0, tsresol(le, 0x80 | 10)),
      iface(le, 1, 0, tsresol(le, 12)),
      iface(le, 1, 0, Buffer.concat([tsoffset(le, 1000n), tsresol(le, 6)])),
      iface(le, 1, 0, Buffer.concat([tsoffset(le, -5n), tsresol(le, 0)])),
      epb(le, 0, now * 1_000_000_000n + 123_456_789n, fill(60)),
      epb(le, 1, now * 1000n + 999n, fill(60)),
      epb(le, 2, now * 1024n + 512n, fill(60)),
      epb(le, 3, 1_000_000n * 1_000_000_000_000n + 123_456_789_999n, fill(60)),
      epb(le, 4, 42_000_000n, fill(60)),
      epb(le, 5, 42n, fill(60)),
    );
    assert.equal(
      (await readFile(file)).map((f) => [f.sec, f.nsec]),
      [
        [Number(now), 123_456_789],
        [Number(now), 999_000_000],
        [Number(now), 500_000_000],
        [1_000_000, 123_456_789],
        [1042, 0],
        [37, 0],
      ],
    );
  });
}

test("sections in both byte orders in one file, each with its own interfaces", async () => {
  const file = put(
    section(true, Buffer.concat([option(true, 4, Buffer.from("some application")), end(true)])),
    iface(true, 1),
    iface(true, 101),
    epb(true, 1, 0n, Buffer.from([0x60, 1, 2])),
    section(false),
    iface(false, 101, 0, tsresol(false, 9)),
    epb(false, 0, 5n, Buffer.from([0x45])),
    section(true),
    section(true),
    iface(true, 1),
    epb(true, 0, 0n, fill(9)),
  );
  const frames = await readFile(file);
  const macs = "020000000002020000000001";
  assert.equal(
    frames.map((f) => f.bytes.toString("hex")),
    [`${macs}86dd600102`, `${macs}080045`, fill(9).toString("hex")],
  );
  assert.is(frames[1]!.nsec, 5);
});

test("unknown blocks are passed over, however long; so are options", async () => {
  const le = true;
  const file = put(
    section(le),
    block(le, 4, fill(200)),
    block(le, 0x80000001, fill(3)),
    block(le, 10, fill(5_000_000)),
    iface(le),
    block(le, 0xbad, fill(1_048_576)),
    epb(le, 0, 0n, fill(60), 60, option(le, 1, fill(60000))),
    block(le, 5, fill(40)),
    epb(le, 0, 0n, fill(61)),
  );
  assert.equal(
    (await readFile(file)).map((f) => f.bytes.length),
    [60, 61],
  );
});

test("a simple packet ends where the snap length ends", async () => {
  const simple = block(true, 3, new Pieces(true).u32(1500).raw(fill(96)).bytes);
  const [frame] = await readFile(put(section(true), iface(true, 1, 94), simple));
  assert.equal([frame!.bytes.length, frame!.wireLen, frame!.rxError], [94, 1500, RX_ERROR.TRUNCATED]);
});

test("an interface of unsupported link type is harmless until a packet uses it", async () => {
  const le = true;
  const head = [
    section(le),
    iface(le, 1),
    iface(le, 127, 0, option(le, 2, Buffer.from("mon0"))),
    epb(le, 0, 0n, fill(60)),
  ];
  assert.is((await readFile(put(...head))).length, 1);
  const error = await rejects(readFile(put(...head, epb(le, 1, 0n, fill(60)))));
  assert.is(error.name, "ConfigError");
  assert.match(
    error.message,
    /link type 127 \(IEEE 802.11 with radiotap header\) of interface 1 \(mon0\), used by record 2/,
  );
});

test("lies are errors with record and byte", async () => {
  const le = true;
  const head = [section(le), iface(le)];
  const at = Buffer.concat(head).length;
  const good = epb(le, 0, 0n, fill(60));
  const change = (offset: number, value: number) => {
    const bytes = Buffer.from(good);
    bytes.writeUInt32LE(value >>> 0, offset);
    return bytes;
  };
  const cases: Array<[Uint8Array[], RegExp]> = [
    [[change(4, 8)], /total length of 8 bytes/],
    [[change(4, 0x7fffffff)], /total length of 2147483647 bytes/],
    [[change(4, 88)], /cut off|two total lengths differ/],
    [[change(88, 91), good], /two total lengths differ: 92 and 91/],
    [[change(8, 3)], /packet of interface 3, but the section describes 1/],
    [[change(20, 61)], /captured length of 61 bytes in a block with room for 60/],
    [[block(le, 6, fill(4))], /packet block \(type 6\) of 16 bytes/],
    [[block(le, 1, fill(4))], /interface description of 16 bytes/],
    [
      [block(le, 1, Buffer.concat([Buffer.alloc(8), new Pieces(le).u16(2, 500).raw(fill(8)).bytes]))],
      /interface option \(2\) of 500 bytes/,
    ],
    [
      [block(le, 6, Buffer.concat([new Pieces(le).u32(0, 0, 0, 262145, 262145).bytes, fill(262148)]))],
      /captured length of 262145/,
    ],
    [[new Pieces(le).u32(0x0a0d0d0a, 28, 0x12345678).raw(Buffer.alloc(16)).bytes], /without byte order magic/],
    [[block(le, 0x0a0d0d0a, new Pieces(le).u32(0x1a2b3c4d).u16(2, 0).u32(0, 0).bytes)], /pcapng version 2/],
    [
      [new Pieces(le).u32(0x0a0d0d0a, 12, 0x1a2b3c4d).u16(1, 0).raw(Buffer.alloc(16)).bytes],
      /section header with a total length of 12/,
    ],
  ];
  for (const [blocks, message] of cases) {
    const warnings: string[] = [];
    const error = await readFile(put(...head, ...blocks), warnings).catch((e) => e as Error);
    if (error instanceof Error) {
      assert.is(error.name, "ConfigError", error.stack);
      assert.match(error.message, message);
      if (!/version/.test(error.message)) assert.match(error.message, `record 1 at byte ${at}`);
    } else {
      assert.match(warnings.join(), message);
    }
  }
});

test("a block cut off anywhere: one warning, and every packet before it", async () => {
  const le = false;
  const first = Buffer.concat([section(le), iface(le), epb(le, 0, 0n, fill(60))]);
  const last = Buffer.concat([block(le, 5, fill(20)), epb(le, 0, 0n, fill(61))]);
  for (let length = 1; length < last.length; length++) {
    if (length === 32) continue; // between two blocks
    const warnings: string[] = [];
    const frames = await readFile(put(first, last.subarray(0, length)), warnings);
    assert.is(frames.length, 1);
    assert.is(warnings.length, 1, `${length}`);
    assert.match(warnings[0]!, new RegExp(`cut off at byte ${first.length + (length > 32 ? 32 : 0)}; 1 whole records`));
  }
  const warnings: string[] = [];
  const long = block(le, 10, fill(3_000_000));
  assert.is((await readFile(put(first, long.subarray(0, 2_000_000)), warnings)).length, 1);
  assert.is(warnings.length, 1);
  assert.is((await readFile(put(gzipSync(Buffer.concat([first, long, last]))))).length, 2);
});

test("jumbo frames and the FCS an interface announces", async () => {
  const le = true;
  const file = put(
    section(le),
    iface(le, 1, 0, option(le, 13, Uint8Array.of(4))),
    epb(le, 0, 0n, fill(64)),
    epb(le, 0, 0n, fill(MAX_FRAME + 5)),
  );
  assert.equal(
    (await readFile(file)).map((f) => [f.bytes.length, f.wireLen, f.rxError]),
    [
      [60, 60, 0],
      [MAX_FRAME, MAX_FRAME + 1, RX_ERROR.TOO_LONG],
    ],
  );
});

test("clocks against 64-bit arithmetic", () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e9);
  let state = seed;
  const u32 = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state ^ (state >>> 13)) >>> 0;
  };
  for (const resolution of [0, 3, 6, 9, 10, 12, 13, 0x80, 0x80 | 9, 0x80 | 20, 0x80 | 30, 0x80 | 32]) {
    const ticks = resolution & 0x80 ? 1n << BigInt(resolution & 0x7f) : 10n ** BigInt(resolution);
    const clock = new CaptureClock(resolution, 0);
    let last = 0n;
    for (let i = 0; i < 4000; i++) {
      // Seconds within u32, at edges of a second too; every other time one near the last, as in a capture.
      let time = ((BigInt(u32()) << 32n) | BigInt(u32())) % (ticks << 32n);
      if (i % 5 === 0) time -= time % ticks;
      if (i % 5 === 1 && time > ticks) time -= (time % ticks) + 1n;
      if (i % 2 === 1) time = last + (BigInt(u32() % 4001) - 2000n) * (ticks / 3000n + 1n);
      if (time < 0n) time = 0n;
      time = BigInt.asUintN(64, time) % (ticks << 32n);
      last = time;
      clock.read(Number(time >> 32n), Number(time & 0xffff_ffffn));
      const expected = [Number(time / ticks), Number(((time % ticks) * 1_000_000_000n) / ticks)];
      assert.equal([clock.sec, clock.nsec], expected, `seed ${seed}, resolution ${resolution}, time ${time}`);
    }
  }
  // Ticks below 30 fs, which nothing writes: a nanosecond of rounding is allowed.
  for (const resolution of [15, 19, 0x80 | 50, 0x80 | 63]) {
    const ticks = resolution & 0x80 ? 1n << BigInt(resolution & 0x7f) : 10n ** BigInt(resolution);
    const clock = new CaptureClock(resolution, 0);
    for (let i = 0; i < 500; i++) {
      const time = (BigInt(u32()) << 32n) | BigInt(u32());
      clock.read(Number(time >> 32n), Number(time & 0xffff_ffffn));
      const error = BigInt(clock.sec) * 1_000_000_000n + BigInt(clock.nsec) - (time * 1_000_000_000n) / ticks;
      assert.ok(
        error >= -1n && error <= 1n,
        `seed ${seed}, resolution ${resolution}, time ${time}: off by ${error} ns`,
      );
    }
  }
});

test.run();
