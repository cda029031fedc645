/**
 * The bundle: what is in it, and that it runs where there is nothing: in an empty root with glibc's libraries, `sh` and `readlink`, without
 * network, home folder, Node or npm. It is made once, packed fast; packed as `npm run bundle` does it is smaller.
 */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RunResult } from "../runtime/engine/result.js";
import { findLibrary } from "../runtime/native/library-path.js";
import type { Bundle } from "../scripts/bundle.mjs";
import { isWanted } from "../scripts/bundle-packages.mjs";
import { highestVersions, readElf } from "../scripts/elf.mjs";
import { findSwiftShader } from "../scripts/system.mjs";
import { folder, MAIN, ROOT } from "./chain-support.js";
import { skipUnless } from "./skip.js";

const LIMIT: Bundle["bytes"] = 45 * 2 ** 20;
const swiftShader = findSwiftShader() !== undefined;
const scratch = folder();
const out = join(scratch, "made");
/** The root of the foreign machine. */
const root = join(scratch, "root");
// Node's and Dawn's hundreds of MiB go as soon as the tests are done, also where one failed.
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

function make(...args: string[]) {
  const script = join(ROOT, "scripts", "bundle.mjs");
  return spawnSync(process.execPath, [script, "--out", out, "--preset", "0", ...args], { encoding: "utf8" });
}

const lack = [
  [process.platform === "linux" && process.arch === "x64", "bundles are made for Linux on x86-64 only"],
  [findLibrary(["libvulkan.so.1"]) !== undefined, "no Vulkan loader is here: wingbeat doctor --install brings one"],
].find(([holds]) => holds === false)?.[1] as string | undefined;
const made = lack === undefined ? make(...(swiftShader ? ["--with-swiftshader"] : [])) : undefined;
const [name = "", archive = ""] = existsSync(out) ? readdirSync(out).sort() : [];
const home = `/opt/${name}`;

test("it is made, says what weighs how much, and is small enough", () => {
  if (skipUnless(made !== undefined, lack ?? "")) return;
  assert.is(made!.status, 0, made!.stderr);
  assert.match(made!.stdout, /^ *\d+\.\d MiB {2}bin$/m);
  assert.match(archive, /\.tar\.(?:xz|gz)$/);
  const { size } = statSync(join(out, archive));
  assert.ok(size > 2 ** 20 && size <= LIMIT, `${size} bytes`);
});

