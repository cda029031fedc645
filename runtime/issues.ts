/** Turns what a schema found wrong into one error in the user's terms. */
import type { z } from "zod";
import { ConfigError } from "./errors.js";

/**
 * @param where the file or option the value stands in
 * @param known keys the value may have, named where an unknown one was given
 */
export function describeIssues(where: string, error: z.ZodError, known: readonly string[]): ConfigError {
  const lines = error.issues.map((issue) => {
    const path = issue.path
      .map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`))
      .join("")
      .replace(/^\./, "");
    const top = issue.path.length === 0;
    if (issue.code === "unrecognized_keys") {
      const hint = top ? `; known keys: ${known.join(", ")}` : "";
      return `${top ? "" : `${path}: `}unknown key ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}${hint}`;
    }
    return path === "" ? issue.message : `${path}: ${issue.message}`;
  });
  return new ConfigError(where, lines.join("; "));
}
