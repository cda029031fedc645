/**
 * The two kinds of failure a user meets, and the exit codes they end in (0 is success).
 * Every message names what was wrong, where, and the remedy.
 */

/** Wrong usage or configuration, unreadable capture, unsupported link type: exit code 2. */
export class ConfigError extends Error {
  readonly exitCode = 2;
  override readonly name = "ConfigError";

  /**
   * @param where file, `file:line` or configuration key
   * @param problem what was found and what was expected
   * @param remedy what to do about it
   */
  constructor(where: string, problem: string, remedy?: string) {
    super(`${where}: ${problem}${remedy === undefined ? "" : `\n  remedy: ${remedy}`}`);
  }
}

/** A run failed, a named device or interface is missing, the ledger does not balance: exit code 1. */
export class RunError extends Error {
  readonly exitCode = 1;
  override readonly name = "RunError";

  constructor(where: string, problem: string, remedy?: string) {
    super(`${where}: ${problem}${remedy === undefined ? "" : `\n  remedy: ${remedy}`}`);
  }
}

/** The exit code of any error; what is neither of the two classes is a failed run. */
export function exitCodeOf(error: unknown): number {
  return error instanceof ConfigError ? error.exitCode : 1;
}

/** What of an error survives the way out of a worker. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
}

/** Rebuilds an error that crossed a worker boundary, so that it ends in the same exit code and prints the same words. */
export function reviveError({ name, message, stack }: PlainError): Error {
  if (name !== "ConfigError" && name !== "RunError") {
    return new RunError("internal error", stack ?? message, "please report this with the command line that caused it");
  }
  const cut = message.indexOf(": ");
  const where = message.slice(0, cut);
  const text = message.slice(cut + 2);
  return name === "ConfigError" ? new ConfigError(where, text) : new RunError(where, text);
}
