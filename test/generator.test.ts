import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openRx, parsePort, parsePortString } from "../runtime/nic/drivers.js";
import { generate } from "../runtime/nic/generator/generate.js";
import type { GeneratorInput } from "../runtime/nic/generator/options.js";
import { parsePorts, parsePrefix } from "../runtime/nic/generator/options.js";
import { readPatterns } from "../runtime/nic/generator/patterns.js";
import { FLAG, SLOT_SHIFT } from "../runtime/packet/arena.js";
import { Gate } from "../runtime/packet/gate.js";
import { arena, context, drain, type Frame, fresh, read, readFile, rejects, SLOTS } from "./ports-util.js";

const config = (options: GeneratorInput) => parsePort({ driver: "generator", ...options }, "test");
const frames = (options: GeneratorInput, loop?: number, warnings: string[] = []) =>
  read(config(options), warnings, { loop });

/** What the gate says of every frame: all must pass with right checksums. */
interface Parsed {
  flow: string;
  flags: number;
  proto: number;
  payload: Buffer;
  frame: Buffer;
  vlan: number;
}

async function gated(options: GeneratorInput, warnings: string[] = []): Promise<Parsed[]> {
  const port = await openRx(config(options), context(warnings));
  const gate = new Gate(arena, true);
  const slots = Uint32Array.from({ length: SLOTS }, (_, i) => i);
  const reasons = new Uint8Array(SLOTS);
  const parsed: Parsed[] = [];
  while (!port.done) {
    const count = port.receive(slots, SLOTS);
    assert.is(gate.check(slots, count, reasons), 0, `dropped: ${reasons}`);
    for (let slot = 0; slot < count; slot++) {
      const base = slot << SLOT_SHIFT;
      const bytes = (from: number, to: number) => Buffer.from(arena.u8.slice(base + from, base + to));
      const off = arena.off[slot]!;
      const l3 = arena.l3[slot]!;
      const v6 = (arena.flags[slot]! & FLAG.IPV6) !== 0;
      const addresses = v6 ? bytes(l3 + 8, l3 + 40) : bytes(l3 + 12, l3 + 20);
      parsed.push({
        flow: `${arena.proto[slot]} ${addresses.toString("hex")} ${arena.sport[slot]} ${arena.dport[slot]}`,
        flags: arena.flags[slot]!,
        proto: arena.proto[slot]!,
        payload: bytes(arena.payload[slot]!, arena.payloadEnd[slot]!),
        frame: bytes(off, off + arena.len[slot]!),
        vlan: arena.vlan[slot]!,
      });
      assert.is(arena.l3end[slot], off + arena.len[slot]!, "the IP packet fills the frame");
    }
  }
  await port.close();
  return parsed;
}

const distinct = (list: readonly unknown[]) => new Set(list).size;

for (const [name, options] of Object.entries<GeneratorInput>({
  "UDP over IPv4": { size: 64 },
  "the smallest": { size: 60 },
  "the longest": { size: 1760 },
  "odd lengths": { size: 61 },
  mixed: { size: 200, tcp: 0.5, ipv6: 0.5 },
  "mixed, odd": { size: 201, tcp: 0.5, ipv6: 0.5, payload: "text" },
  tagged: { size: 100, vlan: 7, tcp: 0.5, ipv6: 0.5, dscp: 46 },
  imix: { size: "imix", tcp: 0.5, ipv6: 0.5, vlan: 9 },
})) {
  test(`${name}: passes the gate with every checksum right`, async () => {
    const all = await gated({ ...options, count: 960, flows: 480 });
    assert.is(all.length, 960);
    assert.is(distinct(all.map((p) => p.flow)), 480);
    if (typeof options.size === "number") for (const p of all) assert.is(p.frame.length, options.size);
    if (options.tcp !== undefined) {
      assert.is(all.filter((p) => p.proto === 6).length, 480);
      assert.is(all.filter((p) => p.flags & FLAG.IPV6).length, 480);
      const both = all.filter((p) => p.proto === 6 && p.flags & FLAG.IPV6).length;
      assert.ok(both > 60 && both < 420, `protocol and family are independent: ${both} of 960`);
    }
    if (options.vlan !== undefined) for (const p of all) assert.is(p.vlan, options.vlan);
    if (options.dscp !== undefined) {
      for (const p of all) {
        const tos = p.flags & FLAG.IPV6 ? (p.frame.readUInt16BE(18) >> 4) & 0xff : p.frame[19]!;
        assert.is(tos, options.dscp << 2);
      }
    }
  });
}

