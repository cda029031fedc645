/**
 * The test runner: `node dist/test/run.js [--folder=DIST | --as-bundle] [PART OF A FILE'S PATH ...]`. `--as-bundle` skips the files that need
 * an OpenCL device where there is none.
 *
 * uvu's own runner has no timeouts, hangs on a leftover worker and takes a throwing `before` hook for success. So every
 * file runs in a process of its own (file.ts), at most two at once, which is killed with all it started when it does
 * not end in time. The last line is `N passed, N failed`, with `, N skipped` where any were; a file that crashed or hung
 * counts as one more failure.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { needsOpenCl, openClLack } from "./needs-opencl.js";

/** What the process of one file sends: the counts so far, after every suite, and once `done`. */
export interface FileReport {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly done: boolean;
}

interface FileResult extends FileReport {
  readonly file: string;
  readonly output: string;
  /** Why the file did not end as it should, where it did not. */
  readonly problem: string | undefined;
  readonly seconds: number;
}

/** A line of a file's output that begins with this is printed also when the file passes; without it, though. */
const SHOW = "show: ";
const TO_PRINT = new RegExp(`\\bskip(?:ped)?\\b.*: .*$|(?<=^(?:[•\\s]*))${SHOW}.*$`, "gim");
const AT_ONCE = 2;
/** A file takes seconds; minutes only on a busy machine with cold caches. */
const TIMEOUT_SECONDS = Number(process.env.WINGBEAT_TEST_TIMEOUT ?? 300);
const here = dirname(fileURLToPath(import.meta.url));
const running = new Set<ChildProcess>();

/** What takes longest, first: else one of them is alone at the end, and a processor idle. */
const LONGEST = /^test\/(?:bundle|gpu-forwarding|cli|bench-device|model|device-run|chain|compare-opencl)/;

function testFiles(folder: string, filters: readonly string[]): string[] {
  const entries = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  const tests = entries.filter((name) => name.endsWith(".test.js") && !name.includes("node_modules"));
  const files = [true, false].flatMap((long) => tests.filter((name) => LONGEST.test(name) === long));
  return files
    .filter((name) => filters.length === 0 || filters.some((part) => name.includes(part)))
    .map((name) => join(folder, name));
}

/** Ends a process and everything it started: it leads a process group of its own. */
function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // The group is gone already.
  }
}

function runFile(file: string): Promise<FileResult> {
  const started = Date.now();
  const child = spawn(process.execPath, [join(here, "file.js"), file], {
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    detached: true,
  });
  running.add(child);
  let output = "";
  let report: FileReport = { passed: 0, failed: 0, skipped: 0, done: false };
  let problem: string | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  child.on("message", (message) => {
    report = message as FileReport;
  });
  const timer = setTimeout(() => {
    problem = `did not end within ${TIMEOUT_SECONDS} s`;
    killGroup(child);
  }, TIMEOUT_SECONDS * 1000);
  return new Promise((resolve) => {
    child.on("error", (error) => {
      problem = error.message;
    });
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      if (!report.done) problem ??= `ended before its tests were done (${signal ?? `exit code ${code}`})`;
      // What it left running could hold the pipes open for ever.
      killGroup(child);
    });
    child.on("close", () => {
      running.delete(child);
      resolve({ ...report, file, output, problem, seconds: (Date.now() - started) / 1000 });
    });
  });
}

function print(result: FileResult, folder: string): void {
  const failed = result.failed > 0 || result.problem !== undefined;
  const name = relative(folder, result.file);
  const skipped = result.skipped > 0 ? `, ${result.skipped} skipped` : "";
  const counts = `${result.passed} passed, ${result.failed} failed${skipped}`;
  // Indented, so that no reader of the log takes a file's counts for those of the whole.
  console.log(`${failed ? "FAIL" : "ok  "} ${name}  ${counts}  (${result.seconds.toFixed(1)} s)`);
  if (failed) console.log(result.output.replace(/^/gm, "     "));
  // A skip says why, also in a green run, and a test can have a line printed that begins with SHOW. uvu's dots may stand before both.
  else for (const [line] of result.output.matchAll(TO_PRINT)) console.log(`     ${line.replace(SHOW, "")}`);
  if (result.problem !== undefined) console.log(`FAIL ${name}: ${result.problem}`);
}

async function main(args: readonly string[]): Promise<number> {
  const option = /^--(?:folder=(.+)|as-bundle)$/.exec(args[0] ?? "");
  const folder = option?.[1] ?? dirname(here);
  const lack = option?.[0] === "--as-bundle" ? await openClLack() : undefined;
  const filters = args.slice(option === null ? 0 : 1).map((name) => name.replace(/\.ts$/, ".js"));
  const files = testFiles(folder, filters);
  const left = lack === undefined ? [] : files.filter(needsOpenCl);
  for (const file of left) console.log(`skip ${relative(folder, file)}: ${lack}`);
  const waiting = files.filter((file) => !left.includes(file));
  const results: FileResult[] = [];
  const work = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const result = await runFile(file);
      results.push(result);
      print(result, folder);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));

  const sum = (key: "passed" | "failed" | "skipped") => results.reduce((total, result) => total + result[key], 0);
  const broken = results.filter((result) => result.problem !== undefined).length;
  if (files.length === 0) console.log(`FAIL no test file matches ${filters.join(" ") || "*.test.js"} under ${folder}`);
  const failed = sum("failed") + broken + (files.length === 0 ? 1 : 0);
  for (const { file, failed, problem } of results) {
    if (failed > 0 || problem !== undefined) console.log(`FAIL ${relative(folder, file)}`);
  }
  const skipped = sum("skipped") + left.length;
  console.log(`${sum("passed")} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  return failed === 0 ? 0 : 1;
}

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  process.on(signal, () => {
    for (const child of running) killGroup(child);
    process.exit(code);
  });
}
process.exit(await main(process.argv.slice(2)));
