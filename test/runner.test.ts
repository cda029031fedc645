import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const here = dirname(fileURLToPath(import.meta.url));
const uvu = import.meta.resolve("uvu");
const skip = new URL("./skip.js", import.meta.url).href;
let folder = "";

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), "wingbeat-runner-"));
});
test.after.each(() => rmSync(folder, { recursive: true, force: true }));

/** Writes test files, given as the text between uvu's import and test.run(), unless it says how it ends. */
function write(files: Record<string, string>): void {
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  for (const [name, body] of Object.entries(files)) {
    const text = `import { test } from ${JSON.stringify(uvu)};\n${body}\n${body.includes("NO RUN") ? "" : "test.run();"}\n`;
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, `${name}.test.js`), text);
  }
}

function environment(timeout = 60): NodeJS.ProcessEnv {
  return { ...process.env, WINGBEAT_TEST_TIMEOUT: String(timeout) };
}

/** Runs the runner on what was written. */
function run(filters: readonly string[] = [], timeout = 60): { code: number | null; closing: string; output: string } {
  const args = [join(here, "run.js"), `--folder=${folder}`, ...filters];
  const result = spawnSync(process.execPath, args, { encoding: "utf8", env: environment(timeout), timeout: 150_000 });
  const output = result.stdout + result.stderr;
  return { code: result.status, closing: result.stdout.trimEnd().split("\n").at(-1)!, output };
}

const PASSING = 'test("one", () => {}); test("two", async () => {});';

test("passing files", () => {
  write({ a: PASSING, "below/b": PASSING });
  const { code, closing, output } = run();
  assert.is(closing, "4 passed, 0 failed", output);
  assert.is(code, 0);
});

test("a failing test fails the run, is printed, and the rest still runs", () => {
  write({ a: `${PASSING} test("three", () => { throw new Error("the very reason"); });`, b: PASSING });
  const { code, closing, output } = run();
  assert.is(closing, "4 passed, 1 failed", output);
  assert.is(code, 1);
  assert.match(output, "the very reason");
  assert.match(output, "FAIL a.test.js");
});

const BROKEN: Record<string, string> = {
  "throws while it loads": 'throw new Error("broken");',
  "does not parse": "const = 1;",
  "ends with code 0 before its tests": "process.exit(0);",
  "ends with code 0 in a test": 'test("one", () => process.exit(0));',
  "dies by a signal": 'test("one", () => process.kill(process.pid, "SIGSEGV"));',
  "waits for what never comes": 'test("one", () => new Promise(() => {}));',
  "never runs its suite": `${PASSING} // NO RUN`,
  "throws in before": 'test.before(() => { throw new Error("no"); }); test("one", () => {});',
  "throws in after": 'test.after(() => { throw new Error("no"); }); test.skip("one", () => {});',
  "throws beside its tests":
    'test("one", () => new Promise(() => setTimeout(() => { throw new Error("late"); }, 20)));',
};
for (const [what, body] of Object.entries(BROKEN)) {
  test(`a file that ${what} counts as one failure`, () => {
    write({ broken: body });
    const { code, closing, output } = run();
    assert.is(closing, "0 passed, 1 failed", output);
    assert.is(code, 1);
    assert.match(output, "FAIL broken.test.js");
  });
}

test("a hanging file is ended in time, with what it started", async () => {
  write({
    hanging: `import { spawn } from "node:child_process"; import { writeFileSync } from "node:fs";
      test("one", () => {
        const child = spawn("sleep", ["300"], { stdio: "inherit" });
        writeFileSync(${JSON.stringify(join(folder, "pid"))}, String(child.pid));
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      });`,
    other: PASSING,
  });
  // In which the other file has to come to its end, also on a busy machine.
  const { code, closing, output } = run([], 8);
  assert.is(closing, "2 passed, 1 failed", output);
  assert.is(code, 1);
  assert.match(output, "did not end within 8 s");
  assert.ok(await ends(Number(readFileSync(join(folder, "pid"), "utf8"))), "the process it started lives on");
});

