import { test } from "uvu";
import * as assert from "uvu/assert";
import { Arena, MAX_FRAME, RX_ERROR } from "../runtime/packet/arena.js";
import { GATE_REASONS, Gate } from "../runtime/packet/gate.js";
import * as f from "./support/frames.js";
import { GateCheck } from "./support/gate-check.js";
import type { Verdict } from "./support/gate-reference.js";
import { freshSeed, Random } from "./support/random.js";

const check = new GateCheck();
const seed = freshSeed();
const r = new Random(seed);

/** Both gates must agree with each other and with what the test expects by hand. */
function expectReason(frame: Uint8Array, reason: string, what: string, verifyL4 = false): Verdict {
  const verdict = check.compare(frame, r, verifyL4);
  assert.is(verdict.reason, reason, what);
  return verdict;
}

function expectMeta(frame: Uint8Array, expected: Partial<Record<string, unknown>>, what: string): void {
  const verdict = expectReason(frame, "", what) as unknown as Record<string, unknown>;
  for (const [key, value] of Object.entries(expected)) assert.equal(verdict[key], value, `${what}: ${key}`);
}

const data = (bytes: number) => new Uint8Array(bytes).fill(0x5a);
const v4 = (o: f.Ipv4Options, s: f.Segment, e: f.EthernetOptions = {}) => f.ethernet(e, f.ipv4(o, s));
const v6 = (o: f.Ipv6Options, s: f.Segment, e: f.EthernetOptions = {}) => f.ethernet(e, f.ipv6(o, s));

test("runt: 13 and 14 bytes; tags that do not fit", () => {
  const frame = f.ethernet({ vlans: [5, 6] }, { etherType: 0x88cc, bytes: data(0) });
  expectReason(new Uint8Array(0), "runt", "empty");
  expectReason(frame.slice(0, 13), "runt", "13 bytes");
  for (let bytes = 14; bytes < frame.length; bytes++)
    expectReason(frame.slice(0, bytes), "runt", `${bytes} bytes, tag cut`);
  expectMeta(frame, { vlan: 5, l3: 0, flags: ["VLAN"] }, "two whole tags");
  expectReason(f.ethernet({}, { etherType: 0x0806, bytes: data(0) }), "", "14 bytes of something else");
  for (const etherType of [0x0800, 0x86dd]) {
    expectReason(f.ethernet({}, { etherType, bytes: data(0) }), "bad-length", "an IP header must follow");
  }
});

test("truncated and too-long are what the port saw, before anything else", () => {
  const arena = Arena.create(2);
  const gate = new Gate(arena);
  const reasons = new Uint8Array(1);
  const judge = (frame: Uint8Array, options: f.PlaceOptions) => {
    f.place(arena, 0, frame, options);
    gate.check(Uint32Array.of(0), 1, reasons);
    return GATE_REASONS[reasons[0]!];
  };
  const frame = v4({}, f.udp({}, data(20)));
  assert.is(judge(frame, { wireLen: frame.length }), "");
  assert.is(judge(frame, { wireLen: frame.length + 1 }), "truncated");
  assert.is(judge(data(3), { wireLen: 4 }), "truncated", "not runt");
  assert.is(judge(v4({}, f.udp({}, data(MAX_FRAME - 42))), {}), "", "the longest frame");
  assert.is(judge(v4({}, f.udp({}, data(MAX_FRAME - 41))), {}), "too-long", "one byte more");
  assert.is(judge(frame, { rxError: RX_ERROR.TOO_LONG | RX_ERROR.TRUNCATED }), "too-long", "both");
  arena.free();
});

