/** The translation of PCRE against the PCRE2 library itself, where it is installed. */

import koffi from "koffi";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { translatePcre } from "../nfs/nids/rules/pcre.js";
import { RuleProblem } from "../nfs/nids/rules/problem.js";
import { randomFrom } from "./nids-run.js";
import { skipUnless } from "./skip.js";

interface Case {
  readonly regex: string;
  readonly flags: string;
  readonly text: string;
}

/** pcre2.h */
const OPTIONS: Record<string, number> = { E: 0x10, i: 0x8, m: 0x400, s: 0x20, x: 0x80, A: 0x8000_0000 };
const UNSET = 0xffff_ffff_ffff_ffffn;

type Matcher = (one: Case) => string | null;

/** Start and end of the leftmost match, "-" where there is none, null where PCRE2 does not compile it. */
function pcre2(): Matcher | null {
  let lib: ReturnType<typeof koffi.load>;
  try {
    lib = koffi.load("libpcre2-8.so.0");
  } catch {
    return null;
  }
  const compile = lib.func("void *pcre2_compile_8(void *, size_t, uint32_t, _Out_ int *, _Out_ size_t *, void *)");
  const dataFrom = lib.func("void *pcre2_match_data_create_from_pattern_8(void *, void *)");
  const match = lib.func("int pcre2_match_8(void *, void *, size_t, size_t, uint32_t, void *, void *)");
  const ovector = lib.func("void *pcre2_get_ovector_pointer_8(void *)");
  const freeData = lib.func("void pcre2_match_data_free_8(void *)");
  const freeCode = lib.func("void pcre2_code_free_8(void *)");
  return ({ regex, flags, text }) => {
    const options = [...flags].reduce((sum, flag) => sum + OPTIONS[flag]!, 0);
    const pattern = Buffer.from(`${regex}\0`, "latin1");
    const code = compile(pattern, pattern.length - 1, options, [0], [0], null);
    if (code === null) return null;
    const data = dataFrom(code, null);
    const subject = Buffer.from(`${text}\0`, "latin1");
    const count = match(code, subject, subject.length - 1, 0, 0, data, null);
    const bounds = count > 0 ? (koffi.decode(ovector(data), "uint64_t", 2) as (number | bigint)[]) : [];
    freeData(data);
    freeCode(code);
    return bounds.length === 0 || BigInt(bounds[0]!) === UNSET ? "-" : bounds.join(" ");
  };
}

function ours({ regex, flags, text }: Case): string {
  const translated = translatePcre(`/${regex}/${flags}`);
  const match = new RegExp(translated.source, translated.flags).exec(text);
  return match === null ? "-" : `${match.index} ${match.index + match[0].length}`;
}

/** How many cases matched; -1 where there is nothing to compare with. */
function compare(cases: readonly Case[], seed: string): number {
  const theirs = pcre2();
  if (skipUnless(theirs !== null, "no libpcre2-8.so.0: apt-get install libpcre2-8-0")) return -1;
  let matches = 0;
  for (const one of cases) {
    const expected = theirs!(one);
    if (expected === null) continue;
    assert.is(ours(one), expected, `${seed} /${one.regex}/${one.flags} on ${JSON.stringify(one.text)}`);
    if (expected !== "-") matches++;
  }
  return matches;
}

const ALL_BYTES = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));
/** What stands for one byte, inside and outside of classes. */
const ATOMS = [
  "a",
  "B",
  "z",
  "\\x41",
  "\\x{e4}",
  "\\x9",
  "\\n",
  "\\t",
  "\\r",
  "\\e",
  "\\a",
  "\\f",
  "\\0",
  "\\012",
  "\\cA",
  "\\.",
  "\\/",
  "\\-",
  "\\d",
  "\\D",
  "\\w",
  "\\W",
  "\\s",
  "\\S",
  "\\h",
  "\\H",
  "\\v",
  "\\V",
  "\xe4",
  "\\xb5",
  "\\xff",
  "\\\\",
];
const CLASSES = [
  "[abc]",
  "[^abc]",
  "[a-z]",
  "[]a]",
  "[^]a]",
  "[a\\]b]",
  "[a-]",
  "[-a]",
  "[\\d-x]",
  "[a-\\d]",
  "[[:alpha:]_]",
  "[^[:space:]]",
  "[[:punct:]]",
  "[[:xdigit:][:upper:]]",
  "[\\x00-\\x1f]",
  "[\\x80-\\xff]",
  "[^\\x80-\\xff]",
  "[\\s\\S]",
  "[\\S]",
  "[^\\W]",
  "[\\b]",
  "[a[b]",
  "[\\101]",
  "[!-~]",
  "[.$^|()]",
  "[\\H\\V]",
  "[a-c-e]",
  "[\\/]",
];

