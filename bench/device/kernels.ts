/** Kernels by themselves, 1024 packets to a launch, beside the same NF on one core of the CPU. */
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { NfSubject } from "../subject.js";
import { SIZE, usedDevice } from "./bed.js";
import { nowNs } from "./counts.js";
import { ipsecSubject, type KernelSubject, nidsSubject, routerSubject } from "./kernel-subjects.js";
import { Launcher } from "./launcher.js";
import { PreparedNf } from "./prepared.js";

const PACKETS = 1024;
const ROWS = PACKETS / SIZE;
/** Mpps that straightforward kernels did on PoCL, in the order of sizes. */
const LEAST = { esp: [1.36, 0.28, 0.104], ahoCorasick: [4.4, 0.51, 0.18], dir248: [34] } as const;
/** Launches that warm caches up, before each figure. */
const WARM = 3;

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
async function measure(subject: KernelSubject, options: CellOptions): Promise<CellResult> {
  const { module, loaded } = subject.nf;
  const { gpu } = module;
  if (gpu === undefined) throw new Error(`${module.type} has no kernel`);
  const figures = new Figures();
  const against = usedDevice().emulated ? "emulation on all cores against one core" : "device against one core";
  const launcher = new Launcher(gpu.program, gpu.tables(loaded as never), PACKETS, ROWS);
  for (const [i, size] of subject.sizes.entries()) {
    const frames = subject.frames(size, PACKETS);
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
    figures.add(`kernel, ${name}`, "by the device's clock", "Mpps", onDevice!.kernel, {
      least: LEAST[subject.kernel][i]!,
    });
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

const cell = (name: string, load: (options: CellOptions) => Promise<KernelSubject>): Cell => ({
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