test("IPv4: header length, total length, version, checksum", () => {
  const udp = f.udp({}, data(10));
  const total = 20 + udp.bytes.length;
  expectMeta(
    v4({}, udp),
    { l3: 14, l4: 34, payload: 42, payloadEnd: 52, l3end: 52, proto: 17, flags: ["IPV4", "L4"] },
    "plain",
  );
  expectMeta(v4({}, udp, { padding: 30 }), { l3end: 52, payloadEnd: 52 }, "Ethernet padding is not payload");
  for (const vlans of [[], [3]]) {
    expectReason(v4({ totalLength: total + 1 }, udp, { vlans }), "bad-length", "total length one over the frame");
    expectReason(v4({ totalLength: total + 1 }, udp, { vlans, padding: 1 }), "", "or just within it");
    expectReason(v4({ totalLength: 0 }, udp, { vlans }), "bad-length", "total length 0");
    expectReason(
      v4({ totalLength: 19 }, f.raw(253, data(0)), { vlans }),
      "bad-length",
      "total length under the header",
    );
    expectReason(v4({ totalLength: 20 }, f.raw(253, data(0)), { vlans }), "", "nothing but a header");
    expectReason(v4({ headerWords: 4 }, udp, { vlans }), "bad-length", "header of 16 bytes");
    expectReason(v4({ headerWords: 0 }, udp, { vlans }), "bad-length", "header of 0 bytes");
    expectReason(
      v4({ headerWords: 15 }, f.raw(253, data(39)), { vlans }),
      "bad-length",
      "header longer than the packet",
    );
    expectReason(v4({ version: 5 }, udp, { vlans }), "bad-length", "version 5");
    expectReason(v4({ checksum: 0x1234 }, udp, { vlans }), "bad-checksum", "checksum");
    expectReason(v4({ checksum: 0x1234, totalLength: 2000 }, udp, { vlans }), "bad-length", "a length lie goes first");
    const frame = v4({}, udp, { vlans });
    for (let bytes = 14 + vlans.length * 4; bytes < frame.length; bytes++) {
      expectReason(frame.slice(0, bytes), "bad-length", `cut to ${bytes}`);
    }
  }
});

test("every single-bit error of an IPv4 header is caught or a length lie, and none passes", () => {
  for (const options of [[], [7, 7, 4, 0, 0, 0, 0]]) {
    const frame = v4({ options }, f.udp({}, data(8)));
    const header = (frame[14]! & 15) * 4;
    for (let bit = 14 * 8; bit < (14 + header) * 8; bit++) {
      const bad = frame.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      assert.not.equal(check.compare(bad, r, false).reason, "", `bit ${bit} flipped`);
    }
  }
});

test("IPv4 options", () => {
  const udp = f.udp({}, data(4));
  expectMeta(v4({ options: [1, 1, 1, 1] }, udp), { l4: 38, payload: 46 }, "four NOPs");
  expectMeta(v4({ options: [148, 4, 0, 0] }, udp), { l4: 38 }, "router alert");
  expectMeta(v4({ options: new Array(40).fill(1) }, udp), { l4: 74 }, "the longest header");
  expectReason(v4({ options: [0, 255, 255, 255] }, udp), "", "anything behind END");
  expectReason(v4({ options: [7, 4, 4, 1] }, udp), "", "option that ends with the header");
  expectReason(v4({ options: [1, 7, 3, 4] }, udp), "", "NOP and an option of 3");
  expectReason(v4({ options: [7, 5, 4, 1] }, udp), "bad-length", "option one over the header");
  expectReason(v4({ options: [7, 1, 0, 0] }, udp), "bad-length", "option of length 1");
  expectReason(v4({ options: [7, 0, 0, 0] }, udp), "bad-length", "option of length 0");
  expectReason(v4({ options: [1, 1, 1, 7] }, udp), "bad-length", "kind without a length");
});

