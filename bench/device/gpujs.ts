/** gpu.js in its modes: what a launch costs, what copies cost, and the rates of the kernels it runs, beside the same NF on one core. */
import { GpuJs, type GpuJsMode } from "../../runtime/device/gpujs/compile.js";
import { Launch } from "../../runtime/device/gpujs/launch.js";
import { type GpuJsProgram, importGpuJs } from "../../runtime/device/gpujs/program.js";
import { PARAM_PLACE, type QueueShape, ROW_HEADER, rowWords } from "../../runtime/device/queue.js";
import { prepareVulkan } from "../../runtime/device/webgpu/library.js";
import { Arena, DATA_OFFSET, PARAM_WORDS } from "../../runtime/packet/arena.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { NfSubject } from "../subject.js";
import { SIZE } from "./bed.js";
import { nowNs } from "./counts.js";
import { type KernelSubject, nidsSubject, routerSubject } from "./kernel-subjects.js";
import { PreparedNf } from "./prepared.js";

/** Packets of a launch: as many as the device has at most. */
const PACKETS = 1024;
const ROWS = PACKETS / SIZE;
const SHAPE: QueueShape = { workgroups: 1, workgroupSize: SIZE, depth: ROWS };

/** Does nothing; `bytes`: of each packet are copied for it. */
const idle = (bytes: number): GpuJsProgram => ({
  kernel: "function kernel(bytes, entries, stride) { return 0; }",
  most: bytes,
  words: [],
  constants: () => ({}),
});

/** Rows of slots 0 to PACKETS. */
function rowsOf(): { readonly queue: Uint32Array; readonly rows: readonly number[] } {
  const words = rowWords(SHAPE);
  const queue = new Uint32Array(ROWS * words);
  for (let i = 0; i < PACKETS; i++) queue[Math.floor(i / SIZE) * words + ROW_HEADER + (i % SIZE)] = i;
  return { queue, rows: Array.from({ length: ROWS }, (_, row) => row * words) };
}

interface Taken {
  /** Packets per us. */
  readonly mpps: number;
  readonly us: number;
  /** Percent of the time that went into packets to numbers and answers to params. */
  readonly copying: number;
}

const { queue, rows } = rowsOf();

async function once(launch: Launch): Promise<void> {
  const answers = launch.run(queue, rows);
  launch.collect(answers instanceof Promise ? await answers : answers);
}

/** Launches, each waited for, until `ms` are over. */
async function rate(launch: Launch, ms: number): Promise<Taken> {
  await once(launch);
  const copied = launch.copyMs;
  const start = nowNs();
  let launches = 0;
  for (const end = start + ms * 1e6; launches === 0 || nowNs() < end; launches++) await once(launch);
  const us = (nowNs() - start) / 1e3;
  const copying = (100 * (launch.copyMs - copied) * 1e3) / us;
  return { mpps: (launches * PACKETS) / us, us: us / launches, copying };
}

async function measureKernel(gpu: GpuJs, subject: KernelSubject, figures: Figures, options: CellOptions) {
  const { module, loaded } = subject.nf;
  const program = await importGpuJs(module.gpu!.program);
  const tables = module.gpu!.tables(loaded as never);
  for (const size of subject.sizes) {
    if (options.quick && size === "512") continue;
    const frames = subject.frames(size, PACKETS);
    const arena = Arena.create(PACKETS);
    const prepared = new PreparedNf(subject.nf, frames, arena);
    const launch = new Launch(gpu, program, tables, arena, SHAPE, PACKETS);
    await launch.trial();
    await once(launch);
    prepared.verify();
    const cpu = NfSubject.open(module, loaded as never, frames, { expect: subject.expect, warn: options.warn });
    const [onDevice, onCpu] = await inTurns<"mpps" | "us" | "copying">(
      [
        {
          name: "kernel",
          turn: () => {
            prepared.restore();
            return rate(launch, options.turnMs);
          },
        },
        { name: "cpu", turn: async () => ({ mpps: 1e3 / (await cpu.repeat()), us: 0, copying: 0 }) },
      ],
      options.repeats,
    );
    cpu.verify();
    await cpu.close();
    launch.free();
    prepared.close();
    arena.free();
    const name = `${module.type}, ${module.type === "router" ? "any size" : frames.name}`;
    figures.add(name, "launch with copies", "Mpps", onDevice!.mpps);
    figures.add(name, "time of copies", "% of the launch", onDevice!.copying);
    figures.add(`CPU NF, ${name}`, cpu.engine, "Mpps", onCpu!.mpps);
    figures.ratio(`gpu.js / CPU NF, ${name}`, "throughput", onDevice!.mpps, onCpu!.mpps);
  }
}

/** What a launch takes that does nothing, without packet bytes and with them. */
async function measureIdle(gpu: GpuJs, figures: Figures, options: CellOptions): Promise<void> {
  const arena = Arena.create(PACKETS);
  for (const bytes of options.quick ? [0, 1472] : [0, 64, 1472]) {
    for (let slot = 0; slot < PACKETS; slot++) {
      arena.params[slot * PARAM_WORDS + PARAM_PLACE] = DATA_OFFSET | (bytes << 16);
    }
    const launch = new Launch(gpu, idle(bytes), new Uint32Array(0), arena, SHAPE, PACKETS);
    await launch.trial();
    const turn = () => rate(launch, options.turnMs / 2);
    const [samples] = await inTurns<"us" | "copying" | "mpps">([{ name: "idle", turn }], options.repeats);
    launch.free();
    const what = bytes === 0 ? "no packet bytes" : `${bytes} bytes of each packet`;
    figures.add(`empty kernel, ${what}`, `launch for ${PACKETS} packets`, "us", samples!.us);
    figures.add(`empty kernel, ${what}`, "time of copies", "% of the launch", samples!.copying);
  }
  arena.free();
}

async function measure(mode: GpuJsMode, options: CellOptions): Promise<CellResult> {
  if (mode === "webgpu") prepareVulkan();
  const gpu = await GpuJs.open(mode);
  const figures = new Figures();
  await measureIdle(gpu, figures, options);
  await measureKernel(gpu, await routerSubject(options), figures, options);
  await measureKernel(gpu, await nidsSubject(options), figures, options);
  const device = { name: gpu.name, emulated: gpu.emulated };
  await gpu.close();
  const note = `${PACKETS} packets to a launch, each waited for; each byte of a packet is copied as a number of four`;
  return { figures: figures.list, device, notes: [note] };
}

const cell = (mode: GpuJsMode): Cell => ({
  name: mode,
  workgroups: 0,
  needs: mode === "webgpu" ? "webgpu" : "nothing",
  run: (options) => measure(mode, options),
});

const gpujs: Experiment = {
  name: "device-gpujs",
  about: "gpu.js in its modes: what launches and copies cost, and the rates of router and nids",
  cells: () => [cell("webasm"), cell("cpu"), cell("webgpu")],
};
export const experiments: readonly Experiment[] = [gpujs];
