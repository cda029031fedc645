/**
 * Which device a run takes: what was asked for, what is there, and what happens where it cannot be opened.
 *
 * `auto` goes from the best to the next and ends at the CPU, one line for each step; a device that was named is taken or the run fails.
 * Last before the CPU comes gpu.js: it is what runs NFs written as plain functions, and where there is neither OpenCL nor WebGPU it stands in,
 * as PoCL does, for what the chain has placed on a GPU.
 */
import { ConfigError, RunError } from "../errors.js";
import type { DeviceKind } from "./device.js";
import { GPUJS_MODES, type GpuJsMode } from "./gpujs/compile.js";
import { type FoundDevice, pickDevice, ranked, traitsOf } from "./opencl/platform.js";
import { type AdapterFacts, pickAdapter } from "./webgpu/adapter.js";

/** What `--device` asks for. */
export interface DeviceRequest {
  readonly kind: "auto" | "none" | DeviceKind;
  /** Part of a device's or platform's name; of gpujs, the mode. */
  readonly name: string | undefined;
  /** Launch per round with copies even where persistent kernels would run. */
  readonly rounds: boolean;
  /** Packets come back to the host from every NF, also where the device could hand them on by itself. */
  readonly hostRouting: boolean;
  /** As it was written, for messages. */
  readonly text: string;
}

/** An OpenCL device and the way it is to be driven. */
export interface OpenClCandidate {
  readonly kind: "opencl";
  readonly found: FoundDevice;
  readonly persistent: boolean;
}

export interface WebGpuCandidate {
  readonly kind: "webgpu";
  readonly facts: AdapterFacts;
}

export interface GpuJsCandidate {
  readonly kind: "gpujs";
  readonly mode: GpuJsMode;
}

/** A device that may be opened. */
export type Candidate = OpenClCandidate | WebGpuCandidate | GpuJsCandidate;

const KINDS = ["auto", "none", "opencl", "webgpu", "gpujs"] as const;
const ROUNDS = "rounds";
const HOST_ROUTING = "host-routing";

/**
 * `auto`, `none`, or `KIND[:NAME]`, behind it `:rounds` for opencl and `:host-routing` for webgpu.
 * @throws ConfigError
 */
export function parseDevice(text: string): DeviceRequest {
  const [first, ...rest] = text.split(":");
  const kind = KINDS.find((known) => known === first);
  const wrong = (problem: string) => new ConfigError("--device", `found "${text}"; ${problem}`);
  if (kind === undefined)
    throw wrong("it takes auto, none, opencl[:NAME][:rounds], webgpu[:NAME][:host-routing], gpujs[:MODE]");
  if ((kind === "auto" || kind === "none") && rest.length > 0) throw wrong("only opencl, webgpu and gpujs take a name");
  const rounds = kind === "opencl" && rest.at(-1) === ROUNDS;
  const hostRouting = kind === "webgpu" && rest.at(-1) === HOST_ROUTING;
  if (rounds || hostRouting) rest.pop();
  const name = rest.join(":").trim();
  if (rest.length > 0 && name === "") throw wrong("a part of the device's name is expected behind the colon");
  if (kind === "gpujs" && rest.length > 0 && !GPUJS_MODES.some((mode) => mode === name)) {
    throw wrong(`the modes of gpujs are ${GPUJS_MODES.join(", ")}`);
  }
  return { kind, name: rest.length > 0 ? name : undefined, rounds, hostRouting, text };
}

/**
 * Which OpenCL devices may be opened for a request, best first: exactly one for `opencl`; for `auto` all that can be used, each that can
 * run persistent kernels also with rounds, before the next.
 * @throws RunError where what was asked for is not there
 */
export function candidates(found: readonly FoundDevice[], request: DeviceRequest): OpenClCandidate[] {
  const option = `--device ${request.text}`;
  if (request.kind === "opencl") {
    const best = pickDevice(found, request.name, option);
    return [{ kind: "opencl", found: best, persistent: !request.rounds && traitsOf(best.device).persistent }];
  }
  pickDevice(found, undefined, option);
  return ranked(found).flatMap((one) => {
    const { persistent, unusable } = traitsOf(one.device);
    if (unusable !== undefined) return [];
    const ways = persistent ? [true, false] : [false];
    return ways.map((way) => ({ kind: "opencl" as const, found: one, persistent: way }));
  });
}

/** Of gpu.js, where none is named: the fastest that is there without a GPU. */
const BEST_MODE: GpuJsMode = GPUJS_MODES[0];

export interface Opener<T> {
  /** The OpenCL devices of this machine. @throws RunError where OpenCL is not here at all */
  opencl(): readonly FoundDevice[];
  /** The WebGPU adapters of this machine. @throws RunError where Dawn does not run here; it may take a while */
  webgpu(): Promise<readonly AdapterFacts[]>;
  /** Why devices of a kind have no kernel for an NF that is placed on gpu; undefined where they have. */
  lack(kind: DeviceKind): string | undefined;
  /** @throws RunError where the device refuses: no memory, kernels that do not compile, no workgroup that starts */
  open(candidate: Candidate): Promise<T>;
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
  if (kind !== "auto") {
    const lack = opener.lack(kind);
    if (lack !== undefined) throw new RunError(`--device ${text}`, lack, "--place NF=cpu, or another --device");
    const candidate = await named(request, opener);
    if (nfs.length > 0) return opener.open(candidate).catch((error: unknown) => refuse(request, candidate, error));
    const could = able.length === 0 ? "no NF of this chain can" : `--place NF=gpu, for ${able.join(", ")}`;
    opener.warn(`--device ${text}: nothing runs on it, since no NF is placed on gpu (${could})`);
    return undefined;
  }
  if (nfs.length === 0) return undefined;
  return openBest(request, nfs, opener);
}

