import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkPortFiles, openRx } from "../runtime/nic/drivers.js";
import { MAX_FRAME, RX_ERROR } from "../runtime/packet/arena.js";
import { classic, context, drain, type Frame, fill, folder, fresh, readFile, rejects, write } from "./ports-util.js";

const put = (bytes: Uint8Array, suffix = ".pcap") => {
  const file = fresh(suffix);
  writeFileSync(file, bytes);
  return file;
};

/** Frames of every length around the places where copying changes its ways. */
const someFrames = (): Frame[] =>
  [0, 1, 13, 14, 60, 63, 64, 65, 159, 160, 161, 162, 163, 164, 399, 400, 401, 1514, MAX_FRAME - 1, MAX_FRAME].map(
    (length, i) => ({
      bytes: fill(length, i),
      wireLen: length,
      rxError: 0,
      sec: 1_700_000_000 + i,
      nsec: (i * 123_456_789) % 1e9,
    }),
  );

for (const suffix of [".pcap", ".pcapng", ".pcap.gz", ".pcapng.gz", ".PcapNG"]) {
  test(`what is written as ${suffix} is read back, byte for byte and nanosecond for nanosecond`, async () => {
    const file = fresh(suffix);
    const frames = Array.from({ length: 12 }, someFrames).flat();
    await write(file, frames);
    const warnings: string[] = [];
    assert.equal(await readFile(file, warnings), frames);
    assert.equal(warnings, []);
    const head = readFileSync(file);
    assert.is(head[0] === 0x1f && head[1] === 0x8b, suffix.endsWith(".gz"));
  });
}

test("an empty capture is written and read as one", async () => {
  for (const suffix of [".pcap", ".pcapng", ".pcapng.gz"]) {
    const file = fresh(suffix);
    await write(file, []);
    assert.equal(await readFile(file), []);
  }
});

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

test("a missing file, a directory, no permission", async () => {
  for (const [file, message] of [
    [join(folder, "no-such.pcap"), /no such file/],
    [folder, /is a directory/],
    ["/dev/zero", /not a regular/],
  ] as const) {
    const error = await rejects(readFile(file));
    assert.is(error.name, "ConfigError");
    assert.match(error.message, message);
  }
  const file = put(classic([]));
  chmodSync(file, 0);
  if (process.getuid?.() === 0) console.log("skipped: permission to read (run as an ordinary user to test it)");
  else assert.match((await rejects(readFile(file))).message, /no permission/);
});

test("files that cannot be written", async () => {
  const missing = await rejects(write(join(folder, "no", "such", "x.pcap"), []));
  assert.is(missing.name, "ConfigError");
  assert.match(missing.message, /folder does not exist/);
  assert.match((await rejects(write(folder, []))).message, /is a directory/);
  if (!existsSync("/dev/full")) return console.log("skipped: a full disk (no /dev/full here)");
  const full = await rejects(write("/dev/full", someFrames()));
  assert.is(full.name, "RunError");
  assert.match(full.message, /disk is full/);
});

test("a write that fails midway leaves the whole records before it", async () => {
  // A limit on file size stands in for a disk that fills up; the signal it comes with must not end the process.
  const code = `
    process.on("SIGXFSZ", () => {});
    const { generate } = await import(${JSON.stringify(new URL("../runtime/nic/generator/generate.js", import.meta.url).href)});
    try { generate(process.argv[1], { size: 200, count: 50000 }); } catch (e) { console.log(e.name, e.message); }`;
  for (const suffix of [".pcap", ".pcapng", ".pcap.gz"]) {
    const file = fresh(suffix);
    const run = spawnSync(
      "sh",
      ["-c", 'ulimit -f 5000; exec "$0" --input-type=module -e "$1" "$2"', process.execPath, code, file],
      {
        encoding: "utf8",
      },
    );
    assert.match(run.stdout, /^RunError .*cannot write: EFBIG/, run.stderr);
    const warnings: string[] = [];
    const frames = await readFile(file, warnings);
    assert.equal(warnings, []);
    assert.ok(frames.length > 5000, `${frames.length}`);
    assert.ok(frames.every((frame) => frame.bytes.length === 200));
  }
});

