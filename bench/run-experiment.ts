/** Runs experiments cell by cell, each in a process of its own. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
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
  /** Cells that failed, each with why; the others have run. */
  readonly failed: readonly string[];
}

/** @param only cells to run, by name; absent: all */
export async function runExperiment(
  experiment: Experiment,
  options: CellOptions,
  only?: readonly string[],
): Promise<ExperimentReport> {
  const findings: Finding[] = [];
  /** Cells by what is to be said of them. */
  const notes = new Map<string, string[]>();
  const skipped = new Set<string>();
  const failed: string[] = [];
  for (const cell of experiment.cells(options.quick)) {
    if (only !== undefined && !only.includes(cell.name)) continue;
    const answer = await runCell(experiment, cell, options);
    if (answer.kind === "skipped") skipped.add(answer.reason);
    if (answer.kind === "failed") failed.push(`${experiment.name}, ${cell.name}: ${answer.error.message}`);
    if (answer.kind !== "done") continue;
    const { figures, device } = answer.result;
    for (const figure of figures) findings.push({ experiment: experiment.name, cell: cell.name, device, ...figure });
    for (const note of answer.result.notes) notes.set(note, [...(notes.get(note) ?? []), cell.name]);
  }
  const cells = new Set(findings.map(({ cell }) => cell)).size;
  const lines = [...notes].map(([note, of]) =>
    of.length === cells ? `${experiment.name}: ${note}` : `${experiment.name}, ${of.join(" and ")}: ${note}`,
  );
  return { findings, notes: lines, skipped: [...skipped], failed };
}

function runCell(experiment: Experiment, cell: Cell, options: CellOptions): Promise<CellAnswer> {
  const child = fork(CELL, [], { stdio: ["ignore", 2, 2, "ipc"] });
  const limit = BASE_MS + TIMES_TURNS * options.repeats * options.turnMs;
  return new Promise((resolve) => {
    const fail = (message: string) =>
      resolve({ kind: "failed", error: { name: "RunError", message, stack: undefined } });
    let answer: CellAnswer | undefined;
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail(`has not ended within ${limit / 1000} s`);
    }, limit);
    child.once("message", (message: CellAnswer) => {
      answer = message;
    });
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      if (answer !== undefined) resolve(answer);
      else fail(`its process ended without a result (${signal ?? `exit code ${code}`})`);
    });
    const { warn: _, ...plain } = options;
    child.send({ experiment: experiment.name, cell: cell.name, options: plain } satisfies CellRequest);
  });
}