test("it holds this platform's code, licences, and nothing for compilers or other platforms", () => {
  if (skipUnless(made !== undefined, lack ?? "")) return;
  const files = readdirSync(join(out, name), { recursive: true, encoding: "utf8" });
  const odd = files.filter((file) => /\.(?:map|d\.ts|dll|dylib|exe)$|musl|darwin|win32|typescript|biome/.test(file));
  assert.equal(odd, []);
  for (const end of ["koffi.node", "dawn.node", "libvulkan.so.1", "licences/node.txt", "licences/vulkan.txt"])
    assert.is(files.filter((file) => file.endsWith(end)).length, 1, end);
  const readme = readFileSync(join(out, name, "README.md"), "utf8");
  assert.match(readme, new RegExp(`Node ${process.versions.node}, x86-64, glibc`));
  assert.match(readme, /dawn\.node` \| .*libc\.so\.6.* \| .*GLIBC_2\.\d+/);
});

/** Copies a file with the libraries it is linked to, and those they are linked to. */
function bring(from: string, to: string): void {
  if (existsSync(join(root, to))) return;
  mkdirSync(join(root, to, ".."), { recursive: true });
  copyFileSync(from, join(root, to));
  for (const library of readElf(from)?.needed ?? []) {
    const path = findLibrary([library]);
    if (path !== undefined) bring(path, library.startsWith("ld-linux") ? `lib64/${library}` : `lib/${library}`);
  }
}

/** Runs a program in the root; the time limit ends all it started. */
function inside(...command: string[]) {
  // A process namespace of its own has a /proc of its own, and dies with its first process.
  const enter = `mount -t proc proc "$0/proc" && mount --bind /dev/null "$0/dev/null" && exec chroot "$0" "$@"`;
  const unshare = ["--net", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", enter, root];
  const line = ["-i", "PATH=/bin:/usr/sbin:/sbin", "/usr/bin/unshare", ...unshare, "/bin/env-path", ...command];
  return spawnSync("/usr/bin/env", line, { encoding: "utf8", timeout: 100_000, killSignal: "SIGKILL" });
}

/** Builds the foreign machine; why it cannot be had, or undefined. */
function enterable(): string | undefined {
  if (process.getuid?.() !== 0) return "only root can run programs in a root of their own: sudo npm test";
  bring("/bin/sh", "bin/sh");
  bring("/usr/bin/readlink", "bin/readlink");
  // What Node and Dawn are linked to; the bundle's README asks for it.
  const marks = JSON.parse(readFileSync(join(out, name, "bundle.json"), "utf8")) as { native: { needed: string[] }[] };
  for (const library of new Set(marks.native.flatMap(({ needed }) => needed))) {
    const path = findLibrary([library]);
    assert.ok(path !== undefined, library);
    bring(path!, library.startsWith("ld-linux") ? `lib64/${library}` : `lib/${library}`);
  }
  for (const path of ["proc", "dev", "tmp", "opt"]) mkdirSync(join(root, path), { recursive: true });
  writeFileSync(join(root, "dev", "null"), "");
  writeFileSync(join(root, "bin", "env-path"), '#!/bin/sh\nPATH=/bin\nexec "$@"\n', { mode: 0o755 });
  const { status, stderr, error } = inside("/bin/sh", "-c", "exit 7");
  if (status !== 7) return `no root of its own can be entered here: ${error?.message ?? stderr.trim()}`;
  const unpacked = spawnSync("tar", ["-xf", join(out, archive), "-C", join(root, "opt")], { encoding: "utf8" });
  assert.is(unpacked.status, 0, unpacked.stderr);
  symlinkSync(`opt/${name}/wingbeat`, join(root, "wingbeat"));
  return undefined;
}

const closed = made?.status === 0 ? enterable() : (lack ?? "it was not made");

test("doctor, from anywhere and through a link; it names no npm", () => {
  if (skipUnless(closed === undefined, closed ?? "")) return;
  const { status, stdout, stderr } = inside("/wingbeat", "doctor");
  assert.is(status, 0, stderr);
  assert.match(stdout, /remedy: \.\/wingbeat doctor --install/);
  assert.not.match(stdout, /npm/);
  assert.match(stdout, swiftShader ? /limited +webgpu: SwiftShader/ : /missing +WebGPU/);
});

test("the examples are checked and run, with the digests they have outside; one with an NF of its own, on gpu.js", () => {
  if (skipUnless(closed === undefined, closed ?? "")) return;
  const check = inside("/wingbeat", "check", `${home}/examples/gateway.json`);
  assert.is(check.status, 0, check.stderr);
  const clone = join(scratch, "clone");
  cpSync(join(ROOT, "examples"), join(clone, "examples"), { recursive: true });
  mkdirSync(join(clone, "out"));
  const options = ["--seed", "1", "--quiet", "--json", "out/result.json"];
  const steps = [
    ["examples/voice.json", "--place", "mark=gpu", "--device", "gpujs", ...options],
    ["examples/branch.json", "--device", "none", ...options],
    ["examples/gateway.json", "--device", "none", ...options],
  ];
  for (const step of steps) {
    const there = inside("/bin/sh", "-c", `cd ${home} && exec ./wingbeat run ${step.join(" ")}`);
    assert.is(there.status, 0, there.stderr);
    const here = spawnSync(process.execPath, [MAIN, "run", ...step], { cwd: clone, encoding: "utf8" });
    assert.is(here.status, 0, here.stderr);
    const results = [clone, join(root, home)].map((path) => {
      return JSON.parse(readFileSync(join(path, "out", "result.json"), "utf8")) as RunResult;
    });
    const [expected, found] = results.map(({ digest, alerts_digest, packets, ledger }) => {
      return { digest, alerts_digest, packets, balanced: ledger.balanced };
    });
    assert.match(String(found?.digest), /^sha256:[0-9a-f]{64}$/);
    assert.equal(found, expected);
  }
});

test("the conformance tests and the benchmarks start; what needs OpenCL is skipped with the reason", () => {
  if (skipUnless(closed === undefined, closed ?? "")) return;
  const tests = inside(`${home}/test`, "router-gpu", "policy", "report-plots");
  assert.is(tests.status, 0, tests.stdout + tests.stderr);
  assert.match(tests.stdout, /^skip test\/router-gpu-opencl\.test\.js: no OpenCL device: libOpenCL/m);
  assert.match(tests.stdout, /^ok {3}test\/policy\.test\.js/m);
  assert.match(tests.stdout, /^ok {3}test\/report-plots\.test\.js/m);
  assert.match(tests.stdout, /^\d+ passed, 0 failed/m);
  const bench = inside(`${home}/bench`, "--list");
  assert.is(bench.status, 0, bench.stderr);
  assert.match(bench.stdout, /^router$/m);
});

test("what cannot be made is said with the remedy", () => {
  if (skipUnless(lack === undefined, lack ?? "")) return;
  const preset = make("--preset", "10");
  assert.is(preset.status, 2);
  assert.match(preset.stderr, /--preset: found 10, expected 0 to 9/);
  const licence = make("--node-licence", join(scratch, "none"));
  assert.is(licence.status, 1);
  assert.match(licence.stderr, /there is no .*none\n {2}remedy: /);
  assert.not.match(licence.stderr, /^\s+at /m);
});

test("files of packages: wanted are code for Node on Linux x86-64, and licences", () => {
  for (const [pkg, path, wanted] of [
    ["webgpu", "dist/linux-x64/dawn.node", true],
    ["webgpu", "dist/linux-arm64/dawn.node", false],
    ["webgpu", "dist/win32-x64/d3dcompiler_47.dll", false],
    ["webgpu", "LICENSE.md", true],
    ["webgpu", "dist/win32-x64/dxcompiler-LICENSE.TXT", false],
    ["@koromix/koffi-linux-x64", "linux_x64/koffi.node", true],
    ["@koromix/koffi-linux-x64", "musl_x64/koffi.node", false],
    ["zod", "index.js", true],
    ["zod", "index.d.cts", false],
    ["zod", "README.md", false],
    ["rxjs", "dist/cjs/index.js", true],
    ["rxjs", "dist/esm/index.js", false],
    ["vega", "build/vega.module.js", true],
    ["vega", "build/vega.min.js", false],
    ["vega-lite", "build/index.js", true],
    ["vega-lite", "build/vega-lite-schema.json", false],
    ["vega-scenegraph", "build/vega-scenegraph.js", true],
    ["d3-array", "dist/d3-array.min.js", false],
    ["dejavu-fonts-ttf", "ttf/DejaVuSans.ttf", true],
    ["dejavu-fonts-ttf", "ttf/DejaVuSans-Bold.ttf", true],
    ["dejavu-fonts-ttf", "ttf/DejaVuSans-Oblique.ttf", false],
    ["dejavu-fonts-ttf", "LICENSE", true],
    ["@resvg/resvg-js-linux-x64-gnu", "resvgjs.linux-x64-gnu.node", true],
    ["@resvg/resvg-js-linux-x64-musl", "resvgjs.linux-x64-musl.node", false],
    ["x", "armada.js", true],
  ] as const)
    assert.is(isWanted(pkg, path), wanted, `${pkg}: ${path}`);
});

test("what an ELF file needs", () => {
  if (skipUnless(process.platform === "linux", "ELF is Linux's")) return;
  const facts = readElf(process.execPath);
  assert.ok(facts?.needed.includes("libc.so.6"), String(facts?.needed));
  assert.ok(
    facts?.versions.some((version) => /^GLIBC_2\./.test(version)),
    String(facts?.versions),
  );
  assert.is(readElf(MAIN), undefined);
  assert.equal(highestVersions(["GLIBC_2.9", "GLIBC_2.34", "GCC_3.0", "GLIBC_2.2.5", "odd"]), [
    "GCC_3.0",
    "GLIBC_2.34",
  ]);
});

test.run();