test("fragments: flags, and none behind the longest datagram (ping of death)", () => {
  const bytes = f.raw(17, data(24));
  expectMeta(
    v4({ fragment: 0x2000 }, bytes),
    { flags: ["IPV4", "FRAGMENT"], l4: 34, payload: 34, payloadEnd: 58, sport: 0 },
    "first",
  );
  expectMeta(v4({ fragment: 5 }, bytes), { flags: ["IPV4", "FRAGMENT", "LATER_FRAGMENT"], proto: 17 }, "last");
  expectMeta(v4({ fragment: 0x4000 }, f.udp({}, data(1))), { flags: ["IPV4", "L4"] }, "DF is not a fragment");
  // 8186 x 8 + 20 + 27 = 65535
  expectReason(v4({ fragment: 8186 }, f.raw(1, data(27))), "", "ends at 65535");
  expectReason(v4({ fragment: 8186 }, f.raw(1, data(28))), "bad-length", "ends at 65536");
  expectReason(v4({ fragment: 8191 }, f.raw(1, data(8))), "bad-length", "the last offset");
  expectReason(v4({ fragment: 0x1fff | 0x2000 }, f.raw(1, data(1400)), { vlans: [2] }), "bad-length", "ping of death");

  const six = (offset: number, more: boolean, length: number, before: f.Extension[] = []) =>
    v6({ extensions: [...before, f.fragment6(offset, more)] }, f.raw(17, data(length)));
  expectMeta(six(0, true, 16), { flags: ["IPV6", "FRAGMENT"], l4: 62, proto: 17 }, "first, IPv6");
  expectMeta(six(9, false, 3), { flags: ["IPV6", "FRAGMENT", "LATER_FRAGMENT"], l4: 62 }, "last, IPv6");
  // RFC 8200 section 4.5: 8189 x 8 + 23 = 65535 bytes of payload, extension headers in front counted in
  expectReason(six(8189, false, 23), "", "IPv6 ends at 65535");
  expectReason(six(8189, false, 24), "bad-length", "IPv6 ends at 65536");
  expectReason(six(8188, false, 23, [f.options6(60)]), "", "IPv6 ends at 65535, options in front");
  expectReason(six(8189, false, 23, [f.options6(60)]), "bad-length", "IPv6 ends at 65543, options in front");
});

test("IPv6: lengths, extension headers, atomic and nested fragments", () => {
  const udp = f.udp({}, data(10));
  expectMeta(
    v6({}, udp),
    { l3: 14, l4: 54, payload: 62, payloadEnd: 72, l3end: 72, proto: 17, flags: ["IPV6", "L4"] },
    "plain",
  );
  expectReason(v6({ payloadLength: 19 }, udp), "bad-length", "one over the frame");
  expectReason(v6({ payloadLength: 19 }, udp, { padding: 1 }), "", "or just within it");
  expectReason(v6({ payloadLength: 0 }, udp), "bad-length", "zero-length: no room for UDP");
  expectReason(v6({ payloadLength: 0 }, f.raw(59, data(0))), "", "zero-length without next header");
  expectReason(v6({ version: 4 }, udp), "bad-length", "version 4");
  for (const frame of [v6({}, udp), v6({ extensions: [f.options6(0, 1), f.ah6(12)] }, udp)]) {
    for (let bytes = 14; bytes < frame.length; bytes++) {
      expectReason(frame.slice(0, bytes), "bad-length", `cut to ${bytes}`);
    }
  }
  const all = [f.options6(0), f.options6(60, 1), f.fragment6(0, false), f.ah6(12), f.options6(135)];
  expectMeta(v6({ extensions: all }, udp), { l4: 14 + 40 + 8 + 16 + 8 + 24 + 8, flags: ["IPV6", "L4"] }, "all of them");
  expectMeta(v6({ extensions: [f.routing6(0, "::1")] }, udp), { l4: 78 }, "routing");
  expectMeta(v6({ extensions: [f.ah6(0)] }, f.raw(59, data(0))), { l4: 66, proto: 59 }, "AH without an ICV");
  const short = { type: 51, body: [0, 0, 0, 0, 0, 0, 99] };
  expectReason(v6({ extensions: [short] }, f.raw(59, data(8))), "bad-length", "AH shorter than its fixed part");
  const long = { type: 60, body: [2, 1, 4, 0, 0, 0, 0] };
  expectReason(v6({ extensions: [long] }, f.raw(59, data(15))), "bad-length", "extension header one over the packet");
  expectReason(v6({ extensions: [long] }, f.raw(59, data(16))), "", "extension header that just fits");
  expectReason(v6({ extensions: [] }, f.raw(44, data(7))), "bad-length", "7 bytes of fragment header");
  expectMeta(
    v6({ extensions: [f.fragment6(0, true), f.fragment6(0, false)] }, udp),
    { flags: ["IPV6", "FRAGMENT"], sport: 0 },
    "an atomic fragment header within a first fragment does not make it whole",
  );
  const chain = Array.from({ length: 200 }, () => f.options6(60));
  expectReason(v6({ extensions: chain }, f.udp({}, data(0))), "", "a long chain ends");
});

