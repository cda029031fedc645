/** ICMP errors of the gateway's own, against a plain builder, on random frames; their rate, and what must never be answered. */
import type { NetworkInterfaceInfo } from "node:os";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Answer } from "../runtime/engine/icmp/answers.js";
import { planIcmp } from "../runtime/engine/icmp/answers.js";
import { ArrivalNotes } from "../runtime/engine/icmp/notes.js";
import { IcmpOriginator } from "../runtime/engine/icmp/originator.js";
import { LIMIT_BYTES, MESSAGE_BURST, MESSAGES_PER_SECOND, RateLimit } from "../runtime/engine/icmp/rate-limit.js";
import { addressesOf, broadcastsAt } from "../runtime/nic/addresses.js";
import { broadcastsIn, broadcastsOf } from "../runtime/nic/net/interface.js";
import { parsePort } from "../runtime/nic/port-config.js";
import { Arena, FLAG, NO_PORT } from "../runtime/packet/arena.js";
import { Gate } from "../runtime/packet/gate.js";
import { addressBytes, ethernet, fragment6, icmp, ipv4, ipv6, place, raw, udp } from "./support/frames.js";
import { icmpReference, type Question, routed } from "./support/icmp-reference.js";
import { freshSeed, Random } from "./support/random.js";
import { randomFrame, repairIpv4Checksum } from "./support/random-frames.js";

const seed = freshSeed();
const ADDRESS = "10.0.0.254";
const ADDRESS6 = "2001:db8::fe";
const octets = (text: string) => [...addressBytes(text)];
const OWN = [octets(ADDRESS), octets(ADDRESS6)];
const EGRESS_MTU = 1300;
const LARGEST = 1390;
/** Drops: time exceeded; too big for an NF; too big for a port; none of these; and further ones. */
const ANSWERS: readonly (Answer | undefined)[] = [
  { icmp: "time-exceeded" },
  { icmp: "too-big", largest: LARGEST },
  { icmp: "too-big" },
  undefined,
];
const port = (mtu: number | undefined, ipv4?: string, ipv6?: string, tx = true) => ({
  ...{ rx: true, tx, mtu },
  addresses: {
    ipv4: ipv4 === undefined ? undefined : octets(ipv4),
    ipv6: ipv6 === undefined ? undefined : octets(ipv6),
  },
});
/** The last one is where packets would leave. */
const PORTS = [
  port(1500, ADDRESS, ADDRESS6),
  port(300, ADDRESS),
  port(undefined, undefined, ADDRESS6),
  port(EGRESS_MTU),
];

const arena = Arena.create(4);
const gate = new Gate(arena, true);
const plain = new Gate(arena);
const slots = Uint32Array.of(1);
const reasons = new Uint8Array(1);

function makeOriginator(id = 0) {
  const plan = planIcmp(PORTS, ANSWERS, arena.slots)!;
  return { originator: new IcmpOriginator(PORTS, plan, arena, id), notes: new ArrivalNotes(arena, plan.notes) };
}

/** Receives a frame in slot 1. @returns false where the gate refuses it */
function receive(notes: ArrivalNotes, frame: Uint8Array, from = 0, offset = 256): boolean {
  place(arena, 1, frame, { port: from, offset });
  const passed = plain.check(slots, 1, reasons) === 0;
  notes.take(slots, 1);
  return passed;
}

function frameIn(slot: number): Uint8Array {
  const at = slot * 2048 + arena.off[slot]!;
  return arena.u8.slice(at, at + arena.len[slot]!);
}

