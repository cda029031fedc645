/** Which NFs run where, in an experiment: all placements a chain has, or those the user names; and which of them a device can take. */
import type { LoadedChain, LoadedNf } from "../chain/load.js";
import { type DeviceRequest, parseDevice } from "../device/choose.js";
import type { DeviceKind } from "../device/device.js";
import { lackOf } from "../device/kinds.js";
import { ConfigError } from "../errors.js";
import { onGpu, type Placement, placementName } from "./cell.js";

/** NFs that can be on a GPU of which all placements are still taken: 64 of them. */
const MOST_FOR_ALL = 6;

export interface Placements {
  /** Each once; the order of `--placements`, or from nothing on the GPU to everything. */
  readonly placements: readonly Placement[];
  /** The user named them: one that a device cannot take is an error, and not a cell less. */
  readonly named: boolean;
}

/** NFs of a chain that have a kernel of any kind. */
export function ableNfs(chain: LoadedChain): string[] {
  return chain.nfs.filter((nf) => nf.module.gpu !== undefined).map((nf) => nf.name);
}

/**
 * All placements of a chain's NFs, 2^n for n that can be on a GPU.
 * @throws ConfigError where that is more than anybody waits for
 */
export function allPlacements(chain: LoadedChain): Placement[] {
  const able = ableNfs(chain);
  if (able.length > MOST_FOR_ALL) {
    throw new ConfigError(
      "--placements",
      `all placements of ${able.length} NFs that can be on a GPU are ${2 ** able.length}`,
      `name those to compare: --placements cpu,gpu,${able[0]},${able[0]}+${able[1]}; they can be of ${able.join(", ")}`,
    );
  }
  // By how many are on the GPU: singles stand beside each other in tables.
  return Array.from({ length: 2 ** able.length }, (_, bits) => able.filter((_nf, i) => (bits >> i) & 1))
    .sort((a, b) => a.length - b.length)
    .map((gpu) => placementOf(chain, gpu));
}

/** The chain's NFs, those named on the GPU and all others on the CPU. */
export function placementOf(chain: LoadedChain, gpu: readonly string[]): Placement {
  return Object.fromEntries(chain.nfs.map(({ name }) => [name, gpu.includes(name) ? "gpu" : "cpu"] as const));
}

/**
 * `--placements`: placements separated by commas, each the NFs on the GPU joined by +; `cpu` is none of them, `gpu` all that can be, `all` every
 * placement there is. An NF of that name comes first. Undefined: all.
 * @throws ConfigError for NFs the chain does not have, or that cannot be on a GPU
 */
export function parsePlacements(text: string | undefined, chain: LoadedChain): Placements {
  if (text === undefined) return { placements: allPlacements(chain), named: false };
  const names = chain.nfs.map(({ name }) => name);
  const found = new Map<string, Placement>();
  const add = (placement: Placement) => found.set(placementName(placement), placement);
  let named = false;
  for (const part of text.split(",")) {
    const word = part.trim();
    const isNf = names.includes(word);
    if (!isNf && word === "all") for (const placement of allPlacements(chain)) add(placement);
    else {
      named = true;
      if (!isNf && word === "cpu") add(placementOf(chain, []));
      else if (!isNf && word === "gpu") add(placementOf(chain, someAble(chain)));
      else add(placementOf(chain, parseNfs(part, chain)));
    }
  }
  return { placements: [...found.values()], named };
}

function someAble(chain: LoadedChain): string[] {
  const able = ableNfs(chain);
  if (able.length > 0) return able;
  throw new ConfigError("--placements", `found "gpu"; no NF of ${chain.file} can be on a GPU`, "compare cpu alone");
}

function parseNfs(text: string, chain: LoadedChain): string[] {
  const able = ableNfs(chain);
  const can = able.length === 0 ? "none" : able.join(", ");
  const remedy = `separate placements by commas, and join NFs on the GPU by +; NFs of this chain that can be on a GPU: ${can}`;
  return text.split("+").map((part) => {
    const name = part.trim();
    const nf = chain.nfs.find((one) => one.name === name);
    if (nf === undefined) {
      const known = chain.nfs.map((one) => one.name).join(", ");
      throw new ConfigError("--placements", `found "${name}"; the chain's NFs: ${known}`, remedy);
    }
    if (nf.module.gpu !== undefined) return name;
    throw new ConfigError("--placements", `NF ${name} is of type ${nf.type}, which runs on the CPU only`, remedy);
  });
}

/** Why devices of a kind cannot take a placement; undefined where they can. */
export function lackFor(chain: LoadedChain, placement: Placement, kind: DeviceKind): string | undefined {
  for (const nf of chain.nfs) {
    const lack = placement[nf.name] === "gpu" ? lackOfNf(nf, kind) : undefined;
    if (lack !== undefined) return lack;
  }
  return undefined;
}

function lackOfNf({ name, type, module }: LoadedNf, kind: DeviceKind): string | undefined {
  const { gpu } = module;
  return gpu === undefined
    ? `NF ${name} (${type}) runs on the CPU only`
    : lackOf({ name, type, program: gpu.program, writes: gpu.writes, plain: gpu.plain !== undefined }, kind);
}

export interface PlacedDevice {
  readonly placement: Placement;
  /** As `--device` takes it; `none` where nothing is placed on a GPU. */
  readonly device: string;
}

/**
 * Every placement on every device that can take it; all on the CPU once, whatever the devices are.
 * @param devices as `--device` takes them
 * @param warn one line for the user: what is left out
 * @throws ConfigError where a placement that was named has no device, or a device that cannot take it
 */
export function placeOnDevices(
  chain: LoadedChain,
  { placements, named }: Placements,
  devices: readonly string[],
  warn: (line: string) => void,
): PlacedDevice[] {
  const requests = devices.map(parseDevice).filter(({ kind }) => kind !== "none");
  const placed: PlacedDevice[] = [];
  for (const placement of placements) {
    if (onGpu(placement).length === 0) {
      placed.push({ placement, device: "none" });
      continue;
    }
    if (named && requests.length === 0) {
      throw new ConfigError(
        "--placements",
        `${placementName(placement)}, but there is no device to run on`,
        "name one with --devices, or compare cpu alone; `wingbeat doctor` lists what is there",
      );
    }
    for (const request of requests) {
      const lack = lackOn(chain, placement, request);
      if (lack === undefined) placed.push({ placement, device: request.text });
      else if (named) {
        const can = canTake(chain, request);
        throw new ConfigError("--placements", `${placementName(placement)}, --devices ${request.text}: ${lack}`, can);
      } else warn(`${placementName(placement)} is left out for ${request.text}: ${lack}`);
    }
  }
  return placed;
}

/** Which device `auto` takes depends on the placement, so that it lacks nothing. */
function lackOn(chain: LoadedChain, placement: Placement, { kind }: DeviceRequest): string | undefined {
  return kind === "auto" || kind === "none" ? undefined : lackFor(chain, placement, kind);
}

function canTake(chain: LoadedChain, request: DeviceRequest): string {
  const able = ableNfs(chain).filter((nf) => lackOn(chain, placementOf(chain, [nf]), request) === undefined);
  return `NFs of this chain that ${request.text} can take: ${able.length === 0 ? "none" : able.join(", ")}`;
}

/** The chain with its NFs placed otherwise. Nothing is loaded anew: what an NF loads does not depend on its place. */
export function placedChain(chain: LoadedChain, placement: Placement): LoadedChain {
  return { ...chain, nfs: chain.nfs.map((nf) => ({ ...nf, place: placement[nf.name] ?? "cpu" })) };
}
