/** Packets nobody should send: authentic ones with nonsense inside, mutated ones, and both sides of every limit. */
import { createCipheriv, createHmac } from "node:crypto";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { DATA_OFFSET, SLOT_SIZE } from "../runtime/packet/arena.js";
import {
  Bench,
  backends,
  difference,
  fixChecksum,
  freshSeed,
  ipv4,
  Random,
  randomSa,
  type TestSa,
  udpFrame,
} from "./ipsec-support.js";

/** An ESP frame with a good ICV around any plaintext. */
function authentic(random: Random, sa: TestSa, seq: number, plain: Buffer, tos = 0): Buffer {
  const iv = random.bytes(16);
  const cipher = createCipheriv("aes-128-cbc", Buffer.from(sa.cipher_key, "hex"), iv).setAutoPadding(false);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(sa.spi, 0);
  head.writeUInt32BE(seq, 4);
  const body = Buffer.concat([head, iv, cipher.update(plain), cipher.final()]);
  const icv = createHmac("sha1", Buffer.from(sa.auth_key, "hex")).update(body).digest().subarray(0, 12);
  return framed(random, ipv4(random, 50, Buffer.concat([body, icv]), tos, false, sa.dst));
}

const framed = (random: Random, packet: Buffer) => Buffer.concat([random.bytes(12), Buffer.from([8, 0]), packet]);
const inside = (random: Random, options: Parameters<typeof udpFrame>[1]) => udpFrame(random, options).subarray(14);

/** Inner packet, TFC padding, pad bytes to whole blocks, trailer. */
function plaintext(inner: Buffer, next: number, tfc = 0, spoil?: (pad: Buffer) => void, extra = 0): Buffer {
  const body = Buffer.concat([inner, Buffer.alloc(tfc, 0x55)]);
  const pad = Buffer.from(Array.from({ length: (16 - ((body.length + 2) % 16)) % 16 }, (_, i) => i + 1));
  spoil?.(pad);
  return Buffer.concat([body, pad, Buffer.from([pad.length + extra, next])]);
}

