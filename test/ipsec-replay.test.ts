/** The anti-replay windows against a plain model, and through the NF with extended sequence numbers. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ReplayWindows } from "../nfs/ipsec/replay.js";
import { Bench, backends, freshSeed, Random, randomSa, udpFrame } from "./ipsec-support.js";

/** Numbers as BigInt, and every number ever accepted in a set. */
class Model {
  readonly seen = new Set<bigint>();
  top: bigint;

  constructor(
    readonly start: bigint,
    readonly window: bigint,
  ) {
    this.top = start - 1n;
  }

  replayed(seq: bigint): boolean {
    return this.window > 0n && (seq < this.start || seq <= this.top - this.window || this.seen.has(seq));
  }

  accept(seq: bigint): void {
    this.seen.add(seq);
    if (seq > this.top) this.top = seq;
  }
}

const words = (seq: bigint) => ({ low: Number(seq & 0xffff_ffffn), high: Number(seq >> 32n) });

const STARTS = [1n, 2n, 31n, 32n, 33n, 1000n, 2n ** 32n - 40n, 2n ** 32n, 2n ** 32n + 1n, 2n ** 40n - 3n];

for (const window of [0, 32, 64, 96, 128, 1024, 4096]) {
  test(`window of ${window}: random walks over word and 2^32 boundaries, as the model`, () => {
    const seed = freshSeed() + window;
    const random = new Random(seed);
    for (const start of STARTS) {
      const { low: seqLow, high: seqHigh } = words(start);
      const windows = new ReplayWindows([
        { seqLow: 1, seqHigh: 0, replayWindow: 64 },
        { seqLow, seqHigh, replayWindow: window },
      ]);
      const model = new Model(start, BigInt(window));
      for (let i = 0; i < 4000; i++) {
        const span = random.pick([2, 8, 40, window + 2, window + 40, 3 * window + 80]);
        const seq = model.top + BigInt(random.below(span) - random.below(span));
        if (seq < 0n) continue;
        const { low, high } = words(seq);
        assert.is(
          windows.seen(1, high, low),
          model.replayed(seq),
          `TEST_SEED=${seed - window}: ${seq}, top ${model.top}, start ${start}`,
        );
        if (!model.replayed(seq) && random.below(4) > 0) {
          windows.accept(1, high, low);
          model.accept(seq);
          assert.is(windows.top(1), Number(model.top));
        }
      }
    }
  });
}

test("high bits: every number within reach of the window is found again", () => {
  const seed = freshSeed();
  const random = new Random(seed);
  for (const start of STARTS) {
    const { low: seqLow, high: seqHigh } = words(start);
    const windows = new ReplayWindows([{ seqLow, seqHigh, replayWindow: 64 }]);
    const top = start - 1n;
    for (let i = 0; i < 2000; i++) {
      const ahead = random.pick([random.below(64) - 63, random.below(1000), random.below(0x7fff_ffff) * 2 - 63]);
      const seq = top + BigInt(ahead);
      if (seq < 0n) continue;
      const { low, high } = words(seq);
      assert.is(windows.inferHigh(0, low), high, `TEST_SEED=${seed}: ${seq} with top ${top}`);
    }
  }
});

for (const backend of backends) {
  test(`${backend}: losses, reordering and copies, in batches of any size, as the reference`, () => {
    const seed = freshSeed();
    const random = new Random(seed);
    for (const fields of [
      { esn: true, seq_start: 2 ** 32 - 150 },
      { esn: true, seq_start: "18446744073709551500" },
      { esn: false, seq_start: 2 ** 32 - 200 },
      { esn: false },
    ]) {
      for (const replay_window of [0, 32, 64]) {
        const out = randomSa(random, { name: "out", direction: "out", spi: 300, ...fields });
        const incoming = { ...out, name: "in", direction: "in", replay_window } as const;
        const bench = new Bench([out, incoming], backend, { seed });
        const sender = new Bench([out, incoming], backend, { seed });
        let stream = sender.process(Array.from({ length: 250 }, () => udpFrame(random, { payload: random.below(60) })));
        stream = stream.filter(({ outcome }) => outcome === "protected" && random.below(5) > 0);
        const frames = stream.flatMap(({ frame }) => (random.below(6) === 0 ? [frame, frame] : [frame]));
        for (let i = 0; i < frames.length; i++) {
          const j = Math.min(frames.length - 1, i + random.pick([0, 0, 1, 5, 40, 100]));
          [frames[i], frames[j]] = [frames[j]!, frames[i]!];
        }
        for (let at = 0; at < frames.length; ) {
          const burst = frames.slice(at, at + 1 + random.below(64));
          at += burst.length;
          const expected = bench.expected(burst).map(({ outcome }) => outcome);
          const actual = bench.process(burst).map(({ outcome }) => outcome);
          assert.equal(actual, expected, `TEST_SEED=${seed}, window ${replay_window}, ${JSON.stringify(fields)}`);
        }
        bench.close();
        sender.close();
      }
    }
  });

  test(`${backend}: a batch that moves the window by 2^31 gives what single packets give`, () => {
    const random = new Random(freshSeed());
    const far = 2 ** 31 + 7;
    const fields = { esn: true, replay_window: 64 } as const;
    const receiver = randomSa(random, { name: "in", direction: "in", spi: 9, ...fields });
    const { replay_window: _, ...rest } = receiver;
    const frameOf = (seq_start: number) => {
      const bench = new Bench([{ ...rest, name: "out", direction: "out", seq_start }], backend, { seed: 1 });
      const [result] = bench.process([udpFrame(random, { payload: 30 })]);
      bench.close();
      return result!.frame;
    };
    // The second moves the window, so that the low bits of the third and fourth mean other numbers than when the batch
    // began.
    const frames = [frameOf(100), frameOf(far), frameOf(150), frameOf(40), frameOf(far)];
    const together = new Bench([receiver], backend);
    const single = new Bench([receiver], backend);
    const one = frames.map((frame) => single.process([frame])[0]!.outcome);
    assert.equal(
      together.process(frames).map(({ outcome }) => outcome),
      one,
    );
    assert.equal(one, ["opened", "opened", "bad-icv", "bad-icv", "replayed"]);
    together.close();
    single.close();
  });
}

test.run();
