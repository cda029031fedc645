import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GeneratorInput } from "../runtime/nic/generator/options.js";
import { readPatterns } from "../runtime/nic/generator/patterns.js";
import { distinct, frames, gated } from "./generator-util.js";
import { fresh, rejects } from "./ports-util.js";

const RULES = `# a comment with content:"never"
alert tcp any any -> any 80 (msg:"a"; content:"GET"; content:!"longer but negated"; content:"/ev\\;il|0d 0A|x"; http_uri; sid:1;)
alert udp any any -> any any (msg:"b"; content:"|DE AD be ef|udp"; sid:2;)
alert ip any any -> any any (uricontent:"not this one, it is not content"; content : "any\\"proto\\\\"; sid:3;)
alert http any any -> any any \\
  (msg:"continued"; content:"continued"; sid:4;)
alert tcp any any -> any any (msg:"no content"; sid:5;)
alert tcp any any -> any any (content:"|zz|"; sid:6;)
`;

function rules(text = RULES): string {
  const file = fresh(".rules");
  writeFileSync(file, text);
  return file;
}

test("patterns: the longest positive content of every rule, the shortest first", () => {
  assert.equal(
    readPatterns(rules()).map((p) => [Buffer.from(p.bytes).toString("latin1"), p.proto]),
    [
      ["\xde\xad\xbe\xefudp", 17],
      ["/ev;il\r\nx", 6],
      ["continued", 6],
      ['any"proto\\', 0],
    ],
  );
  assert.throws(() => readPatterns(rules("alert tcp any any -> any any (sid:1;)")), /no rule with a content/);
  assert.throws(() => readPatterns("/no/such.rules"), /cannot read the rules/);
});

for (const [hits, tcp, size] of [
  [0.01, 0, 64],
  [0.25, 1, 64],
  [0.001, 0.5, "imix"],
  [1, 0.5, 128],
] as const) {
  test(`hits ${hits}, TCP ${tcp}, size ${size}: that share holds a content, in packets its rule is for`, async () => {
    const file = rules();
    const patterns = readPatterns(file).map((p) => ({ bytes: Buffer.from(p.bytes), proto: p.proto }));
    const options: GeneratorInput = { count: 16000, hits, tcp, size, rules: file };
    const all = await gated(options);
    const hit = all.filter((p) =>
      patterns.some(
        (pattern) => (pattern.proto === 0 || pattern.proto === p.proto) && p.payload.includes(pattern.bytes),
      ),
    );
    assert.ok(Math.abs(hit.length / 16000 / hits - 1) < 0.05, `${hit.length} of 16000`);
    const seen = patterns.filter((pattern) => hit.some((p) => p.payload.includes(pattern.bytes))).length;
    assert.ok(seen >= (tcp === 0 ? 2 : 3), `${seen} different contents`);
    const places = distinct(hit.map((p) => Math.max(...patterns.map((pattern) => p.payload.indexOf(pattern.bytes)))));
    assert.ok(places > 1, "at different places");
  });
}

test("a real rule file: its contents are put in whole", async () => {
  const file = join(
    process.env.WINGBEAT_DATA ?? join(process.cwd(), "..", "shared", "data"),
    "rules",
    "et_web_server.rules",
  );
  if (!existsSync(file)) return console.log(`skipped: a real rule file (${file} is not there; set WINGBEAT_DATA)`);
  const patterns = readPatterns(file).map((p) => Buffer.from(p.bytes));
  assert.ok(patterns.length > 100, `${patterns.length} patterns`);
  const all = await gated({ count: 1000, size: 1000, tcp: 1, hits: 0.5, rules: file });
  const hit = all.filter((p) => patterns.some((pattern) => pattern.length > 3 && p.payload.includes(pattern))).length;
  assert.ok(hit > 450 && hit <= 500, `${hit} of 1000`);
});

test("rules of another protocol: contents all the same, and a warning", async () => {
  const warnings: string[] = [];
  const file = rules('alert tcp any any -> any any (content:"only-tcp"; sid:1;)');
  const all = await gated({ count: 100, hits: 0.5, rules: file }, warnings);
  assert.is(all.filter((p) => p.payload.includes("only-tcp")).length, 50);
  assert.is(warnings.length, 1);
  assert.match(warnings[0]!, /has no rule for udp/);
});

test("options that contradict each other are named", async () => {
  const file = rules();
  const cases: Array<[GeneratorInput, RegExp]> = [
    [{ hits: 0.1 }, /hits without rules/],
    [{ rules: file }, /rules without hits/],
    [{ hits: 1e-9, rules: file, count: 1e6 }, /hits 1e-9 of \d+ packets are none/],
    [
      { hits: 0.5, rules: rules(`alert udp any any -> any any (content:"${"x".repeat(30)}"; sid:1;)`), size: 64 },
      /only 0 have payload enough/,
    ],
    [{ size: 60, tcp: 1, ipv6: 1 }, /size 60 is less than the 74 bytes of headers/],
    [{ flows: 1, streams: [{}, {}] }, /flows: 1 for 2 streams/],
    [{ streams: [{ src: "10.0.0.0/8", dst: "2001:db8::/32" }] }, /of two families/],
    [{ src6: "10.0.0.0/8" }, /src6: 10.0.0.0\/8 is not IPv6/],
    [{ flows: 1_000_000, size: 1518 }, /its 1000000 different packets take \d+ MiB/],
  ];
  for (const [options, message] of cases) {
    const error = await rejects(frames(options));
    assert.is(error.name, "ConfigError", error.stack);
    assert.match(error.message, message);
  }
});

test.run();
