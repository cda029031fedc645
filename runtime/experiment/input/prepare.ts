/**
 * The input of an experiment by frame size: generators make frames of that size, captures are written once more with their frames resized
 * (resize.ts) into a scratch folder and read from there. Placements, devices and loads of a size all get the same input.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { LoadedChain, LoadedPort } from "../../chain/load.js";
import { ConfigError } from "../../errors.js";
import { isLive, type PortConfig } from "../../nic/drivers.js";
import { makeTraffic } from "../../nic/generator/traffic.js";
import type { FrameSize } from "../cell.js";
import { checkSize } from "../sizes.js";
import { isNoInput } from "../variant.js";
import { type ResizeCounts, resizeCapture } from "./capture.js";
import type { KeptReason } from "./resize.js";

export interface PrepareOptions {
  /** Of what frames are filled with, and of the order of sizes in an IMIX. */
  readonly seed: number;
  /** A folder for resized captures, made where it is not there; whoever names it removes it. */
  readonly scratch: string;
  /** One line for the user. */
  warn(line: string): void;
}

/** What became of the frames of one capture. */
export interface PreparedCapture {
  readonly port: string;
  /** The capture it was made from. */
  readonly file: string;
  readonly counts: ResizeCounts;
}

/** Plain data but for the map. */
export interface PreparedInput {
  readonly size: FrameSize;
  /** By name, for every rx port of the chain. */
  readonly ports: ReadonlyMap<string, PortConfig>;
  /** Of ports that read captures; empty for `as-is`. */
  readonly captures: readonly PreparedCapture[];
}

type CapturePort = Extract<PortConfig, { driver: "pcap" }>;
type GeneratorPort = Extract<PortConfig, { driver: "generator" }>;

/** Inputs of a chain by size, each prepared once. */
export class PreparedInputs {
  private readonly bySize = new Map<FrameSize, Promise<PreparedInput>>();

  constructor(
    private readonly chain: LoadedChain,
    private readonly options: PrepareOptions,
  ) {}

  /** @throws as {@link prepareInputs}; the next call tries again then */
  for(size: FrameSize): Promise<PreparedInput> {
    let prepared = this.bySize.get(size);
    if (prepared === undefined) {
      prepared = prepareInputs(this.chain, size, this.options);
      this.bySize.set(size, prepared);
      prepared.catch(() => this.bySize.delete(size));
    }
    return prepared;
  }
}

/**
 * The input of a chain at a frame size.
 * @throws ConfigError for a size out of range, one that a generator cannot make or no frame can have, or an unreadable capture; RunError where
 * the disk is full
 */
export async function prepareInputs(
  chain: LoadedChain,
  size: FrameSize,
  options: PrepareOptions,
): Promise<PreparedInput> {
  if (typeof size === "number") checkSize(size);
  const ports = new Map<string, PortConfig>();
  const captures: PreparedCapture[] = [];
  for (const port of chain.ports.filter(({ rx }) => rx)) {
    const { name, config } = port;
    if (isLive(config)) throw isNoInput(name);
    if (size === "as-is" || config.driver === "null") ports.set(name, config);
    else if (config.driver === "generator") ports.set(name, generatorAt(name, config, size));
    else {
      const capture = await captureAt(port, config, size, options);
      ports.set(name, { ...config, file: capture.made });
      captures.push({ port: name, file: config.file, counts: capture.counts });
      const line = remark(captures.at(-1)!, size);
      if (line !== undefined) options.warn(line);
    }
  }
  checkChanged(size, captures, ports.values());
  return { size, ports, captures };
}

/** A size given stands above the streams' own. */
function generatorAt(port: string, config: GeneratorPort, size: number | "imix"): PortConfig {
  const streams = config.streams?.map(({ size: _, ...rest }) => rest);
  const sized: GeneratorPort = { ...config, size, ...(streams !== undefined && { streams }) };
  try {
    // Made once only to see whether it can be: before the first cell is measured, and not in the midst of them.
    makeTraffic(sized, `port ${port}`, () => {});
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError("--sizes", `${size}: ${error.message}`);
  }
  return sized;
}

async function captureAt(
  { name }: LoadedPort,
  { file }: CapturePort,
  size: number | "imix",
  { seed, scratch, warn }: PrepareOptions,
): Promise<{ made: string; counts: ResizeCounts }> {
  mkdirSync(scratch, { recursive: true });
  const made = join(scratch, `${name}-${size}.pcap`);
  return { made, counts: await resizeCapture(file, made, size, seed, warn) };
}

const WHY: Readonly<Record<KeptReason, string>> = {
  gate: "that the gate drops",
  "non-ip": "without IP",
  fragment: "that are fragments",
  esp: "of ESP, which cannot be resized without keys",
  ah: "with AH",
  protocol: "of protocols other than UDP, TCP and ICMP",
};

/** What is to be said of a capture some of whose frames did not get the length asked for. */
function remark({ port, file, counts }: PreparedCapture, size: number | "imix"): string | undefined {
  const { packets, resized } = counts;
  const what = size === "imix" ? "IMIX" : `${size} bytes`;
  const others = reasons(counts);
  if (others === "") return undefined;
  return `port ${port}, ${file} at ${what}: ${packets - resized} of ${packets} frames have a length of their own (${others})`;
}

function reasons({ headersOnly, kept }: ResizeCounts): string {
  const parts: string[] = [];
  if (headersOnly > 0) parts.push(`${headersOnly} cut down to their headers, which are longer`);
  for (const [reason, frames] of Object.entries(kept)) {
    parts.push(`${frames} as they were: frames ${WHY[reason as KeptReason]}`);
  }
  return parts.join("; ");
}

/** @throws ConfigError where a size would change nothing: its figures would be those of `as-is` under another name */
function checkChanged(size: FrameSize, captures: readonly PreparedCapture[], ports: Iterable<PortConfig>): void {
  const isChanged = captures.some(({ counts }) => counts.resized + counts.headersOnly > 0);
  if (isChanged || captures.length === 0 || [...ports].some(({ driver }) => driver === "generator")) return;
  const all = captures.map(({ file, counts }) => {
    const why = reasons(counts);
    return `${file}: ${counts.packets} frames${why === "" ? "" : ` (${why})`}`;
  });
  throw new ConfigError("--sizes", `${size}: no frame can be brought to it; ${all.join("; ")}`, "--sizes as-is");
}
