/** The verb `compare` as its users meet it, on a model instead of a chain: options, results, refusals. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { addCompareCommand } from "../runtime/cli/compare.js";
import { exitCodeOf } from "../runtime/errors.js";
import { folder, MAIN, wingbeat } from "./chain-support.js";
import { compare, FILES, resultOf, SMALL } from "./support/compare-model.js";
import { fakeTools } from "./support/fake-tools.js";

test("a whole comparison: table, JSON, CSV, report, and a chain with the best placement that works", () => {
  const cwd = folder(FILES);
  const { code, stdout, stderr } = compare(cwd, [...SMALL, "--report", "out/r", "--json", "r.json", "--csv", "s.csv"]);
  assert.is(code, 0, stderr);
  assert.match(stdout, /6 ways to run it gave equal digests/);
  assert.match(stdout, /64 B .*all on cpu/);
  assert.match(stdout, /64 B +│ CPU, by a factor of/);
  assert.match(stdout, /1472 B +│ GPU, by a factor of/);
  assert.match(stdout, /crossover:\n {2}the best on gpu, throughput by size: cpu up to/);
  assert.match(stdout, /no verdict: all on cpu: no meter was running/);
  const result = resultOf(cwd);
  assert.is(result.state, "complete");
  assert.equal(
    result.cells.map(({ name, cell }) => `${cell.size} ${name}`),
    [64, 1472].flatMap((size) =>
      ["all on cpu", "nids on gpu (opencl)", "router on gpu (opencl)"].map((name) => `${size} ${name}`),
    ),
  );
  assert.equal(result.progress, { done: result.samples.length, planned: result.samples.length });
  assert.is(result.manifest.seed, 3);
  assert.ok(result.manifest.files.some(({ path }) => path.endsWith("local.rules")));
  assert.not.ok(
    result.manifest.files.some(({ path }) => path.endsWith("alerts.jsonl")),
    "outputs are no configuration",
  );
  assert.is(readFileSync(join(cwd, "s.csv"), "utf8").trim().split("\r\n").length, 1 + result.samples.length);
  assert.equal(resultOf(cwd, "out/r/result.json").verdicts, result.verdicts);
  assert.match(readFileSync(join(cwd, "out/r/index.html"), "utf8"), /router on gpu/);
  // From the report's folder every path leads where it led.
  const best = JSON.parse(readFileSync(join(cwd, "out/r/best-chain.json"), "utf8"));
  assert.equal(
    Object.entries(best.nfs as Record<string, { place: string }>).map(([name, { place }]) => [name, place]),
    Object.entries(result.best!.placement),
  );
  assert.is(best.policy, "../../policy.csv");
  const checked = wingbeat(["check", "out/r/best-chain.json", "--json", "-"], cwd);
  assert.is(checked.code, 0, checked.stderr);
  const ran = wingbeat(["run", "best-chain.json", "--device", "none", "--quiet"], join(cwd, "out/r"));
  assert.is(ran.code, 0, ran.stderr);
  assert.ok(existsSync(join(cwd, "alerts.jsonl")));
});

test("--npf: lines as npf reads them, and nothing else on stdout", () => {
  const cwd = folder(FILES);
  const { code, stdout } = compare(cwd, [...SMALL, "--npf", "--sizes", "64,imix", "--json", "r.json"]);
  assert.is(code, 0);
  // npf/tests/sections/__init__.py of npf.
  const npf = /^(?:([A-Z0-9_]+)-([0-9.]+)-)?RESULT(?:-([A-Za-z0-9_:~.@()-]+))?[ \t]+(-?[0-9.]+(?:e[+-][0-9]+)?)$/;
  const found = new Map<string, number>();
  for (const line of stdout.trim().split("\n")) {
    const match = npf.exec(line);
    assert.ok(match, line);
    found.set(`${match[2] ?? ""} ${match[3]}`, Number(match[4]));
  }
  const { cells } = resultOf(cwd);
  const gbps = (size: unknown, name: string) =>
    cells.find((one) => one.cell.size === size && one.name.startsWith(name))!.gbps.median * 1e9;
  const near = (key: string, value: number) => assert.ok(Math.abs(found.get(key)! / value - 1) < 1e-5, key);
  near("64 THROUGHPUT-cpu", gbps(64, "all"));
  near("64 THROUGHPUT-nids@opencl", gbps(64, "nids"));
  near(" THROUGHPUT-router@opencl:imix", gbps("imix", "router"));
  assert.ok(found.get("64 LATENCY99-cpu")! < 0.1, "seconds");
  assert.not.ok(
    [...found.keys()].some((key) => /WATT|JOULE/.test(key)),
    "nothing was metered",
  );
  // --quiet leaves out the table and the progress.
  const quiet = compare(cwd, [...SMALL, "--npf", "--quiet", "--sizes", "64", "--no-search", "--loads", "none"]);
  assert.match(quiet.stdout, /^RESULT-THROUGHPUT-cpu /m);
  assert.is(quiet.stderr, "");
  // A single size is no variable.
  const one = compare(cwd, [...SMALL, "--npf", "--sizes", "128", "--no-search", "--loads", "none"]).stdout;
  assert.match(one, /^RESULT-THROUGHPUT-cpu [0-9.e+]+$/m);
});

test("the samples of a report are nothing to write over", () => {
  const cwd = folder(FILES);
  for (const option of ["--json", "--csv"]) {
    const { code, stderr } = compare(cwd, [...SMALL, "--report", "r", option, "r/samples.jsonl"]);
    assert.is(code, 2);
    assert.match(stderr, /would overwrite .*samples\.jsonl, which keeps the samples/);
  }
});

test("a capture that is not there is an error of configuration", () => {
  const cwd = folder(FILES);
  for (const file of ["nowhere.pcap", "."]) {
    const { code, stderr } = compare(cwd, [...SMALL, "--in", file]);
    assert.is(code, 2, stderr);
    assert.match(stderr, /no such file|is a directory/);
  }
});

test("placements that give other packets are refused: exit code 1, no figures, what differs", () => {
  const cwd = folder(FILES);
  const refused = compare(cwd, [...SMALL, "--report", "r", "--json", "r.json"], { differs: true });
  assert.is(refused.code, 1);
  assert.match(
    refused.stderr,
    /nids on gpu, opencl, d1 at 64 gives another result.*\n {4}egress digest: other frames left/,
  );
  assert.match(refused.stdout, /^equivalence: REFUSED, no figures/);
  assert.not.match(refused.stdout, /Gbps/);
  const result = resultOf(cwd);
  assert.is(result.state, "refused");
  assert.equal([result.cells, result.verdicts, result.samples, result.best], [[], [], [], null]);
  assert.match(readFileSync(join(cwd, "r", "index.html"), "utf8"), /egress digest: other frames left/);
  assert.not.ok(existsSync(join(cwd, "r", "best-chain.json")));
  // The device mended, the proof is asked for again.
  assert.is(compare(cwd, [...SMALL, "--report", "r", "--resume"]).code, 0);
});

test("an emulated device gives no verdict on hardware", () => {
  const cwd = folder(FILES);
  const { stdout } = compare(cwd, [...SMALL, "--json", "r.json"], { emulated: true });
  assert.match(stdout, /of an emulated device: no verdict on hardware/);
  assert.match(stdout, /a fake is emulated on the CPU: figures prove that the comparison works/);
  const result = resultOf(cwd);
  assert.ok(result.verdicts.every(({ emulated }) => emulated));
  assert.ok(result.best!.emulated);
});

test("wrong options and impossible wishes are refused with what can be", async () => {
  const cwd = folder({ ...FILES, "full/file": "x" });
  const before = process.cwd();
  process.chdir(cwd);
  const refused = async (words: RegExp, ...args: string[]) => {
    const program = new Command().exitOverride();
    addCompareCommand(program, fakeTools({}));
    try {
      await program.parseAsync(["compare", "chain.json", ...args], { from: "user" });
    } catch (error) {
      assert.match((error as Error).message, words);
      assert.is(exitCodeOf(error), 2);
      return;
    }
    assert.unreachable(args.join(" "));
  };
  await refused(/--sizes: 8 bytes are less than .*\n {2}remedy: give frame sizes from \d+ to \d+/, "--sizes", "8");
  await refused(/--sizes: 9000 bytes are more than a packet slot holds/, "--sizes", "64,9000");
  await refused(/--placements: found "nods"; the chain's NFs: protect, open, nids, router/, "--placements", "nods");
  await refused(/--devices: found "cuda"; it takes auto, none, opencl/, "--devices", "cuda");
  await refused(/nothing to compare all on cpu with/, "--placements", "cpu");
  await refused(/no device to run on/, "--placements", "nids", "--devices", "none");
  await refused(
    /--devices gpujs: NF protect \(ipsec\) does not run on gpujs/,
    "--placements",
    "protect",
    "--devices",
    "gpujs",
  );
  await refused(/--resume: it goes on with the samples of a report/, "--resume");
  await refused(/--loads: found "0"/, "--loads", "50,0");
  await refused(/--cores: found "x1"/, "--cores", "x1");
  await refused(/--repeats: expected a whole number from 1/, "--repeats", "0");
  await refused(/--in: null receives nothing/, "--in", "null");
  await refused(/--meter: found "joule"/, "--meter", "joule");
  await refused(/--report: .*full holds file, and no report of wingbeat/, "--report", "full");
  await refused(/--report: .*file.* is a file/, "--report", "full/file");
  await refused(/--json: policy\.csv would overwrite/, "--json", "policy.csv");
  await refused(/--csv: r would overwrite r, which --json writes/, "--json", "r", "--csv", "r");
  assert.equal(readdirSync(join(cwd, "full")), ["file"]);
  process.chdir(before);
});

test("what a device cannot take is left out with a line, unless it was named", () => {
  const cwd = folder(FILES);
  const { code, stderr, stdout } = compare(cwd, [
    "--quick",
    "--devices",
    "gpujs",
    "--meter",
    "none",
    "--json",
    "r.json",
  ]);
  assert.is(code, 0, stderr);
  assert.match(stderr, /protect on gpu is left out for gpujs: NF protect \(ipsec\) does not run on gpujs/);
  assert.match(stdout, /left out: protect on gpu on gpujs/);
  assert.equal(
    resultOf(cwd).plan.placements.map((placement) => Object.keys(placement).filter((nf) => placement[nf] === "gpu")),
    [[], ["nids"], ["router"]],
  );
});

test("a GPU that is not there is exit code 1, as for run", () => {
  const cwd = folder(FILES);
  const done = spawnSync(process.execPath, [MAIN, "compare", "chain.json", "--devices", "opencl:no such device"], {
    cwd,
  });
  assert.is(done.status, 1);
  assert.match(String(done.stderr), /remedy: /);
});

test.run();
