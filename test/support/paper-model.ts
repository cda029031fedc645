/** `paper` in this process, on a model instead of chains. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import type { ExperimentTools } from "../../runtime/cli/experiment-tools.js";
import { addPaperCommand } from "../../runtime/cli/paper.js";
import type { PaperResult } from "../../runtime/experiment/paper/result.js";
import { type FakeOptions, FakeRunner } from "./fake-runner.js";
import { type Fake, fakeTools } from "./fake-tools.js";

export interface PaperRun {
  readonly stdout: string;
  readonly exitCode: number;
  /** What it threw; undefined where nothing. */
  readonly error: Error | undefined;
  readonly runners: readonly FakeRunner[];
}

/**
 * @param model of every chain's runner
 * @param fake of proof and devices
 */
export async function paper(
  args: readonly string[],
  model: FakeOptions = {},
  fake: Fake = {},
  more: Partial<ExperimentTools> = {},
): Promise<PaperRun> {
  const runners: FakeRunner[] = [];
  const program = new Command().exitOverride();
  addPaperCommand(program, {
    ...fakeTools(fake),
    runner: (_, { signal }) => {
      const runner = new FakeRunner({ ...model, signal });
      runners.push(runner);
      return runner;
    },
    ...more,
  });
  const { write } = process.stdout;
  const before = process.exitCode;
  let stdout = "";
  process.stdout.write = ((text: string) => {
    stdout += text;
    return true;
  }) as typeof process.stdout.write;
  process.exitCode = 0;
  let error: Error | undefined;
  try {
    await program.parseAsync(["paper", ...args], { from: "user" });
  } catch (caught) {
    error = caught as Error;
  } finally {
    process.stdout.write = write;
  }
  const exitCode = Number(process.exitCode);
  process.exitCode = before;
  return { stdout, exitCode, error, runners };
}

export function paperResult(folder: string, file = "r.json"): PaperResult {
  return JSON.parse(readFileSync(join(folder, file), "utf8")) as PaperResult;
}
