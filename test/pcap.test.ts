import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openRx } from "../runtime/nic/drivers.js";
import { MAX_FRAME, RX_ERROR } from "../runtime/packet/arena.js";
import { classic, context, drain, fill, put, readFile, rejects } from "./ports-util.js";

for (const le of [true, false]) {
  for (const nano of [true, false]) {
    test(`classic, ${le ? "little" : "big"}-endian, ${nano ? "nano" : "micro"}seconds`, async () => {
      const records = [
        { sec: 1, ticks: 999_999, data: fill(64) },
        { sec: 4_294_967_295, ticks: 0, data: fill(90), original: 1500 },
        { sec: 5, ticks: nano ? 2_500_000_001 : 2_500_001, data: fill(60) },
      ];
      const frames = await readFile(put(classic(records, { le, nano })));
      assert.equal(
        frames.map((f) => f.bytes),
        records.map((r) => Buffer.from(r.data)),
      );
      assert.equal(
        frames.map((f) => f.sec),
        [1, 4_294_967_295, 7],
      );
      assert.equal(
        frames.map((f) => f.nsec),
        nano ? [999_999, 0, 500_000_001] : [999_999_000, 0, 500_001_000],
      );
      assert.equal(
        frames.map((f) => f.wireLen),
        [64, 1500, 60],
      );
      assert.equal(
        frames.map((f) => f.rxError),
        [0, RX_ERROR.TRUNCATED, 0],
      );
    });
  }
}

test("frames over the slot: the first MAX_FRAME bytes, and the error", async () => {
  const sizes = [MAX_FRAME, MAX_FRAME + 1, 9000, 262144];
  const frames = await readFile(
    put(classic(sizes.map((n) => ({ sec: 0, ticks: 0, data: fill(n), original: n + (n === 9000 ? 1 : 0) })))),
  );
  assert.equal(
    frames.map((f) => f.bytes.length),
    [MAX_FRAME, MAX_FRAME, MAX_FRAME, MAX_FRAME],
  );
  assert.equal(
    frames.map((f) => f.wireLen),
    [MAX_FRAME, MAX_FRAME + 1, 9001, 262144],
  );
  assert.equal(
    frames.map((f) => f.rxError),
    [0, RX_ERROR.TOO_LONG, RX_ERROR.TOO_LONG | RX_ERROR.TRUNCATED, RX_ERROR.TOO_LONG],
  );
  assert.equal(frames[3]!.bytes, fill(262144).subarray(0, MAX_FRAME));
});

test("raw IP gets an Ethernet header by its version nibble", async () => {
  const macs = "020000000002020000000001";
  for (const link of [101, 12, 14, 228, 229]) {
    const data = [Buffer.from("4500", "hex"), Buffer.from("6000", "hex"), Buffer.alloc(0), Buffer.from("ff", "hex")];
    const frames = await readFile(
      put(
        classic(
          data.map((d) => ({ sec: 0, ticks: 0, data: d })),
          { link },
        ),
      ),
    );
    assert.equal(
      frames.map((f) => f.bytes.toString("hex")),
      [`${macs}08004500`, `${macs}86dd6000`, `${macs}0800`, `${macs}0800ff`],
    );
    assert.equal(
      frames.map((f) => f.wireLen),
      [16, 16, 14, 15],
    );
  }
});

test("a raw IP packet over the slot keeps its header and loses its end", async () => {
  const [frame] = await readFile(
    put(classic([{ sec: 0, ticks: 0, data: Buffer.alloc(MAX_FRAME - 13, 0x45) }], { link: 101 })),
  );
  assert.is(frame!.bytes.length, MAX_FRAME);
  assert.is(frame!.rxError, RX_ERROR.TOO_LONG);
  assert.is(frame!.wireLen, MAX_FRAME + 1);
});

test("an FCS that the file header announces is no part of the frame", async () => {
  const records = [
    { sec: 0, ticks: 0, data: fill(68) },
    { sec: 0, ticks: 0, data: fill(50), original: 68 },
  ];
  const frames = await readFile(put(classic(records, { link: 0x2400_0001 })));
  assert.equal(
    frames.map((f) => [f.bytes.length, f.wireLen, f.rxError]),
    [
      [64, 64, 0],
      [50, 64, RX_ERROR.TRUNCATED],
    ],
  );
});

test("a last record cut off anywhere: one warning, and every record before it", async () => {
  const records = [
    { sec: 0, ticks: 0, data: fill(64) },
    { sec: 0, ticks: 0, data: fill(70) },
  ];
  const whole = classic(records);
  for (let length = 24; length <= whole.length; length++) {
    const warnings: string[] = [];
    const file = put(whole.subarray(0, length));
    const frames = await readFile(file, warnings);
    const good = length < 104 ? 0 : length < whole.length ? 1 : 2;
    assert.is(frames.length, good);
    const clean = length === 24 || length === 104 || length === whole.length;
    assert.is(warnings.length, clean ? 0 : 1, `length ${length}`);
    if (!clean)
      assert.is(
        warnings[0],
        `${file}: the last record is cut off at byte ${good ? 104 : 24}; ${good} whole records were read`,
      );
  }
});

