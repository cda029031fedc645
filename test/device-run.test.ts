/** Runs with NFs on the OpenCL device of this machine, as users start them; on one without a GPU that is PoCL. */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCl } from "../runtime/device/opencl/library.js";
import { isPocl, listDevices, ranked, traitsOf } from "../runtime/device/opencl/platform.js";
import type { RunResult } from "../runtime/engine/result.js";
import { folder, gateway, MAIN, ROOT, run, wingbeat } from "./chain-support.js";
import { skipUnless } from "./skip.js";

function devices() {
  try {
    return ranked(listDevices(openCl()));
  } catch {
    return [];
  }
}
const best = devices()[0]?.device;
const without = () =>
  skipUnless(best !== undefined, "no OpenCL device here: wingbeat doctor --install as root brings PoCL");

/** Everything that has to be equal wherever NFs are placed. */
function same(result: RunResult) {
  const { digest, alerts_digest: alerts, ledger, nfs } = result;
  return { digest, alerts, drops: ledger.drops, outcomes: nfs.map((nf) => [nf.name, nf.packets, nf.outcomes]) };
}

const chain = folder(gateway(2000));
const onGpu = ["--place", "protect=gpu,open=gpu,nids=gpu,router=gpu", "--seed", "3"];
let reference: RunResult | undefined;
/** The run on the CPU that others are compared with. */
function onCpu(): RunResult {
  reference ??= run(chain, "chain.json", ...onGpu, "--device", "none");
  return reference;
}

test("the example with two NFs on the GPU leaves the digest of the CPU", () => {
  if (without()) return;
  // In a folder of their own: the examples write beside themselves.
  const files = folder();
  cpSync(join(ROOT, "examples"), join(files, "examples"), { recursive: true });
  mkdirSync(join(files, "out"));
  // A tenth of the packets: the device may be a processor.
  for (const name of ["branch", "gateway"]) {
    const file = join(files, "examples", `${name}.json`);
    const example = JSON.parse(readFileSync(file, "utf8")) as { ports: { in: { count: number } } };
    example.ports.in.count /= 10;
    writeFileSync(file, JSON.stringify(example));
  }
  run(files, "examples/branch.json");
  const args = ["examples/gateway.json", "--out", "null", "--place", "ipsec=gpu,nids=gpu", "--seed", "1"] as const;
  const gpu = run(files, ...args, "--device", "opencl");
  const cpu = run(files, ...args, "--device", "none");
  assert.is(cpu.device, null);
  assert.equal(same(gpu), same(cpu));
  assert.ok(gpu.ledger.balanced && gpu.packets.rx > 10_000);
  assert.equal(
    gpu.nfs.map((nf) => [nf.name, nf.place, nf.device]),
    [
      ["ipsec", "gpu", best!.name],
      ["nids", "gpu", best!.name],
      ["router", "cpu", null],
    ],
  );
});

test("every NF on the device, persistent, in slices, in rounds: the bytes of the CPU", () => {
  if (without()) return;
  const { persistent, emulated } = traitsOf(best!);
  const ways: readonly (readonly [readonly string[], (result: RunResult) => void])[] = [
    [
      ["--device", "opencl"],
      ({ device, sync }) => {
        assert.is(device!.persistent, persistent);
        assert.is(device!.zero_copy, persistent);
        assert.is(device!.emulated, emulated);
        assert.is(sync.bytes_copied > 0, !persistent);
      },
    ],
    [["--device", "opencl", "--slice", "2"], ({ device }) => assert.is(device!.launches > 1, persistent)],
    [
      ["--device", `opencl:${best!.name.slice(1, 9).toUpperCase()}:rounds`],
      ({ device, sync }) => {
        assert.equal([device!.persistent, device!.zero_copy], [false, false]);
        assert.ok(sync.bytes_copied > 0);
      },
    ],
    [["--device", "auto", "--cores", "d1"], ({ device }) => assert.is(device!.name, best!.name)],
  ];
  for (const [args, holds] of ways) {
    const result = run(chain, "chain.json", ...onGpu, ...args);
    assert.equal(same(result), same(onCpu()), args.join(" "));
    assert.is(result.device!.kind, "opencl");
    assert.ok(result.sync.packets > 0 && result.sync.rows > 0, args.join(" "));
    assert.ok(result.nfs.every((nf) => nf.place === "gpu"));
    holds(result);
  }
});

