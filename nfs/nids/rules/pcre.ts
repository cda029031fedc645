/**
 * PCRE to JavaScript regular expressions over latin1 text, where the two mean the same; everything else is unsupported by name.
 * What differs silently is rewritten: `.`, `^`, `$`, `\s`, `\h`, `\A`, `\z`, `[[:alpha:]]`, `]` first in a class, flags m and x.
 *
 * Sources: pcrepattern(3); ECMA-262 section 22.2. PCRE's case folding is ASCII here (its C locale), JavaScript's is not.
 */
import { malformed, unsupported } from "./problem.js";

export interface Translated {
  readonly source: string;
  readonly flags: string;
  /** Snort's R: matching starts at the cursor, which is where `^` and `\A` hold. */
  readonly relative: boolean;
}

const END = "(?![^])";
const START = "(?<![^])";
const BEFORE_LAST_NEWLINE = `(?=\\n?${END})`;
/** Escapes that stand for sets, as class members. */
const SETS: Record<string, string> = {
  d: "0-9",
  w: "0-9A-Z_a-z",
  s: "\\t-\\r ",
  h: "\\t \\xa0",
  v: "\\n-\\r\\x85",
  D: "\\x00-/:-\\xff",
  W: "\\x00-/:-@\\[-\\^`{-\\xff",
  S: "\\x00-\\x08\\x0e-\\x1f!-\\xff",
  H: "\\x00-\\x08\\n-\\x1f!-\\x9f\\xa1-\\xff",
  V: "\\x00-\\t\\x0e-\\x84\\x86-\\xff",
  N: "\\x00-\\t\\x0b-\\xff",
};
const CONTROLS: Record<string, number> = { a: 7, e: 27, f: 12, n: 10, r: 13, t: 9 };
const POSIX: Record<string, string> = {
  alpha: "A-Za-z",
  digit: "0-9",
  alnum: "0-9A-Za-z",
  upper: "A-Z",
  lower: "a-z",
  space: "\\t-\\r ",
  blank: "\\t ",
  punct: "!-/:-@\\[-`{-~",
  print: " -~",
  graph: "!-~",
  cntrl: "\\x00-\\x1f\\x7f",
  xdigit: "0-9A-Fa-f",
  word: "0-9A-Z_a-z",
};

/**
 * @param text the value without quotes: /regex/flags
 * @throws RuleProblem
 */
export function translatePcre(text: string): Translated {
  const match = /^(?:\/(.*)\/|m(.)(.*)\2)([A-Za-z]*)$/s.exec(text);
  if (match === null) throw malformed(`pcre "${text}" is not of the form /regex/flags`);
  const flags = new Set(match[4]!);
  // B (raw bytes) and O (no match limit) change nothing here.
  for (const flag of flags) if (!"ismxAERBO".includes(flag)) throw unsupported(`pcre flag ${flag}`);
  let pattern = match[1] ?? match[3]!;
  const inline = /^\(\?([imsx]+)\)/.exec(pattern);
  if (inline !== null) {
    pattern = pattern.slice(inline[0].length);
    for (const flag of inline[1]!) flags.add(flag);
  }
  const source = new Translator(pattern, flags).run();
  const javascript = flags.has("i") ? "gi" : "g";
  try {
    new RegExp(source, javascript);
  } catch {
    throw unsupported(`pcre syntax /${pattern}/`);
  }
  return { source, flags: javascript, relative: flags.has("R") };
}

class Translator {
  private at = 0;
  private out = "";

  constructor(
    private readonly text: string,
    private readonly flags: ReadonlySet<string>,
  ) {}

