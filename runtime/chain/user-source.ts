/** Where in a user's module something went wrong: errors of users' code name their file and line, not ours. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { ConfigError, RunError } from "../errors.js";

/** Something of a user's that is wrong at a place we can name; its file is known where it is caught. */
export class UserProblem extends Error {
  override readonly name = "UserProblem";

  /**
   * @param subject the function it is about
   * @param line of the function's text, from 0
   */
  constructor(
    message: string,
    readonly subject: unknown,
    readonly line: number,
  ) {
    super(message);
  }

  /** @returns undefined for any other error; another copy of this program may have thrown it */
  static of(error: unknown): UserProblem | undefined {
    return (error as Partial<UserProblem> | null)?.name === "UserProblem" ? (error as UserProblem) : undefined;
  }
}

function placeOfProblem(file: string, { subject, line }: UserProblem): string {
  const place = placeOfFunction(file, subject);
  return place === file ? file : place.replace(/\d+$/, (first) => String(Number(first) + line));
}

/** `file:line` of the first place in the stack that lies in the file; the file alone where there is none. */
export function placeOf(file: string, error: unknown): string {
  const stack = error instanceof Error && typeof error.stack === "string" ? error.stack : "";
  for (const line of stack.split("\n")) {
    for (const name of [pathToFileURL(file).href, file]) {
      const at = line.indexOf(`${name}:`);
      const number = at < 0 ? undefined : /^\d+/.exec(line.slice(at + name.length + 1))?.[0];
      if (number !== undefined) return `${file}:${number}`;
    }
  }
  return file;
}

/** `file:line` at which a function's text begins in the file; the file alone where it is not there as it stands. */
export function placeOfFunction(file: string, subject: unknown): string {
  if (typeof subject !== "function") return file;
  return placeOfText(file, Function.prototype.toString.call(subject));
}

function placeOfText(file: string, text: string): string {
  try {
    const source = readFileSync(file, "utf8");
    const at = source.indexOf(text);
    return at < 0 ? file : `${file}:${source.slice(0, at).split("\n").length}`;
  } catch {
    return file;
  }
}

/** What was thrown, in words; users may throw anything. */
export function problemOf(error: unknown): string {
  if (error instanceof Error) return `${error.name}: ${error.message}`;
  try {
    return `threw ${String(error)}`;
  } catch {
    return "threw something that has no text";
  }
}

/** A ConfigError or RunError, of this program or of another copy of it, goes on as it is. */
function isOurs(error: unknown): error is Error {
  return error instanceof Error && (error.name === ConfigError.name || error.name === RunError.name);
}

/** What a function of a user's module threw, as an error with its place. */
export function userError(file: string, during: string, error: unknown): Error {
  if (isOurs(error)) return error;
  const problem = UserProblem.of(error);
  if (problem !== undefined) return new RunError(placeOfProblem(file, problem), problem.message);
  return new RunError(placeOf(file, error), `${problemOf(error)} (in ${during})`);
}

/** Why a module cannot be imported. V8 keeps the line of a syntax error to itself: `node --check` tells it. */
export function importError(file: string, error: unknown): ConfigError {
  const problem = UserProblem.of(error);
  if (problem !== undefined) return new ConfigError(placeOfProblem(file, problem), problem.message);
  const { code, message } = (error ?? {}) as { code?: string; message?: string };
  const missing = /Cannot find (?:package|module) '([^']+)'/.exec(message ?? "")?.[1];
  if (code === "ERR_MODULE_NOT_FOUND" && missing !== undefined) {
    const name = missing.replace(/^.*\//, "");
    const place = [`"${missing}`, `'${missing}`, `${name}"`, `${name}'`]
      .map((text) => placeOfText(file, text))
      .find((found) => found !== file);
    return new ConfigError(place ?? file, message!.replace(/ imported from .*/, ""), "install it, or correct its path");
  }
  const place = placeOf(file, error);
  if (error instanceof SyntaxError && place === file) return new ConfigError(checkedLine(file), problemOf(error));
  return new ConfigError(place, `cannot be imported: ${problemOf(error)}`);
}

function checkedLine(file: string): string {
  const { stderr } = spawnSync(process.execPath, ["--check", file], { encoding: "utf8", timeout: 10_000 });
  const first = (stderr ?? "").split("\n")[0]!;
  const line = /:(\d+)$/.exec(first)?.[1];
  return line === undefined ? file : `${file}:${line}`;
}
