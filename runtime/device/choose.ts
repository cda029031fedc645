/**
 * Which device a run takes: what was asked for, what is there, and what happens where it cannot be opened.
 *
 * `auto` goes from the best to the next and ends at the CPU, one line for each step; a device that was named is taken or the run fails.
 * Last before the CPU comes gpu.js: it is what runs NFs written as plain functions, and where there is no OpenCL it stands in, as PoCL does, for
 * what the chain has placed on a GPU.
 */
import { ConfigError, RunError } from "../errors.js";
import type { DeviceKind } from "./device.js";
import { GPUJS_MODES, type GpuJsMode } from "./gpujs/compile.js";
import { type FoundDevice, pickDevice, ranked, traitsOf } from "./opencl/platform.js";

/** What `--device` asks for. */
export interface DeviceRequest {
  readonly kind: "auto" | "none" | DeviceKind;
  /** Part of a device's or platform's name; of gpujs, the mode. */
  readonly name: string | undefined;
  /** Launch per round with copies even where persistent kernels would run. */
  readonly rounds: boolean;
  /** As it was written, for messages. */
  readonly text: string;
}

/** A device and the way it is to be driven. */
export interface OpenClCandidate {
  readonly found: FoundDevice;
  readonly persistent: boolean;
}

const KINDS = ["auto", "none", "opencl", "webgpu", "gpujs"] as const;
const ROUNDS = "rounds";

/** `auto`, `none`, or `KIND[:NAME][:rounds]`; the last for opencl alone. @throws ConfigError */
export function parseDevice(text: string): DeviceRequest {
  const [first, ...rest] = text.split(":");
  const kind = KINDS.find((known) => known === first);
  const wrong = (problem: string) => new ConfigError("--device", `found "${text}"; ${problem}`);
  if (kind === undefined) throw wrong("it takes auto, none, opencl[:NAME][:rounds], webgpu[:NAME], gpujs[:MODE]");
  if ((kind === "auto" || kind === "none") && rest.length > 0) throw wrong("only opencl, webgpu and gpujs take a name");
  const rounds = kind === "opencl" && rest.at(-1) === ROUNDS;
  if (rounds) rest.pop();
  const name = rest.join(":").trim();
  if (rest.length > 0 && name === "") throw wrong("a part of the device's name is expected behind the colon");
  if (kind === "gpujs" && rest.length > 0 && !GPUJS_MODES.some((mode) => mode === name)) {
    throw wrong(`the modes of gpujs are ${GPUJS_MODES.join(", ")}`);
  }
  return { kind, name: rest.length > 0 ? name : undefined, rounds, text };
}

/**
 * What may be opened for a request, best first: exactly one where a device was named or a kind; for `auto` all that can be used, each that
 * can run persistent kernels also with rounds, before the next.
 * @throws RunError where what was asked for is not there
 */
export function candidates(found: readonly FoundDevice[], request: DeviceRequest): OpenClCandidate[] {
  const option = `--device ${request.text}`;
  if (request.kind === "opencl") {
    const best = pickDevice(found, request.name, option);
    return [{ found: best, persistent: !request.rounds && traitsOf(best.device).persistent }];
  }
  pickDevice(found, undefined, option);
  return ranked(found).flatMap((one) => {
    const { persistent, unusable } = traitsOf(one.device);
    if (unusable !== undefined) return [];
    return persistent
      ? [
          { found: one, persistent: true },
          { found: one, persistent: false },
        ]
      : [{ found: one, persistent: false }];
  });
}

/** Of gpu.js, where none is named: the fastest that is there without a GPU. */
const BEST_MODE: GpuJsMode = GPUJS_MODES[0];

export interface Opener<T> {
  /** The devices of this machine. @throws RunError where OpenCL is not here at all */
  list(): readonly FoundDevice[];
  /** @throws RunError where the device refuses: no memory, kernels that do not compile, no workgroup that starts */
  open(candidate: OpenClCandidate): Promise<T>;
  /** Absent: there is no gpu.js. @throws RunError where it is not installed, has no adapter, or refuses a kernel */
  openGpuJs?(mode: GpuJsMode): Promise<T>;
  /** Why devices of a kind cannot take all NFs placed on gpu. */
  lack?(kind: DeviceKind): string | undefined;
  /** One line for the user. */
  warn(line: string): void;
}