test("after every flush the file is readable", async () => {
  const { openTx } = await import("../runtime/nic/drivers.js");
  for (const suffix of [".pcap", ".pcapng", ".pcap.gz", ".pcapng.gz"]) {
    const file = fresh(suffix);
    const ctx = context();
    const port = await openTx({ driver: "pcap", file }, ctx);
    ctx.arena.off[0] = 256;
    ctx.arena.len[0] = 77;
    for (let i = 1; i <= 3; i++) {
      port.transmit(new Uint32Array(1), 1);
      port.flush();
      const warnings: string[] = [];
      assert.is((await readFile(file, warnings)).length, i);
      assert.equal(warnings, []);
      ctx.arena.off[0] = 256;
      ctx.arena.len[0] = 77;
    }
    await port.close();
  }
});

test("a file is not read and written, nor written twice", () => {
  const file = put(classic([]));
  const alias = fresh(".pcap");
  symlinkSync(file, alias);
  const port = (name: string, path: string, use: "rx" | "tx") => ({
    name,
    use,
    config: { driver: "pcap" as const, file: path },
  });
  checkPortFiles([port("in", file, "rx"), port("in2", alias, "rx"), port("out", fresh(".pcap"), "tx")]);
  assert.throws(
    () => checkPortFiles([port("in", file, "rx"), port("out", alias, "tx")]),
    /read by port in and written by port out/,
  );
  const both = fresh(".pcap");
  const same = join(folder, "..", basename(folder), basename(both)).replace("/tmp/", "/tmp/./");
  assert.throws(() => checkPortFiles([port("a", both, "tx"), port("b", same, "tx")]), /written by two ports/);
});

const openFiles = () =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder) ? [fd] : [];
    } catch {
      return [];
    }
  });

test("no file stays open, however a port ends", async () => {
  const whole = classic([
    { sec: 0, ticks: 0, data: fill(64) },
    { sec: 0, ticks: 0, data: fill(64), captured: 1e6 },
  ]);
  for (const file of [
    put(whole),
    put(gzipSync(whole)),
    put(classic([], { link: 113 })),
    put(gzipSync(Buffer.from("no capture"))),
  ]) {
    await readFile(file).catch(() => {});
    const port = await openRx({ driver: "pcap", file }, context()).catch(() => undefined);
    await port?.close();
    await port?.close();
    assert.is(port?.receive(new Uint32Array(4), 4) ?? 0, 0);
    assert.is(port?.done ?? true, true);
  }
  assert.equal(openFiles(), []);
});

test("memory stays constant over a long capture, plain and gzip", async () => {
  const megabytes = 96;
  const record = classic([{ sec: 1, ticks: 1, data: fill(1500) }]).subarray(24);
  const chunk = Buffer.concat(Array.from({ length: 700 }, () => record));
  const rounds = Math.ceil((megabytes * 1e6) / chunk.length);
  const file = fresh(".pcap");
  const { openSync, writeSync, closeSync } = await import("node:fs");
  const fd = openSync(file, "w");
  writeSync(fd, classic([]));
  for (let i = 0; i < rounds; i++) writeSync(fd, chunk);
  closeSync(fd);
  const packed = put(Buffer.concat([gzipSync(classic([])), ...Array(rounds).fill(gzipSync(chunk))]), ".gz");
  const ctx = context();
  const slots = Uint32Array.from({ length: 64 }, (_, i) => i);
  for (const name of [file, packed]) {
    const port = await openRx({ driver: "pcap", file: name }, ctx);
    let frames = 0;
    let before = 0;
    let most = 0;
    for (let i = 0; !port.done; i++) {
      const got = port.receive(slots, 64);
      if (got === 0 && !port.done) await port.ready();
      frames += got;
      if (i === 100) before = process.memoryUsage().rss;
      if (i % 64 === 0 && i > 100) most = Math.max(most, process.memoryUsage().rss);
    }
    await port.close();
    assert.is(frames, rounds * 700);
    const grown = (most - before) / 1e6;
    assert.ok(grown < 50, `${name}: ${megabytes} MB of capture grew memory by ${grown.toFixed(1)} MB`);
  }
});

