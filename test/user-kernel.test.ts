/** NFs given as one plain function (kernelNf): the example on the CPU and on gpujs devices, and what goes wrong with its file and line. */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadChain } from "../runtime/chain/load.js";
import type { RunResult } from "../runtime/engine/result.js";
import { ConfigError } from "../runtime/errors.js";
import { folder, ROOT, run, wingbeat } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { WgslRunner } from "./support/wgsl-runner.js";

const EXAMPLE = ["mark-voice.mjs", "voice.json", "voice-policy.csv"];

/** The example in a folder of its own, beside no package. */
function example(): string {
  const cwd = folder({ "out/kept.txt": "" });
  for (const name of EXAMPLE) cpSync(join(ROOT, "examples", name), join(cwd, "examples", name));
  return cwd;
}

/** Frames of a classic capture in little-endian order. */
function frames(file: string): Buffer[] {
  const bytes = readFileSync(file);
  const out: Buffer[] = [];
  for (let at = 24; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at + 8);
    out.push(bytes.subarray(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return out;
}

const isVoice = (frame: Buffer) => {
  const port = frame.readUInt16BE(14 + 20 + 2);
  return frame[23] === 17 && port >= 16384 && port <= 49151 && frame[42]! >> 6 === 2;
};

const PLACES = [
  ["--place", "mark=cpu"],
  ["--place", "mark=gpu", "--device", "gpujs"],
  ["--place", "mark=gpu", "--device", "gpujs:cpu", "--cores", "d1n1c1"],
  ["--place", "mark=gpu", "--device", "gpujs:webgpu"],
  ["--place", "mark=gpu", "--device", "auto"],
];
test("the example marks RTP and nothing else, with one digest on the CPU and all modes of gpu.js", async () => {
  const cwd = example();
  const lack = await WgslRunner.lack();
  const digests = new Set<string | null>();
  for (const args of PLACES) {
    if (args.includes("gpujs:webgpu") && skipUnless(lack === undefined, lack ?? "")) continue;
    const { digest, nfs, device, ledger } = run(join(cwd, "examples"), "voice.json", "--seed", "1", ...args);
    digests.add(digest);
    assert.ok(ledger.balanced);
    if (args[1] === "mark=cpu") assert.is(device, null);
    else {
      const { kind, emulated, persistent, zero_copy } = device!;
      assert.equal([kind, persistent, zero_copy], ["gpujs", false, false]);
      assert.ok(emulated || args.includes("gpujs:webgpu"));
    }
    const [voice, other] = [frames(join(cwd, "out/voice.pcap")), frames(join(cwd, "out/other.pcap"))];
    assert.equal(nfs[0]!.outcomes, { other: other.length, voice: voice.length, error: 0 });
    assert.ok(voice.length > 500 && other.length > 500 && voice.every(isVoice) && !other.some(isVoice));
    for (const frame of voice) {
      assert.is(frame[15]! >> 2, 46);
      let sum = 0;
      for (let i = 14; i < 34; i += 2) sum += frame.readUInt16BE(i);
      assert.is((sum & 0xffff) + (sum >>> 16), 0xffff);
    }
    assert.ok(other.every((frame) => frame[15]! >> 2 !== 46));
  }
  assert.is(digests.size, 1);
});

test("its types hold for editors", () => {
  const args = ["--ignoreConfig", "--noEmit", "--allowJs", "--checkJs", "--strict", "--skipLibCheck"];
  const more = ["--target", "es2022", "--module", "nodenext", "--types", "node", join(ROOT, "examples/mark-voice.mjs")];
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  if (skipUnless(existsSync(tsc), "TypeScript is not here, as in a bundle: run this in a clone")) return;
  const { status, stdout } = spawnSync(process.execPath, [tsc, ...args, ...more], { cwd: ROOT, encoding: "utf8" });
  assert.is(status, 0, stdout);
});

/** How often a generator's packets are played: those of one time are made beforehand, which takes longer than the run. */
const LOOPS = 50;
const CHAIN = {
  name: "own",
  ports: { in: { driver: "generator", count: 500_000 / LOOPS, size: 100, seed: 5 }, out: { driver: "null" } },
  nfs: { mine: { type: "./mine.mjs" } },
  policy: "policy.csv",
};
/** Lines 1 to 5 stand in front of what is given. */
function files(...lines: string[]): Record<string, string | object> {
  const head = ['import { kernelNf } from "wingbeat/nf";', "export const nf = kernelNf({", '  type: "mine",'];
  const module = [...head, '  outcomes: [{ name: "a" }, { name: "b" }],', "  bytes: 20,", ...lines, "});", ""].join(
    "\n",
  );
  return { "chain.json": CHAIN, "policy.csv": "*,ingress,mine\n*,mine,egress\n", "mine.mjs": module };
}

const FAILS: Record<string, readonly [lines: string[], words: RegExp]> = {
  "an outcome it has not": [
    ["", "  kernel: (packet) => packet[0] === 69 ? 2 : 0,"],
    /mine\.mjs:7: the kernel answered 2, outcome 2; outcomes are 0 to 1/,
  ],
  "a value nobody applies": [
    ["  kernel(packet) {", "    return 33;", "  },"],
    /mine\.mjs:6: the kernel answered 33, outcome 1 and value 1, and there is no finish/,
  ],
  "a negative number": [
    ["  kernel(packet) { return 0 - packet[0]; },"],
    /mine\.mjs:6: the kernel answered.* no whole number of 0 to 2\^24 - 1/,
  ],
  "a byte that it does not see": [
    ["  kernel: (packet, length) => packet[length] + 0,"],
    /mine\.mjs:6: the kernel answered.* no whole number/,
  ],
  "a finish that throws": [
    ["  kernel: (packet) => 1,", "  finish() {", "    throw new Error('no finish');", "  },"],
    /mine\.mjs:8: Error: no finish/,
  ],
};
for (const [i, [what, [lines, words]]] of Object.entries(FAILS).entries()) {
  test(`${what} stops the run with the line, and the ledger balances`, () => {
    const cwd = folder(files(...lines));
    // Both for the first, the others by turns.
    for (const place of i === 0 ? ["cpu", "gpu"] : [i % 2 === 0 ? "cpu" : "gpu"]) {
      const args = ["--place", `mine=${place}`, "--device", place === "gpu" ? "gpujs" : "none"];
      const done = wingbeat(["run", "chain.json", "--json", "-", "--quiet", "--loop", `${LOOPS}`, ...args], cwd);
      assert.is(done.code, 1, done.stderr);
      assert.match(done.stderr, words);
      assert.not.match(done.stderr, /^\s+at /m);
      const { ledger, nfs } = JSON.parse(done.stdout) as RunResult;
      assert.ok(
        ledger.balanced && ledger.rx < 500_000 && nfs[0]!.outcomes["error"] === ledger.dropped && ledger.dropped > 0,
      );
    }
  });
}

const REFUSED: Record<string, readonly [lines: string[], words: RegExp]> = {
  "what a kernel cannot have": [
    ["  kernel(packet) {", "    const a = 1;", "    return fetch(packet);", "  },"],
    /mine\.mjs:8: a kernel can call Math\.abs/,
  ],
  "a key there is not": [["  kernel: (packet) => 0,", "  ports: 3,"], /mine\.mjs:\d+: unknown key "ports"/],
  "parameters that do not fit": [
    ["  kernel: (packet, length, port) => 0,", "  parameters: () => [1.5],"],
    /mine\.mjs:\d+: parameters\(\) returned \[1\.5\]; the kernel takes 1/,
  ],
  "parameters nobody gives": [
    ["  kernel: (packet, length, port) => 0,"],
    /mine\.mjs:\d+: parameters\(\) returned \[\]; the kernel takes 1/,
  ],
};
for (const [what, [lines, words]] of Object.entries(REFUSED)) {
  test(`refused: ${what}`, async () => {
    try {
      await loadChain(join(folder(files(...lines)), "chain.json"), { warn: () => {} });
    } catch (error) {
      assert.instance(error, ConfigError);
      assert.match((error as Error).message, words);
      return;
    }
    assert.unreachable("nothing was refused");
  });
}

test("devices that cannot run it say why, and so does gpujs of ipsec", () => {
  const cwd = folder(files("  kernel: (packet) => 0,"));
  const done = wingbeat(["run", "chain.json", "--place", "mine=gpu", "--device", "opencl"], cwd);
  assert.is(done.code, 1);
  assert.match(
    done.stderr,
    /NF mine \(\.\/mine\.mjs\) does not run on opencl: its kernel is a plain function, for gpujs and the CPU/,
  );
  const chain = join(ROOT, "examples/branch.json");
  const esp = wingbeat(["run", chain, "--place", "ipsec=gpu", "--device", "gpujs"], cwd);
  assert.is(esp.code, 1);
  assert.match(
    esp.stderr,
    /NF ipsec \(ipsec\) does not run on gpujs: its kernel writes packets, and one of gpu\.js answers with a single/,
  );
  assert.is(wingbeat(["run", "chain.json", "--device", "gpujs:opengl"], cwd).code, 2);
});

test.run();