test("a gzip file cut off: what can be decompressed, and one warning", async () => {
  const records = Array.from({ length: 3000 }, (_, i) => ({ sec: i, ticks: 0, data: fill(60 + (i % 900), i * 31) }));
  const packed = gzipSync(classic(records));
  for (const length of [packed.length - 1, packed.length - 8, packed.length >> 1]) {
    const warnings: string[] = [];
    const frames = await readFile(put(packed.subarray(0, length)), warnings);
    assert.is(warnings.length, 1);
    assert.match(warnings[0]!, /gzip stream is cut off at byte \(decompressed\) \d+; \d+ whole records were read/);
    assert.match(warnings[0]!, `${frames.length} whole records`);
    assert.equal(
      frames.map((f) => f.bytes),
      records.slice(0, frames.length).map((r) => r.data),
    );
    if (length >= packed.length - 8) assert.is(frames.length, 3000);
    if (length === packed.length >> 1) assert.ok(frames.length > 1000, `${frames.length}`);
  }
});

test("gzip is known by its bytes, in any number of members, trailing zeros allowed", async () => {
  const whole = classic([
    { sec: 0, ticks: 0, data: fill(64) },
    { sec: 0, ticks: 0, data: fill(70) },
  ]);
  const members = Buffer.concat([
    gzipSync(whole.subarray(0, 50)),
    gzipSync(whole.subarray(50, 51)),
    gzipSync(whole.subarray(51)),
  ]);
  assert.is((await readFile(put(members, ".pcap"))).length, 2);
  assert.is((await readFile(put(Buffer.concat([members, Buffer.alloc(512)]), ".cap"))).length, 2);
  assert.is((await readFile(put(whole, ".pcap.gz"))).length, 2);
});

test("a damaged gzip file is an error", async () => {
  const packed = gzipSync(classic([{ sec: 0, ticks: 0, data: fill(6000) }]));
  packed[packed.length - 6]! ^= 0xff; // CRC
  const error = await rejects(readFile(put(packed)));
  assert.is(error.name, "ConfigError");
  assert.match(error.message, /cannot decompress/);
});

test("a lying record length is an error with record and byte", async () => {
  const file = put(
    classic([
      { sec: 0, ticks: 0, data: fill(64) },
      { sec: 0, ticks: 0, data: fill(64), captured: 262145 },
    ]),
  );
  const error = await rejects(readFile(file));
  assert.is(error.name, "ConfigError");
  assert.match(error.message, `${file}: record 2 at byte 104: a captured length of 262145 bytes`);
});

test("records before the damage are delivered before the error", async () => {
  const good = Array.from({ length: 10 }, (_, i) => ({ sec: i, ticks: 0, data: fill(64) }));
  const file = put(classic([...good, { sec: 0, ticks: 0, data: fill(64), captured: 1e6 }]));
  const port = await openRx({ driver: "pcap", file }, context());
  assert.is(port.receive(new Uint32Array(64), 64), 10);
  assert.is(port.done, false);
  for (let i = 0; i < 2; i++) assert.throws(() => port.receive(new Uint32Array(64), 64), /record 11 at byte 824/);
  await port.close();
  assert.is(port.receive(new Uint32Array(64), 64), 0);
});

test("an original length below the captured one: a warning, once", async () => {
  const warnings: string[] = [];
  const records = [1, 2, 3].map(() => ({ sec: 0, ticks: 0, data: fill(64), original: 10 }));
  const frames = await readFile(put(classic(records)), warnings);
  assert.equal(
    frames.map((f) => [f.bytes.length, f.wireLen, f.rxError]),
    [
      [64, 64, 0],
      [64, 64, 0],
      [64, 64, 0],
    ],
  );
  assert.is(warnings.length, 1);
});

test("what is no capture is told from one, with a remedy", async () => {
  const cases: Array<[Uint8Array, RegExp]> = [
    [Buffer.alloc(0), /is empty/],
    [Buffer.from([0xd4]), /is not a pcap or pcapng capture: it starts with d4/],
    [Buffer.from("hello world, this is text"), /is not a pcap or pcapng capture: it starts with 68 65/],
    [classic([]).subarray(0, 23), /ends within its file header/],
    [classic([], { major: 3 }), /pcap version 3.4, 2.4 is expected/],
    [classic([], { minor: 3 }), /pcap version 2.3/],
    [classic([], { link: 113 }), /link type 113 \(Linux cooked \(SLL\)\)/],
    [classic([], { link: 105, le: false }), /link type 105 \(IEEE 802.11\)/],
    [classic([], { link: 149 }), /link type 149 \(reserved for private use \(USER2\)\)/],
    [classic([], { link: 9999 }), /link type 9999 \(unknown\)/],
    [gzipSync(Buffer.alloc(0)), /is empty/],
    [gzipSync(Buffer.from("text and more")), /is not a pcap/],
    [Buffer.from([0x1f, 0x8b]), /holds nothing: the gzip stream is cut off/],
    [Buffer.from("1f8b0000", "hex"), /cannot decompress|cut off/],
    [Buffer.from("28b52ffd00000000", "hex"), /zstd/],
  ];
  for (const [bytes, message] of cases) {
    const error = await rejects(readFile(put(bytes)));
    assert.is(error.name, "ConfigError", `${message}: ${error.stack}`);
    assert.match(error.message, message);
    assert.match(error.message, /remedy: /);
  }
});

test("receive fills no more than it is asked for, and asks again where it stopped", async () => {
  const file = put(classic(Array.from({ length: 10 }, (_, i) => ({ sec: i, ticks: 0, data: fill(64, i) }))));
  const port = await openRx({ driver: "pcap", file }, context());
  const first = await drain(port, 3, 3);
  const rest = await drain(port, 4);
  assert.equal(
    [...first, ...rest].map((f) => f.sec),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  await port.close();
});

test.run();
