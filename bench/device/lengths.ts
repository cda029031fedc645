/** Rows of packets of like length against rows in the order packets came, with long and short ones mixed. */
import { nf as ipsecNf } from "../../nfs/ipsec/index.js";
import { nf as nidsNf } from "../../nfs/nids/index.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { type FrameSet, type Random, seededRandom, udpFrames } from "../frames.js";
import { loadBenchSas, toRandomSa } from "../ipsec.js";
import { loadBenchRules, payloads } from "../nids.js";
import { DEPTH, SIZE, usedDevice, withDevice } from "./bed.js";
import { Host } from "./host.js";
import { type LoadedNf, PreparedNf } from "./prepared.js";
import { type Mix, twoClasses } from "./source.js";

const WORKGROUPS = 2;
const SLOTS = 4 * WORKGROUPS * DEPTH * SIZE;

interface Subject {
  readonly nf: LoadedNf;
  frames(size: "64" | "1472"): FrameSet;
}

async function nidsSubject(options: CellOptions): Promise<Subject> {
  const loaded = await loadBenchRules(options);
  const payload = payloads("random", loaded);
  return {
    nf: { module: nidsNf as never, loaded },
    frames: (size) => udpFrames({ size, count: SLOTS, seed: options.seed, payload }),
  };
}

async function ipsecSubject(options: CellOptions): Promise<Subject> {
  const { loaded } = await loadBenchSas(options);
  const destination = (random: Random) => toRandomSa(random);
  return {
    nf: { module: ipsecNf as never, loaded },
    frames: (size) => udpFrames({ size, count: SLOTS, seed: options.seed, destination }),
  };
}

/** Frame i is short or long as the class of slot i is. */
function mixedFrames(subject: Subject, { classOf }: Mix): FrameSet {
  const short = subject.frames("64").frames;
  const long = subject.frames("1472").frames;
  const frames = Array.from(classOf, (c, i) => (c === 1 ? long[i]! : short[i]!));
  const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
  return { name: "64 and 1472 B", frames, meanBytes: bytes / frames.length };
}

async function measure(subject: Subject, options: CellOptions): Promise<CellResult> {
  const { module, loaded } = subject.nf;
  const { gpu } = module;
  if (gpu === undefined) throw new Error(`${module.type} has no kernel`);
  const mix = twoClasses(SLOTS, 2, seededRandom(options.seed));
  const frames = mixedFrames(subject, mix);
  const nfs = [{ program: gpu.program, writes: gpu.writes, tables: gpu.tables(loaded as never) }];
  const bed = { workgroups: WORKGROUPS, slots: SLOTS, nfs, warn: options.warn };
  const variant = (grouped: boolean) => ({
    name: grouped ? "grouped" : "in order",
    turn: async () => {
      const { result } = await withDevice(bed, (device, arena) => {
        const prepared = new PreparedNf(subject.nf, frames, arena);
        const host = new Host(device, arena, { mix, grouped });
        host.once();
        prepared.verify();
        prepared.restore();
        const { packets, seconds } = host.saturate(options.turnMs);
        host.check();
        prepared.close();
        return packets / seconds / 1e6;
      });
      return { mpps: result };
    },
  });
  const [grouped, inOrder] = await inTurns<"mpps">([variant(true), variant(false)], options.repeats);
  const figures = new Figures();
  figures.add("rows of like length", "throughput", "Mpps", grouped!.mpps);
  figures.add("rows in order", "throughput", "Mpps", inOrder!.mpps);
  figures.ratio("like length / in order", "throughput", grouped!.mpps, inOrder!.mpps, {
    beside: "1.6 to 1.9 on SwiftShader, another emulation",
  });
  const note = `${WORKGROUPS} workgroups of ${SIZE}; frames of 64 and 1472 B, as many of each, in random order`;
  return { figures: figures.list, device: usedDevice(), notes: [note] };
}

const cell = (name: string, load: (options: CellOptions) => Promise<Subject>): Cell => ({
  name,
  workgroups: WORKGROUPS,
  run: async (options) => measure(await load(options), options),
});

const lengths: Experiment = {
  name: "device-lengths",
  about: "rows of packets of like length against rows in the order packets came, 64 and 1472 B mixed",
  cells: (quick) => [cell("nids", nidsSubject), ...(quick ? [] : [cell("ipsec seal", ipsecSubject)])],
};
export const experiments: readonly Experiment[] = [lengths];
