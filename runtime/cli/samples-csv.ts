/** `--csv`: every sample of an experiment as a row. */
import { writeFileSync } from "node:fs";
import { RunError } from "../errors.js";
import type { CompareResult } from "../experiment/compare-result.js";
import { sampleData } from "../report/compare/data.js";
import { csv } from "../report/csv.js";

/** @throws RunError where it cannot be written */
export function writeSamples(file: string, result: CompareResult): void {
  const text = csv(sampleData(result));
  if (file === "-") {
    process.stdout.write(text);
    return;
  }
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new RunError("--csv", `cannot write ${file}: ${(error as Error).message}`, "write it elsewhere");
  }
}
