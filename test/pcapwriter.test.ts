import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkPortFiles } from "../runtime/nic/drivers.js";
import { classic, context, folder, fresh, put, readFile, rejects, someFrames, write } from "./ports-util.js";
import { skipUnless } from "./skip.js";

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

test("files that cannot be written", async () => {
  const missing = await rejects(write(join(folder, "no", "such", "x.pcap"), []));
  assert.is(missing.name, "ConfigError");
  assert.match(missing.message, /folder does not exist/);
  assert.match((await rejects(write(folder, []))).message, /is a directory/);
  if (skipUnless(existsSync("/dev/full"), "a full disk: there is no /dev/full here")) return;
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

test("what is written, tshark reads", async () => {
  const there = spawnSync("tshark", ["-v"]).error === undefined;
  if (skipUnless(there, "tshark is not installed: apt-get install tshark")) return;
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

test.run();