  run(): string {
    const { text, flags } = this;
    while (this.at < text.length) {
      const char = text[this.at++]!;
      if (char === "\\") this.escape();
      else if (char === "[") this.charClass();
      else if (char === "(") this.group();
      else if (char === ".") this.out += flags.has("s") ? "[^]" : "[^\\n]";
      else if (char === "^") this.out += flags.has("m") ? `(?:${START}|(?<=\\n)(?=[^]))` : START;
      else if (char === "$")
        this.out += flags.has("m") ? `(?:${END}|(?=\\n))` : flags.has("E") ? END : BEFORE_LAST_NEWLINE;
      else if ("*+?".includes(char)) this.quantifier(char);
      else if (char === "{") this.brace();
      else if (char === "|" || char === ")") this.out += char;
      else if (flags.has("x") && /\s/.test(char)) continue;
      else if (flags.has("x") && char === "#") this.skipTo("\n");
      else this.out += this.literal(char.charCodeAt(0));
    }
    return flags.has("A") ? `${START}(?:${this.out})` : this.out;
  }

  /** A literal byte, spelt so that it has no meaning in or out of a class. */
  private literal(code: number, inClass = false): string {
    if (code > 0xff) throw unsupported("pcre character beyond latin1");
    if (!inClass) this.checkCase(code, code);
    const char = String.fromCharCode(code);
    return /[A-Za-z0-9_ ]/.test(char) ? char : `\\x${code.toString(16).padStart(2, "0")}`;
  }

  /** With `i`, JavaScript pairs accented letters and PCRE does not: only ranges that hold both of every pair agree. */
  private checkCase(low: number, high: number): void {
    if (!this.flags.has("i")) return;
    for (let code = Math.max(low, 0xc0); code <= Math.min(high, 0xfe); code++) {
      if (code === 0xd7 || code === 0xf7 || code === 0xdf) continue;
      const partner = code ^ 0x20;
      if (partner < low || partner > high) throw unsupported("pcre flag i with a non-ASCII letter");
    }
  }

  private escape(): void {
    const char = this.text[this.at] ?? "";
    const set = SETS[char];
    if (set !== undefined) {
      this.at++;
      this.out += `[${set}]`;
    } else if (char === "b" || char === "B") {
      this.at++;
      this.out += `\\${char}`;
    } else if (char === "A" || char === "z" || char === "Z") {
      this.at++;
      this.out += char === "A" ? START : char === "z" ? END : BEFORE_LAST_NEWLINE;
    } else if (/[1-9kg]/.test(char)) {
      throw unsupported("pcre backreference"); // one to a group that did not take part fails in PCRE, matches in JavaScript
    } else {
      this.out += this.literal(this.escapedByte());
    }
  }

