/** What an AF_XDP port costs in JavaScript: ring work per descriptor, alone and in the whole data path, and whether it allocates. */
import { Arena, DATA_OFFSET, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { type ChainSpec, chainOf } from "../device/chain-run.js";
import { engineCore } from "../engine-subject.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { udpFrames } from "../frames.js";
import { spread } from "../harness.js";
import { expect, RingKernel } from "./ring-kernel.js";

/** As `run` has them: slots, entries of a ring, and of those as many as get slots. */
const SLOTS = 4096;
const RING = 2048;
const STOCK = 1024;
/** Descriptors between two looks at the clock, while the kernel stands still. */
const STAGE = 1024;
const BATCHES = [1, 32, 64, 256] as const;
const BYTES = 64;
/** What was demanded: ns per descriptor, at this batch. */
const TARGET = { ns: 10, batch: 64 } as const;
/** Bytes per packet. A number on the heap has 16: what is made for each packet, or for one of four, is above, a dozen in a burst of 64 is below. */
const MOST_BYTES = 4;
/** Packets between two looks at the heap: fewer bytes than the young generation has at its start, were it 16 each. */
const HEAP_PACKETS = 32 * STAGE;
const LEAST_LOOKS = 5;
const WORD_SHIFT = SLOT_SHIFT - 2;
const BATCH = TARGET.batch;
/** u32 with EtherType and the first half of the IPv4 header's first word, from a slot's begin on. */
const TOUCHED = (DATA_OFFSET + 12) >> 2;
const FORWARDING: ChainSpec = {
  name: "live-ring",
  nfs: {},
  policy: ["*,ingress,egress"],
  traffic: { size: BYTES },
  gpu: [],
};

function open(options: CellOptions): { arena: Arena; kernel: RingKernel; close(): void } {
  const arena = Arena.create(SLOTS);
  const kernel = new RingKernel(arena, RING, BYTES);
  kernel.write(udpFrames({ size: "64", count: 1, seed: options.seed }).frames[0]!);
  return {
    arena,
    kernel,
    close() {
      kernel.free();
      arena.free();
    },
  };
}

/** Rings alone: what leaves with a burst is what the next one receives into. */
class RingBench {
  private readonly burst = new Map<number, Uint32Array>(BATCHES.map((batch) => [batch, new Uint32Array(batch)]));
  private sum = 0;

  constructor(
    private readonly arena: Arena,
    private readonly kernel: RingKernel,
  ) {
    kernel.rx.live.supply(
      Uint32Array.from({ length: STOCK }, (_, i) => i),
      STOCK,
    );
    // The first stage finds slots that were sent before it.
    const sent = Uint32Array.from({ length: STAGE }, (_, i) => STOCK + i);
    for (const slot of sent) {
      arena.off[slot] = DATA_OFFSET;
      arena.len[slot] = BYTES;
    }
    kernel.tx.transmit(sent, STAGE);
    kernel.send();
  }

  /** Moves STAGE descriptors in bursts. @returns ms */
  stage(batch: number): number {
    const { kernel } = this;
    kernel.deliver(STAGE);
    const start = performance.now();
    const moved = this.bursts(this.burst.get(batch)!, batch);
    const ms = performance.now() - start;
    expect(moved === 2 * STAGE, `${STAGE} frames received and as many slots back`, moved);
    const sent = kernel.send();
    expect(sent === STAGE, `${STAGE} frames to send`, sent);
    return ms;
  }

  private bursts(burst: Uint32Array, batch: number): number {
    const { rx, tx } = this.kernel;
    const { u32 } = this.arena;
    let moved = 0;
    let { sum } = this;
    for (let done = 0; done < STAGE; done += batch) {
      // Of the stage before; a store, which is timed with the rest.
      this.kernel.complete(batch);
      moved += tx.reclaim(burst, false);
      moved += rx.receive(burst, batch);
      for (let i = 0; i < batch; i++) sum = (sum + u32[(burst[i]! << WORD_SHIFT) + TOUCHED]!) | 0;
      tx.transmit(burst, batch);
    }
    // Kept, or the touch would be optimised away.
    this.sum = sum;
    return moved;
  }
}

/**
 * Runs stages until the time is over. The median of the stages is not of those in which another program had the processor.
 * @param stage returns its ms
 * @returns ns per packet
 */
function timed(ms: number, stage: () => number): number {
  const stages: number[] = [];
  const deadline = performance.now() + ms;
  while (stages.length < LEAST_LOOKS || performance.now() < deadline) stages.push(stage());
  return (spread(stages).median * 1e6) / STAGE;
}

/**
 * Growth of the heap between two looks, while packets move; a look at which the garbage collector has been between shows less, hence the median.
 * @returns bytes per packet
 */
function heapGrowth(ms: number, stage: () => number): number {
  const grown: number[] = [];
  const deadline = performance.now() + ms;
  while (grown.length < LEAST_LOOKS || performance.now() < deadline) {
    const before = process.memoryUsage().heapUsed;
    for (let packets = 0; packets < HEAP_PACKETS; packets += STAGE) stage();
    grown.push((process.memoryUsage().heapUsed - before) / HEAP_PACKETS);
  }
  return spread(grown).median;
}

async function rings(options: CellOptions): Promise<CellResult> {
  const bed = open(options);
  try {
    const bench = new RingBench(bed.arena, bed.kernel);
    const variants = BATCHES.map((batch) => ({
      name: `batch ${batch}`,
      turn: async () => {
        const stage = () => bench.stage(batch);
        return { ns: timed(options.turnMs, stage), bytes: heapGrowth(options.turnMs, stage) };
      },
    }));
    const samples = await inTurns<"ns" | "bytes">(variants, options.repeats);
    const figures = new Figures();
    for (const [i, { name }] of variants.entries()) {
      const aimed = BATCHES[i] === TARGET.batch;
      figures.add(name, "rings, per descriptor", "ns", samples[i]!.ns, aimed ? { most: TARGET.ns } : {});
      figures.add(name, "heap growth per packet", "B", samples[i]!.bytes, aimed ? { most: MOST_BYTES } : {});
    }
    const note = `receive, a header touch, transmit and reclaim of ${BYTES}-byte frames; ${STAGE} descriptors in all between two looks at the clock, in which the kernel's side stands still`;
    return { figures: figures.list, device: null, notes: [note] };
  } finally {
    bed.close();
  }
}

/** The same rings below a whole core: gate, classifier, policy, ledger, latency. */
async function path(options: CellOptions): Promise<CellResult> {
  const bed = open(options);
  const { kernel } = bed;
  try {
    const chain = await chainOf(FORWARDING, options);
    const { core } = engineCore(chain, bed.arena, kernel, options);
    // Takes the receive ring's slots.
    core.round();
    const stage = () => {
      kernel.deliver(STAGE);
      const start = performance.now();
      for (let done = 0; done < STAGE; done += BATCH) {
        if (kernel.unpublished > 0) kernel.complete(BATCH);
        core.round();
      }
      const ms = performance.now() - start;
      const sent = kernel.send();
      expect(sent === STAGE, `${STAGE} frames to send`, sent);
      return ms;
    };
    const samples = await inTurns<"ns" | "bytes">(
      [
        {
          name: "whole path",
          turn: async () => ({ ns: timed(options.turnMs, stage), bytes: heapGrowth(options.turnMs, stage) }),
        },
      ],
      options.repeats,
    );
    const figures = new Figures();
    figures.add(`batch ${BATCH}`, "whole path, per packet", "ns", samples[0]!.ns);
    figures.add(`batch ${BATCH}`, "heap growth per packet", "B", samples[0]!.bytes, { most: MOST_BYTES });
    return {
      figures: figures.list,
      device: null,
      notes: ["the same rings, and what run-to-completion does between"],
    };
  } finally {
    bed.close();
  }
}

const cell = (name: string, run: Cell["run"]): Cell => ({ name, workgroups: 0, needs: "nothing", run });

const liveRing: Experiment = {
  name: "live-ring",
  about: "what AF_XDP rings cost in JavaScript per descriptor, without the kernel, and what is allocated",
  cells: () => [cell("rings", rings), cell("whole path", path)],
};
export const experiments: readonly Experiment[] = [liveRing];
