import { test } from "uvu";
import * as assert from "uvu/assert";
import { compileSelectors, type SelectorSpec } from "../runtime/chain/selector.js";
import { selectorSchema } from "../runtime/chain/selector-schema.js";
import { ConfigError } from "../runtime/errors.js";
import { Arena } from "../runtime/packet/arena.js";
import { Gate } from "../runtime/packet/gate.js";
import { validate } from "../runtime/validate.js";
import * as f from "./support/frames.js";
import { gateReference } from "./support/gate-reference.js";
import { freshSeed, Random } from "./support/random.js";
import { address4, address6, randomFrame } from "./support/random-frames.js";
import { firstMatchReference } from "./support/selector-reference.js";

const seed = freshSeed();
const r = new Random(seed);
const PORTS = ["lan", "wan", "dmz"];

/** The prefix of `length` bits that `address` lies in, as text. */
function prefixOf(address: string, length: number): string {
  const bytes = f.addressBytes(address);
  const network = bytes.map((byte, i) => byte & (0xff00 >> Math.max(0, Math.min(8, length - i * 8))));
  if (bytes.length === 4) return `${network.join(".")}/${length}`;
  const view = new DataView(network.buffer);
  return `${Array.from({ length: 8 }, (_, i) => view.getUint16(i * 2).toString(16)).join(":")}/${length}`;
}

const randomPrefix = () => {
  const v6 = r.chance(0.5);
  if (r.chance(0.1)) return v6 ? address6(r) : address4(r);
  const max = v6 ? 128 : 32;
  // Around the lengths at which the test's networks differ, and the boundaries between words.
  const length = r.pick([
    0,
    8,
    13,
    14,
    15,
    16,
    22,
    24,
    31,
    32,
    ...(v6 ? [33, 46, 47, 48, 62, 64, 65, 96, 127, 128] : []),
    r.int(0, max),
  ]);
  return prefixOf(v6 ? address6(r) : address4(r), length);
};
const oneOrMore = <T>(make: () => T): T | T[] => (r.chance(0.6) ? make() : Array.from({ length: r.int(1, 3) }, make));
const randomRanges = (max: number) => {
  if (r.chance(0.3)) return r.int(0, max);
  const range = () => {
    const low = r.int(0, max);
    return r.chance(0.5) ? `${low}` : `${low}-${r.int(low, max)}`;
  };
  return Array.from({ length: r.int(1, 3) }, range).join(",");
};

function randomSpec(): SelectorSpec {
  const spec: SelectorSpec = {};
  const share = r.pick([0.1, 0.2, 0.4]);
  if (r.chance(share)) spec.src = oneOrMore(randomPrefix);
  if (r.chance(share)) spec.dst = oneOrMore(randomPrefix);
  if (r.chance(share))
    spec.proto = oneOrMore(() => r.pick(["tcp", "udp", "icmp", "icmpv6", "esp", "sctp", "ah", 17, 253]));
  if (r.chance(share)) spec.sport = randomRanges(r.pick([60, 65535]));
  if (r.chance(share)) spec.dport = randomRanges(r.pick([60, 65535]));
  if (r.chance(share)) spec.port = r.pick(PORTS);
  if (r.chance(share)) spec.vlan = randomRanges(4095);
  if (r.chance(share)) spec.dscp = randomRanges(63);
  if (r.chance(share)) spec.fragment = r.chance(0.5);
  return Object.keys(spec).length === 0 ? { dscp: randomRanges(63) } : spec;
}

