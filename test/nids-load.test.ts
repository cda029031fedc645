/** Rule files: lines, warnings, refusals. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nf } from "../nfs/nids/index.js";
import { ruleLines } from "../nfs/nids/rules/parser.js";
import { loadRules } from "./nids-run.js";

const RULE = (options: string) => `alert tcp any any -> any any (${options})`;

async function refusal(
  rules: string | string[],
  more: Record<string, unknown> = {},
): Promise<Error & { exitCode?: number }> {
  try {
    await loadRules(rules, more);
  } catch (error) {
    return error as Error;
  }
  throw new Error("was accepted");
}

function file(text: string): string {
  const name = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "nids-")), "test.rules");
  fs.writeFileSync(name, text, "latin1");
  return name;
}

test("lines: comments, continuation, line numbers", () => {
  const lines = ruleLines("# c\n\nalert a \\\n  # inside\n  b \\\n  c\r\n#alert x\nlast");
  assert.equal(lines, [
    { line: 3, text: "alert a  b  c" },
    { line: 8, text: "last" },
  ]);
});

/** [options of a rule, what the refusal says] */
const MALFORMED: readonly (readonly [string, RegExp])[] = [
  ['content:"a"', /does not end with ;/],
  ['content:"a";', /no sid/],
  ['content:"a; sid:1;', /without its partner/],
  ['content:"a|0|"; sid:1;', /hexadecimal/],
  ['content:"a|00"; sid:1;', /without its partner/],
  ['content:""; sid:1;', /empty content/],
  ["content:abc; sid:1;", /double quotes/],
  ["nocase; sid:1;", /without a content/],
  ['content:"abc"; depth:2; sid:1;', /shorter than its content/],
  ['content:"abc"; offset:-1; sid:1;', /whole number/],
  ['content:"a"; fast_pattern; content:"b"; fast_pattern; sid:1;', /more than one/],
  ['content:"a"; fast_pattern:0,5; sid:1;', /outside its content/],
  ["dsize:5<>6; sid:1;", /never be true/],
  ["dsize:x; sid:1;", /expects N/],
  ["flags:Q; sid:1;", /flags expects/],
  ["flow:sideways; sid:1;", /does not know/],
  ["flow:to_server,from_server; sid:1;", /both/],
  ["itype:8; sid:1;", /itype in a rule for tcp/],
  ['pcre:"abc"; sid:1;', /regex/],
  ["sid:0; sid:1;", /whole number/],
  ["sid:1;; rev:2;", /without a name/],
];
for (const [options, says] of MALFORMED) {
  test(`malformed, refused with file and line: ${options}`, async () => {
    const name = file(`# first\n${RULE(options)}\n`);
    const error = await refusal(name);
    assert.is(error.name, "ConfigError");
    assert.ok(error.message.startsWith(`${name}:2: `), error.message);
    assert.match(error.message, says);
  });
}

const BAD_HEADERS: readonly (readonly [string, RegExp])[] = [
  ["alert tcp any any -> any (sid:1;)", /6 parts, expected 7/],
  ["alert tcp any any <- any any (sid:1;)", /no direction/],
  ["alert tcp 10.0.0.300 any -> any any (sid:1;)", /no IPv4 or IPv6/],
  ["alert tcp 10.0.0.0/33 any -> any any (sid:1;)", /0 to 32/],
  ["alert tcp !any any -> any any (sid:1;)", /matches nothing/],
  ["alert tcp [10.0.0.1 any -> any any (sid:1;)", /unbalanced/],
  ["alert tcp any 70000 -> any any (sid:1;)", /0 to 65535/],
  ["alert tcp any 90:80 -> any any (sid:1;)", /lower one first/],
  ["alert tcp $A any -> any any (sid:1;)", /defined by itself/],
  ["alert icmp any 5 -> any any (sid:1;)", /has no ports/],
  ["alert tcp any any -> any any", /parentheses/],
  ["howl tcp any any -> any any (sid:1;)", /no action/],
];
for (const [rule, says] of BAD_HEADERS) {
  test(`malformed header: ${rule}`, async () => {
    assert.match((await refusal(file(rule), { vars: { A: "$B", B: "[$A]" } })).message, says);
  });
}

