/**
 * The proof that placements may be compared at all, in an untimed pass: the whole prepared input once through every placement on every
 * device, with a fixed seed, in global order and with digests, against the same input with every NF on the CPU. What leaves, what alerts,
 * what every NF made of its packets and what was dropped has to be equal; else there is nothing to compare, and {@link refusal} says
 * where it differs, down to the first byte.
 *
 * Nothing of the user's is written: ports that send go nowhere, or into the scratch folder. Files that NFs write are a matter of how the
 * chain was loaded (LoadOptions.redirect).
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { LoadedChain } from "../chain/load.js";
import type { Device } from "../device/device.js";
import { parseCores } from "../engine/core-spec.js";
import type { RunResult } from "../engine/result.js";
import { type Run, startRun } from "../engine/run.js";
import { RunError } from "../errors.js";
import type { PortConfig } from "../nic/drivers.js";
import { captureDifference, describeFrame, type FrameDifference } from "./capture-difference.js";
import { type Cell, type FrameSize, onGpu, type Placement, placementName } from "./cell.js";
import type { PreparedInput } from "./input/prepare.js";
import { placedChain, placementOf } from "./placements.js";
import { resultDifferences } from "./result-difference.js";

/** What of a cell decides which bytes come out; `device` is `none` where nothing is placed on a GPU. */
export type ProofCell = Pick<Cell, "placement" | "device" | "size" | "cores" | "workgroups">;

export interface ProofOptions {
  /** Loaded so that its NFs write no file of the user's. */
  readonly chain: LoadedChain;
  /** Opens the device of a cell for a chain with its placement; the run closes it. */
  open(chain: LoadedChain, cell: ProofCell): Promise<Device | undefined>;
  /** The input by size; asked for once per size. */
  input(size: FrameSize): Promise<PreparedInput>;
  /** Of IVs and everything else that is random in a run. */
  readonly seed: number;
  /** Packets per burst. */
  readonly batch: number;
  /** Packets of each generator at most; captures go through whole. */
  readonly generated: number;
  /** Folder for captures of two runs that differ, made where needed and emptied again. */
  readonly scratch: string;
  /** One line for the user. */
  warn(line: string): void;
  /** Before each run. */
  progress?(done: number, of: number): void;
  /** Ends the run under way in order, and the proof with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** One way to run the chain against all on the CPU. Plain JSON. */
export interface ProofCase {
  /** "ipsec on gpu, opencl, d1". */
  readonly name: string;
  readonly size: FrameSize;
  readonly placement: Placement;
  readonly device: string;
  readonly cores: string;
  readonly packets: number;
  readonly digest: string;
  readonly alerts_digest: string;
  /** What is not as on the CPU, a line each; empty where all is equal. */
  readonly differences: readonly string[];
  /** Of the first case that differs, where frames do and the runs were repeated with captures. */
  readonly first_frame: FrameDifference | null;
}

export interface Proof {
  readonly equal: boolean;
  /** Packets of a pass; the most, where sizes have different inputs. */
  readonly packets: number;
  readonly cases: readonly ProofCase[];
}

/** Cores of the run that all are compared with. */
const REFERENCE_CORES = "d1";
/** Bytes that leave, of runs that are repeated with captures to find the frame that differs. */
const MOST_CAPTURED = 512 * 1024 * 1024;

/**
 * Runs every cell, whatever the ones before came to: which of them differ says where to look.
 * @throws as a run does: where a device does not open, an input is unreadable or a thread fails
 */
export async function proveEquivalence(cells: readonly ProofCell[], options: ProofOptions): Promise<Proof> {
  return new Prover(options).prove([...new Map(cells.map((cell) => [keyOf(cell), cell])).values()]);
}

/** Cells that differ in nothing but how packets wait are proven once. */
function keyOf({ placement, device, size, cores, workgroups }: ProofCell): string {
  return JSON.stringify([onGpu(placement), device, size, cores, workgroups]);
}

/** Why placements may not be compared; undefined where they may. */
export function refusal(proof: Proof): RunError | undefined {
  const wrong = proof.cases.filter(({ differences }) => differences.length > 0);
  const first = wrong[0];
  if (first === undefined) return undefined;
  const lines = first.differences.map((line) => `\n    ${line}`).join("");
  const frame = wrong.find(({ first_frame }) => first_frame !== null)?.first_frame;
  const where = frame == null ? "" : `\n    first: ${describeFrame(frame)}`;
  const others = wrong.slice(1).map(({ name, size }) => `${name} at ${size}`);
  const more = others.length === 0 ? "" : `\n  so do: ${others.join("; ")}`;
  return new RunError(
    "equivalence",
    `${first.name} at ${first.size} gives another result than all on cpu, so that nothing is compared:${lines}${where}${more}`,
    "leave that placement or device out (--placements, --devices), and report it with the chain and its input",
  );
}

/** A run on a device that had begun. */
class FailedRun extends RunError {
  constructor(readonly why: string) {
    super("equivalence", why);
  }
}

class Prover {
  private readonly inputs = new Map<FrameSize, Promise<PreparedInput>>();
  private readonly references = new Map<FrameSize, RunResult>();

  constructor(private readonly options: ProofOptions) {}

