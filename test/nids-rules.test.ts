/** What rules mean: one rule, one payload, one answer, worked out by hand from the manuals. */

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { arenaWith, type FrameSpec } from "./nids-frames.js";
import { create, judgeAll, loadRules, sidsOf } from "./nids-run.js";

const contents = suite("contents");
/** [options, payload, whether it matches] */
const CASES: readonly (readonly [string, string, boolean])[] = [
  ['content:"abc"', "xxabcxx", true],
  ['content:"abc"', "xxabxx", false],
  ['content:"abc"', "ABC", false],
  ['content:"aBc"; nocase', "xAbC", true],
  ['content:"a|0d 0A|b"', "a\r\nb", true],
  ['content:"|61 62|c"', "abc", true],
  ['content:"\\"\\;\\\\\\:"', '";\\:', true],
  ['content:!"abc"', "xyz", true],
  ['content:!"abc"', "abc", false],
  ['content:!"abc"', "", true],
  ['content:"abc"; offset:2', "abcx", false],
  ['content:"abc"; offset:2', "xxabc", true],
  ['content:"abc"; depth:3', "abcx", true],
  ['content:"abc"; depth:3', "xabc", false],
  ['content:"def"; offset:3; depth:3', "abcdef", true],
  ['content:"def"; offset:3; depth:3', "abcxdef", false],
  ['content:"abc"; startswith', "abcd", true],
  ['content:"abc"; startswith', "xabc", false],
  ['content:"abc"; endswith', "xabc", true],
  ['content:"abc"; endswith', "abcx", false],
  ['content:"abc"; endswith', "abcxabc", true],
  ['content:"abc"; startswith; endswith', "abc", true],
  ['content:"abc"; startswith; endswith', "abcabc", false],
  ['content:!"abc"; endswith', "abcx", true],
  ['content:!"abc"; endswith', "xabc", false],
  ['content:"a"; content:"b"; distance:1', "ab", false],
  ['content:"a"; content:"b"; distance:1', "axb", true],
  ['content:"a"; content:"b"; within:1', "ab", true],
  ['content:"a"; content:"b"; within:1', "axb", false],
  ['content:"a"; content:"b"; distance:2; within:1', "axxb", true],
  ['content:"a"; content:"b"; distance:2; within:1', "axxxb", false],
  ['content:"abc"; content:"bc"; distance:-2', "abc", true],
  ['content:"abc"; content:"abc"; distance:-10', "abc", true],
  // The first a fails, the second one holds: earlier matches are gone over again.
  ['content:"a"; content:"b"; within:1', "aXab", true],
  ['content:"a"; content:"b"; distance:1; within:1; content:"c"; distance:0; within:1', "a.b a.bc", true],
  ['content:"a"; content:"b"; distance:0; content:"c"; distance:1; within:1', "ab bxbxxc bxxc", false],
  ['content:"a"; content:"b"; distance:0; content:"c"; distance:1; within:1', "ab bxbxxc bxc", true],
  // A negated content leaves the cursor where it was.
  ['content:"a"; content:!"b"; within:3; content:"c"; distance:0', "axxxbc", true],
  ['content:"a"; content:!"b"; within:3; content:"c"; distance:0', "axbxc", false],
  ['content:"Firefox/3."; content:!"Firefox/3.6.13"; distance:-10', "Firefox/3.6.13", false],
  ['content:"Firefox/3."; content:!"Firefox/3.6.13"; distance:-10', "Firefox/3.5", true],
  ['content:"a"; content:!"b"; within:2', "ab aXXb", true],
  ['content:"ab"; fast_pattern:only; content:"x"', "x ab", true],
  ['content:"abcdef"; fast_pattern:2,3; nocase', "ABCDEF", true],
  ['content:"abcdef"; fast_pattern:2,3', "abcdxx", false],
  ['content:"abcdef"; content:"x"; fast_pattern', "xabcdef", true],
  ['content:"a"; rawbytes; pkt_data', "a", true],
  // isdataat: absolute n < length, relative cursor + n <= length
  ["isdataat:31", "x".repeat(32), true],
  ["isdataat:32", "x".repeat(32), false],
  ["isdataat:!32", "x".repeat(32), true],
  ['content:"c"; isdataat:5,relative', "abcdefgh", true],
  ['content:"c"; isdataat:6,relative', "abcdefgh", false],
  ['content:"c"; isdataat:!1,relative', "abc", true],
  ['content:"c"; isdataat:!1,relative', "abcd", false],
  ['content:"c"; isdataat:!1, relative , rawbytes', "cxc", true],
  ["dsize:3", "abc", true],
  ["dsize:>3", "abc", false],
  ["dsize:<4", "abc", true],
  ["dsize:2<>4", "abc", true],
  ["dsize:3<>5", "abc", false],
  ["dsize:!3", "abc", false],
  ['pcre:"/a.c/"', "xabcx", true],
  ['pcre:"/a.c/"', "a\nc", false],
  ['pcre:"/a.c/s"', "a\nc", true],
  ['pcre:"/A.C/i"', "abc", true],
  ['pcre:!"/a.c/"', "abc", false],
  ['pcre:"/^b$/m"', "a\nb\nc", true],
  ['pcre:"/^b$/"', "a\nb\nc", false],
  ['pcre:"/c$/"', "abc\n", true],
  ['pcre:"/c$/E"', "abc\n", false],
  ['pcre:"/b/A"', "ab", false],
  ['pcre:"/a  b/x"', "ab", true],
  ['content:"a"; pcre:"/^b/R"', "xab", true],
  ['content:"a"; pcre:"/^b/R"', "acb", false],
  ['content:"a"; pcre:"/^b/R"', "acab", true],
  ['pcre:"/a+/"; content:"b"; within:1', "aXaab", true],
  ['pcre:"/\\x41\\"\\/[^\\x00-\\x20]\\;/"', 'A"/x;', true],
];