for (const backend of backends) {
  const seed = freshSeed();

  test(`${backend}, TEST_SEED=${seed}: what may be inside an authentic packet`, () => {
    const random = new Random(seed);
    const sa = randomSa(random, { name: "in", direction: "in", spi: 77 });
    const v4 = inside(random, { payload: 41 });
    const v6 = inside(random, { payload: 41, version: 6 });
    const longer = Buffer.from(v4);
    longer.writeUInt16BE(v4.length + 40, 2);
    const shortHeader = Buffer.from(v4);
    shortHeader[0] = 0x44;
    const cases: [string, Buffer, string][] = [
      ["plain", plaintext(v4, 4), "opened"],
      ["IPv6", plaintext(v6, 41), "opened"],
      ["traffic flow confidentiality padding", plaintext(v4, 4, 300), "opened"],
      ["no pad byte at all", plaintext(inside(random, { payload: 2 }), 4), "opened"],
      ["first pad byte wrong", plaintext(v4, 4, 0, (pad) => pad.fill(9, 0, 1)), "malformed"],
      ["last pad byte wrong", plaintext(v4, 4, 0, (pad) => pad.fill(0, pad.length - 1)), "malformed"],
      ["pad length over the packet", plaintext(v4, 4, 0, undefined, 200), "malformed"],
      ["dummy packet", plaintext(v4, 59), "malformed"],
      ["transport mode", plaintext(v4.subarray(20), 17), "malformed"],
      ["IPv4 announced, IPv6 inside", plaintext(v6, 4), "malformed"],
      ["IPv6 announced, IPv4 inside", plaintext(v4, 41), "malformed"],
      ["inner length beyond the packet", plaintext(longer, 4), "malformed"],
      ["inner header of 16 bytes", plaintext(shortHeader, 4), "malformed"],
      ["nothing inside", plaintext(Buffer.alloc(0), 4), "malformed"],
      ["19 bytes inside", plaintext(v4.subarray(0, 19), 4), "malformed"],
      ["39 bytes inside", plaintext(v6.subarray(0, 39), 41), "malformed"],
    ];
    const frames = cases.map(([, plain], i) => authentic(random, sa, i + 1, plain));
    const bench = new Bench([sa], backend);
    const expected = bench.expected(frames);
    bench.process(frames).forEach(({ outcome, frame }, i) => {
      const [label, , wanted] = cases[i]!;
      assert.is(outcome, wanted, label);
      assert.is(outcome, expected[i]!.outcome, label);
      assert.is(difference(frame, expected[i]!.frame), undefined, label);
      if (outcome === "malformed") assert.is(difference(frame, frames[i]!), undefined, `${label}: bytes as they came`);
    });
    // Authentic ones have moved the window, also where their inside was refused.
    assert.ok(bench.process(frames).every(({ outcome }) => outcome === "replayed"));
    bench.close();
  });

  test(`${backend}: congestion marks, all combinations of RFC 6040 section 4.2`, () => {
    const random = new Random(seed);
    const sa = randomSa(random, { name: "in", direction: "in", spi: 77 });
    // Rows: inner Not-ECT, ECT(1), ECT(0), CE; columns: outer, in the same order. -1: dropped.
    const table = [
      [0, 0, 0, -1],
      [1, 1, 1, 3],
      [2, 1, 2, 3],
      [3, 3, 3, 3],
    ];
    const bench = new Bench([sa], backend);
    let seq = 0;
    for (const version of [4, 6] as const) {
      for (let inner = 0; inner < 4; inner++) {
        for (let outer = 0; outer < 4; outer++) {
          const packet = inside(random, { payload: 20, version, tos: (random.below(64) << 2) | inner });
          const frame = authentic(random, sa, ++seq, plaintext(packet, version === 4 ? 4 : 41), outer);
          const [result] = bench.process([frame]);
          const wanted = table[inner]![outer]!;
          const label = `IPv${version}, inner ${inner}, outer ${outer}`;
          assert.is(result!.outcome, wanted < 0 ? "malformed" : "opened", label);
          if (wanted < 0) {
            assert.is(difference(result!.frame, frame), undefined, label);
            continue;
          }
          const field = version === 4 ? result!.frame[15]! & 3 : (result!.frame[15]! >> 4) & 3;
          assert.is(field, wanted, label);
          const unmarked = Buffer.from(result!.frame.subarray(14));
          if (version === 4) {
            unmarked[1] = (unmarked[1]! & ~3) | inner;
            fixChecksum(unmarked);
          } else {
            unmarked[1] = (unmarked[1]! & ~0x30) | (inner << 4);
          }
          assert.is(difference(unmarked, packet), undefined, `${label}: nothing else changed`);
          assert.ok(bench.passesGate(result!.frame), `${label}: the checksum is good`);
        }
      }
    }
    bench.close();
  });

  test(`${backend}, TEST_SEED=${seed}: mutated packets end in an outcome, and errors change nothing`, () => {
    const random = new Random(seed + 9);
    const esn = { esn: true, replay_window: 96, seq_start: 2 ** 32 - 5 };
    const incoming = [
      randomSa(random, { name: "a", direction: "in", spi: 5 }),
      randomSa(random, { name: "b", direction: "in", spi: 6, ...esn }),
    ];
    const out = incoming.map(({ replay_window: _, ...sa }, i) => ({
      ...sa,
      name: `${sa.name}-out`,
      direction: "out" as const,
      selector: { dst: `198.18.0.${i}` },
    }));
    const bench = new Bench([...incoming, ...out], backend, { seed });
    const seen = new Set<string>();
    for (let round = 0; round < 60; round++) {
      const plain = Array.from({ length: 40 }, () =>
        udpFrame(random, { payload: random.below(200), dst: `198.18.0.${random.below(3)}`, vlanTags: random.below(2) }),
      );
      const sealed = bench.process(plain);
      bench.expected(plain); // the reference's numbers move as well
      const frames = sealed.map(({ frame }) => mutate(random, frame)).filter((frame) => bench.passesGate(frame));
      const expected = bench.expected(frames);
      bench.process(frames).forEach(({ outcome, frame }, i) => {
        seen.add(outcome);
        assert.is(outcome, expected[i]!.outcome, `frame ${frames[i]!.toString("hex")}`);
        assert.is(difference(frame, expected[i]!.frame), undefined);
        if (!["opened", "protected"].includes(outcome)) assert.is(difference(frame, frames[i]!), undefined, outcome);
      });
    }
    for (const outcome of ["opened", "bypass", "no-sa", "bad-icv", "replayed", "malformed"]) {
      assert.ok(seen.has(outcome), `no mutation led to ${outcome}`);
    }
    bench.close();
  });

  test(`${backend}: both sides of every limit`, () => {
    const random = new Random(seed);
    const sa = randomSa(random, { name: "a", direction: "out", spi: 5, seq_start: 2 ** 32 - 2 });
    const mtu = 1500;
    // 44 + 1440 + 12 = 1496: the longest inner packet is 1440 - 2.
    const bench = new Bench([sa], backend, { mtu, seed });
    const outcomes = (payloads: number[], start?: number) =>
      bench
        .process(
          payloads.map((bytes) => udpFrame(random, { payload: bytes - 28 })),
          start,
        )
        .map(({ outcome }) => outcome);
    assert.equal(outcomes([1438, 1439, 100]), ["protected", "too-big", "protected"]);
    assert.equal(outcomes([100, 1439]), ["seq-exhausted", "too-big"], "never cycles; too-big needs no number");
    bench.close();

    const roomy = new Bench([randomSa(random, { name: "a", direction: "out", spi: 5 })], backend, { seed });
    const room = SLOT_SIZE - DATA_OFFSET - 14;
    const longest = room - 12 - ((room - 12) % 16) - 2;
    const slotSized = [longest, longest + 1].map((bytes) => udpFrame(random, { payload: bytes - 28 }));
    const fits = roomy.expected(slotSized);
    roomy.process(slotSized).forEach(({ outcome, frame }, i) => {
      assert.is(outcome, i === 0 ? "protected" : "too-big", "tailroom");
      assert.is(difference(frame, fits[i]!.frame), undefined);
    });
    const small = [udpFrame(random, { payload: 60 })];
    assert.is(roomy.process(small, 44)[0]!.outcome, "protected", "headroom just enough");
    assert.is(roomy.process(small, 42)[0]!.outcome, "too-big", "headroom two bytes short");
    roomy.close();

    const last = { esn: true, seq_start: "18446744073709551614" };
    const far = new Bench([randomSa(random, { name: "a", direction: "out", spi: 5, ...last })], backend, { seed });
    const three = Array.from({ length: 3 }, () => udpFrame(random, { payload: 60 }));
    const expected = far.expected(three);
    far.process(three).forEach(({ outcome, frame }, i) => {
      assert.is(outcome, i < 2 ? "protected" : "seq-exhausted");
      assert.is(difference(frame, expected[i]!.frame), undefined);
    });
    far.close();
  });

  test(`${backend}: any alignment of the frame in its slot`, () => {
    const random = new Random(seed);
    const sa = randomSa(random, { name: "a", direction: "out", spi: 5 });
    const bench = new Bench([sa], backend, { seed });
    for (const start of [256, 258, 128, 130]) {
      const frames = Array.from({ length: 40 }, (_, i) => udpFrame(random, { payload: i, vlanTags: i % 4 }));
      const expected = bench.expected(frames, start);
      bench.process(frames, start).forEach(({ outcome, frame }, i) => {
        assert.is(outcome, "protected");
        assert.is(difference(frame, expected[i]!.frame), undefined, `start ${start}, frame ${i}`);
      });
    }
    bench.close();
  });
}

