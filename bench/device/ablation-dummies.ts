/** Ablation: no dummies, and eager ones as the paper has them, against dummies by deadline; two NFs, one of which gets few packets. */
import { type Cell, type CellOptions, type CellResult, Figures, inTurns } from "../experiment.js";
import { seededRandom } from "../frames.js";
import { DEPTH, SIZE, usedDevice, withDevice } from "./bed.js";
import { dummyShare, percentile, sumParams } from "./counts.js";
import { type Dummies, Host } from "./host.js";
import { twoClasses } from "./source.js";
import { checkTouch, fillTouch, touchNf } from "./touch.js";

const WORKGROUPS = 2;
const SLOTS = 4 * WORKGROUPS * DEPTH * SIZE;
const BYTES = 512;
/** One packet in so many goes to the second NF: 7 %, as in the paper's dynamic chains. */
const FEW = 14;
/** Packets that ports bring at once. */
const BURST = 32;
/** ms after the last packet: more than the longest deadline. */
const SETTLE_MS = 30;
/** Share of the throughput at saturation at which latency is measured. */
const LOAD = 0.25;

type Key = "mpps" | "saturatedDummies" | "p50" | "p99" | "fewP50" | "fewP99" | "dummies" | "waiting";

const NAMES: Readonly<Record<Dummies, string>> = {
  deadline: "dummies by deadline (the product)",
  eager: "eager dummies (the paper's)",
  never: "no dummies",
};

async function measure(options: CellOptions): Promise<CellResult> {
  const mix = twoClasses(SLOTS, FEW, seededRandom(options.seed));
  const nfs = [touchNf, { ...touchNf, tables: new Uint32Array(1) }];
  const random = seededRandom(options.seed + 1);
  /** Packets per second at which latency is measured: from the first turn, the same for all. */
  let rate = 0;
  const variant = (dummies: Dummies) => ({
    name: dummies,
    turn: async (): Promise<Record<Key, number>> => {
      const bed = { workgroups: WORKGROUPS, slots: SLOTS, nfs, warn: options.warn };
      const { result } = await withDevice(bed, (device, arena) => {
        const before = fillTouch(arena, () => BYTES, options.seed);
        const full = new Host(device, arena, { mix, classIsNf: true, dummies });
        const { packets, seconds, dummies: saturatedDummies } = full.saturate(options.turnMs, BURST);
        full.check(sumParams(arena, 0));
        if (rate === 0) rate = (LOAD * packets) / seconds;
        const paced = new Host(device, arena, { mix, classIsNf: true, dummies });
        const { ns, nf } = paced.paced(rate, options.turnMs, () => random(2 ** 31) / 2 ** 31);
        const pacedShare = dummyShare(paced.counters);
        paced.settle(SETTLE_MS);
        const { waiting } = paced;
        paced.drain();
        paced.check(sumParams(arena, 0) - full.added);
        checkTouch(arena, before);
        // A turn so short, or a machine so busy, that none of the few is done: as if it had waited all the time.
        const few = ns.filter((_, i) => nf[i] === 1).sort();
        const of = (sorted: Float64Array, at: number) =>
          sorted.length === 0 ? options.turnMs * 1e3 : percentile(sorted, at) / 1e3;
        const sorted = ns.slice().sort();
        return {
          mpps: packets / seconds / 1e6,
          saturatedDummies,
          p50: of(sorted, 0.5),
          p99: of(sorted, 0.99),
          fewP50: of(few, 0.5),
          fewP99: of(few, 0.99),
          dummies: pacedShare,
          waiting,
        };
      });
      return result;
    },
  });
  const kinds: readonly Dummies[] = ["deadline", "eager", "never"];
  const samples = await inTurns<Key>(kinds.map(variant), options.repeats);
  const figures = new Figures();
  for (const [i, kind] of kinds.entries()) {
    const name = NAMES[kind];
    const of = samples[i]!;
    figures.add(name, "throughput, saturated", "Mpps", of.mpps);
    figures.add(
      name,
      "dummies, saturated",
      "% of entries",
      of.saturatedDummies,
      kind === "deadline" ? { most: 1 } : {},
    );
    figures.add(name, "latency p50, all", "us", of.p50);
    figures.add(name, "latency p99, all", "us", of.p99);
    figures.add(name, "latency p50, NF with few packets", "us", of.fewP50);
    figures.add(name, "latency p99, NF with few packets", "us", of.fewP99);
    figures.add(name, "dummies, paced", "% of entries", of.dummies);
    figures.add(name, "left waiting for ever", "packets", of.waiting);
  }
  figures.ratio("by deadline / eager", "throughput, saturated", samples[0]!.mpps, samples[1]!.mpps);
  figures.ratio("none / by deadline", "latency p99, NF with few packets", samples[2]!.fewP99, samples[0]!.fewP99);
  const note =
    `${WORKGROUPS} workgroups of ${SIZE}, two NFs that invert ${BYTES} bytes, one packet in ${FEW} to the second; latency at ` +
    `${(rate / 1e6).toPrecision(3)} Mpps, a quarter of what was done at saturation, packets coming one by one at random`;
  return { figures: figures.list, device: usedDevice(), notes: [note] };
}

export function dummiesCells(): Cell[] {
  return [{ name: "dummies", workgroups: WORKGROUPS, run: measure }];
}