for (const [options, payload, expected] of CASES) {
  contents(`${options} on ${JSON.stringify(payload)}: ${expected ? "match" : "no match"}`, async () => {
    const rule = `alert tcp any any -> any any (msg:"t"; ${options}; sid:1;)`;
    const both = [rule, rule.replace("alert tcp", "alert udp").replace("sid:1", "sid:2")];
    assert.equal(await sidsOf(both, [{ payload }, { payload, proto: "udp" }]), expected ? [[1], [2]] : [[], []]);
  });
}

contents("a chain that can match in a million ways fails fast", async () => {
  const chain = Array.from({ length: 8 }, () => 'content:"a"; distance:0; within:200').join("; ");
  // Of the processor: others may have it meanwhile.
  const started = process.cpuUsage();
  const rule = `alert tcp any any -> any any (${chain}; content:"b"; distance:0; within:200; sid:1;)`;
  assert.equal(await sidsOf([rule], [{ payload: `b${"a".repeat(1400)}` }]), [[]]);
  const { user, system } = process.cpuUsage(started);
  assert.ok(user + system < 2e6, `took ${(user + system) / 1000} ms`);
});
contents.run();

const headers = suite("headers");
const V6 = (last: number) => [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
/** [header, packet, whether it matches] */
const HEADERS: readonly (readonly [string, FrameSpec, boolean])[] = [
  ["tcp 10.0.0.1 any -> any any", {}, true],
  ["tcp 10.0.0.2 any -> any any", {}, false],
  ["tcp 10.0.0.2 any <> any any", {}, true],
  ["tcp !10.0.0.1 any -> any any", {}, false],
  ["tcp 10.0.0.99/24 any -> any any", {}, true],
  ["tcp [10.0.0.0/8,!10.0.0.0/24] any -> any any", {}, false],
  ["tcp [10.0.0.0/8, !10.1.0.0/24] any -> any any", {}, true],
  ["tcp ![10.0.0.1,10.0.0.9] any -> any any", {}, false],
  ["tcp [!10.0.0.9] any -> any any", {}, true],
  ["tcp [[10.0.0.1],[!10.0.0.1]] any -> any any", {}, true],
  ["tcp $HOME any -> $AWAY any", {}, true],
  ["tcp $AWAY any -> $HOME any", {}, false],
  ["tcp $UNSET any -> !$UNSET $UNSET", {}, true],
  ["tcp any any -> any 80", {}, true],
  ["tcp any 80 -> any any", {}, false],
  ["tcp any any -> any [1:79,443]", {}, false],
  ["tcp any any -> any [70:,!81]", {}, true],
  ["tcp any any -> any !80", {}, false],
  ["tcp any any -> any :80", {}, true],
  ["tcp any any -> any $WEB", {}, true],
  ["tcp any 80 <> any 1025", {}, true],
  ["udp any any -> any any", {}, false],
  ["udp any any -> any any", { proto: "udp" }, true],
  ["ip any any -> any 80", { proto: "udp" }, true],
  ["ip any any -> any 80", { proto: 50 }, false],
  ["ip any any -> any any", { proto: 50 }, true],
  ["icmp any any -> any any", { proto: "icmp" }, true],
  ["icmp any any -> any any", { proto: "icmp6", src: V6(1), dst: V6(2) }, true],
  ["ip4 any any -> any any", { src: V6(1), dst: V6(2) }, false],
  ["ip6 any any -> any any", { src: V6(1), dst: V6(2) }, true],
  ["tcp 2001:db8::/64 any -> 2001:db8::2 any", { src: V6(1), dst: V6(2) }, true],
  ["tcp 2001:db8::2-2001:db8::9 any -> any any", { src: V6(1), dst: V6(2) }, false],
  ["tcp [2001:db8::1,10.0.0.1] any -> any any", { src: V6(1), dst: V6(2) }, true],
  ["tcp !10.0.0.1 any -> any any", { src: V6(1), dst: V6(2) }, true],
  ["tcp 10.0.0.0/8 any -> any any", { src: V6(1), dst: V6(2) }, false],
  ["tcp any any -> any any", { fragment: 0x2000 }, false],
  ["ip any any -> any any", { fragment: 0x2000 }, true],
];
const VARS = { HOME: "[10.0.0.0/24]", AWAY: "!10.0.0.1", WEB: "[$MAIN,8080]", MAIN: "80" };
for (const [header, spec, expected] of HEADERS) {
  headers(`${header} ${JSON.stringify(spec)}: ${expected ? "match" : "no match"}`, async () => {
    assert.equal(await sidsOf([`alert ${header} (sid:7;)`], [spec], VARS), expected ? [[7]] : [[]]);
  });
}

/** [options, packet, whether it matches] */
const TESTS: readonly (readonly [string, FrameSpec, boolean])[] = [
  ["flags:S", { bits: 2 }, true],
  ["flags:S", { bits: 0x12 }, false],
  ["flags:S+", { bits: 0x12 }, true],
  ["flags:+S", { bits: 0x12 }, true],
  ["flags:*SF", { bits: 0x11 }, true],
  ["flags:*SF", { bits: 0x10 }, false],
  ["flags:!SF", { bits: 0x10 }, true],
  ["flags:!SF", { bits: 0x11 }, false],
  ["flags:S,12", { bits: 0xc2 }, true],
  ["flags:S", { bits: 0xc2 }, false],
  ["flags:0", { bits: 0 }, true],
  ["ttl:64", {}, true],
  ["ttl:<64", {}, false],
  ["ttl:64-70", {}, true],
  ["ttl:-63", {}, false],
];
for (const [options, spec, expected] of TESTS) {
  headers(`${options} ${JSON.stringify(spec)}: ${expected ? "match" : "no match"}`, async () => {
    assert.equal(await sidsOf([`alert tcp any any -> any any (${options}; sid:7;)`], [spec]), expected ? [[7]] : [[]]);
  });
}

headers("itype and icode", async () => {
  const rule = "alert icmp any any -> any any (itype:8; icode:<3; sid:1;)";
  const specs = [8, 0].map((sport) => ({ proto: "icmp" as const, sport, dport: 2 }));
  assert.equal(await sidsOf([rule], [...specs, { proto: "icmp", sport: 8, dport: 3 }]), [[1], [], []]);
});

headers("ip rules look behind the IP header, tcp rules at the payload", async () => {
  const rules = ['alert ip any any -> any any (content:"|04 01 00 50|"; startswith; sid:1;)'];
  rules.push('alert tcp any any -> any any (content:"hello"; startswith; sid:2;)');
  rules.push('alert ip any any -> any any (content:"secret"; startswith; sid:3;)');
  const specs: FrameSpec[] = [
    { payload: "hello" },
    { proto: 50, payload: "secret" },
    { fragment: 0x2001, payload: "hello" },
  ];
  assert.equal(await sidsOf(rules, specs), [[1, 2], [3], [1]]);
});
headers.run();

const actions = suite("actions");
actions("drop and reject drop, log leaves clean, pass silences", async () => {
  const { loaded } = await loadRules([
    'alert tcp any any -> any any (content:"a"; sid:1;)',
    'drop tcp any any -> any any (content:"d"; sid:2;)',
    'reject tcp any any -> any any (content:"r"; sid:3;)',
    'log tcp any any -> any any (content:"l"; sid:4;)',
    'pass tcp any any -> any any (content:"p"; sid:5;)',
  ]);
  const arena = arenaWith(["a", "ad", "r", "l", "al", "adp", ""].map((payload) => ({ payload })));
  const verdicts = judgeAll(create(loaded, arena), arena, 7);
  assert.equal(
    verdicts.map((v) => v.outcome),
    ["alert", "drop", "drop", "clean", "alert", "clean", "clean"],
  );
  assert.equal(
    verdicts.map((v) => v.sids),
    [[1], [1, 2], [3], [4], [1, 4], [], []],
  );
  arena.free();
});
actions.run();
