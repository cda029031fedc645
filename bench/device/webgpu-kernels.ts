/** Kernels in WGSL by themselves, beside the same NF on one core of the CPU; and what rows that share a dispatch are worth. */
import { availableParallelism } from "node:os";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import type { Size } from "../frames.js";
import { NfSubject } from "../subject.js";
import { usedAdapter } from "./adapter.js";
import { SIZE } from "./bed.js";
import { nowNs } from "./counts.js";
import { othersNs } from "./cpu-time.js";
import { ipsecSubject, type KernelSubject, nidsSubject, routerSubject } from "./kernel-subjects.js";
import { PreparedNf } from "./prepared.js";
import { WgslLauncher } from "./wgsl-launcher.js";

const COUNTS = [1024, 8192] as const;
const QUICK_COUNTS = [1024] as const;
/** Mpps that straightforward kernels did on SwiftShader, 1024 packets, in the order of sizes. */
const LEAST = { esp: [0.177, 0.034, 0.009], ahoCorasick: [0.62, 0.11, 0.037], dir248: [14] } as const;
const LEAST_COUNT = 1024;
/** Dispatches of a submit where what a submit takes is not to count. */
const TOGETHER = 8;
/** Rows that share a dispatch. */
const ROWS = [1, 2, 4, 8] as const;
const LEAST_GAIN = 3;

/** What a dispatch takes, ns: by this thread's clock; and of all cores, by the CPU time of the threads of an emulation. */
interface Taken {
  readonly wall: number;
  readonly cores: number;
}

/** Launches until `ms` are over, work restored before each where it cannot be done twice. */
async function dispatchNs(
  launcher: WgslLauncher,
  rows: number,
  dispatches: number,
  ms: number,
  restores: boolean,
): Promise<Taken> {
  await launcher.launch(rows, 1);
  let wall = 0;
  let cpu = 0;
  let launches = 0;
  for (const end = nowNs() + ms * 1e6; launches === 0 || nowNs() < end; launches++) {
    if (restores) await launcher.restore();
    const before = othersNs();
    wall += await launcher.launch(rows, dispatches);
    cpu += othersNs() - before;
  }
  const each = 1 / launches / dispatches;
  return { wall: wall * each, cores: (cpu * each) / availableParallelism() };
}

/** A kernel with packets on the device that it has served once, as the CPU would have. */
async function openChecked(
  subject: KernelSubject,
  size: Size,
  count: number,
): Promise<{ launcher: WgslLauncher; rows: number }> {
  const { module, loaded } = subject.nf;
  const { gpu } = module;
  if (gpu === undefined) throw new Error(`${module.type} has no kernel`);
  const launcher = await WgslLauncher.open(gpu.program, gpu.tables(loaded as never), count, Math.ceil(count / SIZE));
  const prepared = new PreparedNf(subject.nf, subject.frames(size, count), launcher.arena);
  const rows = launcher.write(prepared.slots, count);
  await launcher.restore();
  await launcher.launch(rows);
  await launcher.read();
  prepared.verify();
  prepared.close();
  await launcher.restore();
  return { launcher, rows };
}

/** True where a packet that was served has to be restored before it is the same work again: what was opened is no ESP packet any more. */
const isOnce = ({ expect }: KernelSubject) => expect.includes("opened");