/** Addresses, types and lengths that decide. */
function unusual(r: Random): Uint8Array {
  const v6 = r.chance(0.4);
  // Both sides of what fits: IP header and 8 bytes come on top.
  const [least, most] = [v6 ? 48 : 28, r.pick([1280, EGRESS_MTU, LARGEST, 576])];
  const rest = r.bytes(r.chance(0.3) ? r.pick([4, 40, 1500]) : most - least + r.int(0, 1));
  const segment = r.chance(0.1)
    ? raw(v6 ? 58 : 1, r.bytes(r.int(0, 1)))
    : r.chance(0.5)
      ? icmp({ type: v6 ? r.pick([1, 2, 127, 128, 129, 137, 255]) : r.int(0, 20), v6 }, r.bytes(4 + rest.length))
      : udp({}, rest);
  const macs = { dst: r.chance(0.1) ? [255, 255, 255, 255, 255, 255] : [2, 0, 0, 0, 0, 1] };
  const src = r.chance(0.1) ? [r.pick([0, 1]), 0, 0, 0, 0, 0] : [2, 0, 0, 0, 0, 2];
  if (v6) {
    const address = () =>
      r.chance(0.6) ? "2001:db8::7" : r.pick(["::", "::1", "::2", "ff02::1", ADDRESS6, "fe80::1"]);
    return ethernet({ ...macs, src }, ipv6({ src: address(), dst: address(), hopLimit: r.int(0, 2) }, segment));
  }
  const odd = [
    "0.0.0.0",
    "127.0.0.1",
    "224.0.0.1",
    "240.1.1.1",
    "255.255.255.255",
    "223.255.255.1",
    ADDRESS,
    "1.0.0.1",
  ];
  const address = () => (r.chance(0.6) ? "10.3.2.1" : r.pick(odd));
  const fragment = r.pick([0, 0x4000, 0x4000, 0x2000, 0x6000, 0x4001, 100]);
  return ethernet({ ...macs, src }, ipv4({ src: address(), dst: address(), ttl: r.int(0, 2), fragment }, segment));
}

/** A random frame that may not be fragmented, mostly; with a TTL that may be at its end. */
function usual(r: Random): Uint8Array {
  const frame = randomFrame(r, r.pick([100, 600, 1500]));
  let at = 12;
  const view = new DataView(frame.buffer);
  while (at + 6 < frame.length && [0x8100, 0x88a8, 0x9100].includes(view.getUint16(at))) at += 4;
  if (at + 30 < frame.length && view.getUint16(at) === 0x0800) {
    frame[at + 10] = r.int(1, 3);
    if (r.chance(0.8)) frame[at + 8] = frame[at + 8]! | 0x40;
    repairIpv4Checksum(frame);
  }
  return frame;
}

test(`messages are those a plain builder makes, and only where one is due (seed ${seed})`, () => {
  const r = new Random(seed);
  const { originator, notes } = makeOriginator(0xfff0);
  let id = 0xfff0;
  const seen = { answered4: 0, answered6: 0, silent: 0 };
  for (let round = 0; round < 6000; round++) {
    const what = `round ${round}, seed ${seed}`;
    const frame = r.chance(0.5) ? usual(r) : unusual(r);
    const from = r.int(0, 3);
    // A frame that follows an outer header, or one with other alignment.
    if (!receive(notes, frame, from, 256 + 2 * r.int(0, 3))) continue;
    if (r.chance(0.5)) {
      const after = routed(frame, r.int(0, 63));
      arena.u8.set(after, 2048 + arena.off[1]!);
    }
    const drop = r.int(0, 2);
    const question: Question = {
      kind: drop === 0 ? "time-exceeded" : "too-big",
      largest: drop === 1 ? LARGEST : EGRESS_MTU,
      address: from < 2 ? ADDRESS : undefined,
      address6: from === 0 || from === 2 ? ADDRESS6 : undefined,
      own: OWN,
      mtu: PORTS[from]!.mtu ?? Number.POSITIVE_INFINITY,
      id,
    };
    const expected = icmpReference(frame, question);
    // Late enough for another message.
    const left = originator.answer(1, drop, drop === 2 ? 3 : NO_PORT, round * 2e6);
    if (expected === undefined) {
      assert.is(left, NO_PORT, what);
      seen.silent++;
      continue;
    }
    assert.is(left, from, what);
    assert.equal([...frameIn(1)], [...expected], what);
    const v4 = (arena.flags[1]! & FLAG.IPV4) !== 0;
    if (v4) id = (id + 1) & 0xffff;
    seen[v4 ? "answered4" : "answered6"]++;
    // What is written about it is what the gate finds, checksums included.
    const fields = [
      "l3",
      "l3end",
      "l4",
      "payload",
      "payloadEnd",
      "flags",
      "proto",
      "sport",
      "dport",
      "portOut",
    ] as const;
    const written = fields.map((field) => arena[field][1]!);
    assert.is(gate.check(slots, 1, reasons), 0, what);
    assert.equal(
      written,
      fields.map((field) => arena[field][1]!),
      what,
    );
  }
  for (const count of Object.values(seen)) assert.ok(count > 100, JSON.stringify(seen));
});

