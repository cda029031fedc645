import { test } from "uvu";
import * as assert from "uvu/assert";
import { Arena, FLAG, SLOT_SIZE } from "../runtime/packet/arena.js";
import { flowHashes } from "../runtime/packet/flow-hash.js";
import { Gate } from "../runtime/packet/gate.js";
import {
  addressBytes,
  be16,
  esp,
  ethernet,
  fragment6,
  icmp,
  ipv4,
  ipv6,
  options6,
  place,
  raw,
  sctp,
  tcp,
  udp,
} from "./support/frames.js";
import { freshSeed, Random } from "./support/random.js";
import { address4, address6, randomFrame } from "./support/random-frames.js";

/** Toeplitz as Microsoft's RSS documentation states it: for each bit of the input that is set, the key's 32 bits from its place on. */
function toeplitz(key: Uint8Array, input: Uint8Array): number {
  const keyBit = (at: number) => (key[(at >> 3) % key.length]! >> (7 - (at & 7))) & 1;
  let hash = 0;
  for (let bit = 0; bit < 8 * input.length; bit++) {
    if (((input[bit >> 3]! >> (7 - (bit & 7))) & 1) === 0) continue;
    for (let i = 0; i < 32; i++) hash ^= keyBit(bit + i) << (31 - i);
  }
  return hash >>> 0;
}

const SYMMETRIC = Uint8Array.from([0x6d, 0x5a]);
const MICROSOFT = Uint8Array.from(
  "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa".match(/../g)!,
  (hex) => Number.parseInt(hex, 16),
);

