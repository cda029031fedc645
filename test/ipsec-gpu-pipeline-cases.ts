/**
 * ipsec on a GPU as the engine runs it: batches prepared ahead of those that are finished, rows cut anywhere, finished in other batches than
 * prepared. Outcomes and every byte have to be those of CPU placement, and of the reference.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nf } from "../nfs/ipsec/index.js";
import { type Arrival, type Expected, espFrame, padded, Rig } from "./ipsec-gpu-rig.js";
import { freshSeed, ipv4, outcomeName, Random, randomSa, type TestSa, udpFrame } from "./ipsec-support.js";

const SLOTS = 320;
const EPOCH = 2n ** 32n;

const inner = (random: Random, payload: number, version: 4 | 6) =>
  udpFrame(random, { payload, version, tos: random.below(256) }).subarray(14);
const framed = (random: Random, packet: Buffer) => Buffer.concat([random.bytes(12), Buffer.from([8, 0]), packet]);
const arrival = (random: Random, frame: Uint8Array): Arrival => ({
  frame,
  start: random.pick([256, 256, 254, 200, 44]),
  fill: random.below(256),
});

/**
 * Runs a stream through the rig: at any time a random step, until all are finished.
 * @param depth the most packets between prepare and finish
 * @returns outcomes and how many packets of each
 */