test("one line says which device it is, and the summary what it did", () => {
  if (without()) return;
  const args = ["run", "chain.json", "--place", "nids=gpu", "--device", "opencl", "--workgroups", "3", "--slice", "0"];
  const { code, stdout, stderr } = wingbeat(args, chain);
  assert.is(code, 0, stderr);
  const lines = stderr.split("\n").filter((line) => line.startsWith("wingbeat: device "));
  assert.is(lines.length, 1, stderr);
  assert.ok(lines[0]!.includes(best!.name));
  assert.match(lines[0]!, /(emulated on the CPU|hardware), .*3 workgroups of 64; runs nids$/);
  assert.match(stdout, /^device .*: (emulated on the CPU|hardware), /m);
  assert.match(
    stdout,
    /^rows [\d,]+ with [\d,]+ packets and [\d,]+ dummies \([\d.]+ % of entries\); [\d,]+ bytes copied$/m,
  );
});

test("a device that nothing is placed on is not opened; options without a device to act on are said", () => {
  if (without()) return;
  const { code, stderr } = wingbeat(["run", "chain.json", "--device", "opencl", "--workgroups", "2", "--quiet"], chain);
  assert.is(code, 0, stderr);
  assert.match(stderr, /--device opencl: nothing runs on it, .*--place NF=gpu, for protect, open, nids, router/);
  assert.match(stderr, /--workgroups: there is no device in this run/);
  assert.not.match(stderr, /^wingbeat: device /m);
});

test("a device that is not there ends the run with what is, and the remedy", () => {
  if (without()) return;
  const { code, stderr } = wingbeat(["run", "chain.json", ...onGpu, "--device", "opencl:no such"], chain);
  assert.is(code, 1);
  assert.match(stderr, /^wingbeat: --device opencl:no such: no OpenCL device is called so; there are: /m);
  assert.ok(stderr.includes(best!.name));
});

/** Ways in which OpenCL can be missing, and what is said then. */
const empty = folder({ "vendors/nothing": "", "lib/libOpenCL.so.1": "" });
mkdirSync(join(empty, "vendors"), { recursive: true });
// An ELF file of this machine by its header, and nothing behind it.
const header = Buffer.alloc(64);
header.write("7f454c460201", "hex");
header.writeUInt16LE(process.arch === "arm64" ? 183 : 62, 18);
writeFileSync(join(empty, "lib", "libOpenCL.so.1"), header);
/** Neither has WebGPU a driver. */
const NO_VULKAN = { VK_ICD_FILENAMES: join(empty, "none.json"), VK_DRIVER_FILES: join(empty, "none.json") };
const MISSING: readonly (readonly [what: string, environment: Record<string, string>, words: RegExp])[] = [
  ["no platform", { OCL_ICD_VENDORS: join(empty, "vendors") }, /no OpenCL platform has a device here/],
  ["a loader that is broken", { LD_LIBRARY_PATH: join(empty, "lib") }, /libOpenCL\.so\.1 cannot be used: /],
];
for (const [what, environment, words] of MISSING) {
  test(`${what}, and no Vulkan driver: a named device fails, auto says so in one line and runs on the CPU`, () => {
    if (without()) return;
    const lacking = { ...environment, ...NO_VULKAN };
    const args = ["run", "chain.json", ...onGpu, "--quiet", "--json", "-"];
    const named = wingbeat([...args, "--device", "opencl"], chain, lacking);
    assert.is(named.code, 1);
    assert.match(named.stderr, words);
    assert.match(named.stderr, /\n {2}remedy: .*doctor --install/);
    assert.not.match(named.stderr, /^\s+at /m);

    const auto = wingbeat(args, chain, lacking);
    assert.is(auto.code, 0, auto.stderr);
    const lines = auto.stderr.split("\n").filter((line) => words.test(line));
    assert.is(lines.length, 1, auto.stderr);
    assert.match(lines[0]!, /^wingbeat: protect, open, nids, router on the CPU instead of the GPU: .*; remedy: /);
    const result = JSON.parse(auto.stdout) as RunResult;
    assert.is(result.device, null);
    assert.ok(result.nfs.every((nf) => nf.place === "cpu"));
    assert.equal(same(result), same(onCpu()));

    const doctor = wingbeat(["doctor"], chain, lacking);
    assert.is(doctor.code, 0);
    assert.match(doctor.stdout, /(missing|limited) +OpenCL loader .*\n +remedy: /);
  });
}

