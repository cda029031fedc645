/**
 * Measures cells by running the chain in this process, as `wingbeat run` does: the same threads, the same device, inputs played from memory
 * for ever and outputs that keep nothing. All threads of a run are new ones, so that no sample rests on what an earlier one has compiled; what
 * is kept between samples is what was loaded: the chain, the tables of its NFs, and what a driver keeps of compiled kernels.
 */
import type { LoadedChain } from "../chain/load.js";
import { parseDevice } from "../device/choose.js";
import type { Device } from "../device/device.js";
import { preparePocl } from "../device/opencl/pocl.js";
import { forAll } from "../engine/by-role.js";
import { parseCores } from "../engine/core-spec.js";
import type { PlanOptions } from "../engine/plan.js";
import type { RunResult, Snapshot } from "../engine/result.js";
import { type Run, startRun } from "../engine/run.js";
import { type DeviceTuning, openRunDevice } from "../engine/run-device.js";
import { RunError } from "../errors.js";
import type { EnergyRecorder, EnergySpan } from "../measure/energy/meter.js";
import {
  type Cell,
  type FrameSize,
  type Load,
  onGpu,
  placementName,
  type Runner,
  type Sample,
  sampleKey,
  type Timing,
} from "./cell.js";
import { generatedInputs, type Inputs, loadForExperiments, variantOf } from "./variant.js";

export interface RunnerOptions {
  /** What the chain receives at a frame size; asked once for each. Absent: {@link generatedInputs}. */
  inputs?(size: FrameSize): Promise<Inputs>;
  /** Runs during the window of every sample; the caller's to close. */
  readonly energy?: EnergyRecorder | undefined;
  /** The most workgroups any cell asks for: some drivers want to know before they are loaded. */
  readonly workgroups?: number | undefined;
  /** How the device of a cell is opened, beyond what the cell says. */
  tuning?(cell: Cell): DeviceTuning | undefined;
  /** Ends the measurement at hand in order, and every later one before it begins. */
  readonly signal?: AbortSignal | undefined;
  /** One line for the user; each is said once. */
  warn(line: string): void;
}

/** ms between looks whether the first packet has come. */
const LOOK_MS = 1;

/** Counters with the moment they were read, and processor time up to then. */
interface Reading extends Snapshot {
  /** ms */
  readonly at: number;
  /** us */
  readonly cpu: number;
}

export class ChainRunner implements Runner {
  private readonly inputs = new Map<FrameSize, Promise<Inputs>>();
  private readonly said = new Set<string>();
  private readonly stopping = new AbortController();
  private current: Promise<unknown> = Promise.resolve();

  constructor(
    /** As {@link loadForExperiments} has it. */
    readonly chain: LoadedChain,
    private readonly options: RunnerOptions,
  ) {
    preparePocl(options.workgroups);
    const { signal } = options;
    if (signal?.aborted) this.stop();
    signal?.addEventListener("abort", this.onSignal);
  }

  private readonly onSignal = () => this.stop();

  /** @throws ConfigError for the first thing that is wrong with the chain */
  static async open(file: string, options: RunnerOptions): Promise<ChainRunner> {
    return new ChainRunner(await loadForExperiments(file, options.warn), options);
  }

  /** Ends the measurement at hand in order: its promise rejects once the run has ended. Nothing is measured afterwards. */
  stop(): void {
    this.stopping.abort();
  }

  get stopped(): boolean {
    return this.stopping.signal.aborted;
  }

  /**
   * Starts a run of a cell, from which it differs in what `more` says; for what no sample tells, such as digests.
   * @throws ConfigError for a placement the chain does not allow; RunError where the device does not open
   */
  async start(cell: Cell, more: Partial<PlanOptions> = {}): Promise<Run> {
    const { placement, cores, wait, batch } = cell;
    const chain = variantOf(this.chain, placement, await this.inputsOf(cell.size));
    const coreSpec = parseCores(cores);
    const device = await this.device(chain, cell);
    try {
      if (this.stopped) throw stopped();
      return startRun(chain, {
        ...{ order: "flow", loop: 0, duration: 0, rate: undefined, seed: undefined, digest: false },
        ...{ verifyL4: false, portable: false, batch, wait: forAll(wait) },
        ...more,
        cores: coreSpec,
        device,
        warn: this.warn,
      });
    } catch (error) {
      await device?.close();
      throw error;
    }
  }

  async measure(cell: Cell, load: Load, timing: Timing, repeat: number): Promise<Sample> {
    const measured = this.current.catch(() => {}).then(() => this.sample(cell, load, timing, repeat));
    this.current = measured;
    return measured;
  }

  /** Stops what is measured, and waits for its end. */
  async close(): Promise<void> {
    this.stop();
    this.options.signal?.removeEventListener("abort", this.onSignal);
    await this.current.catch(() => {});
  }

  private readonly warn = (line: string): void => {
    if (this.said.has(line)) return;
    this.said.add(line);
    this.options.warn(line);
  };

  private inputsOf(size: FrameSize): Promise<Inputs> {
    const { options, inputs } = this;
    let found = inputs.get(size);
    if (found === undefined) {
      found = options.inputs === undefined ? makeGenerated(this.chain, size) : options.inputs(size);
      inputs.set(size, found);
      // Asked again where it went wrong.
      found.catch(() => inputs.delete(size));
    }
    return found;
  }

