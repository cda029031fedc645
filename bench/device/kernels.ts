/** Kernels by themselves, 1024 packets to a launch, beside the same NF on one core of the CPU. */
import { nf as ipsecNf } from "../../nfs/ipsec/index.js";
import { nf as nidsNf } from "../../nfs/nids/index.js";
import { nf as routerNf } from "../../nfs/router/index.js";
import { through } from "../chain.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { type FrameSet, type Size, udpFrames } from "../frames.js";
import { loadBenchTunnels, toRandomSa } from "../ipsec.js";
import { loadBenchRules, payloads } from "../nids.js";
import { loadBenchRoutes } from "../router.js";
import { NfSubject } from "../subject.js";
import { SIZE, usedDevice } from "./bed.js";
import { nowNs } from "./counts.js";
import { Launcher } from "./launcher.js";
import { type LoadedNf, PreparedNf } from "./prepared.js";

const PACKETS = 1024;
const ROWS = PACKETS / SIZE;
const SIZES: readonly Size[] = ["64", "512", "1472"];
/** Launches that warm caches up, before each figure. */
const WARM = 3;

/** What a cell measures: an NF with frames for it. */
interface Subject {
  readonly nf: LoadedNf;
  readonly sizes: readonly Size[];
  frames(size: Size): FrameSet;
  /** Outcomes on the CPU. */
  readonly expect: readonly string[];
  /** Mpps that a straightforward kernel did on PoCL, in the order of sizes. */
  readonly least: readonly number[];
  readonly note: string;
}

const ESP = [1.36, 0.28, 0.104];
const AHO_CORASICK = [4.4, 0.51, 0.18];
const DIR_24_8 = [34];
/** Routes where there is no BGP table and time is short. */
const QUICK_ROUTES = 20_000;

async function ipsecSubject(options: CellOptions, direction: "seal" | "open"): Promise<Subject> {
  const { outbound, inbound } = await loadBenchTunnels(options);
  const plain = (size: Size) => udpFrames({ size, count: PACKETS, seed: options.seed, destination: toRandomSa });
  const seal = direction === "seal";
  return {
    nf: { module: ipsecNf as never, loaded: seal ? outbound : inbound },
    sizes: SIZES,
    frames: (size) => (seal ? plain(size) : through(ipsecNf as never, outbound, plain(size))),
    expect: [seal ? "protected" : "opened"],
    least: ESP,
    note: "sizes are of the inner frame",
  };
}

async function nidsSubject(options: CellOptions): Promise<Subject> {
  const loaded = await loadBenchRules(options);
  return {
    nf: { module: nidsNf as never, loaded },
    sizes: SIZES,
    frames: (size) => udpFrames({ size, count: PACKETS, seed: options.seed, payload: payloads("random", loaded) }),
    expect: ["clean", "alert"],
    least: AHO_CORASICK,
    note: `${loaded.patterns.length} literals, 1 % of packets hitting, random bytes`,
  };
}

async function routerSubject(options: CellOptions): Promise<Subject> {
  const { loaded, routes, source, destination } = await loadBenchRoutes(
    options,
    options.quick ? QUICK_ROUTES : undefined,
  );
  return {
    nf: { module: routerNf as never, loaded },
    sizes: ["64"],
    frames: (size) => udpFrames({ size, count: PACKETS, seed: options.seed, destination }),
    expect: ["forward"],
    least: DIR_24_8,
    note: `${routes.table.count} prefixes (${source}); no byte of a packet is looked at, so its size does not matter`,
  };
}

/** Launches until `ms` of kernel time are over; Mpps by the device's clock and by ours. */
function rate(launcher: Launcher, ms: number, restore: () => void): { kernel: number; wall: number } {
  for (let i = 0; i < WARM; i++) {
    restore();
    launcher.timed(ROWS);
  }
  let kernel = 0;
  let wall = 0;
  let launches = 0;
  while (wall < ms * 1e6) {
    restore();
    const start = nowNs();
    kernel += launcher.timed(ROWS);
    wall += nowNs() - start;
    launches++;
  }
  const packets = launches * PACKETS;
  return { kernel: (packets * 1e3) / kernel, wall: (packets * 1e3) / wall };
}