async function measure(subject: KernelSubject, options: CellOptions): Promise<CellResult> {
  const { module, loaded } = subject.nf;
  const figures = new Figures();
  const device = await usedAdapter();
  const against = device.emulated ? "emulation on all cores against one core" : "device against one core";
  const restores = isOnce(subject);
  for (const [i, size] of subject.sizes.entries()) {
    if (options.quick && size === "512") continue;
    for (const count of options.quick ? QUICK_COUNTS : COUNTS) {
      const { launcher, rows } = await openChecked(subject, size, count);
      const frames = subject.frames(size, count);
      const cpu = NfSubject.open(module, loaded as never, frames, { expect: subject.expect, warn: options.warn });
      const turn = (dispatches: number) => async () => {
        const { wall, cores } = await dispatchNs(launcher, rows, dispatches, options.turnMs, restores);
        return { mpps: (1e3 * count) / wall, cores: (1e3 * count) / cores };
      };
      const cpuTurn = async () => {
        const mpps = 1e3 / (await cpu.repeat());
        return { mpps, cores: mpps };
      };
      const [alone, onCpu, together] = await inTurns<"mpps" | "cores">(
        [
          { name: "kernel", turn: turn(1) },
          { name: "cpu", turn: cpuTurn },
          ...(restores ? [] : [{ name: "kernels", turn: turn(TOGETHER) }]),
        ],
        options.repeats,
      );
      cpu.verify();
      await cpu.close();
      await launcher.close();
      const name = `${module.type === "router" ? "any size" : frames.name}, ${count} packets`;
      const least = count === LEAST_COUNT ? { least: LEAST[subject.kernel][i]! } : {};
      const best = together ?? alone!;
      if (together !== undefined) {
        figures.add(`kernel, ${name}`, `${TOGETHER} dispatches in a submit`, "Mpps", together.mpps, least);
      }
      figures.add(`kernel, ${name}`, "a submit for each", "Mpps", alone!.mpps, together === undefined ? least : {});
      if (device.emulated)
        figures.add(`kernel, ${name}`, "by CPU time of the emulation, all cores its own", "Mpps", best.cores);
      figures.add(`CPU NF, ${name}`, cpu.engine, "Mpps", onCpu!.mpps);
      figures.ratio(`kernel / CPU NF, ${name}`, against, best.mpps, onCpu!.mpps);
    }
  }
  return { figures: figures.list, device, notes: [subject.note] };
}

/** Rows per second with 1, 2, 4 and 8 rows in a dispatch, each submit waited for. */
async function measureRows(name: string, size: Size, subject: KernelSubject | undefined, options: CellOptions) {
  const most = ROWS.at(-1)!;
  const figures = new Figures();
  const opened =
    subject === undefined ? await openPass(most * SIZE) : (await openChecked(subject, size, most * SIZE)).launcher;
  const samples = await inTurns<"rows">(
    ROWS.map((rows) => ({
      name: `${rows} rows`,
      turn: async () => ({ rows: (1e6 * rows) / (await dispatchNs(opened, rows, 1, options.turnMs, false)).wall }),
    })),
    options.repeats,
  );
  await opened.close();
  for (const [i, rows] of ROWS.entries()) {
    figures.add(
      `${name}, ${rows} row${rows === 1 ? "" : "s"} in a dispatch`,
      "rows served",
      "krows/s",
      samples[i]!.rows,
    );
  }
  figures.ratio(`${name}, ${most} rows / 1 row`, "rows served", samples.at(-1)!.rows, samples[0]!.rows, {
    // Of a row that takes much longer than its submit, only what runs side by side is gained: at most as many as there are cores.
    ...(subject?.kernel !== "esp" && { least: LEAST_GAIN }),
    beside: "3.1 to 3.7 in a first trial on SwiftShader",
  });
  return figures.list;
}

async function openPass(count: number): Promise<WgslLauncher> {
  const launcher = await WgslLauncher.open("pass", new Uint32Array(1), count, count / SIZE);
  launcher.write(
    Uint32Array.from({ length: count }, (_, i) => i),
    count,
  );
  await launcher.restore();
  return launcher;
}

async function measureAllRows(options: CellOptions): Promise<CellResult> {
  const list = [...(await measureRows("pass", "64", undefined, options))];
  const router = await routerSubject(options);
  list.push(...(await measureRows("router", "64", router, options)));
  const nids = await nidsSubject(options);
  list.push(...(await measureRows("nids, 64 B", "64", nids, options)));
  if (!options.quick) list.push(...(await measureRows("nids, 1472 B", "1472", nids, options)));
  list.push(...(await measureRows("ipsec seal, 64 B", "64", await ipsecSubject(options, "seal"), options)));
  return { figures: list, device: await usedAdapter(), notes: ["rows of 64, each submit waited for"] };
}

const cell = (name: string, run: Cell["run"]): Cell => ({ name, workgroups: 0, needs: "webgpu", run });
const kernel = (name: string, load: (options: CellOptions) => Promise<KernelSubject>): Cell =>
  cell(name, async (options) => measure(await load(options), options));

const kernels: Experiment = {
  name: "device-webgpu-kernels",
  about: "kernels in WGSL by themselves, beside the same NF on one core of the CPU; and rows that share a dispatch",
  cells: (quick) => [
    kernel("ipsec seal", (options) => ipsecSubject(options, "seal")),
    ...(quick ? [] : [kernel("ipsec open", (options) => ipsecSubject(options, "open"))]),
    kernel("nids", nidsSubject),
    kernel("router", routerSubject),
    cell("rows of a dispatch", measureAllRows),
  ],
};
export const experiments: readonly Experiment[] = [kernels];