test("every atom and class matches the bytes it matches in PCRE", () => {
  const cases: Case[] = [];
  for (const regex of [...ATOMS, ...CLASSES, "."]) {
    for (const flags of ["", "i", "s", "is"]) {
      for (const text of ALL_BYTES) {
        if (supported(regex, flags)) cases.push({ regex: `^${regex}`, flags, text });
      }
    }
  }
  const matches = compare(cases, "");
  assert.ok(matches < 0 || matches > 5000, `only ${matches} matched`);
});

function supported(regex: string, flags: string): boolean {
  try {
    translatePcre(`/${regex}/${flags}`);
    return true;
  } catch (error) {
    if (error instanceof RuleProblem && error.kind === "unsupported") return false;
    throw error;
  }
}

test("random expressions match where they match in PCRE", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = randomFrom(seed);
  const pick = (from: readonly string[]) => from[random(from.length)]!;
  const expression = (depth: number): string => {
    const pieces = Array.from({ length: 1 + random(3) }, () => {
      const kind = random(10);
      if (kind === 0 && depth > 0)
        return `${pick(["(", "(?:", "(?=", "(?!", "(?<n>", "(?P<n>"])}${expression(depth - 1)})`;
      if (kind === 1) return pick(["^", "$", "\\b", "\\B", "\\A", "\\z", "\\Z", "(?<=a)", "(?<!b)", "(?#x)"]);
      const atom =
        kind < 7
          ? pick(["a", "b", "a", "b", "\\n", ".", "A", "{", "}", "]"])
          : pick(["[ab]", "[^a]", "\\w", "\\s", "[\\n]"]);
      return atom + pick(["", "", "", "*", "+", "?", "*?", "+?", "{2}", "{1,2}", "{1,}?", "{,2}"]);
    });
    return pieces.join("") + (random(4) === 0 ? `|${expression(Math.max(0, depth - 1))}` : "");
  };
  const cases: Case[] = [];
  while (cases.length < 4000) {
    const regex = (random(12) === 0 ? "(?i)" : "") + expression(2);
    const flags = pick(["", "i", "s", "m", "x", "ims", "E", "A", "Am"]);
    const text = Array.from({ length: random(9) }, () => pick(["a", "b", "A", "\n", " ", "{"])).join("");
    // A name may stand once; {,2} is literal until PCRE2 10.43, and here, and a quantifier from then on.
    if (/<n>.*<n>|\{,/s.test(regex) || !supported(regex, flags)) continue;
    cases.push({ regex, flags, text });
  }
  const matches = compare(cases, `seed ${seed}`);
  assert.ok(matches < 0 || matches > 500, `only ${matches} matched`);
});

test("anchored, dollar-endonly and relative", () => {
  const run = (pcre: string, text: string) => {
    const { source, flags } = translatePcre(pcre);
    return new RegExp(source, flags).exec(text)?.index ?? -1;
  };
  assert.is(run("/b|a/A", "ab"), 0);
  assert.is(run("/b/A", "ab"), -1);
  assert.is(run("/a$/", "a\n"), 0);
  assert.is(run("/a$/E", "a\n"), -1);
  assert.is(run("/a{,2}b/", "a{,2}b"), 0);
  assert.is(translatePcre("/a/R").relative, true);
  assert.is(translatePcre("m#a/b#i").flags, "gi");
});

test.run();