async function stream(
  rig: Rig,
  random: Random,
  arrivals: readonly Arrival[],
  depth: number,
  label: string,
): Promise<Map<string, number>> {
  const expected: Expected[] = [];
  while (expected.length < arrivals.length) {
    const batch = arrivals.slice(expected.length, expected.length + 1 + random.below(256));
    expected.push(...rig.expect(batch, label));
  }
  const free = Array.from({ length: rig.slots }, (_, i) => i);
  /** Prepared and not finished, in arrival order; and of these, those that wait for a kernel. */
  const open: number[] = [];
  let waiting: number[] = [];
  let prepared = 0;
  let finished = 0;
  while (finished < arrivals.length) {
    const step = random.below(3);
    if (step === 0) {
      const room = Math.min(depth - open.length, free.length, arrivals.length - prepared);
      const count = Math.min(room, 1 + random.below(random.pick([4, 64, 256])));
      if (count === 0) continue;
      const slots = Array.from({ length: count }, () => free.splice(random.below(free.length), 1)[0]!);
      waiting.push(...rig.prepare(slots, arrivals.slice(prepared, prepared + count)));
      open.push(...slots);
      prepared += count;
    } else if (step === 1) {
      const count = Math.min(waiting.length, 1 + random.below(200));
      if (count > 0) await rig.serve(waiting.slice(0, count), random.below(64));
      waiting = waiting.slice(count);
    } else {
      const first = open.findIndex((slot) => !rig.isServed(slot));
      const done = Math.min(first < 0 ? open.length : first, 1 + random.below(random.pick([1, 8, 256])));
      if (done === 0) continue;
      const slots = open.splice(0, done);
      rig.finish(slots, expected.slice(finished, finished + done), `${label}, from packet ${finished}`);
      free.push(...slots);
      finished += done;
    }
  }
  rig.compareStats(label);
  const counts = new Map<string, number>();
  for (const { outcome } of expected) {
    const name = outcomeName(outcome);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** What an attacker or a broken peer sends on an SA, and what a good one does. */
class Sender {
  private top: bigint;
  private sent: Buffer[] = [];

  constructor(
    private readonly random: Random,
    readonly sa: TestSa,
  ) {
    this.top = BigInt(sa.seq_start ?? 1) - 1n;
  }

  next(): Buffer {
    const { random } = this;
    const old = this.sent.length > 0 && random.chance(0.12) ? random.pick(this.sent.slice(-60)) : undefined;
    const frame = old ?? this.fresh();
    if (old === undefined) this.sent.push(frame);
    if (!random.chance(0.1)) return frame;
    // A bit of the ESP packet: SPI, number, IV, ciphertext or ICV.
    const bad = Buffer.from(frame);
    let l3 = 14;
    while (bad.readUInt16BE(l3 - 2) !== 0x0800) l3 += 4;
    const esp = l3 + (bad[l3]! & 0xf) * 4;
    bad[esp + random.below(bad.length - esp)]! ^= 1 << random.below(8);
    return bad;
  }

  private fresh(): Buffer {
    const { random, sa } = this;
    const span = sa.esn ? EPOCH * EPOCH : EPOCH;
    const late = random.chance(0.2) ? BigInt(random.below(90)) : 0n;
    this.top += BigInt(1 + random.below(random.pick([1, 1, 1, 30])));
    if (this.top >= span) this.top = span - 1n;
    const seq = this.top > late ? this.top - late : this.top;
    const version = random.pick([4, 6] as const);
    const payload = random.below(random.pick([20, 200, 1300]));
    const plain = padded(inner(random, payload, version), version === 4 ? 4 : 41);
    // Authentic, and nothing to pass on: pad bytes that are wrong, a dummy packet, random bytes.
    const kind = random.below(40);
    if (kind === 0) plain[plain.length - 1] = 59;
    if (kind === 1) plain[plain.length - 2]! ^= 0xff;
    if (kind === 2) random.bytes(plain.length).copy(plain);
    const options = {
      tags: random.below(3),
      words: random.chance(0.1) ? 1 + random.below(10) : 0,
      tos: random.below(256),
    };
    return espFrame(random, sa, seq, plain, options);
  }
}

for (const depth of [1, 64, SLOTS]) {
  test(`up to ${depth} packets under way: both directions, many SAs, replays, bad ICVs, malformed ones`, async () => {
    const seed = freshSeed() + depth;
    const label = `TEST_SEED=${seed - depth}, depth ${depth}`;
    const random = new Random(seed);
    const spi = (i: number) => 1000 + i;
    const outs = Array.from({ length: 12 }, (_, i) => {
      const seq_start = random.pick([1, 2 ** 32 - 20]);
      const esn = random.chance(0.5);
      const selector = { dst: `198.18.${i}.0/24` };
      return randomSa(random, { name: `out${i}`, direction: "out", spi: spi(i), esn, seq_start, selector });
    });
    const ins = Array.from({ length: 12 }, (_, i) => {
      const esn = random.chance(0.6);
      const seq_start = random.pick([1, 2 ** 32 - 60, ...(esn ? ["18446744073709551400"] : [])]);
      const replay_window = random.pick([0, 32, 64, 256]);
      return randomSa(random, { name: `in${i}`, direction: "in", spi: spi(i), esn, seq_start, replay_window });
    });
    const senders = ins.map((sa) => new Sender(random, sa));
    const strange = (): Buffer => {
      const { sa } = random.pick(senders);
      const frame = espFrame(random, { ...sa, spi: 5 }, 1n, padded(inner(random, 40, 4), 4));
      const arp = Buffer.concat([random.bytes(12), Buffer.from([8, 6]), random.bytes(46)]);
      const short = framed(random, ipv4(random, 50, random.bytes(random.below(60)), 0, false, sa.dst));
      return random.pick([frame, arp, short, udpFrame(random, { payload: 10, dst: "10.1.1.1" })]);
    };
    const protect = (): Buffer => {
      const version = random.chance(0.2) ? 6 : 4;
      const payload = random.below(random.pick([60, 600, 1515]));
      const dst = `198.18.${random.below(14)}.9`;
      return udpFrame(random, { version, payload, dst, vlanTags: random.below(3), padding: random.pick([0, 0, 6]) });
    };
    const arrivals = Array.from({ length: 1500 }, () => {
      const kind = random.below(20);
      const frame = kind === 0 ? strange() : kind < 9 ? protect() : random.pick(senders).next();
      return arrival(random, frame);
    });
    const rig = await Rig.open([...outs, ...ins], seed, SLOTS);
    const counts = await stream(rig, random, arrivals, depth, label);
    const missing = nf.outcomes.map(({ name }) => name).filter((name) => !counts.has(name));
    for (const name of ["protected", "opened", "bypass", "no-sa", "bad-icv", "replayed", "malformed"])
      assert.not.ok(missing.includes(name), `${label}: the stream has no packet that is ${name}`);
    await rig.close();
  });
}

test("copies of one packet: in one row, in rows one after the other, finished together and apart", async () => {
  const seed = freshSeed();
  const random = new Random(seed);
  for (const esn of [false, true]) {
    const sa = randomSa(random, { name: "in", direction: "in", spi: 9, esn });
    const rig = await Rig.open([sa], seed, 256);
    for (let round = 0; round < 6; round++) {
      const frames = Array.from({ length: 40 }, (_, i) =>
        espFrame(random, sa, BigInt(round * 40 + i + 1), padded(inner(random, random.below(300), 4), 4)),
      );
      const copies = frames.flatMap((frame) => Array.from({ length: 1 + random.below(4) }, () => frame));
      const arrivals = copies.map((frame) => arrival(random, frame));
      const counts = await stream(rig, random, arrivals, random.pick([2, 64, 256]), `TEST_SEED=${seed}, ESN ${esn}`);
      assert.is(counts.get("opened"), frames.length);
      assert.is(counts.get("replayed") ?? 0, copies.length - frames.length);
    }
    await rig.close();
  }
});

test("a window that moves by 2^31 and over 2^32 while packets are under way", async () => {
  const seed = freshSeed();
  const random = new Random(seed);
  const label = `TEST_SEED=${seed}`;
  const sa = randomSa(random, { name: "in", direction: "in", spi: 9, esn: true, replay_window: 64 });
  const far = EPOCH / 2n;
  const plain = () => padded(inner(random, random.below(100), 4), 4);
  const of = (seq: bigint, bytes = plain()) => arrival(random, espFrame(random, sa, seq, bytes));
  const bad = plain();
  bad[bad.length - 1] = 59;
  // Prepared together, with the window at its start: the high halves of what comes after the jumps are guessed wrong, some numbers are
  // taken for seen, and some packets the kernel opens have become replays.
  const rows: [string, Arrival][][] = [
    [["opened", of(100n)]],
    [
      ["opened", of(far + 7n)],
      ["bad-icv", of(150n)], // opened by the kernel, but the number now means 2^32 + 150
      ["opened", of(EPOCH + 50n)], // the kernel had taken it for 50
      ["opened", of(EPOCH + 100n)], // prepare had seen 100
      ["malformed", of(EPOCH + 101n, bad)],
      ["replayed", of(EPOCH + 101n)],
      ["bad-icv", of(EPOCH + far + 300n + EPOCH)],
      ["opened", of(EPOCH + far + 100n)],
      ["opened", of(2n * EPOCH + 5n)],
      ["replayed", of(2n * EPOCH + 5n)],
      ["bad-icv", of(EPOCH + 60n)],
    ],
  ];
  for (const together of [false, true]) {
    const rig = await Rig.open([sa], seed, 64);
    for (const row of rows) {
      const arrivals = row.map(([, packet]) => packet);
      const expected = rig.expect(arrivals, label);
      assert.equal(
        expected.map(({ outcome }) => outcomeName(outcome)),
        row.map(([outcome]) => outcome),
        label,
      );
      const slots = arrivals.map((_, i) => i);
      const wanted = rig.prepare(slots, arrivals);
      await rig.serve(wanted, random.below(64));
      if (together) rig.finish(slots, expected, label);
      else for (const slot of slots) rig.finish([slot], [expected[slot]!], label);
    }
    rig.compareStats(label);
    await rig.close();
  }
});

test.run();