  async prove(cells: readonly ProofCell[]): Promise<Proof> {
    const { signal, progress } = this.options;
    const runs = cells.length + new Set(cells.map(({ size }) => size)).size;
    const cases: ProofCase[] = [];
    let done = 0;
    let isTold = false;
    for (const cell of cells) {
      signal?.throwIfAborted();
      let reference = this.references.get(cell.size);
      if (reference === undefined) {
        progress?.(done++, runs);
        reference = await this.run(this.baseline(cell.size), this.sink);
        this.references.set(cell.size, reference);
      }
      progress?.(done++, runs);
      const result = await this.run(cell, this.sink).catch((error: unknown) => this.ended(error));
      if (typeof result === "string") {
        cases.push(caseOf(cell, undefined, [`the run ended with: ${result}`], null));
        continue;
      }
      const differences = [...faults(reference), ...resultDifferences(reference, result)];
      const isSearched = !isTold && result.failure === null && reference.digest !== result.digest;
      if (isSearched) isTold = true;
      const first_frame = isSearched ? await this.findFrame(cell, reference, result, differences) : null;
      cases.push(caseOf(cell, result, differences, first_frame));
    }
    progress?.(runs, runs);
    const packets = cases.reduce((most, one) => Math.max(most, one.packets), 0);
    return { equal: cases.every(({ differences }) => differences.length === 0), packets, cases };
  }

  /** What a run ended with whose threads could not go on, as an NF that gets an answer there is not. @throws what is none of the run's */
  private ended(error: unknown): string {
    if (error instanceof FailedRun) return error.why;
    throw error;
  }

  private baseline(size: FrameSize): ProofCell {
    const placement = placementOf(this.options.chain, []);
    return { placement, device: "none", size, cores: REFERENCE_CORES, workgroups: undefined };
  }

  private readonly sink = (_port: string): PortConfig => ({ driver: "null" });

  /** One run. @param output the port that stands for one that sends */
  private async run(cell: ProofCell, output: (port: string) => PortConfig): Promise<RunResult> {
    const { chain, warn, seed, batch, signal } = this.options;
    const ports = await this.receiving(cell.size);
    const configured = chain.ports.map((port) => ({
      ...port,
      config: port.tx ? output(port.name) : (ports.get(port.name) ?? port.config),
    }));
    const placed: LoadedChain = { ...placedChain(chain, cell.placement), ports: configured };
    signal?.throwIfAborted();
    const device = cell.device === "none" ? undefined : await this.options.open(placed, cell);
    if (device === undefined && onGpu(cell.placement).length > 0) {
      const problem = `${placementName(cell.placement)}, but there is no device`;
      throw new RunError(`--devices ${cell.device}`, problem, "`wingbeat doctor` lists what is there");
    }
    let run: Run;
    try {
      // One that does not serve is no difference.
      await device?.start();
      run = startRun(placed, {
        ...{ order: "global", batch, loop: 1, duration: 0, rate: undefined, seed, digest: true, verifyL4: false },
        ...{ portable: false, wait: {}, cores: parseCores(cell.cores), device, warn },
      });
    } catch (error) {
      await device?.close();
      throw error;
    }
    const stop = () => run.stop();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      const result = await run.result.catch((error: Error) => {
        signal?.throwIfAborted();
        throw device === undefined ? error : new FailedRun(error.message.split("\n")[0]!);
      });
      // It was cut short.
      signal?.throwIfAborted();
      return result;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** The input of a size, of generators as much as goes through in a proof. */
  private async receiving(size: FrameSize): Promise<Map<string, PortConfig>> {
    let input = this.inputs.get(size);
    if (input === undefined) {
      input = this.options.input(size);
      this.inputs.set(size, input);
    }
    const { generated } = this.options;
    const ports = new Map<string, PortConfig>();
    for (const [name, config] of (await input).ports) {
      const isLong = config.driver === "generator" && config.count > generated;
      ports.set(name, isLong ? { ...config, count: generated } : config);
    }
    return ports;
  }

  /** Both runs once more, with captures of what leaves. */
  private async findFrame(
    cell: ProofCell,
    reference: RunResult,
    result: RunResult,
    differences: string[],
  ): Promise<FrameDifference | null> {
    if (reference.bytes.tx + result.bytes.tx > MOST_CAPTURED) {
      differences.push("the first frame was not looked for: too much leaves to capture it; try a shorter input");
      return null;
    }
    const folder = join(this.options.scratch, "difference");
    const captured = async (which: ProofCell, name: string) => {
      mkdirSync(join(folder, name), { recursive: true });
      const file = (port: string) => join(folder, name, `${port}.pcap`);
      await this.run(which, (port) => ({ driver: "pcap", file: file(port) }));
      return file;
    };
    try {
      const expected = await captured(this.baseline(cell.size), "expected");
      const found = await captured(cell, "found");
      for (const { name, tx } of this.options.chain.ports) {
        const difference = tx ? await captureDifference(name, expected(name), found(name)) : undefined;
        if (difference !== undefined) return difference;
      }
      differences.push(
        "run once more, with captures, every port sent the same frames: the device does not err each time",
      );
      return null;
    } catch (error) {
      differences.push(`run once more, with captures, it ended with: ${this.ended(error)}`);
      return null;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

/** A baseline that failed proves nothing. */
function faults({ failure, ledger }: RunResult): string[] {
  const lines = failure === null ? [] : [`all on cpu, the run failed: ${failure}`];
  return ledger.balanced ? lines : [...lines, "all on cpu, the ledger does not balance"];
}

function caseOf(
  { size, placement, device, cores }: ProofCell,
  result: RunResult | undefined,
  differences: readonly string[],
  first_frame: FrameDifference | null,
): ProofCase {
  return {
    ...{ name: `${placementName(placement)}, ${device}, ${cores}`, size, placement, device, cores },
    ...{ packets: result?.packets.rx ?? 0, digest: result?.digest ?? "", alerts_digest: result?.alerts_digest ?? "" },
    ...{ differences, first_frame },
  };
}