  /** The byte behind a backslash that stands for one byte. */
  private escapedByte(): number {
    const rest = this.text.slice(this.at);
    const hex = /^x(?:\{([0-9A-Fa-f]{1,2})\}|(?!\{)([0-9A-Fa-f]{0,2}))/.exec(rest);
    const octal = /^0[0-7]{0,2}/.exec(rest);
    const control = /^c([A-Za-z])/.exec(rest);
    const char = rest[0] ?? "";
    if (hex !== null) {
      this.at += hex[0].length;
      return Number.parseInt(hex[1] ?? (hex[2] || "0"), 16);
    }
    if (octal !== null) {
      this.at += octal[0].length;
      return Number.parseInt(octal[0], 8);
    }
    if (control !== null) {
      this.at += 2;
      return control[1]!.toUpperCase().charCodeAt(0) ^ 0x40;
    }
    this.at++;
    if (CONTROLS[char] !== undefined) return CONTROLS[char];
    if (char === "" || /[A-Za-z0-9]/.test(char)) throw unsupported(`pcre escape \\${char}`);
    return char.charCodeAt(0);
  }

  private charClass(): void {
    const { text } = this;
    let members = "";
    const negated = text[this.at] === "^";
    if (negated) this.at++;
    for (let first = true; ; first = false) {
      const char = text[this.at];
      if (char === undefined) throw malformed("pcre: a [ without its ]");
      if (char === "]" && !first) break;
      const set = this.classSet();
      if (set !== null) {
        members += set;
        if (text[this.at] === "-" && text[this.at + 1] !== "]") {
          // PCRE takes the - behind a set literally.
          members += "\\x2d";
          this.at++;
        }
        continue;
      }
      const low = this.classByte();
      if (text[this.at] !== "-" || text[this.at + 1] === "]" || text[this.at + 1] === undefined) {
        this.checkCase(low, low);
        members += this.literal(low, true);
        continue;
      }
      const dash = this.at++;
      if (this.classSet() !== null) {
        this.at = dash + 1;
        members += `${this.literal(low, true)}\\x2d`;
        continue;
      }
      const high = this.classByte();
      if (high < low) throw malformed("pcre: a range in [ ] whose end lies before its start");
      this.checkCase(low, high);
      members += `${this.literal(low, true)}-${this.literal(high, true)}`;
    }
    this.at++;
    this.out += `[${negated ? "^" : ""}${members}]`;
  }

  /** A set within a class (\d, [:alpha:]), if one stands here. */
  private classSet(): string | null {
    const { text } = this;
    if (text[this.at] === "\\") {
      const set = SETS[text[this.at + 1] ?? ""];
      if (set !== undefined && text[this.at + 1] !== "N") {
        this.at += 2;
        return set;
      }
    }
    const posix = /^\[([:.=])(\^?)(\w*)\1\]/.exec(text.slice(this.at));
    if (posix === null) return null;
    const set = posix[1] === ":" && posix[2] === "" ? POSIX[posix[3]!] : undefined;
    if (set === undefined) throw unsupported(`pcre class ${posix[0]}`);
    this.at += posix[0].length;
    return set;
  }

  private classByte(): number {
    const char = this.text[this.at++]!;
    if (char !== "\\") {
      if (char.charCodeAt(0) > 0xff) throw unsupported("pcre character beyond latin1");
      return char.charCodeAt(0);
    }
    if (this.text[this.at] === "b") {
      this.at++;
      return 8;
    }
    const octal = /^[0-7]{1,3}/.exec(this.text.slice(this.at));
    if (octal !== null && Number.parseInt(octal[0], 8) <= 0xff) {
      this.at += octal[0].length;
      return Number.parseInt(octal[0], 8);
    }
    return this.escapedByte();
  }

  private group(): void {
    const rest = this.text.slice(this.at);
    if (rest.startsWith("*")) throw unsupported("pcre verb (*");
    if (!rest.startsWith("?")) {
      this.out += "(";
      return;
    }
    if (rest.startsWith("?P=")) throw unsupported("pcre backreference");
    if (rest.startsWith("?#")) {
      this.skipTo(")");
      return;
    }
    const kind = /^\?(?::|=|!|<=|<!|P?<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')/.exec(rest);
    if (kind === null) throw unsupported(`pcre group (${/^\?(?:P.|[A-Za-z-]+|.)?/.exec(rest)![0]}`);
    this.at += kind[0].length;
    // Without backreferences a named group is a group.
    this.out += (kind[1] ?? kind[2]) ? "(" : `(${kind[0]}`;
  }

  private quantifier(char: string): void {
    this.out += char;
    const next = this.text[this.at];
    if (next === "+") throw unsupported("pcre possessive quantifier");
    if (next === "?") {
      this.at++;
      this.out += "?";
    }
  }

  /** {n}, {n,}, {n,m}; any other brace is a literal. */
  private brace(): void {
    const count = /^\d+(?:,\d*)?\}/.exec(this.text.slice(this.at));
    if (count === null) {
      this.out += "\\x7b";
      return;
    }
    this.at += count[0].length;
    this.quantifier(`{${count[0]}`);
  }

  private skipTo(end: string): void {
    const found = this.text.indexOf(end, this.at);
    this.at = found < 0 ? this.text.length : found + 1;
  }
}