const NOWHERE: readonly (readonly [what: string, environment: Record<string, string>])[] = [
  ["a file where PoCL keeps its kernels", { POCL_CACHE_DIR: join(empty, "lib", "libOpenCL.so.1") }],
  // PoCL has no device then.
  [
    "a home that cannot be written",
    { POCL_CACHE_DIR: "", XDG_CACHE_HOME: "", HOME: join(empty, "lib", "libOpenCL.so.1") },
  ],
];
for (const [what, environment] of NOWHERE) {
  test(`${what}: said with the folder and the remedy, by the run and by doctor; auto runs on the CPU`, () => {
    const only = devices().every(({ device }) => isPocl(device));
    if (without() || skipUnless(only, "there is a GPU besides PoCL: try where there is none")) return;
    const words = /PoCL keeps compiled kernels in \/[^ ]+, which cannot be written \(E[A-Z]+\)/;
    const args = ["run", "chain.json", ...onGpu, "--quiet", "--json", "-"];
    const named = wingbeat([...args, "--device", "opencl"], chain, environment);
    assert.is(named.code, 1);
    assert.match(named.stderr, words);
    assert.match(named.stderr, /\n {2}remedy: set POCL_CACHE_DIR/);

    const auto = wingbeat(args, chain, environment);
    assert.is(auto.code, 0, auto.stderr);
    assert.match(auto.stderr, words);
    assert.equal(same(JSON.parse(auto.stdout) as RunResult), same(onCpu()));
    assert.match(
      wingbeat(["doctor"], chain, environment).stdout,
      /missing +PoCL's kernel cache .*\n +remedy: set POCL/,
    );
  });
}

test("--device none says nothing of devices, whatever is missing", () => {
  const args = ["run", "chain.json", "--place", "nids=gpu,router=gpu", "--device", "none", "--quiet"];
  const { code, stderr } = wingbeat(args, chain, { OCL_ICD_VENDORS: join(empty, "vendors") });
  assert.is(code, 0);
  assert.is(stderr, "");
});

test("Ctrl-C in mid-run drains the device and ends in order", async () => {
  if (without()) return;
  const args = ["run", "chain.json", ...onGpu.slice(0, 2), "--device", "opencl", "--loop", "0"];
  const more = ["--rate", "20000", "--out", "stopped.pcap", "--quiet", "--json", "-"];
  const child = spawn(process.execPath, [MAIN, ...args, ...more], { cwd: chain });
  const guard = setTimeout(() => child.kill("SIGKILL"), 120_000);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text) => {
    stdout += text;
  });
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", (status) => resolve(status)));
  const file = join(chain, "stopped.pcap");
  // More than the file's header: packets have been to the device and back.
  while (child.exitCode === null && !(existsSync(file) && statSync(file).size > 200)) await delay(50);
  child.kill("SIGINT");
  const code = await ended;
  clearTimeout(guard);
  assert.is(code, 0, stderr);
  const result = JSON.parse(stdout) as RunResult;
  assert.ok(result.ledger.balanced);
  assert.is(result.ledger.in_flight, 0);
  assert.ok(result.sync.packets > 0);
});

test.run();
