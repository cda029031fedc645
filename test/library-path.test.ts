import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { cacheFolder, findLibrary, findProgram } from "../runtime/native/library-path.js";
import { installSystem } from "../scripts/install.mjs";
import { packagesFolder } from "../scripts/system.mjs";

const saved = { XDG_CACHE_HOME: process.env.XDG_CACHE_HOME, LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH };
let folder = "";

function restore(): void {
  for (const [name, value] of Object.entries(saved)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), "wingbeat-library-"));
});
test.after.each(() => {
  restore();
  rmSync(folder, { recursive: true, force: true });
});

const libc = findLibrary(["libc.so.6"]);

test("finds what the loader would find", () => {
  assert.ok(libc !== undefined && isAbsolute(libc), String(libc));
  assert.is(findLibrary(["libwingbeat-nowhere.so.1"]), undefined);
  assert.is(findLibrary(["libwingbeat-nowhere.so.1", "libc.so.6"]), libc, "any of the names will do");
});

test("LD_LIBRARY_PATH comes before the system, the system before the cache", () => {
  process.env.XDG_CACHE_HOME = folder;
  const cached = join(packagesFolder(), "usr", "lib");
  mkdirSync(cached, { recursive: true });
  copyFileSync(libc!, join(cached, "libc.so.6"));
  copyFileSync(libc!, join(cached, "libwingbeat-only-here.so.1"));
  assert.is(findLibrary(["libc.so.6"]), libc);
  assert.is(findLibrary(["libwingbeat-only-here.so.1"]), join(cached, "libwingbeat-only-here.so.1"));
  process.env.LD_LIBRARY_PATH = `relative:${cached}`;
  assert.is(findLibrary(["libc.so.6"]), join(cached, "libc.so.6"));
});

test("files that this process cannot load do not count", () => {
  process.env.LD_LIBRARY_PATH = folder;
  const bytes = readFileSync(libc!).subarray(0, 64);
  const write = (change: (copy: Buffer) => Buffer) =>
    writeFileSync(join(folder, "libx.so.1"), change(Buffer.from(bytes)));
  write((copy) => copy);
  assert.is(findLibrary(["libx.so.1"]), join(folder, "libx.so.1"));
  const wrong: Record<string, (copy: Buffer) => Buffer> = {
    "no ELF file": () => Buffer.from("INPUT ( /usr/lib/libx.so.1 ) and more"),
    "too short": (copy) => copy.subarray(0, 19),
    "32 bits": (copy) => copy.fill(1, 4, 5),
    "another processor": (copy) => copy.fill(0xf3, 18, 19),
  };
  for (const [what, change] of Object.entries(wrong)) {
    write(change);
    assert.is(findLibrary(["libx.so.1"]), undefined, what);
  }
});

test("a relative XDG_CACHE_HOME is ignored", () => {
  process.env.XDG_CACHE_HOME = "cache";
  assert.ok(isAbsolute(cacheFolder()), cacheFolder());
  process.env.XDG_CACHE_HOME = folder;
  assert.is(cacheFolder(), join(folder, "wingbeat"));
});

test("programs are found in PATH and in the cache", () => {
  process.env.XDG_CACHE_HOME = folder;
  const bin = join(packagesFolder(), "usr", "bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "wingbeat-tool"), "#!/bin/sh\n", { mode: 0o755 });
  writeFileSync(join(bin, "wingbeat-text"), "words\n", { mode: 0o644 });
  assert.is(findProgram("wingbeat-tool"), join(bin, "wingbeat-tool"));
  assert.is(findProgram("wingbeat-text"), undefined, "not executable");
  assert.ok(findProgram("sh") !== undefined);
});

test("what failed lately is not tried again, but named with what would add it", () => {
  process.env.XDG_CACHE_HOME = folder; // an empty cache lacks SwiftShader, whatever the machine has
  mkdirSync(cacheFolder());
  const names = ["intel-ipsec-mb", "Hyperscan", "OpenCL loader", "PoCL", "SwiftShader"];
  const reasons = Object.fromEntries(names.map((name) => [name, "no network"]));
  writeFileSync(join(cacheFolder(), "set-up-failures.json"), JSON.stringify({ when: Date.now(), reasons }));
  const said: string[] = [];
  const result = installSystem({ purpose: "run", force: false, say: (line) => said.push(line) });
  assert.equal(said, [], "nothing was tried");
  const lack = result.lacks.find(({ name }) => name === "SwiftShader");
  assert.is(lack?.reason, "no network");
  assert.match(result.command!, "doctor --install");
});

test.run();