/**
 * Changes an ESP frame in one of the ways an attacker or a broken link would; the outer checksum is made good again.
 */
function mutate(random: Random, original: Buffer): Buffer {
  let frame = Buffer.from(original);
  const l3 = frame.readUInt16BE(12) === 0x0800 ? 14 : 18;
  switch (random.below(9)) {
    case 0:
      return frame;
    case 1: // a bit of anything behind the outer header
      frame[l3 + 20 + random.below(frame.length - l3 - 20)]! ^= 1 << random.below(8);
      return frame;
    case 2: // truncated anywhere
      frame = frame.subarray(0, l3 + 20 + random.below(frame.length - l3 - 20));
      break;
    case 3: // truncated by whole blocks
      frame = frame.subarray(0, Math.max(l3 + 20, frame.length - 16 * random.below(8)));
      break;
    case 4: // lengthened by whole blocks
      frame = Buffer.concat([frame, random.bytes(16 * (1 + random.below(3)))]);
      break;
    case 5: // a fragment
      frame.writeUInt16BE(random.pick([0x2000, 1, 0x2001]), l3 + 6);
      break;
    case 6: // another SPI
      frame.writeUInt32BE(random.pick([0, 5, 6, 7, 0xffffffff]), l3 + 20);
      return frame;
    case 7: // another sequence number
      frame.writeUInt32BE(random.pick([0, 1, 2, 5000, 0x7fffffff, 0xffffffff]), l3 + 24);
      return frame;
    default: // for somebody else
      frame[l3 + 19]! ^= 1;
  }
  if (frame.readUInt16BE(l3 - 2) === 0x0800) {
    frame.writeUInt16BE(frame.length - l3, l3 + 2);
    fixChecksum(frame.subarray(l3));
  }
  return frame;
}

test.run();
