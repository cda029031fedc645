/** How rules are written: quoted strings, contents with |hex|, numbers, the options between the parentheses. */
import { malformed, unsupported } from "./problem.js";

export interface OptionText {
  readonly keyword: string;
  /** What stands behind the colon, trimmed; undefined where there is no colon. */
  readonly value: string | undefined;
}

/** The options of `keyword:value; keyword; ...`; a semicolon in quotes or behind a backslash does not end one. */
export function splitOptions(text: string): OptionText[] {
  const options: OptionText[] = [];
  let quoted = false;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "\\") at++;
    else if (char === '"') quoted = !quoted;
    else if (char === ";" && !quoted) {
      const option = text.slice(start, at).trim();
      start = at + 1;
      const colon = option.indexOf(":");
      const keyword = (colon < 0 ? option : option.slice(0, colon)).trim();
      if (keyword === "")
        throw malformed("an option without a name", "remove the extra ; or write the keyword before the :");
      options.push({ keyword, value: colon < 0 ? undefined : option.slice(colon + 1).trim() });
    }
  }
  if (quoted) throw malformed('a " without its partner');
  const rest = text.slice(start).trim();
  if (rest !== "") throw malformed(`option "${rest.slice(0, 40)}" does not end with ;`);
  return options;
}

/** `!"text"` or `"text"` to its inside and whether it is negated; escapes stay as they are. */
export function quoted(keyword: string, value: string | undefined): { negated: boolean; text: string } {
  const match = /^(!?)\s*"(.*)"$/s.exec(value ?? "");
  if (match === null) {
    if (/^!?\s*".*"\s*,/.test(value ?? "")) throw unsupported(`option ${keyword} with modifiers behind a comma`);
    throw malformed(`${keyword} expects a string in double quotes, found ${value ?? "nothing"}`);
  }
  return { negated: match[1] === "!", text: match[2]! };
}

/** A string in or without quotes, `\"`, `\;`, `\:` and `\\` resolved; rule files are read as latin1, messages are UTF-8. */
export function plainText(value: string): string {
  const inside = value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value;
  return Buffer.from(inside.replace(/\\(["';:\\])/g, "$1"), "latin1").toString("utf8");
}

/** The bytes of a content: `|0d 0A|` are hexadecimal, a backslash takes the next character literally. */
export function contentBytes(text: string): Uint8Array {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char === "|") {
      const end = text.indexOf("|", at + 1);
      if (end < 0) throw malformed(`content "${text}" has a | without its partner`);
      const digits = text.slice(at + 1, end).replace(/\s+/g, "");
      if (!/^(?:[0-9A-Fa-f]{2})+$/.test(digits)) {
        throw malformed(`content "${text}": "${text.slice(at, end + 1)}" is not pairs of hexadecimal digits`);
      }
      bytes.push(...Buffer.from(digits, "hex"));
      at = end;
    } else {
      if (char === "\\" && ++at === text.length) throw malformed(`content "${text}" ends in a backslash`);
      bytes.push(text.charCodeAt(at) & 0xff);
    }
  }
  if (bytes.length === 0) throw malformed("an empty content");
  return Uint8Array.from(bytes);
}

/** A whole number in [min, max]. A name in its place is a variable of byte_extract, which is unsupported. */
export function wholeNumber(keyword: string, value: string | undefined, min: number, max: number): number {
  const text = value?.trim() ?? "";
  if (/^[A-Za-z_]\w*$/.test(text)) throw unsupported(`option ${keyword} with a variable`);
  const number = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= min && number <= max)) {
    throw malformed(`${keyword} expects a whole number from ${min} to ${max}, found ${text === "" ? "nothing" : text}`);
  }
  return number;
}

export interface Range {
  readonly min: number;
  readonly max: number;
  readonly negated: boolean;
}

/**
 * N, =N, !N, <N, <=N, >N, >=N; a<>b without its ends (Suricata, Snort 3); a-b, a-, -b with them (Snort's ttl). Inclusive result.
 */
export function numberRange(keyword: string, value: string | undefined, limit: number): Range {
  const text = (value ?? "").replace(/\s+/g, "");
  const one = /^(!=?|<=?|>=?|=)?(\d+)$/.exec(text);
  const between = /^(\d+)<>(\d+)$/.exec(text);
  const dash = /^(\d*)-(\d*)$/.exec(text);
  let range: Range | null = null;
  if (one !== null) {
    const n = Number(one[2]);
    const of = (min: number, max: number, negated = false): Range => ({ min, max, negated });
    const forms: Record<string, Range> = {
      "": of(n, n),
      "=": of(n, n),
      "!": of(n, n, true),
      "!=": of(n, n, true),
      "<": of(0, n - 1),
      "<=": of(0, n),
      ">": of(n + 1, limit),
      ">=": of(n, limit),
    };
    range = forms[one[1] ?? ""]!;
  } else if (between !== null) {
    range = { min: Number(between[1]) + 1, max: Number(between[2]) - 1, negated: false };
  } else if (dash !== null && text !== "-") {
    range = { min: Number(dash[1] || "0"), max: dash[2] === "" ? limit : Number(dash[2]), negated: false };
  }
  if (range === null)
    throw malformed(`${keyword} expects N, <N, >N, !N or a<>b, found ${text === "" ? "nothing" : text}`);
  if (!range.negated && (range.min > range.max || range.min > limit)) {
    throw malformed(`${keyword}:${text} can never be true (it goes from 0 to ${limit})`);
  }
  return range;
}
