/** What it costs to be measured: the rate of a cell's sample against that of `wingbeat run` in a process of its own, in turns. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { RunResult } from "../../runtime/engine/result.js";
import { type Cell as MeasuredCell, onGpu, type Placement } from "../../runtime/experiment/cell.js";
import { ChainRunner } from "../../runtime/experiment/runner.js";
import { usedDevice } from "../device/bed.js";
import { type ChainSpec, chainOf } from "../device/chain-run.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { loadBenchRules } from "../nids.js";
import { ThreadTime } from "./thread-time.js";

const MAIN = fileURLToPath(new URL("../../runtime/cli/main.js", import.meta.url));
/** Of the rate of `run`, at the least. */
const TARGET = 0.98;
/** ms of a run, at the least: less is start and little else; and times a turn's. */
const LEAST_MS = 250;
const TIMES_TURN = 5;
const WARM_UP_MS = 300;

const FORWARDING: ChainSpec = {
  name: "overhead-forwarding",
  nfs: {},
  policy: ["*,ingress,egress"],
  traffic: { size: 64 },
  gpu: [],
};
const NIDS: ChainSpec = {
  name: "overhead-nids",
  nfs: { nids: { type: "nids", config: { rules: "bench.rules" } } },
  policy: ["*,ingress,nids", "*,nids,egress"],
  traffic: { size: 512 },
  gpu: [],
};

type Key = "mpps" | "perSecond";

/** @param busy seconds of processor time of the thread that received the packets */
const figuresOf = (packets: number, seconds: number, busy: number): Record<Key, number> => ({
  mpps: packets / seconds / 1e6,
  perSecond: packets / busy / 1e6,
});

/** The rates of a whole run, from its first packet on. */
async function runFigures(file: string, gpu: readonly string[], ms: number): Promise<Record<Key, number>> {
  const args = ["run", file, "--loop", "0", "--duration", String(ms / 1000), "--json", "-", "--quiet"];
  if (gpu.length === 0) args.push("--device", "none");
  else args.push("--device", "opencl", "--place", gpu.map((nf) => `${nf}=gpu`).join(","));
  const running = promisify(execFile)(process.execPath, [MAIN, ...args], { maxBuffer: 1 << 24 });
  const time = new ThreadTime(running.child.pid!);
  const { stdout } = await running;
  const { packets, seconds } = JSON.parse(stdout) as RunResult;
  return figuresOf(packets.rx, seconds, time.end());
}

async function overhead(spec: ChainSpec, placement: Placement, options: CellOptions): Promise<CellResult> {
  const windowMs = Math.max(LEAST_MS, TIMES_TURN * options.turnMs);
  if (spec === NIDS) await loadBenchRules(options);
  const { file } = await chainOf(spec, options);
  const gpu = onGpu(placement);
  const device = gpu.length > 0 ? "opencl" : "none";
  const cell: MeasuredCell = {
    ...{ device, placement, size: "as-is", cores: "d1", workgroups: undefined, wait: "adaptive", batch: 64 },
  };
  const runner = await ChainRunner.open(file, { warn: () => {} });
  const sample = async (warmUpMs: number) => {
    const time = new ThreadTime(process.pid);
    const { packets, seconds } = await runner.measure(cell, { kind: "saturation" }, { warmUpMs, windowMs }, 0);
    return figuresOf(packets.rx, seconds, time.end());
  };
  try {
    const samples = await inTurns<Key>(
      [
        { name: "run", turn: () => runFigures(file, gpu, windowMs) },
        { name: "sample", turn: () => sample(0) },
        { name: "sample, warm", turn: () => sample(WARM_UP_MS) },
      ],
      options.repeats,
    );
    const [run, whole, warm] = samples;
    const figures = new Figures();
    const names = ["wingbeat run", "sample of the whole run", "sample after a warm-up"];
    names.forEach((name, i) => {
      figures.add(name, "received", "Mpps", samples[i]!.mpps);
    });
    const ratio = "sample of the whole run / wingbeat run";
    figures.ratio(ratio, "received", whole!.mpps, run!.mpps, { least: TARGET });
    // On a device, the busiest thread may be the device's.
    if (gpu.length === 0) {
      figures.ratio(ratio, "received per processor time", whole!.perSecond, run!.perSecond, { least: TARGET });
    }
    figures.ratio("sample after a warm-up / wingbeat run", "received", warm!.mpps, run!.mpps);
    const note = `runs and windows of ${windowMs} ms; without a warm-up both count from the first packet on, code not yet compiled included`;
    return { figures: figures.list, device: gpu.length > 0 ? usedDevice() : null, notes: [note] };
  } finally {
    await runner.close();
  }
}

const harnessOverhead: Experiment = {
  name: "harness-overhead",
  about: "the rate of an experiment's sample against that of wingbeat run of the same chain",
  cells: () => {
    const cells: Cell[] = [
      ["forwarding, 64 B", FORWARDING, {}] as const,
      ["nids, 512 B", NIDS, { nids: "cpu" }] as const,
      ["nids on opencl, 512 B", NIDS, { nids: "gpu" }] as const,
    ].map(([name, spec, placement]) => ({
      name,
      workgroups: 0,
      anyDevice: true,
      needs: Object.values<string>(placement).includes("gpu") ? "opencl" : "nothing",
      run: (options) => overhead(spec, placement as Placement, options),
    }));
    return cells;
  },
};
export const experiments: readonly Experiment[] = [harnessOverhead];