test("a UDP checksum that comes to 0 is sent as 0xffff", async () => {
  // One packet in 65536 has it; IPv6, because there 0 is an error and not "none".
  const port = await openRx(config({ size: 62, ipv6: 1, flows: 300_000, count: 300_000, seed: 2 }), context());
  const gate = new Gate(arena, true);
  const slots = Uint32Array.from({ length: SLOTS }, (_, i) => i);
  const reasons = new Uint8Array(SLOTS);
  let ones = 0;
  while (!port.done) {
    const count = port.receive(slots, SLOTS);
    assert.is(gate.check(slots, count, reasons), 0);
    for (let slot = 0; slot < count; slot++) {
      if (arena.view.getUint16((slot << SLOT_SHIFT) + arena.l4[slot]! + 6) === 0xffff) ones++;
    }
  }
  assert.ok(ones > 0);
  await port.close();
});

test("imix: 28 of 64, 16 of 570, 4 of 1518 in any 48", async () => {
  const all = await frames({ size: "imix", count: 480 });
  for (let i = 0; i < 480; i += 48) {
    const lengths = all.slice(i, i + 48).map((f) => f.bytes.length);
    assert.equal(
      [64, 570, 1518].map((n) => lengths.filter((l) => l === n).length),
      [28, 16, 4],
    );
  }
});

test("the same seed gives the same packets, another one others", async () => {
  const options: GeneratorInput = { size: "imix", count: 500, flows: 77, seed: 5, tcp: 0.3, ipv6: 0.2 };
  const once = await frames(options);
  assert.equal(await frames(options), once);
  const other = await frames({ ...options, seed: 6 });
  assert.is.not(other[0]!.bytes.toString("hex"), once[0]!.bytes.toString("hex"));
  const far = await frames({ ...options, seed: 5 + 2 ** 32 });
  assert.is.not(far[0]!.bytes.toString("hex"), once[0]!.bytes.toString("hex"));
});

test("count, loop and the end", async () => {
  assert.is((await frames({ count: 10 })).length, 10);
  assert.is((await frames({ count: 10 }, 3)).length, 30);
  const port = await openRx(config({ count: 10 }), context(), { loop: 0 });
  assert.is((await drain(port, 64, 10_000)).length >= 10_000, true);
  assert.is(port.done, false);
  await port.close();
  assert.is(port.receive(new Uint32Array(1), 1), 0);
});

test("addresses and ports are those asked for", async () => {
  const all = await gated({
    count: 300,
    flows: 256,
    src: "192.0.2.64/26",
    dst: "203.0.113.9",
    sport: "1000-1003",
    dport: 53,
  });
  for (const { flow } of all) {
    const [proto, addresses, sport, dport] = flow.split(" ");
    assert.is(proto, "17");
    const [a, b, c, d] = Buffer.from(addresses!, "hex");
    assert.equal([a, b, c, d! >> 6], [192, 0, 2, 1]);
    assert.is(addresses!.slice(8), "cb007109");
    assert.ok(Number(sport) >= 1000 && Number(sport) <= 1003);
    assert.is(dport, "53");
  }
  assert.is(distinct(all.map((p) => p.flow)), 256, "every one there is");
});

test("more flows than there are 5-tuples is an error", async () => {
  const error = await rejects(
    frames({ flows: 257, src: "192.0.2.64/26", dst: "203.0.113.9", sport: "1000-1003", dport: 53 }),
  );
  assert.is(error.name, "ConfigError");
  assert.match(error.message, /no 257 distinct flows/);
});

