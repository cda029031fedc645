/** Results go to stdout, everything else to stderr. */
import { writeFileSync } from "node:fs";
import { ConfigError } from "../errors.js";

/** One line of diagnostics. */
export function warn(line: string): void {
  process.stderr.write(`wingbeat: ${line}\n`);
}

/** Writes a verb's result as one JSON object to a file, or to stdout for `-`. */
export function writeJson(target: string, value: unknown): void {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  if (target === "-") {
    process.stdout.write(text);
    return;
  }
  try {
    writeFileSync(target, text);
  } catch (error) {
    throw new ConfigError(
      "--json",
      `cannot write ${target}: ${(error as Error).message}`,
      "name a file in an existing folder",
    );
  }
}
