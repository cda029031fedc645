/**
 * Runs the uvu suites of one file and reports the counts to the runner (run.ts), then ends the process whatever is still
 * running in it.
 */
import { basename } from "node:path";
import { pathToFileURL } from "node:url";
import type { FileReport } from "./run.js";

/** A suite as uvu queues it; `errors` is the text of the failures, or true where no test failed. */
type Suite = () => Promise<[errors: string | true, passed: number, skipped: number, total: number]>;

interface UvuGlobals {
  UVU_DEFER: number;
  UVU_INDEX: number;
  UVU_QUEUE: [name: string, ...suites: Suite[]][];
  /** Reasons collected by skipUnless; such a test returns early, so uvu counts it as passed. */
  WINGBEAT_SKIPS: string[];
}

const file = process.argv[2]!;
const uvu = globalThis as typeof globalThis & UvuGlobals;
uvu.UVU_DEFER = 1;
uvu.UVU_INDEX = 0;
uvu.UVU_QUEUE = [[basename(file)]];
uvu.WINGBEAT_SKIPS = [];

function send(report: FileReport): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(report, () => resolve());
  });
}

let passed = 0;
let failed = 0;
let skipped = 0;
let ended = false;

async function end(): Promise<void> {
  if (ended) return;
  ended = true;
  await send({ passed, failed, skipped, done: true });
  process.exit(failed === 0 ? 0 : 1);
}

/** An error outside every test: one failure, and the end, because nothing after it can be trusted. */
function crash(where: string, error: unknown): void {
  console.log(`${where}: ${error instanceof Error ? error.stack : String(error)}`);
  failed++;
  void end();
}
process.on("uncaughtException", (error) => crash("uncaught exception", error));
process.on("unhandledRejection", (error) => crash("unhandled rejection", error));
// An await that nothing will ever settle empties the event loop: without this the process would end with code 0 or 13.
process.on("beforeExit", () => crash("the tests", new Error("wait for something that never comes")));

try {
  await import(pathToFileURL(file).href);
  const suites = uvu.UVU_QUEUE[0]!.slice(1) as Suite[];
  if (suites.length === 0) throw new Error("the file has no suite: is test.run() missing?");
  for (const suite of suites) {
    uvu.WINGBEAT_SKIPS.length = 0;
    const [errors, ran, skips, total] = await suite();
    if (typeof errors === "string") console.log(errors);
    else if (ran < total) console.log(`${total - ran} tests did not run: a hook (before, after or each) threw`);
    for (const reason of uvu.WINGBEAT_SKIPS) console.log(`SKIP ${basename(file)}: ${reason}`);
    passed += ran - uvu.WINGBEAT_SKIPS.length;
    failed += total - ran;
    skipped += skips + uvu.WINGBEAT_SKIPS.length;
    await send({ passed, failed, skipped, done: false });
  }
  await end();
} catch (error) {
  crash("loading or running the file", error);
}
