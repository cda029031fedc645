/** Results go to stdout, everything else to stderr. */
import { accessSync, constants, existsSync, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { UsedFile } from "../chain/files.js";
import { ConfigError, RunError } from "../errors.js";
import { fileIdentity } from "../nic/drivers.js";

/** One line of diagnostics. */
export function warn(line: string): void {
  process.stderr.write(`wingbeat: ${line}\n`);
}

/**
 * Refuses a `--json` target that cannot be written, or that would overwrite something the verb reads or writes: before the work, so
 * that no hour of it is lost.
 * @param used what else the verb touches
 * @param option that named the target
 */
export function checkJson(target: string | undefined, used: readonly UsedFile[] = [], option = "--json"): void {
  if (target === undefined || target === "-") return;
  const identity = fileIdentity(target);
  const other = used.find((u) => fileIdentity(u.file) === identity);
  if (other !== undefined) {
    throw new ConfigError(option, `${target} would overwrite ${other.file}, ${other.what}`, "name another file");
  }
  const stat = statSync(target, { throwIfNoEntry: false });
  if (stat?.isDirectory()) throw new ConfigError(option, `${target} is a directory`, "name a file in it");
  const folder = dirname(resolve(target));
  if (!existsSync(folder)) throw new ConfigError(option, `${target}: there is no folder ${folder}`, "create it first");
  try {
    accessSync(stat === undefined ? folder : target, constants.W_OK);
  } catch {
    throw new ConfigError(option, `no permission to write ${target}`, "write to a folder of your own");
  }
}

/** Writes a verb's result as one JSON object to a file, or to stdout for `-`. @throws RunError where that fails */
export function writeJson(target: string, value: unknown): void {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  if (target === "-") {
    process.stdout.write(text);
    return;
  }
  try {
    writeFileSync(target, text);
  } catch (error) {
    throw new RunError("--json", `cannot write ${target}: ${(error as Error).message}`, "write it elsewhere");
  }
}
