/** Reads JSON files of the user's: what JSON.parse passes over in silence is an error here. */
import { readFileSync } from "node:fs";
import { ConfigError } from "../errors.js";

export interface JsonFile {
  readonly value: unknown;
  /**
   * Keys of the objects directly below the top, in the order of the file: `order.get("types")`. A JavaScript object puts keys that
   * look like numbers first, whatever the file says.
   */
  readonly order: ReadonlyMap<string, readonly string[]>;
}

export interface JsonOptions {
  /** What the file is, for messages: "the chain". */
  readonly what: string;
  readonly remedy: string;
  /** What was expected where the text is not JSON. */
  readonly expected: string;
  /** True where the text holds keys of SAs: V8 quotes the text around a mistake, so its message is kept back. */
  readonly secret?: boolean;
}

/** @throws ConfigError naming file and line: unreadable, not JSON, a key given twice, or the key `__proto__` */
export function readJsonFile(file: string, { what, remedy, expected, secret }: JsonOptions): JsonFile {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(file, `cannot read ${what}: ${(error as Error).message}`, remedy);
  }
  // A byte order mark, as some editors write it.
  if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
  const lineOf = (position: number) => text.slice(0, position).split("\n").length;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (text.trim() === "") throw new ConfigError(file, "is empty", expected);
    const { message } = error as Error;
    const position = /position (\d+)/.exec(message)?.[1];
    const line = position === undefined ? (/end of JSON/.test(message) ? text.length : undefined) : Number(position);
    const where = line === undefined ? file : `${file}:${lineOf(line)}`;
    throw new ConfigError(where, secret ? "not valid JSON" : `not JSON: ${message}`, expected);
  }
  return { value, order: scanKeys(text, (problem, at) => new ConfigError(`${file}:${lineOf(at)}`, problem)) };
}

/** Goes once through text that is known to be JSON. */
function scanKeys(text: string, wrong: (problem: string, at: number) => ConfigError): Map<string, string[]> {
  const order = new Map<string, string[]>();
  /** Objects and arrays around the place at hand; an array has no keys. */
  const open: { keys: Set<string> | undefined; last: string }[] = [];
  const token = /["{}[\]]/g;
  const colon = /\s*:/y;
  for (let found = token.exec(text); found !== null; found = token.exec(text)) {
    const [piece] = found;
    const at = found.index;
    if (piece === "{" || piece === "[") {
      open.push({ keys: piece === "{" ? new Set() : undefined, last: "" });
    } else if (piece === "}" || piece === "]") {
      const { keys } = open.pop()!;
      if (open.length === 1 && keys !== undefined) order.set(open[0]!.last, [...keys]);
    } else {
      const end = endOfString(text, at);
      token.lastIndex = end;
      colon.lastIndex = end;
      const around = open.at(-1);
      if (around?.keys === undefined || !colon.test(text)) continue;
      const key = JSON.parse(text.slice(at, end)) as string;
      if (key === "__proto__") throw wrong('"__proto__" cannot be a name or key; choose another', at);
      if (around.keys.has(key)) {
        throw wrong(`"${key}" stands twice in one object, and only one of the two would count; remove one`, at);
      }
      around.keys.add(key);
      around.last = key;
    }
  }
  return order;
}

/** Where the string that starts at `at` is over. A regular expression for it would run out of stack on long ones. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); ; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text[end - 1 - escapes] === "\\") escapes++;
    if (escapes % 2 === 0) return end + 1;
  }
}

/** The entries of a record in the order of its file. */
export function inOrder<T>(record: Readonly<Record<string, T>>, keys: readonly string[] | undefined): [string, T][] {
  if (keys === undefined) return Object.entries(record);
  return keys.filter((key) => Object.hasOwn(record, key)).map((key) => [key, record[key]!]);
}