test("the reference gives the hashes of Microsoft's verification suite", () => {
  // Windows driver documentation, "Verifying the RSS hash calculation": source, destination, hash of addresses, and with ports.
  const cases: [string, number, string, number, number, number][] = [
    ["66.9.149.187", 2794, "161.142.100.80", 1766, 0x323e8fc2, 0x51ccc178],
    ["199.92.111.2", 14230, "65.69.140.83", 4739, 0xd718262a, 0xc626b0ea],
    ["24.19.198.95", 12898, "12.22.207.184", 38024, 0xd2d0a5de, 0x5c2b394a],
    ["3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x2cc18cd5, 0x40207d3d],
  ];
  for (const [src, sport, dst, dport, two, four] of cases) {
    const addresses = [...addressBytes(src), ...addressBytes(dst)];
    assert.is(toeplitz(MICROSOFT, Uint8Array.from(addresses)), two);
    assert.is(toeplitz(MICROSOFT, Uint8Array.from([...addresses, ...be16(sport), ...be16(dport)])), four);
  }
});

/** What a slot's hash has to be, from its bytes and what the gate found. */
function expected(arena: Arena, slot: number): number {
  const flags = arena.flags[slot]!;
  const at = slot * SLOT_SIZE + arena.l3[slot]!;
  const bytes = (from: number, count: number) => [...arena.u8.subarray(at + from, at + from + count)];
  const proto = arena.proto[slot]!;
  const whole = (flags & (FLAG.FRAGMENT | FLAG.LATER_FRAGMENT)) === 0;
  if ((flags & FLAG.IPV4) !== 0) {
    const ports = whole && [6, 17, 132].includes(proto) ? bytes((bytes(0, 1)[0]! & 15) * 4, 4) : [0, 0, 0, 0];
    return toeplitz(SYMMETRIC, Uint8Array.from([...bytes(12, 8), ...ports, 0, proto]));
  }
  if ((flags & FLAG.IPV6) === 0) return 0;
  const l4 = arena.l4[slot]! - arena.l3[slot]!;
  const ports = whole && [6, 17, 132].includes(proto) ? bytes(l4, 4) : [0, 0, 0, 0];
  return toeplitz(SYMMETRIC, Uint8Array.from([...bytes(8, 32), ...ports, 0, whole ? proto : 0]));
}

test("random frames against Toeplitz bit by bit", () => {
  const seed = freshSeed();
  const random = new Random(seed);
  const arena = Arena.create(128);
  const gate = new Gate(arena);
  const reasons = new Uint8Array(100);
  const kinds = new Map<string, number>();
  for (let round = 0; round < 40; round++) {
    const slots = Uint32Array.from({ length: 100 }, (_, i) => (i * 37 + round) % 128);
    for (const slot of slots) place(arena, slot, randomFrame(random), { offset: 128 + 2 * random.int(0, 90) });
    gate.check(slots, 100, reasons);
    const passed = slots.filter((_, i) => reasons[i] === 0);
    const out = new Uint32Array(100).fill(0x77);
    flowHashes(arena, passed, passed.length - 1, out);
    for (const [i, slot] of passed.subarray(0, -1).entries()) {
      assert.is(
        out[i],
        expected(arena, slot),
        `seed ${seed}, flags ${arena.flags[slot]}, protocol ${arena.proto[slot]}`,
      );
      const kind = `${arena.flags[slot]! & ~FLAG.VLAN}`;
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    assert.is(out[passed.length - 1], 0x77, "count is heeded");
  }
  assert.ok(kinds.size >= 8, `seed ${seed}: flags seen: ${[...kinds.keys()]}`);
  arena.free();
});

/** The hash of one frame. */
function hashOf(arena: Arena, frame: Uint8Array): number {
  const slots = Uint32Array.of(1);
  const reasons = new Uint8Array(1);
  place(arena, 1, frame);
  assert.is(new Gate(arena).check(slots, 1, reasons), 0, "the gate takes the frame");
  const out = new Uint32Array(1);
  flowHashes(arena, slots, 1, out);
  return out[0]!;
}

test("both directions of a flow have one hash; another flow seldom has the same", () => {
  const seed = freshSeed();
  const random = new Random(seed);
  const arena = Arena.create(2);
  const seen = new Set<number>();
  for (let i = 0; i < 400; i++) {
    const v6 = random.chance(0.5);
    const [src, dst] = v6 ? [address6(random), address6(random)] : [address4(random), address4(random)];
    const [sport, dport] = [random.int(1, 65535), random.int(1, 65535)];
    const l4 = random.pick([udp, tcp, sctp]);
    const wrap = v6 ? ipv6 : ipv4;
    const there = hashOf(arena, ethernet({}, wrap({ src, dst }, l4({ sport, dport }, random.bytes(9)))));
    const back = hashOf(
      arena,
      ethernet({ vlans: [5] }, wrap({ src: dst, dst: src }, l4({ sport: dport, dport: sport }, random.bytes(3)))),
    );
    assert.is(there, back, `seed ${seed}: ${src}:${sport} ${dst}:${dport}`);
    assert.is(there >>> 16, there & 0xffff, "the key's period");
    seen.add(there);
  }
  assert.ok(seen.size > 380, `seed ${seed}: ${seen.size} different hashes of 400 flows`);
  arena.free();
});

test("all of a flow have one hash: fragments, echo and reply, ESP whatever its SPI", () => {
  const arena = Arena.create(2);
  const ends = { src: "10.1.2.3", dst: "10.9.8.7" };
  const hash = (frame: Uint8Array) => hashOf(arena, frame);
  const bytes = new Uint8Array(24).fill(1);
  const first = hash(ethernet({}, ipv4({ ...ends, fragment: 0x2000 }, udp({ sport: 5, dport: 6 }, bytes))));
  assert.is(hash(ethernet({}, ipv4({ ...ends, fragment: 3 }, raw(17, bytes)))), first);
  assert.is.not(hash(ethernet({}, ipv4(ends, udp({ sport: 5, dport: 6 }, bytes)))), first);
  const back = { src: ends.dst, dst: ends.src };
  assert.is(
    hash(ethernet({}, ipv4(ends, icmp({ type: 8, code: 0 }, bytes)))),
    hash(ethernet({}, ipv4(back, icmp({ type: 0, code: 0 }, bytes)))),
  );
  assert.is(hash(ethernet({}, ipv4(ends, esp(1, 2, bytes)))), hash(ethernet({}, ipv4(back, esp(77, 9, bytes)))));
  assert.is.not(
    hash(ethernet({}, ipv4(ends, esp(1, 2, bytes)))),
    hash(ethernet({}, ipv4(ends, icmp({ type: 8, code: 0 }, bytes)))),
  );
  // Options behind the fragment header: a later fragment says "destination options", the first one UDP.
  const ends6 = { src: "2001:db8::1", dst: "2001:db8::2" };
  const start = ipv6(
    { ...ends6, extensions: [fragment6(0, true), options6(60, 0)] },
    udp({ sport: 5, dport: 6 }, bytes),
  );
  const rest = ipv6({ ...ends6, extensions: [fragment6(3, false)] }, raw(60, bytes));
  assert.is(hash(ethernet({}, start)), hash(ethernet({}, rest)));
  arena.free();
});

test.run();