/** Waits for the end of a process that has been killed: it gets a processor for that when there is one. */
async function ends(pid: number): Promise<boolean> {
  for (const end = Date.now() + 10_000; isAlive(pid) && Date.now() < end; ) await delay(20);
  return !isAlive(pid);
}

/** A killed process whose parent is gone waits as a zombie until init has taken note of it. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

test("what is left running does not keep a file from ending", () => {
  write({
    left: `import { spawn } from "node:child_process"; import { Worker } from "node:worker_threads";
      test("one", () => {
        setInterval(() => {}, 1000);
        new Worker("setInterval(() => {}, 1000)", { eval: true });
        spawn("sleep", ["300"], { stdio: "inherit" });
      });`,
  });
  const { code, closing, output } = run();
  assert.is(closing, "1 passed, 0 failed", output);
  assert.is(code, 0);
});

test("skipped tests are counted, with their reasons", () => {
  write({
    a: `import { skipUnless } from ${JSON.stringify(skip)};
      test("runs", () => { if (skipUnless(true, "not this")) return; });
      test("cannot", () => { if (skipUnless(false, "no such tool: install it")) return; throw new Error("went on"); });
      test.skip("uvu's own", () => {});`,
  });
  const { code, closing, output } = run();
  assert.is(closing, "1 passed, 0 failed, 2 skipped", output);
  assert.is(code, 0);
  assert.match(output, "SKIP a.test.js: no such tool: install it");
  assert.not.match(output, "not this");
});

test("a passing file's output is not printed, but for the lines that ask for it", () => {
  write({
    a: `test("one", () => {
        console.log("not this");
        console.log("show: the counterexample");
        console.log("show:   indented, and a skip: in it");
        console.log("this neither, though it says show: inside");
      });
      test("two", () => console.log("show: behind uvu's dot"));`,
  });
  const { closing, output } = run();
  assert.is(closing, "2 passed, 0 failed", output);
  const lines = output.split("\n").filter((line) => line.startsWith("     "));
  assert.equal(
    lines,
    ["     the counterexample", "       indented, and a skip: in it", "     behind uvu's dot"],
    output,
  );
});

test("file names choose what runs, and a name that fits nothing is a failure", () => {
  write({ alpha: PASSING, beta: 'test("one", () => {});' });
  assert.is(run(["beta.test.ts"]).closing, "1 passed, 0 failed");
  assert.is(run(["alpha", "beta"]).closing, "3 passed, 0 failed");
  write({ "below/gamma": 'test("one", () => {});' });
  assert.is(run(["below/gamma.test.ts"]).closing, "1 passed, 0 failed");
  const none = run(["delta"]);
  assert.is(none.closing, "0 passed, 1 failed");
  assert.is(none.code, 1);
  assert.match(none.output, "no test file matches delta");
});

test("Ctrl-C ends the files that run", async () => {
  const pidFile = join(folder, "pid");
  write({
    a: `import { writeFileSync } from "node:fs";
      test("one", () => { writeFileSync(${JSON.stringify(pidFile)}, String(process.pid)); return new Promise((r) => setTimeout(r, 1e6)); });`,
  });
  const runner = spawn(process.execPath, [join(here, "run.js"), `--folder=${folder}`], {
    env: environment(),
    stdio: "ignore",
  });
  const exit = new Promise<number | null>((resolve) => runner.on("exit", resolve));
  const pid = await new Promise<number>((resolve) => {
    const timer = setInterval(() => {
      try {
        const found = Number(readFileSync(pidFile, "utf8"));
        if (found === 0) return;
        clearInterval(timer);
        resolve(found);
      } catch {
        // Not written yet.
      }
    }, 20);
  });
  runner.kill("SIGINT");
  assert.is(await exit, 130);
  assert.ok(await ends(pid));
});

test.run();