test("streams: by weight, each with its own headers, sizes and flows", async () => {
  const all = await gated({
    count: 8000,
    flows: 100,
    ipv6: 0,
    streams: [
      { weight: 3, dst: "10.1.0.0/16", proto: "tcp", dport: 80, size: 400, payload: "text" },
      { weight: 1, dst: "10.2.0.0/16", dport: "5060-5061", size: 200, dscp: 46, vlan: 12 },
      { weight: 4, src: "2001:db8::/32", dst: "2001:db8:1::/48", size: "imix" },
    ],
  });
  const web = all.filter((p) => p.frame.length === 400 && p.proto === 6);
  const voice = all.filter((p) => p.vlan === 12);
  const six = all.filter((p) => p.flags & FLAG.IPV6);
  assert.is(web.length + voice.length + six.length, 8000);
  for (const [list, share] of [
    [web, 3 / 8],
    [voice, 1 / 8],
    [six, 4 / 8],
  ] as const) {
    assert.ok(Math.abs(list.length / 8000 - share) < 0.03, `${list.length} of 8000 for a share of ${share}`);
  }
  assert.equal(
    [web, voice, six].map((list) => distinct(list.map((p) => p.flow))),
    [38, 12, 50],
  );
  assert.match(web[0]!.payload.toString("latin1"), /^(GET|POST|HEAD) .* HTTP\/1\.1\r\nHost: /);
  for (const p of voice) assert.match(p.flow, / 0a......0a02.... \d+ 506[01]$/);
  assert.is(distinct(six.map((p) => p.frame.length)), 3);
});

test("timestamps start in 2020 and keep the nominal rate", async () => {
  const all: Frame[] = await frames({ count: 5000, pps: 3000, flows: 1 });
  for (const [i, frame] of all.entries()) {
    const exact = (i * 1e9) / 3000;
    const time = (frame.sec - 1_577_836_800) * 1e9 + frame.nsec;
    assert.ok(Math.abs(time - exact) < 2, `packet ${i}: ${time} for ${exact}`);
  }
});

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

test("generate writes what the port sends", async () => {
  const options: GeneratorInput = { size: "imix", count: 9000, flows: 50, seed: 3, tcp: 0.2 };
  const expected = await frames(options);
  for (const suffix of [".pcap", ".pcapng.gz"]) {
    const file = fresh(suffix);
    const made = generate(file, options);
    assert.is(made.packets, 9000);
    assert.is(
      made.bytes,
      expected.reduce((sum, frame) => sum + frame.bytes.length, 0),
    );
    assert.equal(await readFile(file), expected);
  }
});

test("generate leaves an existing file alone when the options are wrong", () => {
  const file = fresh(".pcap");
  writeFileSync(file, "precious");
  assert.throws(() => generate(file, { size: 10 }), /gen: size: a frame size from 60 to 1760/);
  assert.throws(() => generate(file, { hits: 1 }), /hits without rules/);
  assert.throws(() => generate(file, { sise: 10 } as never), /unknown key "sise"; known keys: count, flows/);
  assert.is(readFileSync(file, "utf8"), "precious");
});

test("a generator on the command line", () => {
  assert.equal(
    parsePortString("generator:size=64,count=1e6,flows=1000,seed=7,hits=0.01,rules=a.rules,ipv6=.5,sport=5060-5061"),
    {
      ...config({
        size: 64,
        count: 1e6,
        flows: 1000,
        seed: 7,
        hits: 0.01,
        rules: "a.rules",
        ipv6: 0.5,
        sport: "5060-5061",
      }),
    },
  );
  assert.equal(parsePortString("generator"), config({}));
  assert.equal(parsePortString("generator:size=imix"), config({ size: "imix" }));
  assert.throws(() => parsePortString("generator:size"), /"size" in the generator's options is not KEY=VALUE/);
  assert.throws(() => parsePortString("generator:size=32"), /--in: size: a frame size from 60 to 1760/);
  assert.throws(() => parsePortString("generator:flow=32"), /unknown key "flow"; known keys: .*flows/);
});

test("prefixes and ranges", () => {
  assert.equal(parsePrefix("10.0.0.0/8"), { bytes: [10, 0, 0, 0], length: 8 });
  assert.is(parsePrefix("::1")?.length, 128);
  for (const wrong of ["10/8", "10.1", "10.0.0.0/33", "nonsense", "", "10.0.0.0/"])
    assert.is(parsePrefix(wrong), undefined, wrong);
  assert.equal(parsePorts("5-6"), [5, 6]);
  for (const wrong of ["6-5", "65536", "-1", "a", "1-2-3", ""]) assert.is(parsePorts(wrong), undefined, wrong);
});

test.run();