/**
 * Opens what a run needs, or nothing.
 * @param nfs names of the NFs placed on gpu
 * @param able names of the NFs that could be
 * @returns the device, or undefined where every NF is to run on the CPU; why has been said
 * @throws RunError where a device was named and is not there or does not open
 */
export async function openForRun<T>(
  request: DeviceRequest,
  nfs: readonly string[],
  able: readonly string[],
  opener: Opener<T>,
): Promise<T | undefined> {
  const { kind, text } = request;
  if (kind === "none") return undefined;
  if (kind === "webgpu") {
    throw new RunError(
      `--device ${text}`,
      `${kind} comes with a later release`,
      "use --device auto, opencl, gpujs or none",
    );
  }
  if (kind !== "auto") {
    const lack = opener.lack?.(kind);
    if (lack !== undefined) throw new RunError(`--device ${text}`, lack, "--place NF=cpu, or another --device");
    if (kind === "gpujs" && nfs.length > 0)
      return opener.openGpuJs!((request.name as GpuJsMode | undefined) ?? BEST_MODE);
    if (kind === "opencl") {
      const [candidate] = candidates(opener.list(), request);
      if (nfs.length > 0) return opener.open(candidate!).catch((error: unknown) => refuse(request, candidate!, error));
    }
    const could = able.length === 0 ? "no NF of this chain can" : `--place NF=gpu, for ${able.join(", ")}`;
    opener.warn(`--device ${text}: nothing runs on it, since no NF is placed on gpu (${could})`);
    return undefined;
  }
  if (nfs.length === 0) return undefined;
  return openBest(request, nfs, opener);
}

async function openBest<T>(request: DeviceRequest, nfs: readonly string[], opener: Opener<T>): Promise<T | undefined> {
  const noOpenCl = opener.lack?.("opencl");
  const noGpuJs = opener.openGpuJs === undefined ? "there is no gpu.js" : opener.lack?.("gpujs");
  const onCpu = `${nfs.join(", ")} on the CPU instead of the GPU`;
  const last = noGpuJs === undefined ? `trying gpu.js (${BEST_MODE})` : onCpu;
  let choice: OpenClCandidate[] = [];
  try {
    if (noOpenCl === undefined) choice = candidates(opener.list(), request);
    else if (noGpuJs !== undefined) opener.warn(`${onCpu}: ${noOpenCl}; ${noGpuJs}`);
  } catch (error) {
    opener.warn(`${last}: ${oneLine(error)}`);
  }
  for (const [i, candidate] of choice.entries()) {
    try {
      return await opener.open(candidate);
    } catch (error) {
      const next = choice[i + 1];
      const then = next === undefined ? last : `trying ${describe(next)}`;
      opener.warn(`${describe(candidate)} does not open, ${then}: ${oneLine(error)}`);
    }
  }
  if (noGpuJs !== undefined) return undefined;
  try {
    return await opener.openGpuJs!(BEST_MODE);
  } catch (error) {
    opener.warn(`gpu.js (${BEST_MODE}) does not open, ${onCpu}: ${oneLine(error)}`);
    return undefined;
  }
}

/** A named device is never fallen back from; where it could be driven in another way, that is said. */
function refuse(request: DeviceRequest, candidate: OpenClCandidate, error: unknown): never {
  if (!(error instanceof RunError)) throw error;
  const name = request.name === undefined ? "" : `:${request.name}`;
  const otherwise = candidate.persistent ? `; --device opencl${name}:${ROUNDS} launches round by round` : "";
  throw new RunError(`--device ${request.text}`, `${error.message.replace(/^opencl: /, "")}${otherwise}`);
}

function describe({ found, persistent }: OpenClCandidate): string {
  return `${found.device.name} (${persistent ? "persistent" : "rounds"})`;
}

/** An error in one line: without the compiler's log, which `--device opencl` shows whole. */
function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const [problem, ...remedies] = message.split("\n  remedy: ");
  const [first, ...more] = problem!.trim().split("\n");
  const rest = more.length > 0 ? `${first} (--device opencl shows all of it)` : first!;
  return remedies.length === 0 ? rest : `${rest}; remedy: ${remedies.map((r) => r.trim()).join("; ")}`;
}