test("random selectors on random frames: the first match is the reference's", () => {
  const slots = 64;
  const arena = Arena.create(slots);
  const gate = new Gate(arena);
  const all = Uint32Array.from({ length: slots }, (_, i) => i);
  let [hits, misses] = [0, 0];
  for (let round = 0; round < 200; round++) {
    const frames = Array.from({ length: slots }, () => {
      for (;;) {
        const frame = randomFrame(r, 40);
        const verdict = gateReference(frame);
        if (verdict.reason === "" && verdict.l3 !== 0) return { frame, verdict, port: r.int(0, PORTS.length - 1) };
      }
    });
    frames.forEach(({ frame, port }, slot) => {
      f.place(arena, slot, frame, { port });
    });
    assert.is(gate.check(all, slots, new Uint8Array(slots)), 0);
    for (let list = 0; list < 3; list++) {
      const specs = Array.from({ length: r.int(0, 6) }, randomSpec);
      for (const spec of specs) validate(selectorSchema, spec, "random");
      const firstMatch = compileSelectors(specs, PORTS, arena);
      frames.forEach(({ frame, verdict, port }, slot) => {
        const expected = firstMatchReference(specs, frame, verdict, PORTS[port]!);
        const hex = Buffer.from(frame).toString("hex");
        assert.is(firstMatch(slot), expected, `seed ${seed}: ${JSON.stringify(specs)} on ${hex} by ${PORTS[port]}`);
        if (expected < specs.length) hits++;
        else misses++;
      });
    }
  }
  assert.ok(hits > 3000 && misses > 3000, `${hits} hits, ${misses} misses: the test lost its power`);
  arena.free();
});

test("each key on both sides of its boundary", () => {
  const arena = Arena.create(1);
  const gate = new Gate(arena);
  const matches = (spec: SelectorSpec, frame: Uint8Array, port = 0) => {
    f.place(arena, 0, frame, { port });
    assert.is(gate.check(Uint32Array.of(0), 1, new Uint8Array(1)), 0, "the gate must pass it");
    const answer = compileSelectors([spec], PORTS, arena)(0) === 0;
    const verdict = gateReference(frame);
    if (verdict.reason !== "") throw new Error(verdict.reason);
    assert.is(firstMatchReference([spec], frame, verdict, PORTS[port]!) === 0, answer, JSON.stringify(spec));
    return answer;
  };
  const none = new Uint8Array(8);
  const v4 = (o: f.Ipv4Options, s = f.udp({ sport: 50, dport: 60 }, none)) => f.ethernet({}, f.ipv4(o, s));
  const v6 = (o: f.Ipv6Options, s = f.udp({ sport: 50, dport: 60 }, none)) => f.ethernet({}, f.ipv6(o, s));

  assert.ok(matches({}, v4({})), "nothing asked");
  for (const [address, yes] of [
    ["10.127.255.255", false],
    ["10.128.0.0", true],
    ["10.191.255.255", true],
    ["10.192.0.0", false],
  ] as const) {
    assert.is(matches({ dst: "10.128.0.0/10" }, v4({ dst: address })), yes, address);
    assert.is(matches({ src: "10.128.0.0/10" }, v4({ src: address })), yes, address);
  }
  assert.ok(matches({ dst: "255.255.255.255" }, v4({ dst: "255.255.255.255" })));
  assert.ok(matches({ dst: "0.0.0.0/0" }, v4({})) && !matches({ dst: "0.0.0.0/0" }, v6({})), "all of IPv4 is not IPv6");
  assert.ok(matches({ dst: "::/0" }, v6({})) && !matches({ dst: "::/0" }, v4({})), "and the other way round");
  assert.ok(matches({ src: "2001:db8:0:8000::/49" }, v6({ src: "2001:db8:0:ffff::1" })));
  assert.not(matches({ src: "2001:db8:0:8000::/49" }, v6({ src: "2001:db8:0:7fff::1" })));
  for (const frame of [v4({ tos: 46 << 2 }), v4({ tos: (46 << 2) | 3 }), v6({ trafficClass: (46 << 2) | 1 })]) {
    assert.ok(matches({ dscp: 46 }, frame) && !matches({ dscp: "0-45,47-63" }, frame));
  }
  assert.ok(matches({ sport: "1-50", dport: "60-65535" }, v4({})));
  assert.not(matches({ sport: "1-49,51" }, v4({})));
  assert.not(matches({ dport: "0-65535" }, v4({}, f.icmp({}, none))), "ICMP has no ports");
  assert.not(matches({ dport: "0-65535" }, v4({ fragment: 0x2000 })), "a fragment has none either");
  assert.ok(matches({ fragment: true }, v4({ fragment: 9 })) && matches({ fragment: false }, v4({ fragment: 0x4000 })));
  assert.not(matches({ vlan: "0-4095" }, v4({})), "no tag, no VLAN");
  const tagged = f.ethernet({ vlans: [[0x88a8, 0xf000], 7] }, f.ipv4({}, f.esp(1, 1, none)));
  assert.ok(matches({ vlan: 0, proto: "esp" }, tagged) && !matches({ vlan: 7 }, tagged), "the outermost");
  assert.ok(matches({ port: "wan" }, v4({}), 1) && !matches({ port: "wan" }, v4({}), 0));
  arena.free();
});