const datagram = (bytes = 100, more: object = {}) =>
  ethernet(
    {},
    ipv4({ src: "10.3.2.1", dst: "10.4.5.6", ttl: 1, fragment: 0x4000, ...more }, udp({}, new Uint8Array(bytes))),
  );

test("drops that nobody has to be told of, and packets that are no longer those that came, have no answer", () => {
  const { originator, notes } = makeOriginator();
  let now = 0;
  const answer = (drop: number, egress = NO_PORT) => {
    now += 1e9;
    return originator.answer(1, drop, egress, now);
  };
  const again = () => assert.ok(receive(notes, datagram()));
  again();
  assert.is(answer(0), 0, "the packet as it came");
  again();
  assert.is(answer(3), NO_PORT, "of a drop without a message");
  assert.is(answer(4), NO_PORT, "of a drop the plan's answers do not reach");
  assert.is(answer(NO_PORT), NO_PORT);
  const six = ethernet({}, ipv6({}, udp({}, new Uint8Array(1400))));
  assert.ok(receive(notes, six));
  assert.is(answer(2), NO_PORT, "too long for nobody knows what");
  assert.is(answer(2, 3), 0);
  assert.ok(receive(notes, ethernet({}, ipv6({ extensions: [fragment6(0, true)] }, raw(58, new Uint8Array(0))))));
  assert.is(answer(0), NO_PORT, "ICMPv6 without its type");
  again();
  notes.markOpened(1);
  assert.is(answer(0), NO_PORT, "out of a tunnel");
  // A tunnel header more, and the packet that was opened before in a place where one had been received.
  again();
  arena.l3[1] = arena.l3[1]! - 44;
  arena.off[1] = arena.off[1]! - 44;
  assert.is(answer(0), NO_PORT, "in a tunnel");
  again();
  arena.u8[2048 + arena.l3[1]! + 19] = 7;
  assert.is(answer(0), NO_PORT, "to another destination");
  // Room in front of the frame for everything but a byte.
  assert.ok(receive(notes, datagram(), 0, 26));
  assert.is(answer(0), NO_PORT, "no room");
  assert.ok(receive(notes, datagram(), 0, 28));
  assert.is(answer(0), 0);
});

test("at most a burst at once, then so many a second", () => {
  const { originator, notes } = makeOriginator();
  const send = (now: number) => {
    assert.ok(receive(notes, datagram()));
    return originator.answer(1, 0, NO_PORT, now) === 0 ? 1 : 0;
  };
  let sent = 0;
  for (let i = 0; i < 200; i++) sent += send(5e9);
  assert.is(sent, MESSAGE_BURST);
  for (let i = 0; i < 1000; i++) sent += send(5e9 + i * 1e5);
  assert.ok(Math.abs(sent - MESSAGE_BURST - MESSAGES_PER_SECOND / 10) <= 1, `${sent}`);
  for (let i = 0; i < 200; i++) sent += send(100e9);
  assert.ok(Math.abs(sent - 2 * MESSAGE_BURST - MESSAGES_PER_SECOND / 10) <= 1, `${sent}`);
});

