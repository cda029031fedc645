import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadIpsecMb } from "../nfs/ipsec/crypto/ipsec-mb-library.js";
import { type Arena, FLAG } from "../runtime/packet/arena.js";
import {
  Bench,
  backends,
  difference,
  freshSeed,
  ipv4,
  Random,
  randomSa,
  type TestSa,
  udpFrame,
} from "./ipsec-support.js";

const LONGEST_PAYLOAD = 1514 - 14 - 20 - 8;

function compare(bench: Bench, frames: Buffer[], label: string): { outcome: string; frame: Buffer }[] {
  const expected = bench.expected(frames);
  const actual = bench.process(frames);
  actual.forEach(({ outcome, frame }, i) => {
    assert.is(outcome, expected[i]!.outcome, `${label}: outcome of frame ${i} (${frames[i]!.length} bytes)`);
    assert.is(difference(frame, expected[i]!.frame), undefined, `${label}: frame ${i} (${frames[i]!.length} bytes)`);
  });
  return actual;
}

/** An outbound SA and the inbound one at its other end. */
function pair(random: Random, fields: Partial<TestSa> = {}): TestSa[] {
  const out = randomSa(random, { name: "out", direction: "out", spi: 5, ...fields });
  const { selector: _, ...rest } = out;
  return [out, { ...rest, name: "in", direction: "in" }];
}

for (const backend of backends) {
  const seed = freshSeed();
  const label = `${backend}, TEST_SEED=${seed}`;

  test(`${label}: every payload length, out and back, as the reference`, () => {
    const random = new Random(seed);
    const bench = new Bench(pair(random), backend, { seed });
    for (let payload = 0; payload <= LONGEST_PAYLOAD; payload += 64) {
      const frames = Array.from({ length: 64 }, (_, i) =>
        udpFrame(random, {
          payload: Math.min(payload + i, LONGEST_PAYLOAD),
          padding: random.pick([0, 0, 3]),
          tos: random.below(256),
          df: random.below(2) === 1,
        }),
      );
      const sealed = compare(bench, frames, label);
      assert.ok(sealed.every(({ outcome }) => outcome === "protected"));
      const opened = compare(
        bench,
        sealed.map(({ frame }) => frame),
        label,
      );
      opened.forEach(({ outcome, frame }, i) => {
        assert.is(outcome, "opened");
        const ip = frames[i]!.subarray(0, 14 + frames[i]!.readUInt16BE(16));
        assert.is(difference(frame, ip), undefined, `round trip of frame ${i}`);
      });
    }
    bench.close();
  });

  test(`${label}: mixed sizes, versions, tags and extended numbers, as the reference`, () => {
    const random = new Random(seed + 1);
    const bench = new Bench(pair(random, { esn: true, seq_start: "4294967200" }), backend, { seed });
    for (let round = 0; round < 12; round++) {
      const frames = Array.from({ length: 1 + random.below(256) }, () => {
        const version = random.pick([4, 6] as const);
        const payload = random.below(LONGEST_PAYLOAD - 20);
        return udpFrame(random, { version, payload, vlanTags: random.below(3), tos: random.below(256) });
      });
      const sealed = compare(bench, frames, label);
      compare(
        bench,
        sealed.map(({ frame }) => frame),
        label,
      );
    }
    bench.close();
  });

  test(`${label}: metadata of a protected packet is what the gate would write`, () => {
    const random = new Random(seed + 2);
    const bench = new Bench(pair(random), backend, { seed });
    const frames = [udpFrame(random, { payload: 33, vlanTags: 2 }), udpFrame(random, { payload: 200, version: 6 })];
    bench.process(frames);
    const { arena } = bench;
    const after = frames.map((_, slot) => metadata(arena, slot));
    const regated = new Bench(pair(random), backend, { seed });
    const sealed = frames.map((_, slot) => bench.frame(slot));
    sealed.forEach((frame, slot) => {
      regated.put([frame], arena.off[slot]!);
      assert.equal(after[slot], metadata(regated.arena, 0));
    });
    assert.ok((arena.flags[0]! & FLAG.VLAN) !== 0);
    bench.close();
    regated.close();
  });

  test(`${label}: errors leave bytes and metadata as they were`, () => {
    const random = new Random(seed + 3);
    const bench = new Bench(pair(random), backend, { seed });
    const [good] = bench.process([udpFrame(random, { payload: 100 })]);
    const badIcv = Buffer.from(good!.frame);
    badIcv[60]! ^= 1;
    const noSa = Buffer.from(good!.frame);
    noSa[14 + 20]! ^= 1;
    const frames = [badIcv, good!.frame, good!.frame, noSa];
    const batch = bench.put(frames);
    const before = frames.map((_, slot) => metadata(bench.arena, slot));
    bench.nf.process(batch);
    assert.equal([...batch.outcomes.subarray(0, 4)], [4, 1, 5, 3], "bad-icv, opened, replayed, no-sa");
    for (const slot of [0, 2, 3]) {
      assert.is(difference(bench.frame(slot), frames[slot]!), undefined);
      assert.equal(metadata(bench.arena, slot), before[slot]);
    }
    bench.close();
  });
}

function metadata(arena: Arena, slot: number): Record<string, number> {
  const names = [
    "off",
    "len",
    "l3",
    "l3end",
    "l4",
    "payload",
    "payloadEnd",
    "sport",
    "dport",
    "vlan",
    "proto",
    "flags",
  ] as const;
  return Object.fromEntries(names.map((name) => [name, arena[name][slot]!]));
}

test("the native back end is the native one, or says why not", () => {
  const sas = pair(new Random(1));
  const native = new Bench(sas, "native");
  const portable = new Bench(sas, "portable");
  const missing = loadIpsecMb();
  if (typeof missing === "string") {
    console.log(`skipped: ${missing}; "native" tests ran on the portable back end (apt-get install libipsec-mb1)`);
    assert.is(native.warnings.length, 1);
    assert.match(native.warnings[0]!, /apt-get install libipsec-mb1/);
    assert.is(native.nf.engine, portable.nf.engine);
  } else {
    assert.match(native.nf.engine, /^ipsec-mb 1\.3/);
    assert.equal(native.warnings, []);
  }
  assert.is(portable.nf.engine, "aes-sha1 in TypeScript");
  assert.equal(portable.warnings, [], "what was asked for is not warned about");
  native.close();
  portable.close();
});

test("batches of both directions, with what concerns neither in between", () => {
  const seed = freshSeed();
  const random = new Random(seed);
  const sas = pair(random, { selector: { dst: "198.18.0.0/24" } });
  const sender = new Bench(sas, "portable", { seed });
  const bench = new Bench(sas, "native", { seed });
  for (let round = 0; round < 20; round++) {
    const sealed = sender.process(Array.from({ length: 30 }, () => udpFrame(random, { payload: random.below(900) })));
    const frames = sealed.flatMap(({ frame }) => {
      const arp = Buffer.concat([random.bytes(12), Buffer.from([8, 6]), random.bytes(28)]);
      const esp = Buffer.concat([random.bytes(12), Buffer.from([8, 0]), ipv4(random, 50, random.bytes(40))]);
      const others = [udpFrame(random, { payload: 9 }), udpFrame(random, { payload: 9, dst: "10.0.0.1" }), arp, esp];
      return [frame, random.pick(others), random.pick(others)];
    });
    const outcomes = new Set(compare(bench, frames, `TEST_SEED=${seed}`).map(({ outcome }) => outcome));
    assert.equal([...outcomes].sort(), ["bypass", "opened", "protected"]);
  }
  sender.close();
  bench.close();
});

test.run();