test("L4 lengths", () => {
  const make = [
    (s: f.Segment) => v4({}, s),
    (s: f.Segment) => v4({ options: [1] }, s),
    (s: f.Segment) => v6({ extensions: [f.options6(60)] }, s),
  ];
  for (const ip of make) {
    expectReason(ip(f.udp({ length: 7 }, data(3))), "bad-length", "UDP length 7");
    expectReason(ip(f.udp({ length: 0 }, data(3))), "bad-length", "UDP length 0");
    expectReason(ip(f.udp({ length: 12 }, data(3))), "bad-length", "UDP length one over");
    expectReason(ip(f.udp({ length: 11 }, data(3))), "", "UDP length right");
    expectReason(ip(f.udp({ length: 8 }, data(0))), "", "UDP without data");
    const inner = ip(f.udp({ length: 9 }, data(3)));
    const verdict = expectReason(inner, "", "UDP shorter than IP") as unknown as Record<string, number>;
    assert.is(verdict.payloadEnd! - verdict.payload!, 1, "payload bounded by the UDP length");
    expectReason(ip(f.raw(17, data(7))), "bad-length", "7 bytes of UDP");
    expectReason(ip(f.raw(6, data(19))), "bad-length", "19 bytes of TCP");
    expectReason(ip(f.tcp({ dataOffset: 4 }, data(30))), "bad-length", "TCP data offset 4");
    expectReason(ip(f.tcp({ dataOffset: 0 }, data(30))), "bad-length", "TCP data offset 0");
    expectReason(ip(f.tcp({ dataOffset: 6 }, data(3))), "bad-length", "TCP data offset one over");
    expectReason(ip(f.tcp({ dataOffset: 6 }, data(4))), "", "TCP header ends with the packet");
    expectReason(ip(f.tcp({ dataOffset: 15 }, data(40))), "", "the longest TCP header");
    for (const [proto, bytes] of [[132, 12]] as const) {
      expectReason(ip(f.raw(proto, data(bytes - 1))), "bad-length", "SCTP cut");
      expectReason(ip(f.raw(proto, data(bytes))), "", "SCTP header alone");
    }
  }
  expectReason(v4({}, f.icmp({}, data(3))), "bad-length", "7 bytes of ICMP");
  expectMeta(v4({}, f.icmp({ type: 3, code: 4 }, data(4))), { sport: 3, dport: 4, payload: 42 }, "ICMP");
  expectReason(v6({}, f.icmp({ v6: true }, data(3))), "bad-length", "7 bytes of ICMPv6");
  expectMeta(v4({}, f.raw(58, data(1))), { flags: ["IPV4"] }, "ICMPv6 within IPv4 is an unknown protocol");
  expectMeta(v6({}, f.raw(1, data(1))), { flags: ["IPV6"] }, "ICMP within IPv6 is an unknown protocol");
  expectMeta(
    v4({}, f.esp(1, 1, data(3))),
    { flags: ["IPV4"], payload: 34, l4: 34, proto: 50 },
    "ESP is not looked into",
  );
});