test("all threads of a run have one limit, whatever their clocks differ by, and however long nothing was sent", () => {
  const word = new SharedArrayBuffer(LIMIT_BYTES);
  const threads = [new RateLimit(word), new RateLimit(word), new RateLimit(word)];
  // A turn of all threads, each with a clock of its own.
  const send = (turns: number, now: number) => {
    let sent = 0;
    for (let i = 0; i < turns; i++)
      threads.forEach((limit, late) => {
        const at = now - late * 3e6;
        const allowed = limit.allows(at);
        const taken = limit.take(at);
        assert.is(taken, allowed);
        if (taken) sent++;
      });
    return sent;
  };
  assert.is(send(100, 5e9), MESSAGE_BURST);
  assert.is(send(100, 5e9), 0);
  assert.is(send(100, 5e9 + 7e6), 7);
  // The word has come round once, half, and by all but so many ms.
  const ROUND = 2 ** 32 * 1e6;
  let now = 5e9 + 7e6;
  for (const idle of [ROUND / 2 + 1e6, ROUND - 3_600_000e6, ROUND / 4, ROUND + 1e9]) {
    now += idle;
    assert.is(send(100, now), MESSAGE_BURST, `after ${idle} ns`);
  }
  // What is not sent costs nothing.
  for (let i = 0; i < 100; i++) assert.ok(threads[0]!.allows(now + 1e9));
});

test("nobody is told about what went to all hosts of a network of the gateway's, or came from them", () => {
  const ports = PORTS.map((one, i) => ({ ...one, broadcasts: i === 3 ? broadcastsIn(0x0a040580, 0xffffff80) : [] }));
  const plan = planIcmp(ports, ANSWERS, arena.slots)!;
  const originator = new IcmpOriginator(ports, plan, arena, 0);
  const notes = new ArrivalNotes(arena, plan.notes);
  const answer = (more: object) => {
    assert.ok(receive(notes, datagram(100, more)));
    return originator.answer(1, 0, NO_PORT, 1e9);
  };
  for (const address of ["10.4.5.255", "10.4.5.128"]) {
    assert.is(answer({ dst: address }), NO_PORT, `to ${address}`);
    assert.is(answer({ src: address }), NO_PORT, `from ${address}`);
  }
  for (const address of ["10.4.5.254", "10.4.5.127", "10.4.6.255"]) assert.is(answer({ dst: address }), 0, address);
  // The key of a port whose interface has no address of its own, or is not there.
  const config = { interface: "nix", address: "10.4.5.129/25" };
  assert.equal(broadcastsAt(config), [0x0a0405ff, 0x0a040580]);
  assert.equal(addressesOf(config).ipv4, [10, 4, 5, 129]);
  assert.equal(broadcastsAt({ interface: "nix", address: "10.4.5.129" }), []);
  for (const address of [
    "10.4.5.129/33",
    "10.4.5.129/",
    "10.4.5/24",
    "224.0.0.1/4",
    "10.4.5.255/25",
    "10.4.5.128/25",
  ]) {
    assert.throws(() => parsePort({ driver: "xdp", interface: "eth1", address }, "port"), /address/, address);
  }
  // What the system lists by an address's label is the interface's; another's name may begin like it.
  const listed = (address: string) => [{ family: "IPv4", address, netmask: "255.255.255.0" } as NetworkInterfaceInfo];
  const all = { nix: listed("10.1.2.3"), "nix:1": listed("10.1.3.3"), nix1: listed("10.1.4.3") };
  assert.equal(broadcastsOf("nix", all), [0x0a0102ff, 0x0a010200, 0x0a0103ff, 0x0a010300]);
  assert.equal(broadcastsIn(0xc0000201, 0xffffffff), [], "a host's");
  assert.equal(broadcastsIn(0xc0000201, 0xfffffffe), [], "of two addresses, RFC 3021");
});

test("where no port receives and sends with an address, nothing is noted", () => {
  assert.is(planIcmp([port(1500), port(1500, ADDRESS, undefined, false)], ANSWERS, 4), undefined);
  assert.is(planIcmp([{ rx: true, tx: true, mtu: 1500 }], ANSWERS, 4), undefined);
  assert.ok(planIcmp([port(1500, undefined, ADDRESS6)], ANSWERS, 4));
});

test.run();
