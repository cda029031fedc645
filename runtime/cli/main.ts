#!/usr/bin/env node
/** The program `wingbeat`: one verb per file beside this one. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { exitCodeOf } from "../errors.js";

/** Exit codes: a failed run, wrong usage. */
const FAILED = 1;
const USAGE = 2;

type AddCommand = (program: Command) => void;

/** In the order of the help. A verb is loaded when it is asked for: what experiments draw and compute with takes longer than a short run. */
const VERBS: Readonly<Record<string, () => Promise<AddCommand>>> = {
  run: async () => (await import("./run.js")).addRunCommand,
  check: async () => (await import("./check.js")).addCheckCommand,
  compare: async () => (await import("./compare.js")).addCompareCommand,
  doctor: async () => (await import("./doctor-command.js")).addDoctorCommand,
  gen: async () => (await import("./gen.js")).addGenCommand,
  paper: async () => (await import("./paper.js")).addPaperCommand,
  power: async () => (await import("./power.js")).addPowerCommand,
};

/** @param first argument of the command line; where it is no verb (`--help`, a typing mistake) all of them are to be known */
function verbs(first: string | undefined): Promise<AddCommand[]> {
  const named = first !== undefined && Object.hasOwn(VERBS, first) ? [VERBS[first]!] : Object.values(VERBS);
  return Promise.all(named.map((load) => load()));
}

const manifest = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

const program = new Command("wingbeat")
  .description("runs chains of network functions across the CPU cores and the integrated GPU of one machine")
  .version(manifest.version)
  .showHelpAfterError("(wingbeat --help lists verbs and options)")
  .exitOverride();
for (const add of await verbs(process.argv[2])) add(program);

// A reader that went away (`wingbeat ... | head`) is no error of ours; a result that cannot be written is.
let resultLost = false;
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE" || resultLost) return;
  resultLost = true;
  process.stderr.write(
    `wingbeat: stdout: cannot write the result: ${error.message}\n  remedy: free space or redirect elsewhere\n`,
  );
});
// Diagnostics nobody can read must not end a run.
process.stderr.on("error", () => {});
process.on("exit", () => {
  if (resultLost) process.exitCode = Math.max(FAILED, Number(process.exitCode ?? 0));
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Help and version are successes; commander has printed what there is to say.
    process.exitCode = error.exitCode === 0 ? 0 : USAGE;
  } else {
    const known = (error as Error).name === "ConfigError" || (error as Error).name === "RunError";
    process.stderr.write(`wingbeat: ${known ? (error as Error).message : (error as Error).stack}\n`);
    process.exitCode = exitCodeOf(error);
  }
}