/** The one device of the kind that was asked for. */
async function named<T>(request: DeviceRequest, opener: Opener<T>): Promise<Candidate> {
  if (request.kind === "gpujs") return { kind: "gpujs", mode: (request.name as GpuJsMode | undefined) ?? BEST_MODE };
  if (request.kind !== "webgpu") return candidates(opener.opencl(), request)[0]!;
  const adapters = (await opener.webgpu()).map((facts) => ({ facts }));
  return { kind: "webgpu", ...pickAdapter(adapters, request.name, `--device ${request.text}`) };
}

/** Why there are no devices of a kind for this run. */
interface Lack {
  readonly line: string;
  /** There are none; else they have no kernel for an NF, as the chain's author knows. */
  readonly isMissing: boolean;
}

/**
 * What `auto` tries, in this order: hardware before emulation, and of each OpenCL first; then gpu.js. WebGPU is asked for only when no
 * OpenCL device that is hardware has opened.
 * @param lacks gets what is found missing on the way
 */
async function* inOrder<T>(request: DeviceRequest, opener: Opener<T>, lacks: Lack[]): AsyncGenerator<Candidate> {
  const fits = (kind: DeviceKind) => {
    const line = opener.lack(kind);
    if (line !== undefined) lacks.push({ line, isMissing: false });
    return line === undefined;
  };
  let opencl: OpenClCandidate[] = [];
  try {
    if (fits("opencl")) opencl = candidates(opener.opencl(), request);
  } catch (error) {
    lacks.push({ line: oneLine(error, "opencl"), isMissing: true });
  }
  yield* opencl.filter((one) => !isEmulated(one));
  let webgpu: WebGpuCandidate[] = [];
  try {
    if (fits("webgpu")) {
      webgpu = (await opener.webgpu()).map((facts) => ({ kind: "webgpu", facts }));
      if (webgpu.length === 0) pickAdapter([]); // says what brings one
    }
  } catch (error) {
    lacks.push({ line: oneLine(error, "webgpu"), isMissing: true });
  }
  yield* webgpu.filter((one) => !isEmulated(one));
  yield* opencl.filter(isEmulated);
  yield* webgpu.filter(isEmulated);
  if (fits("gpujs")) yield { kind: "gpujs", mode: BEST_MODE };
}

async function openBest<T>(request: DeviceRequest, nfs: readonly string[], opener: Opener<T>): Promise<T | undefined> {
  const onCpu = `${nfs.join(", ")} on the CPU instead of the GPU`;
  const lacks: Lack[] = [];
  const order = inOrder(request, opener, lacks);
  let { value: candidate } = await order.next();
  if (candidate === undefined) {
    opener.warn(`${onCpu}: ${lacks.map(({ line }) => line).join("; ")}`);
    return undefined;
  }
  const missing = lacks.filter(({ isMissing }) => isMissing).map(({ line }) => line);
  // Whoever has OpenCL does not miss WebGPU.
  if (candidate.kind !== "opencl" && missing.length > 0) {
    opener.warn(`trying ${describe(candidate)}: ${missing.join("; ")}`);
  }
  while (candidate !== undefined) {
    try {
      return await opener.open(candidate);
    } catch (error) {
      const { value: next }: IteratorResult<Candidate> = await order.next();
      const then = next === undefined ? onCpu : `trying ${describe(next)}`;
      opener.warn(`${describe(candidate)} does not open, ${then}: ${oneLine(error, candidate.kind)}`);
      candidate = next;
    }
  }
  return undefined;
}

/** A named device is never fallen back from; where it could be driven in another way, that is said. */
function refuse(request: DeviceRequest, candidate: Candidate, error: unknown): never {
  // gpu.js's begin with the file and line of the kernel.
  if (!(error instanceof RunError) || candidate.kind === "gpujs") throw error;
  const name = request.name === undefined ? "" : `:${request.name}`;
  const persistent = candidate.kind === "opencl" && candidate.persistent;
  const otherwise = persistent ? `; --device opencl${name}:${ROUNDS} launches round by round` : "";
  throw new RunError(`--device ${request.text}`, `${error.message.replace(/^(opencl|webgpu): /, "")}${otherwise}`);
}

function isEmulated(candidate: OpenClCandidate | WebGpuCandidate): boolean {
  return candidate.kind === "opencl" ? traitsOf(candidate.found.device).emulated : candidate.facts.emulated;
}

function describe(candidate: Candidate): string {
  if (candidate.kind === "webgpu") return `${candidate.facts.name} (webgpu)`;
  if (candidate.kind === "gpujs") return `gpu.js (${candidate.mode})`;
  return `${candidate.found.device.name} (${candidate.persistent ? "persistent" : "rounds"})`;
}

/** An error in one line: without the compiler's log, which `--device KIND` shows whole. */
function oneLine(error: unknown, kind: Candidate["kind"]): string {
  const message = error instanceof Error ? error.message : String(error);
  const [problem, ...remedies] = message.split("\n  remedy: ");
  const [first, ...more] = problem!.trim().split("\n");
  const rest = more.length > 0 ? `${first} (--device ${kind} shows all of it)` : first!;
  return remedies.length === 0 ? rest : `${rest}; remedy: ${remedies.map((r) => r.trim()).join("; ")}`;
}
