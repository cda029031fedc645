/** In which order kernels come to packets that go on from NF to NF: none may be left on its way, however they go. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Forwarding, OUTCOMES, READS } from "../runtime/device/forward.js";
import { Stages } from "../runtime/device/stages.js";
import { freshSeed, Random } from "./support/random.js";

/** @param hops between NFs, of packet type 0 */
function forwardingOf(nfs: number, steps: readonly (readonly [number, number])[], hops: number): Forwarding {
  const next = new Uint8Array(nfs * OUTCOMES);
  for (const [i, [from, to]] of steps.entries()) next[from * OUTCOMES + i] = to + 1;
  const reads = Array.from({ length: nfs }, (_, nf) => (steps.some(([from]) => from === nf) ? READS.HEADER : 0));
  return { types: 1, next, hops, reads, keeps: Array(nfs).fill(1) };
}

test("in a chain each kernel comes once, whichever NFs the rows are of", () => {
  const chain = [
    [0, 1],
    [1, 2],
    [0, 2],
  ] as const;
  const stages = new Stages(forwardingOf(3, chain, 2), [2, 0, 1]);
  assert.equal(stages.order([2]), [0, 1]);
  assert.equal(stages.order([0, 2]), [0, 1]);
  assert.equal(stages.order([0]), [1]);
  assert.equal(stages.targets, [0, 1]);
  assert.equal(
    [0, 1, 2].map((program) => stages.goesOn(program)),
    [true, false, true],
  );
  assert.equal([...stages.beyond(2)].sort(), [0, 1]);
  assert.equal(stages.beyond(1), []);
});

test("NFs of one program, one behind the other: its kernel comes once for each hop", () => {
  const stages = new Stages(
    forwardingOf(
      2,
      [
        [0, 1],
        [1, 0],
      ],
      3,
    ),
    [0, 0],
  );
  assert.equal(stages.order([0]), [0, 0, 0]);
});

test("whatever the policy, every way of a packet ends within the order", () => {
  const seed = freshSeed();
  const random = new Random(seed);
  for (let turn = 0; turn < 300; turn++) {
    const nfs = random.int(1, 6);
    const programs = random.int(1, 4);
    const programOf = Array.from({ length: nfs }, () => random.int(0, programs - 1));
    const steps = Array.from(
      { length: random.int(1, 10) },
      () => [random.int(0, nfs - 1), random.int(0, nfs - 1)] as const,
    );
    const hops = random.int(1, 3);
    const stages = new Stages(forwardingOf(nfs, steps, hops), programOf);
    const of = [...Array(programs).keys()].filter((program) => stages.goesOn(program) && random.chance(0.7));
    const order = stages.order(of);
    // Each packet goes a way of its own; some NFs need no kernel.
    for (let packet = 0; packet < 50; packet++) {
      const story = `seed ${seed} turn ${turn} packet ${packet}`;
      const from = random.int(0, nfs - 1);
      if (!of.includes(programOf[from]!) || !steps.some(([nf]) => nf === from)) continue;
      let nf = from;
      let made = 0;
      /** Goes on to the next NF that needs its kernel. @returns false where it ends */
      const goOn = (): boolean => {
        while (made < hops) {
          const behind = steps.filter(([at]) => at === nf);
          if (behind.length === 0 || random.chance(0.1)) return false;
          nf = random.pick(behind)[1];
          made++;
          if (random.chance(0.8)) return true;
        }
        return false;
      };
      let pending = goOn();
      for (const program of order) if (pending && programOf[nf] === program) pending = goOn();
      assert.not(pending, story);
    }
  }
});

test.run();