const data = process.env.WINGBEAT_DATA ?? join(process.cwd(), "..", "shared", "data");
const captures = join(data, "pcap");

test("real captures: lengths and bytes as tshark reads them", async () => {
  if (!existsSync(captures)) return console.log(`skipped: real captures (${captures} is not there; set WINGBEAT_DATA)`);
  if (spawnSync("tshark", ["-v"]).error !== undefined) return console.log("skipped: real captures (install tshark)");
  for (const name of readdirSync(captures)) {
    const file = join(captures, name);
    let frames: Frame[];
    try {
      frames = await readFile(file);
    } catch (error) {
      assert.is((error as Error).name, "ConfigError");
      assert.match((error as Error).message, /link type/, `${name}: ${error}`);
      continue;
    }
    // Exit code 2 where the last record is cut off; what was read before counts.
    const { stdout } = spawnSync(
      "tshark",
      ["-r", file, "-T", "fields", "-e", "frame.len", "-e", "frame.cap_len", "-e", "frame.time_epoch"],
      { encoding: "utf8", maxBuffer: 1 << 28 },
    );
    const theirs = stdout.trim().split("\n");
    const raw =
      frames.length > 0 && frames[0]!.bytes.subarray(0, 12).toString("hex") === "020000000002020000000001" ? 14 : 0;
    assert.equal(
      frames.map(
        (f) =>
          `${f.wireLen - raw}\t${f.rxError === 0 ? f.wireLen - raw : "?"}\t${f.sec}.${String(f.nsec).padStart(9, "0")}`,
      ),
      theirs.map((line, i) =>
        line
          .split("\t")
          .map((field, k) => (k === 1 && frames[i]?.rxError !== 0 ? "?" : field))
          .join("\t"),
      ),
      name,
    );
  }
});

test("what is written, tshark reads", async () => {
  if (spawnSync("tshark", ["-v"]).error !== undefined) return console.log("skipped: foreign reader (install tshark)");
  const frames = someFrames().filter((frame) => frame.bytes.length > 0);
  for (const suffix of [".pcap", ".pcapng", ".pcap.gz", ".pcapng.gz"]) {
    const file = fresh(suffix);
    await write(file, frames);
    const out = execFileSync("tshark", ["-r", file, "-T", "fields", "-e", "frame.len", "-e", "frame.time_epoch"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    assert.is(
      out.trim(),
      frames.map((f) => `${f.bytes.length}\t${f.sec}.${String(f.nsec).padStart(9, "0")}`).join("\n"),
    );
    if (suffix.endsWith("gz")) assert.ok(gunzipSync(readFileSync(file)).length > 0);
  }
});

test("damaged captures end in frames, warnings or a ConfigError", async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e9);
  let state = seed;
  const random = (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const frames = someFrames();
  const originals: Buffer[] = [
    classic(
      frames.map((f) => ({ sec: f.sec, ticks: 1, data: f.bytes })),
      { le: false },
    ),
  ];
  for (const suffix of [".pcap", ".pcapng", ".pcap.gz", ".pcapng.gz"]) {
    const file = fresh(suffix);
    await write(file, frames);
    originals.push(readFileSync(file));
  }
  const file = fresh(".pcap");
  for (let round = 0; round < 600; round++) {
    const bytes = Buffer.from(originals[round % originals.length]!);
    for (let k = 1 + random(4); k > 0; k--) {
      const at = random(2) === 0 ? random(Math.min(160, bytes.length)) : random(bytes.length);
      bytes[at] = random(3) === 0 ? 0xff : random(256);
    }
    writeFileSync(file, random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes);
    try {
      for (const frame of await readFile(file)) assert.ok(frame.bytes.length <= MAX_FRAME);
    } catch (error) {
      assert.is((error as Error).name, "ConfigError", `seed ${seed}, round ${round}: ${(error as Error).stack}`);
    }
  }
  assert.equal(openFiles(), []);
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
