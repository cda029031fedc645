import { readFileSync, writeFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openRx } from "../runtime/nic/drivers.js";
import { generate } from "../runtime/nic/generator/generate.js";
import type { GeneratorInput } from "../runtime/nic/generator/options.js";
import { parsePorts, parsePrefix } from "../runtime/nic/generator/values.js";
import { parsePortString } from "../runtime/nic/port-config.js";
import { FLAG, SLOT_SHIFT } from "../runtime/packet/arena.js";
import { Gate } from "../runtime/packet/gate.js";
import { config, distinct, frames, gated } from "./generator-util.js";
import { arena, context, drain, type Frame, fresh, readFile, rejects, SLOTS } from "./ports-util.js";

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
  assert.throws(() => parsePortString("generator:size"), /"size" in the port's options is not KEY=VALUE/);
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
