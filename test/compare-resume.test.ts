/** What is left of a comparison that is killed, interrupted, or runs out of device or disk; and that it is gone on with. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { CompareResult } from "../runtime/experiment/compare-result.js";
import { folder } from "./chain-support.js";
import { skipUnless } from "./skip.js";
import { CHILD, compare, FILES, resultOf, SMALL } from "./support/compare-model.js";
import { freshSeed, Random } from "./support/random.js";

/** What a comparison found, without when and how often it was begun. */
function findings({
  plan,
  cells,
  verdicts,
  comparisons,
  crossovers,
  pareto,
  samples,
  equivalence,
}: CompareResult): object {
  const ordered = [...samples].sort((a, b) => `${a.key} ${a.repeat}`.localeCompare(`${b.key} ${b.repeat}`));
  return { plan, cells, verdicts, comparisons, crossovers, pareto, samples: ordered, equivalence };
}

test("killed at any moment, and gone on with: the same findings as in one go", async () => {
  const cwd = folder(FILES);
  const args = [...SMALL, "--repeats", "3", "--loads", "80"];
  assert.is(compare(cwd, [...args, "--json", "r.json"]).code, 0);
  const whole = resultOf(cwd);
  const seed = freshSeed();
  const rng = new Random(seed);
  for (let kills = 0; kills < 4; kills++) {
    const child = spawn(process.execPath, [CHILD, "compare", "chain.json", ...args, "--report", "r", "--resume"], {
      cwd,
      stdio: "ignore",
      env: { ...process.env, FAKE: '{"takes":10}' },
    });
    const ended = new Promise((resolve) => child.on("exit", resolve));
    // From before it has begun to well into it.
    const file = join(cwd, "r", "samples.jsonl");
    const size = () => (existsSync(file) ? readFileSync(file).length : 0);
    const until = size() + rng.int(0, 15_000);
    for (const from = Date.now(); size() < until && child.exitCode === null && Date.now() - from < 15_000; )
      await delay(5);
    child.kill("SIGKILL");
    await ended;
  }
  const { code, stderr } = compare(cwd, [...args, "--report", "r", "--resume"]);
  assert.is(code, 0, `seed ${seed}: ${stderr}`);
  assert.match(stderr, /--resume: \d+ samples are there already/);
  assert.equal(findings(resultOf(cwd, "r/result.json")), findings(whole), `seed ${seed}`);
  // Complete: nothing is measured again, and the report is written anew.
  const again = compare(cwd, [...args, "--report", "r", "--resume"], { failsAt: 0 });
  assert.is(again.code, 0, again.stderr);
});

test("Ctrl-C: what was found until then is the result, exit code 1, and the command that goes on is printed", async () => {
  const cwd = folder(FILES);
  const args = ["compare", "chain.json", ...SMALL, "--report", "my report", "--json", "r.json"];
  const child = spawn(process.execPath, [CHILD, ...args], { cwd, env: { ...process.env, FAKE: '{"takes":60}' } });
  let said = "";
  let shown = "";
  child.stderr.on("data", (text) => {
    said += text;
  });
  child.stdout.on("data", (text) => {
    shown += text;
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const file = join(cwd, "my report", "samples.jsonl");
  while (child.exitCode === null && !(existsSync(file) && readFileSync(file, "utf8").split("\n").length > 20))
    await delay(10);
  child.kill("SIGINT");
  assert.is(await ended, 1, said);
  assert.match(said, /stopping: what was measured until now is the result \(again to leave at once\)/);
  assert.match(said, /goes on with it: wingbeat compare chain\.json .*--report 'my report' --json r\.json --resume\n/);
  assert.match(shown, /^INTERRUPTED: of about \d+ samples \d+ were taken/);
  const result = resultOf(cwd);
  assert.is(result.state, "interrupted");
  assert.ok(result.samples.length >= 18 && result.samples.length < result.progress.planned);
  assert.ok(result.cells.length > 0);
  assert.ok(existsSync(join(cwd, "my report", "index.html")));
  const on = compare(cwd, [...SMALL, "--report", "my report", "--json", "r.json", "--resume"]);
  assert.is(on.code, 0, on.stderr);
  assert.is(resultOf(cwd).state, "complete");
});

test("a device that is gone ends it with exit code 1, and what was measured is kept", () => {
  const cwd = folder(FILES);
  const lost = compare(cwd, [...SMALL, "--report", "r", "--json", "r.json"], { failsAt: 30 });
  assert.is(lost.code, 1);
  assert.match(lost.stderr, /goes on with it: .*--resume\nwingbeat: the device is gone/);
  assert.is(resultOf(cwd).samples.length, 30);
  assert.is(resultOf(cwd).state, "interrupted");
  assert.is(compare(cwd, [...SMALL, "--report", "r", "--resume"]).code, 0);
});

test("another plan is not gone on with, and samples are not written over", () => {
  const cwd = folder(FILES);
  assert.is(compare(cwd, [...SMALL, "--report", "r"]).code, 0);
  const before = readFileSync(join(cwd, "r", "samples.jsonl"), "utf8");
  const other = compare(cwd, [...SMALL, "--report", "r", "--resume", "--repeats", "9"]);
  assert.is(other.code, 2);
  assert.match(other.stderr, /is of another experiment:\n {2}repeats: 7 there, 9 now/);
  const anew = compare(cwd, [...SMALL, "--report", "r"]);
  assert.is(anew.code, 2);
  assert.match(anew.stderr, /samples of an earlier experiment/);
  assert.is(readFileSync(join(cwd, "r", "samples.jsonl"), "utf8"), before);
});

test("a disk that is full ends it; what was kept is whole, and the result is written where there is room", () => {
  const cwd = folder(FILES);
  mkdirSync(join(cwd, "r"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", join(cwd, "r")]).status === 0;
  if (skipUnless(mounted, "a tmpfs cannot be mounted: run the tests as root")) return;
  try {
    const full = compare(cwd, [...SMALL, "--report", "r", "--json", "r.json"]);
    assert.is(full.code, 1);
    assert.match(full.stderr, /ENOSPC/);
    assert.is(resultOf(cwd).state, "interrupted");
    assert.ok(resultOf(cwd).samples.length > 10);
    const kept = readFileSync(join(cwd, "r", "samples.jsonl"), "utf8")
      .trim()
      .split("\n");
    for (const line of kept) JSON.parse(line);
  } finally {
    spawnSync("umount", [join(cwd, "r")]);
  }
});

test.run();
