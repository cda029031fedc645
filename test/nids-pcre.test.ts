/** The translation of PCRE against Perl, which means the same by everything that is supported. */
import { spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { translatePcre } from "../nfs/nids/rules/pcre.js";
import { RuleProblem } from "../nfs/nids/rules/problem.js";
import { randomFrom } from "./nids-run.js";

/** Reads regex, flags and text as hex, answers start and end of the leftmost match, or "-". */
const PERL = `
while (<STDIN>) {
  chomp; my ($re, $flags, $text) = map { pack("H*", $_) } split / /, $_, 3;
  my $compiled = eval { no warnings; qr/(?$flags)$re/ };
  if (!defined $compiled) { print "bad\\n"; }
  elsif ($text =~ $compiled) { print "$-[0] $+[0]\\n"; }
  else { print "-\\n"; }
}`;

interface Case {
  readonly regex: string;
  readonly flags: string;
  readonly text: string;
}

function perl(cases: readonly Case[]): string[] | null {
  const hex = (text: string) => Buffer.from(text, "latin1").toString("hex");
  const input = cases.map(({ regex, flags, text }) => `${hex(regex)} ${hex(flags)} ${hex(text)}\n`).join("");
  const child = spawnSync("perl", ["-e", PERL], { input, encoding: "latin1", env: { ...process.env, LC_ALL: "C" } });
  return child.error !== undefined || child.status !== 0 ? null : child.stdout.trimEnd().split("\n");
}

function ours({ regex, flags, text }: Case): string {
  const translated = translatePcre(`/${regex}/${flags}`);
  const match = new RegExp(translated.source, translated.flags).exec(text);
  return match === null ? "-" : `${match.index} ${match.index + match[0].length}`;
}

function compare(cases: readonly Case[], seed: string): number {
  const answers = perl(cases);
  if (answers === null) {
    console.log("skipped: perl is not installed (apt-get install perl)");
    return -1;
  }
  let matches = 0;
  cases.forEach((one, i) => {
    if (answers[i] === "bad") return;
    assert.is(ours(one), answers[i], `${seed} /${one.regex}/${one.flags} on ${JSON.stringify(one.text)}`);
    if (answers[i] !== "-") matches++;
  });
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

test("every atom and class matches the bytes it matches in Perl", () => {
  const cases: Case[] = [];
  for (const regex of [...ATOMS, ...CLASSES, "."]) {
    for (const flags of ["", "i", "s", "is"]) {
      for (const text of ALL_BYTES) {
        if (supported(regex, flags)) cases.push({ regex: `^${regex}`, flags, text });
      }
    }
  }
  assert.is.not(compare(cases, ""), 0);
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

test("random expressions match where they match in Perl", () => {
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
    const regex = expression(2);
    const flags = pick(["", "i", "s", "m", "x", "ims"]);
    const text = Array.from({ length: random(9) }, () => pick(["a", "b", "A", "\n", " ", "{"])).join("");
    // Perl knows each name once, and reads {,2} as a quantifier from 5.34 on; PCRE reads it literally.
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
