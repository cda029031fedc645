/** Runs experiments cell by cell, each in a process of its own. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { RunError } from "../runtime/errors.js";
import type { CellAnswer, CellRequest } from "./cell.js";
import type { Cell, CellOptions, Experiment, Finding } from "./experiment.js";

const CELL = fileURLToPath(new URL("./cell.js", import.meta.url));
/** A cell that takes so many times its turns hangs: ms for all that is not in turns, and times the turns. */
const BASE_MS = 240_000;
const TIMES_TURNS = 100;

export interface ExperimentReport {
  readonly findings: readonly Finding[];
  readonly notes: readonly string[];
  readonly skipped: readonly string[];
}

/**
 * @param only cells to run, by name; absent: all
 * @throws RunError where a cell fails or does not end
 */
export async function runExperiment(
  experiment: Experiment,
  options: CellOptions,
  only?: readonly string[],
): Promise<ExperimentReport> {
  const findings: Finding[] = [];
  const notes = new Set<string>();
  const skipped = new Set<string>();
  for (const cell of experiment.cells(options.quick)) {
    if (only !== undefined && !only.includes(cell.name)) continue;
    const answer = await runCell(experiment, cell, options);
    if (answer.kind === "skipped") {
      skipped.add(answer.reason);
      continue;
    }
    if (answer.kind === "failed") throw new RunError(`${experiment.name}, ${cell.name}`, answer.error.message);
    const { figures, device } = answer.result;
    for (const figure of figures) findings.push({ experiment: experiment.name, cell: cell.name, device, ...figure });
    for (const note of answer.result.notes) notes.add(`${experiment.name}, ${cell.name}: ${note}`);
  }
  return { findings, notes: [...notes], skipped: [...skipped] };
}

function runCell(experiment: Experiment, cell: Cell, options: CellOptions): Promise<CellAnswer> {
  const child = fork(CELL, [], { stdio: ["ignore", 2, 2, "ipc"] });
  const limit = BASE_MS + TIMES_TURNS * options.repeats * options.turnMs;
  return new Promise((resolve, reject) => {
    const where = `${experiment.name}, ${cell.name}`;
    let answer: CellAnswer | undefined;
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new RunError(where, `has not ended within ${limit / 1000} s`, "report this as a bug"));
    }, limit);
    child.once("message", (message: CellAnswer) => {
      answer = message;
    });
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      if (answer !== undefined) resolve(answer);
      else reject(new RunError(where, `its process ended without a result (${signal ?? `exit code ${code}`})`));
    });
    const { warn: _, ...plain } = options;
    child.send({ experiment: experiment.name, cell: cell.name, options: plain } satisfies CellRequest);
  });
}