test("VLAN: outermost id, priority tags, QinQ of all TPIDs", () => {
  const udp = f.udp({ dport: 9 }, data(4));
  expectMeta(
    v4({}, udp, { vlans: [[0x88a8, 0xe123], 7] }),
    { vlan: 0x123, l3: 22, flags: ["IPV4", "VLAN", "L4"] },
    "QinQ",
  );
  expectMeta(v6({}, udp, { vlans: [[0x9100, 4095]] }), { vlan: 4095, l3: 18 }, "old TPID");
  expectMeta(v4({}, udp, { vlans: [[0x8100, 0xe000], 9] }), { vlan: 0, flags: ["IPV4", "VLAN", "L4"] }, "priority tag");
});

test("--verify-l4: checksums, odd lengths, UDP without one, what cannot be verified", () => {
  for (let length = 0; length < 40; length++) {
    for (const segment of [f.udp({}, r.bytes(length)), f.tcp({}, r.bytes(length)), f.icmp({}, r.bytes(4 + length))]) {
      const frame = v4({}, segment, { padding: length % 7 });
      expectReason(frame, "", `length ${length}`, true);
      const bad = frame.slice();
      bad[34 + r.int(8, segment.bytes.length - 1)]! ^= 1 << r.int(0, 7);
      if (length > 0 && segment.proto !== 6) expectReason(bad, "bad-checksum", `length ${length}, one bit wrong`, true);
      if (segment.proto !== 6) expectReason(bad, "", "and passes without --verify-l4");
    }
    const six = length % 2 === 0 ? f.icmp({ v6: true }, r.bytes(4 + length)) : f.udp({}, r.bytes(length));
    const frame = v6({ extensions: [f.options6(60)] }, six);
    expectReason(frame, "", `IPv6, length ${length}`, true);
    frame[14 + 8 + 15]! ^= 1;
    expectReason(frame, "bad-checksum", "IPv6 source address counts", true);
  }
  const none = f.udp({ checksum: 0 }, data(5));
  expectReason(v4({}, none), "", "UDP without checksum, IPv4", true);
  expectReason(v6({}, none), "bad-checksum", "UDP without checksum, IPv6 (RFC 8200 section 8.1)", true);
  expectReason(v6({}, none), "", "IPv6 without --verify-l4");
  expectReason(v4({}, f.udp({ length: 8, checksum: 0 }, data(5))), "", "bounded UDP without checksum", true);
  expectReason(v4({}, f.tcp({ checksum: 0xdead }, data(5))), "bad-checksum", "TCP", true);
  expectReason(v4({ fragment: 0x2000 }, f.tcp({ checksum: 0xdead }, data(5))), "", "not on fragments", true);
  expectReason(v4({}, f.sctp({}, data(5))), "", "not SCTP", true);
  const route = [f.routing6(1, "2001:db8::99")];
  const routed = v6({ extensions: route, finalDst: "2001:db8::99" }, f.udp({}, data(5)));
  expectReason(routed, "", "source-routed: the sender summed the final destination", true);
  const arrived = v6({ extensions: [f.routing6(0, "2001:db8::99")] }, f.udp({ checksum: 0xbad }, data(5)));
  expectReason(arrived, "bad-checksum", "no segments left: verified again", true);
  for (let i = 0; i < 300; i++) {
    // A payload that makes the sum come out as 0: sent as 0xffff.
    const payload = Uint8Array.of(0, 0);
    const probe = f.ipv4({}, f.udp({}, payload)).bytes;
    payload.set(probe.subarray(26, 28));
    const frame = v4({}, f.udp({}, payload));
    assert.equal([...frame.subarray(40, 42)], [255, 255]);
    expectReason(frame, "", "UDP checksum 0xffff", true);
  }
});

test.run();
