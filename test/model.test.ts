/** The protocol of CPUSyncer and GPUSyncer, model-checked: test/model/syncer.pml, which says what is proved. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { findProgram } from "../runtime/native/library-path.js";
import { skipUnless } from "./skip.js";

/** "safety": assertions and hangs. "progress": the ltl claim, under weak fairness. */
type Property = "safety" | "progress";
type Defines = Readonly<Record<string, number>>;

const model = fileURLToPath(new URL("../../test/model/syncer.pml", import.meta.url));
const spin = findProgram("spin");
const compiler = findProgram("cc") ?? findProgram("gcc");
const missing = [spin === undefined ? "spin" : "", compiler === undefined ? "cc (gcc)" : ""].filter(
  (name) => name !== "",
);
const reason = `${missing.join(" and ")} not installed, the syncer protocol is not checked: apt-get install spin gcc`;
/** Far deeper than any configuration here; a search that reaches it says so and fails. */
const MAX_DEPTH = 2_000_000;
const LIMIT_MS = 120_000;

const small = { WORKGROUPS: 2, THREADS: 2, DEPTH: 1, MODULUS: 2, PACKETS: 2, MIN_RESIDENT: 1 };
let folder = "";
test.before(() => {
  folder = mkdtempSync(join(tmpdir(), "wingbeat-model-"));
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program to its end; what it printed on both streams, or an error with that, where it failed. */
function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { cwd, timeout: LIMIT_MS, maxBuffer: 1 << 28 };
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout + stderr);
      else reject(new Error(`${program} ${args.join(" ")}: ${error.message}\n${stdout}${stderr}`));
    });
  });
}

interface Verdict {
  readonly errors: number;
  readonly states: number;
  readonly report: string;
  /** What the host and the workgroups did, up to the error; empty without one. */
  readonly counterexample: string;
}

/** Of the compiler's optimisation: compiling with it takes a second longer than without, and only long searches make up for that. */
type Level = "-O0" | "-O1";

async function check(name: string, defines: Defines, property: Property, level: Level): Promise<Verdict> {
  const cwd = join(folder, `${name}-${property}`.replace(/[^a-z0-9]+/gi, "-"));
  mkdirSync(cwd);
  const flags = Object.entries(defines).map(([key, value]) => `-D${key}=${value}`);
  await run(spin!, ["-a", ...flags, model], cwd);
  const kind = property === "safety" ? ["-DSAFETY", "-DNOCLAIM"] : ["-DNFAIR=3"];
  await run(compiler!, [level, "-w", ...kind, "-DMEMLIM=3000", "-o", "pan", "pan.c"], cwd);
  const search = property === "safety" ? [] : ["-a", "-f", "-N", "progress"];
  const report = await run(join(cwd, "pan"), ["-n", `-m${MAX_DEPTH}`, ...search], cwd);
  const errors = Number(/errors: (\d+)/.exec(report)?.[1]);
  const states = Number(/^\s*([\d.e+]+) states, stored/m.exec(report)?.[1]);
  assert.ok(Number.isInteger(errors) && states > 0, `pan did not report:\n${report}`);
  assert.not.match(report, /max search depth too small|out of memory|VECTORSZ|hash table.*full|resize/i, report);
  if (errors === 0) {
    assert.not.match(report, /search not completed|interrupted|memory limit/i, report);
    return { errors, states, report, counterexample: "" };
  }
  const steps = await run(spin!, ["-t", "-k", "syncer.pml.trail", ...flags, model], cwd);
  const lines = steps.split("\n").filter((line) => /host:|GPU {2}|START OF CYCLE|failed assertion/.test(line));
  return { errors, states, report, counterexample: lines.map((line) => line.trim()).join("\n") };
}

function holds(name: string, defines: Defines, level: Level): void {
  test(`holds: ${name}`, async () => {
    if (skipUnless(missing.length === 0, reason)) return;
    const properties = ["safety", "progress"] as const;
    const verdicts = await Promise.all(properties.map((property) => check(name, defines, property, level)));
    for (const [i, { errors, states, report, counterexample }] of verdicts.entries()) {
      assert.is(errors, 0, `${properties[i]} of ${name}:\n${report}\n${counterexample}`);
      console.log(`model: ${name}, ${properties[i]}: ${states} states, complete, 0 errors`);
    }
  });
}

/** Lines of a counterexample that are printed: its end says what went wrong. */
const TAIL = 6;

/**
 * @param why what pan's report or the counterexample must show, so that it fails for the right reason
 * @param show the runner prints the end of the counterexample although the test passes
 */
function fails(name: string, defines: Defines, property: Property, why: RegExp, show = false): void {
  test(`fails: ${name}`, async () => {
    if (skipUnless(missing.length === 0, reason)) return;
    const { errors, report, counterexample } = await check(name, defines, property, "-O0");
    assert.ok(errors > 0, `${name} should break ${property}, and the model does not notice:\n${report}`);
    assert.match(`${report}\n${counterexample}`, why);
    const prefix = show ? "show: " : "";
    console.log(`${prefix}model: ${name}: breaks ${property}, as it must; the end of spin's counterexample:`);
    for (const line of counterexample.split("\n").slice(-TAIL)) console.log(`${prefix}  ${line}`);
  });
}

holds("one workgroup of 2, indices that wrap around", { THREADS: 2 }, "-O0");
holds("one workgroup of 3", { THREADS: 3, DEPTH: 1, MODULUS: 2, PACKETS: 4 }, "-O1");
holds("one workgroup of 2, leave and launch again", { THREADS: 2, PACKETS: 2, SLICES: 1 }, "-O0");
holds("two workgroups of 2, of which one may be late or never start", small, "-O1");
// One thread each: the barriers are in the others, and all of it together is too much for a test.
const slices = { ...small, THREADS: 1, SLICES: 1 };
holds("two workgroups, leave, and fewer that run than before", slices, "-O1");

fails(
  "GpuIndex before the closing barrier (the paper's order)",
  { PAPER_ORDER: 1 },
  "safety",
  /has not been written/,
  true,
);
fails("no dummies", { NO_DUMMIES: 1 }, "progress", /acceptance cycle/, true);
fails("indices compared as numbers", { PLAIN_COMPARE: 1 }, "progress", /acceptance cycle/);
fails("tickets that always start at 0", { ...slices, TICKET_ZERO: 1 }, "progress", /acceptance cycle/);
fails("slices shorter than a round of the host", { ...slices, SHORT_SLICES: 1 }, "progress", /acceptance cycle/);
fails("work for queues that nobody took", { ...small, ANY_QUEUE: 1 }, "progress", /acceptance cycle/);

test.run();