  private async device(chain: LoadedChain, cell: Cell): Promise<Device | undefined> {
    const { placement, device, workgroups } = cell;
    const flags = { request: parseDevice(device), workgroups, sliceMs: undefined, tuning: this.options.tuning?.(cell) };
    const opened = await openRunDevice(chain, flags, this.warn);
    if (opened === undefined && onGpu(placement).length > 0) {
      const problem = `${placementName(placement)}: device ${device} runs no NF`;
      throw new RunError("placement", problem, "name a device that is there: opencl, webgpu or gpujs");
    }
    return opened;
  }

  private async sample(cell: Cell, load: Load, timing: Timing, repeat: number): Promise<Sample> {
    if (this.stopped) throw stopped();
    const offered = load.kind === "offered";
    const run = await this.start(cell, {
      warmUpMs: timing.warmUpMs,
      ...(offered && { rate: { unit: "pps", value: load.pps }, ring: load.ring }),
    });
    const window = await this.window(run, timing);
    const result = await run.result;
    return sampleOf({ cell, load, repeat, result, ...window });
  }

  /** Waits for the window, reads at both of its ends, and stops the run. @throws what the run does; RunError where it was stopped */
  private async window(run: Run, { warmUpMs, windowMs }: Timing): Promise<Window> {
    const { energy } = this.options;
    const wait = waiter(run, this.stopping.signal);
    let recording = false;
    try {
      while (run.snapshot().rx === 0) await wait(LOOK_MS);
      await wait(warmUpMs);
      energy?.start();
      recording = energy !== undefined;
      const at = new Date().toISOString();
      const from = read(run);
      await wait(windowMs);
      const to = read(run);
      recording = false;
      return { at, from, to, span: energy?.stop() ?? null };
    } catch (error) {
      run.stop();
      await run.result.catch(() => {});
      throw error;
    } finally {
      run.stop();
      if (recording) endQuietly(energy!);
    }
  }
}

interface Window {
  readonly at: string;
  readonly from: Reading;
  readonly to: Reading;
  readonly span: EnergySpan | null;
}

async function makeGenerated(chain: LoadedChain, size: FrameSize): Promise<Inputs> {
  return generatedInputs(chain, size);
}

function stopped(): RunError {
  return new RunError("measurement", "it was stopped before it was complete");
}

/** The span is of no use any more; what the meter has to say of it is not, either. */
function endQuietly(energy: EnergyRecorder): void {
  try {
    energy.stop();
  } catch {
    // The error that ended the measurement says more.
  }
}

function read(run: Run): Reading {
  const before = performance.now();
  const snapshot = run.snapshot();
  const { user, system } = process.cpuUsage();
  return { ...snapshot, at: (before + performance.now()) / 2, cpu: user + system };
}

/** @returns waits so many ms, or rejects: where the run ends meanwhile, or is to be stopped */
function waiter(run: Run, signal: AbortSignal): (ms: number) => Promise<void> {
  const ended = run.result.then((result) => {
    checkRun(result);
    throw new RunError("measurement", "the run came to its end before the window did", "give it input without an end");
  });
  ended.catch(() => {});
  return (ms) => {
    let timer: NodeJS.Timeout | undefined;
    let onStop = () => {};
    const waited = new Promise<void>((resolve, reject) => {
      timer = setTimeout(resolve, ms);
      onStop = () => reject(stopped());
      if (signal.aborted) onStop();
      signal.addEventListener("abort", onStop);
    });
    return Promise.race([waited, ended]).finally(() => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onStop);
    });
  };
}

/** @throws RunError where the run's figures are not to be trusted */
function checkRun({ failure, ledger }: RunResult): void {
  if (failure !== null) throw new RunError("measurement", failure);
  if (ledger.balanced) return;
  const { rx, tx, to_kernel: kernel, dropped } = ledger;
  const problem = `the ledger does not balance: ${rx} received, ${tx} sent, ${kernel} to the kernel, ${dropped} dropped`;
  throw new RunError("measurement", problem, "please report this");
}

interface SampleParts extends Window {
  readonly cell: Cell;
  readonly load: Load;
  readonly repeat: number;
  readonly result: RunResult;
}

function sampleOf({ cell, load, repeat, result, at, from, to, span }: SampleParts): Sample {
  checkRun(result);
  const seconds = (to.at - from.at) / 1000;
  const rx = to.rx - from.rx;
  const missed = to.missed - from.missed;
  const bytes = to.rxBytes - from.rxBytes;
  const { device, sync, ledger } = result;
  return {
    key: sampleKey(cell, load),
    cell,
    load,
    repeat,
    at,
    seconds,
    packets: { rx, tx: to.tx + to.toKernel - from.tx - from.toKernel, dropped: to.dropped - from.dropped, missed },
    bytes,
    mpps: rx / seconds / 1e6,
    gbps: (bytes * 8) / seconds / 1e9,
    loss: missed === 0 ? 0 : missed / (rx + missed),
    latency_ns: result.latency_ns,
    cpu_seconds: (to.cpu - from.cpu) / 1e6,
    // Of the whole run, in which every packet received has come to its end.
    nfs: result.nfs.map(({ name, place, engine, packets }) => ({ name, place, engine, share: packets / ledger.rx })),
    device: device && {
      kind: device.kind,
      name: device.name,
      emulated: device.emulated,
      persistent: device.persistent,
      zero_copy: device.zero_copy,
      workgroups: device.workgroups,
    },
    drops: ledger.drops,
    sync,
    energy: span,
  };
}
