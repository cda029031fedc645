#!/usr/bin/env node
/** The program `wingbeat`: one verb per file beside this one. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { exitCodeOf } from "../errors.js";
import { addCheckCommand } from "./check.js";
import { addCompareCommand } from "./compare.js";
import { addDoctorCommand } from "./doctor-command.js";
import { addGenCommand } from "./gen.js";
import { addPaperCommand } from "./paper.js";
import { addPowerCommand } from "./power.js";
import { addRunCommand } from "./run.js";

/** Exit codes: a failed run, wrong usage. */
const FAILED = 1;
const USAGE = 2;

const manifest = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

const program = new Command("wingbeat")
  .description("runs chains of network functions across the CPU cores and the integrated GPU of one machine")
  .version(manifest.version)
  .showHelpAfterError("(wingbeat --help lists verbs and options)")
  .exitOverride();
addRunCommand(program);
addCheckCommand(program);
addCompareCommand(program);
addDoctorCommand(program);
addGenCommand(program);
addPaperCommand(program);
addPowerCommand(program);

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
