import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openRx } from "../runtime/nic/drivers.js";
import { MAX_FRAME } from "../runtime/packet/arena.js";
import {
  classic,
  context,
  type Frame,
  fill,
  folder,
  fresh,
  put,
  readFile,
  rejects,
  someFrames,
  write,
} from "./ports-util.js";

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

test.run();
