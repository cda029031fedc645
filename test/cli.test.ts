/** The program as a hostile user meets it: bad files, clashing files, closed streams, signals. */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { RunResult } from "../runtime/engine/result.js";
import { folder, gateway, MAIN, run, wingbeat } from "./chain-support.js";

const GENERATOR = { driver: "generator", count: 500, size: 100 };
const FORWARD = {
  name: "forward",
  ports: { in: GENERATOR, out: { driver: "pcap", file: "out.pcap" } },
  policy: "policy.csv",
};
const forward = (more: object = {}) => ({ "chain.json": { ...FORWARD, ...more }, "policy.csv": "*,ingress,egress\n" });

/** Ends with this code and says this on stderr, and never with a stack trace. */
function refused(args: readonly string[], cwd: string, code: number, words: RegExp): void {
  const done = wingbeat(args, cwd);
  assert.is(done.code, code, `${args.join(" ")}: ${done.stderr}`);
  assert.match(done.stderr, words);
  assert.not.match(done.stderr, /^\s+at /m);
}

const BAD_JSON: Record<string, readonly [text: string, words: RegExp]> = {
  "a port twice": ['{"name":"x","ports":{\n"in":{},"out":{},\n"in":{}}}', /chain\.json:3: "in" stands twice/],
  "a key twice, once escaped": ['{"name":"x","n\\u0061me":"y"}', /:1: "name" stands twice/],
  "an NF called __proto__": ['{"name":"x","nfs":{"__proto__":{"type":"router"}}}', /"__proto__" cannot be a name/],
  "nothing in it": [" \n", /is empty\n {2}remedy: /],
  "an end too early": ['{"name":"x",\n"ports":', /chain\.json:2: not JSON/],
  "brackets deeper than the stack": [`{"name":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, /name: expected string/],
  "a name with a dot": [
    JSON.stringify({ ...FORWARD, nfs: { "a.b": { type: "router" } } }),
    /nfs\.a\.b: expected a name of letters/,
  ],
};
for (const [what, [text, words]] of Object.entries(BAD_JSON)) {
  test(`a chain with ${what} is refused`, () => {
    refused(["check", "chain.json"], folder({ "chain.json": text, "policy.csv": "*,ingress,egress" }), 2, words);
  });
}

test("a byte order mark and strings of megabytes are no mistake", () => {
  const text = JSON.stringify({ ...FORWARD, $schema: '\\"{'.repeat(1_000_000) });
  const cwd = folder({ ...forward(), "chain.json": `\uFEFF${text}` });
  assert.is(wingbeat(["check", "chain.json", "--json", "r.json"], cwd).code, 0);
});

test("types are tried in the order of the file, also where names look like numbers", () => {
  // As text: an object here would put its keys into another order by itself.
  const types = '"types":{"all":{"proto":"udp"},"7":{"proto":"udp"}}';
  const cwd = folder({
    "chain.json": JSON.stringify(FORWARD).replace(/}$/, `,${types}}`),
    "policy.csv": "all,ingress,egress\n7,ingress,drop\ndefault,ingress,kernel\n",
  });
  assert.is(run(cwd, "chain.json").packets.tx, 500);
});

test("an output never takes the place of something the run reads", () => {
  const files = gateway(100);
  const cwd = folder(files);
  assert.is(wingbeat(["gen", "in.pcap", "--count", "50"], cwd).code, 0);
  symlinkSync("in.pcap", join(cwd, "link.pcap"));
  const clashes: readonly (readonly [readonly string[], RegExp])[] = [
    [["--in", "in.pcap", "--out", "link.pcap"], /is read by port in and written by port out/],
    [["--out", "chain.json"], /would be overwritten by port out/],
    [["--out", "local.rules"], /which NF nids reads/],
    [["--out", "alerts.jsonl"], /NF nids, and port out uses it/],
    [["--json", "policy.csv"], /--json: policy\.csv would overwrite/],
    [["--json", "routes.txt"], /which NF router reads/],
    [["--json", "alerts.jsonl"], /which NF nids writes/],
    [["--in", "in.pcap", "--json", "./link.pcap"], /which port in reads/],
    [["--json", "no/such/r.json"], /there is no folder/],
    [["--json", "."], /is a directory/],
    [["--out", "."], /is a directory/],
  ];
  const names = ["chain.json", "policy.csv", "routes.txt", "local.rules", "in.pcap"];
  const before = names.map((n) => readFileSync(join(cwd, n), "latin1"));
  for (const [args, words] of clashes) refused(["run", "chain.json", ...args], cwd, 2, words);
  refused(
    ["gen", "local.rules", "--rules", "local.rules", "--hits", "0.1"],
    cwd,
    2,
    /--rules and would be overwritten/,
  );
  refused(["gen", "g.pcap", "--json", "g.pcap"], cwd, 2, /would overwrite g\.pcap/);
  assert.equal(
    names.map((n) => readFileSync(join(cwd, n), "latin1")),
    before,
  );
});

test("a policy that sends to `in` does not empty the capture there", () => {
  const ports = { in: { driver: "pcap", file: "in.pcap" }, more: { ...GENERATOR, dir: "rx" } };
  const cwd = folder({ ...forward({ ports }), "policy.csv": "*,ingress,egress:in\n" });
  assert.is(wingbeat(["gen", "in.pcap", "--count", "50"], cwd).code, 0);
  const before = readFileSync(join(cwd, "in.pcap"));
  refused(["run", "chain.json"], cwd, 2, /packets are sent to it, but it is an input/);
  assert.equal(readFileSync(join(cwd, "in.pcap")), before);
});

test("options name themselves in their errors", () => {
  const cwd = folder(forward());
  const of = (...args: string[]) => ["run", "chain.json", ...args];
  refused(of("--out", "dpdk:0"), cwd, 2, /--out: unknown driver "dpdk"/);
  refused(of("--out", "xdp:no-such-link"), cwd, 1, /port out: there is no network interface "no-such-link"/);
  refused(of("--out", "generator:size=64"), cwd, 2, /--out: a generator makes packets/);
  refused(of("--in", "generator:size=64,size=128"), cwd, 2, /"size" stands twice/);
  refused(of("--in", "generator:__proto__=5"), cwd, 2, /unknown key "__proto__"/);
  refused(of("--in", "null"), cwd, 2, /--in: null receives nothing/);
  refused(of("--device", "none:x"), cwd, 2, /--device: found "none:x"/);
  refused(of("--device", "opencl:no such device"), cwd, 1, /remedy: /);
  refused(of("--device", "webgpu:no such adapter"), cwd, 1, /webgpu.*: .*\n {2}remedy: /);
  refused(of("--device", "gpujs:x"), cwd, 2, /--device: found "gpujs:x"; the modes of gpujs are webasm, cpu, webgpu/);
  refused(of("--workgroups", "65"), cwd, 2, /--workgroups: expected a whole number from 1 to 64/);
  refused(of("--slice", "0.5"), cwd, 2, /--slice: expected a whole number/);
});

test("a named pipe is refused or written, never waited for", () => {
  const cwd = folder(forward());
  assert.is(spawnSync("mkfifo", ["pipe"], { cwd }).status, 0);
  refused(["run", "chain.json", "--in", "./pipe"], cwd, 2, /is not a regular file/);
  refused(["run", "chain.json", "--out", "./pipe"], cwd, 2, /a pipe that nobody reads/);
});

test("a result that cannot be written is said, and diagnostics that cannot be written end nothing", () => {
  const cwd = folder(forward());
  const sh = (line: string) =>
    spawnSync("sh", ["-c", `"$0" "$1" run chain.json ${line}`, process.execPath, MAIN], { cwd, encoding: "utf8" });
  for (const line of [">/dev/full", "--quiet --json - >/dev/full", "--quiet --json /dev/full", "--out /dev/full"]) {
    const { status, stderr } = sh(line);
    assert.is(status, 1, `${line}: ${stderr}`);
    assert.match(stderr, /remedy: /);
    assert.not.match(stderr, /^\s+at /m);
  }
  assert.is(sh("--seed 1 2>/dev/full").status, 0);
  const { stderr } = sh("| head -c 1");
  assert.is(stderr, "");
});

/** Frames of a pcap file as this program writes them, in order. */
function frames(file: string): { time: bigint; bytes: Buffer }[] {
  const data = readFileSync(file);
  const found = [];
  for (let at = 24; at < data.length; ) {
    const length = data.readUInt32LE(at + 8);
    const time = BigInt(data.readUInt32LE(at)) * 1_000_000_000n + BigInt(data.readUInt32LE(at + 4));
    assert.ok(at + 16 + length <= data.length, "the last record is whole");
    found.push({ time, bytes: data.subarray(at + 16, at + 16 + length) });
    at += 16 + length;
  }
  return found;
}

test("digests are what CONTRACT says, computed from the files that were written", () => {
  const files = gateway(2000);
  const { ports } = files["chain.json"] as { ports: Record<string, object> };
  ports["out"] = { driver: "pcap", file: "out.pcap" };
  ports["lan"] = { driver: "pcap", file: "lan.pcap" };
  const cwd = folder(files);
  const result = run(cwd, "chain.json", "--seed", "4", "--cores", "d1n2");
  // The generator stamps every packet with a time of its own, so time is arrival order over both files.
  const all = ["out", "lan"].flatMap((port) => frames(join(cwd, `${port}.pcap`)).map((f) => ({ ...f, port })));
  all.sort((a, b) => Number(a.time - b.time));
  assert.is(all.length, result.packets.tx);
  const hash = createHash("sha256");
  for (const { port, bytes } of all) {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    hash.update(port).update(length).update(bytes);
  }
  assert.is(result.digest, `sha256:${hash.digest("hex")}`);

  type Alert = { pcap_cnt: number; alert: { signature_id: number } };
  const lines = readFileSync(join(cwd, "alerts.jsonl"), "utf8").trim().split("\n");
  const pairs = lines.map((l) => JSON.parse(l) as Alert).map((a) => [a.pcap_cnt, a.alert.signature_id] as const);
  pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const text = pairs.map(([n, sid]) => `${n} ${sid}\n`).join("");
  assert.is(result.alerts_digest, `sha256:${createHash("sha256").update(text).digest("hex")}`);

  const { ledger } = result;
  assert.is(ledger.rx + ledger.originated, ledger.tx + ledger.to_kernel + ledger.dropped);
  assert.is(
    ledger.drops.reduce((sum, d) => sum + d.packets, 0),
    ledger.dropped,
  );
  for (const nf of result.nfs) {
    assert.is(
      Object.values(nf.outcomes).reduce((sum, n) => sum + n, 0),
      nf.packets,
      nf.name,
    );
  }
});

/** Starts an endless run, sends signals once packets have been written, and returns how it ended. */
async function signalled(
  signals: readonly NodeJS.Signals[],
  ...args: string[]
): Promise<{ code: number | null; signal: NodeJS.Signals | null; stdout: string; written: number }> {
  const cwd = folder(forward());
  const all = [MAIN, "run", "chain.json", "--loop", "0", "--json", "-", "--quiet", ...args];
  const child = spawn(process.execPath, all, { cwd });
  let stdout = "";
  child.stdout.on("data", (text) => {
    stdout += text;
  });
  const guard = setTimeout(() => child.kill("SIGKILL"), 120_000);
  const ended = new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.on("close", (code, signal) => resolve([code, signal])),
  );
  const file = join(cwd, "out.pcap");
  while (child.exitCode === null && !(existsSync(file) && readFileSync(file).length > 200)) await delay(50);
  for (const signal of signals) child.kill(signal);
  const [code, signal] = await ended;
  clearTimeout(guard);
  return { code, signal, stdout, written: frames(file).length };
}

for (const [signal, ...args] of [
  ["SIGINT", "--rate", "2000"],
  ["SIGTERM", "--rate", "2000", "--cores", "d2"],
  ["SIGHUP", "--rate", "1"],
] as const) {
  test(`${signal} ends a run in order (${args.join(" ")})`, async () => {
    const { code, stdout, written } = await signalled([signal], ...args);
    assert.is(code, 0);
    const { ledger } = JSON.parse(stdout) as RunResult;
    assert.ok(ledger.balanced);
    assert.is(written, ledger.tx);
  });
}

test("a run that is killed leaves a readable capture, however slow it was", async () => {
  const { signal, written } = await signalled(["SIGKILL"], "--rate", "300");
  assert.is(signal, "SIGKILL");
  assert.ok(written > 0);
});

test("check finds types without a way out and packets that reach egress with no port chosen", () => {
  const files = gateway(10);
  const warnings = (policy: string): string => {
    const cwd = folder({ ...files, "policy.csv": policy });
    const done = wingbeat(["check", "chain.json", "--json", "-"], cwd);
    assert.is(done.code, 0, done.stderr);
    return (JSON.parse(done.stdout) as { warnings: string[] }).warnings.join("\n");
  };
  const dead = warnings("web,ingress,nids\nweb,nids,drop\n*,ingress,router\n*,router,egress\n");
  assert.match(dead, /type web: no way out/);
  assert.not.match(dead, /type branch: no way out|without a router/);
  const unrouted = warnings("*,ingress,nids\n*,nids,egress\nv6,nids,egress:lan\n");
  assert.match(unrouted, /type web: packets can reach `egress` without a router/);
  assert.not.match(unrouted, /type v6: .*without a router/);
  // What one NF protects and the next opens is no ciphertext to the nids behind both.
  const opened = warnings("*,ingress,protect\n*,protect,open\n*,open,nids\n*,nids,router\n*,router,egress\n");
  assert.not.match(opened, /ciphertext/);
  assert.match(warnings("*,ingress,protect\n*,protect,nids\n*,nids,egress:out\n"), /scan ciphertext/);
});

test("non-IP frames may be led to an NF, and drop there where no row names them", () => {
  const cwd = folder({
    ...forward({ nfs: { nids: { type: "nids", config: { rules: "r.rules" } } } }),
    "r.rules": 'alert ip any any -> any any (content:"nothing like it"; sid:1;)',
    "policy.csv": "*,ingress,drop\nnon-ip,ingress,nids\n*,nids,egress\n",
  });
  // An ARP frame in a big-endian capture.
  const frame = Buffer.concat([Buffer.alloc(12, 2), Buffer.from("0806", "hex"), Buffer.alloc(46)]);
  const header = Buffer.from("a1b2c3d4000200040000000000000000000400000000000100000001000000000000003c0000003c", "hex");
  writeFileSync(join(cwd, "arp.pcap"), Buffer.concat([header, frame]));
  const { ledger, nfs } = run(cwd, "chain.json", "--in", "arp.pcap");
  assert.equal(ledger.drops, [{ nf: "policy", reason: "non-ip", packets: 1 }]);
  assert.is(nfs[0]!.outcomes["clean"], 1);
});

test("two runs at once do not disturb each other", async () => {
  const cwd = folder(forward());
  writeFileSync(join(cwd, "b.json"), readFileSync(join(cwd, "chain.json")));
  const start = (out: string) =>
    new Promise<number | null>((resolve) => {
      const args = [MAIN, "run", "chain.json", "--out", out, "--quiet", "--loop", "20"];
      spawn(process.execPath, args, { cwd }).on("close", resolve);
    });
  assert.equal(await Promise.all([start("x.pcap"), start("y.pcap")]), [0, 0]);
  assert.equal(readFileSync(join(cwd, "x.pcap")), readFileSync(join(cwd, "y.pcap")));
});

test.run();