/** Runs every kernel once and compares with the CPU, then measures. */
async function measure(subject: Subject, options: CellOptions): Promise<CellResult> {
  const { module, loaded } = subject.nf;
  const { gpu } = module;
  if (gpu === undefined) throw new Error(`${module.type} has no kernel`);
  const figures = new Figures();
  const against = usedDevice().emulated ? "emulation on all cores against one core" : "device against one core";
  const launcher = new Launcher(gpu.program, gpu.tables(loaded as never), PACKETS, ROWS);
  for (const [i, size] of subject.sizes.entries()) {
    const frames = subject.frames(size);
    const prepared = new PreparedNf(subject.nf, frames, launcher.arena);
    launcher.write(prepared.slots, PACKETS);
    launcher.launch(ROWS);
    prepared.verify();
    const cpu = NfSubject.open(module, loaded as never, frames, { expect: subject.expect, warn: options.warn });
    const restore = () => prepared.restore();
    const [onDevice, onCpu] = await inTurns<"kernel" | "wall">(
      [
        { name: "kernel", turn: async () => rate(launcher, options.turnMs, restore) },
        {
          name: "cpu",
          turn: async () => {
            const mpps = 1e3 / (await cpu.repeat());
            return { kernel: mpps, wall: mpps };
          },
        },
      ],
      options.repeats,
    );
    prepared.close();
    // What an NF remembers (a replay window) must not have turned the same frames away when they came again.
    cpu.verify();
    await cpu.close();
    const name = module.type === "router" ? "any size" : frames.name;
    figures.add(`kernel, ${name}`, "by the device's clock", "Mpps", onDevice!.kernel, { least: subject.least[i]! });
    figures.add(`kernel, ${name}`, "with its launch", "Mpps", onDevice!.wall);
    figures.add(`CPU NF, ${name}`, cpu.engine, "Mpps", onCpu!.wall);
    figures.ratio(`kernel / CPU NF, ${name}`, against, onDevice!.kernel, onCpu!.wall);
  }
  launcher.close();
  await addOverhead(figures, options);
  return { figures: figures.list, device: usedDevice(), notes: [subject.note] };
}

/** What a launch takes that does nothing. */
async function addOverhead(figures: Figures, options: CellOptions): Promise<void> {
  const launcher = new Launcher("pass", new Uint32Array(1), PACKETS, ROWS);
  launcher.write(
    Uint32Array.from({ length: PACKETS }, (_, i) => i),
    PACKETS,
  );
  const us = (mpps: number) => PACKETS / mpps;
  const [empty] = await inTurns<"kernel" | "wall">(
    [
      {
        name: "empty",
        turn: async () => {
          const { kernel, wall } = rate(launcher, options.turnMs / 4, () => {});
          return { kernel: us(kernel), wall: us(wall) };
        },
      },
    ],
    options.repeats,
  );
  launcher.close();
  figures.add("empty kernel", "by the device's clock", "us", empty!.kernel);
  figures.add("empty kernel", "with its launch", "us", empty!.wall);
}

const cell = (name: string, load: (options: CellOptions) => Promise<Subject>): Cell => ({
  name,
  workgroups: 0,
  run: async (options) => measure(await load(options), options),
});

const kernels: Experiment = {
  name: "device-kernels",
  about: `kernels by themselves, ${PACKETS} packets to a launch, beside the same NF on one core of the CPU`,
  cells: (quick) => [
    cell("ipsec seal", (options) => ipsecSubject(options, "seal")),
    ...(quick ? [] : [cell("ipsec open", (options) => ipsecSubject(options, "open"))]),
    cell("nids", nidsSubject),
    cell("router", routerSubject),
  ],
};
export const experiments: readonly Experiment[] = [kernels];