/** [rule, name of what is not supported] */
const UNSUPPORTED: readonly (readonly [string, string])[] = [
  [RULE('content:"a"; http_uri; sid:1;'), "option http_uri"],
  [RULE("flowbits:set,x; sid:1;"), "option flowbits"],
  [RULE("constructor; sid:1;"), "option constructor"],
  [RULE("byte_test:1,>,2,3; sid:1;"), "option byte_test"],
  [RULE('content:"a", nocase; sid:1;'), "option content with modifiers behind a comma"],
  [RULE('content:"a"; offset:len; sid:1;'), "option offset with a variable"],
  [RULE('content:"a"; offset:1; distance:1; sid:1;'), "option offset or depth together with distance or within"],
  [
    RULE('content:"a"; fast_pattern:only; content:"b"; distance:1; sid:1;'),
    "option fast_pattern:only before a relative option",
  ],
  [RULE("flow:only_stream; sid:1;"), "option flow with only_stream"],
  [RULE('pcre:"/a/U"; sid:1;'), "pcre flag U"],
  [RULE('pcre:"/(?>a)/"; sid:1;'), "pcre group (?>"],
  [RULE('pcre:"/a++/"; sid:1;'), "pcre possessive quantifier"],
  [RULE('pcre:"/(a)\\1/"; sid:1;'), "pcre backreference"],
  [RULE('pcre:"/(?P<q>a)(?P=q)/"; sid:1;'), "pcre backreference"],
  [RULE('pcre:"/\\xe4/i"; sid:1;'), "pcre flag i with a non-ASCII letter"],
  ["alert http any any -> any any (sid:1;)", "protocol http"],
  ["activate tcp any any -> any any (sid:1;)", "action activate"],
];
for (const [rule, what] of UNSUPPORTED) {
  test(`unsupported, by name: ${rule}`, async () => {
    const name = file(`\n${rule}\n${RULE("sid:2;")}\n`);
    const { loaded, warnings } = await loadRules(name);
    assert.is(loaded.skipped, 1);
    assert.equal(
      loaded.rules.map((r) => r.sid),
      [2],
    );
    assert.equal(warnings, [`nids: 1 rule skipped: ${what} is not supported: ${name}:2`]);
    const error = await refusal(name, { on_unsupported: "error" });
    assert.is(error.message.split("\n")[0], `${name}:2: ${what} is not supported`);
    assert.is(error.exitCode, 2);
  });
}

test("one warning per kind, with a count; missing variables named once; the higher rev wins", async () => {
  const rules = Array.from({ length: 9 }, (_, i) => `alert tcp $X any -> any $Y (http_uri; sid:${i + 1};)`);
  rules.push("alert tcp $X any -> any any (rev:3; sid:20;)", "alert tcp $X any -> any any (rev:2; sid:20;)");
  const { loaded, warnings } = await loadRules(rules);
  assert.equal(
    loaded.rules.map((rule) => [rule.sid, rule.rev]),
    [[20, 3]],
  );
  assert.is(loaded.skipped, 10);
  assert.is(warnings.length, 4);
  assert.match(warnings[0]!, /variable \$X is not set and means any \(first in .*rules\[0\]\)/);
  assert.match(warnings[2]!, /9 rules skipped: option http_uri is not supported: .* and 4 more$/);
});

test("informational options and both quote styles of msg are kept", async () => {
  const options =
    'msg:"caf\u00e9 \\"x\\"\\; y"; reference:url,a.b/c?d=e; classtype:misc-attack; priority:1; metadata:a b, c d; rev:4; sid:9;';
  const { loaded, warnings } = await loadRules(RULE(options));
  const { msg, classtype, priority, rev, pattern } = loaded.rules[0]!;
  assert.equal([msg, classtype, priority, rev, pattern], ['café "x"; y', "misc-attack", 1, 4, null]);
  assert.equal(warnings, []);
});

test("the fast pattern is the longest content, or the one marked; equal ones are searched once", async () => {
  const { loaded } = await loadRules([
    RULE('content:"ab"; content:"abcd"; content:!"abcdefgh"; sid:1;'),
    RULE('content:"ABCD"; nocase; content:"ab"; sid:2;'),
    RULE('content:"aBcD"; nocase; sid:3;'),
    RULE('content:"abcdefgh"; content:"xy"; fast_pattern; sid:4;'),
    RULE('content:"abcdefgh"; fast_pattern:2,3; sid:5;'),
    RULE('content:!"abcdefgh"; sid:6;'),
  ]);
  const texts = loaded.patterns.map((p) => `${Buffer.from(p.bytes)}${p.nocase ? "/i" : ""}`);
  assert.equal(texts, ["abcd", "abcd/i", "xy", "cde"]);
  assert.equal([...loaded.patternOf], [0, 1, 1, 2, 3, -1]);
});

test("configuration is strict", () => {
  assert.not(nf.schema.safeParse({ rules: "a", on_unsuported: "skip" }).success);
  assert.not(nf.schema.safeParse({ rules: [] }).success);
  assert.ok(nf.schema.safeParse({ rules: ["a", "b"], alerts: "eve.json", engine: "aho-corasick" }).success);
});

test("files that cannot be read, alerts without a folder: refused with the key", async () => {
  assert.match((await refusal("/nowhere/x.rules")).message, /config\.rules: cannot read \/nowhere\/x\.rules/);
  const error = await refusal(RULE("sid:1;"), { alerts: "/nowhere/eve.json" });
  assert.match(error.message, /config\.alerts: there is no folder/);
});

test.run();