test("a selector of an unknown port matches nothing", () => {
  const arena = Arena.create(1);
  arena.portIn[0] = 255;
  assert.is(compileSelectors([{ port: "nowhere" }], PORTS, arena)(0), 1);
  arena.free();
});

test("the schema refuses, and says which key, what was found and what was expected", () => {
  const where = "chain.json: types.voip";
  for (const [value, ...words] of [
    [
      { dsst: "10.0.0.0/8" },
      'unknown key "dsst"',
      "known keys: src, dst, proto, sport, dport, port, vlan, dscp, fragment",
    ],
    [{ src: "10.0.0.0/33" }, "src: expected a prefix length of 0 to 32", '"10.0.0.0/33"'],
    [{ src: "::/129" }, "src: expected a prefix length of 0 to 128"],
    [{ src: "10.0.0.0/" }, "src: expected a prefix length"],
    [{ src: ["10.0.0.0/8", "10.1/16"] }, "src[1]: expected an IPv4 or IPv6 prefix"],
    [{ src: "10.1.0.1/16" }, "did you mean 10.1.0.0/16?"],
    [{ dst: "2001:db8::1/32" }, "did you mean 2001:db8::/32?"],
    [{ dst: "010.0.0.0/8" }, "dst: expected an IPv4 or IPv6 prefix"],
    [{ dst: "0x0a.0.0.0/8" }, "dst: expected an IPv4 or IPv6 prefix"],
    [{ dst: "fe80::1%eth0" }, "dst: expected an IPv4 or IPv6 prefix"],
    [{ dst: "1.2.3.4/8/8" }, "dst: expected an IPv4 or IPv6 prefix"],
    [{ src: 5 }, "src: expected string", "or expected array", "found 5"],
    [{ src: [] }, "src: Too small", "found []"],
    [{ proto: "tpc" }, "proto: unknown protocol; known: icmp", '"tpc"'],
    [{ proto: ["udp", "constructor"] }, "proto[1]: unknown protocol"],
    [{ proto: "toString" }, "proto: unknown protocol"],
    [{ proto: "__proto__" }, "proto: unknown protocol"],
    [{ proto: 256 }, "proto: Too big", "255"],
    [{ sport: 65536 }, "sport: expected a number, or ranges", "within 0 to 65535", "found 65536"],
    [{ sport: "10-5" }, "sport: expected a number, or ranges"],
    [{ dport: "80," }, "dport: expected a number, or ranges"],
    [{ dport: 1.5 }, "dport: expected a number, or ranges"],
    [{ dport: "80;90" }, "dport: expected a number, or ranges"],
    [{ dport: null }, "dport: expected number, received null; or expected string"],
    [{ vlan: 4096 }, "vlan: ", "within 0 to 4095"],
    [{ dscp: -1 }, "dscp: ", "within 0 to 63"],
    [{ port: 3 }, "port: expected string"],
    [{ fragment: "yes" }, "fragment: expected boolean", '"yes"'],
    ["10.0.0.0/8", "expected object, received string"],
  ] as const) {
    const label = JSON.stringify(value);
    try {
      validate(selectorSchema, value, where);
    } catch (error) {
      assert.ok(error instanceof ConfigError && error.exitCode === 2, label);
      assert.ok(error.message.startsWith(`${where}: `), `${label}: ${error.message}`);
      for (const word of words) assert.ok(error.message.includes(word), `${label}: "${word}" not in: ${error.message}`);
      continue;
    }
    assert.unreachable(`${label} was accepted`);
  }
  const both = () => validate(selectorSchema, { vlan: 9999, proto: "x" }, where);
  assert.throws(both, (error: Error) => error.message.includes("vlan: ") && error.message.includes("proto: "));
});

test.run();
