import type { RunResult } from "../engine/result.js";

/** Why a run that has come to its end is a failed one, a line each; none where it is not. */
export function failuresOf({ ledger, failure }: RunResult): string[] {
  const lines: string[] = [];
  if (!ledger.balanced)
    lines.push("the ledger does not balance: packets were lost without a reason; please report this");
  if (failure !== null) lines.push(`the run failed: ${failure}`);
  return lines;
}
