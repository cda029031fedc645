/** A chain as experiments run it: loaded once, then placed, fed and emptied in many ways, and no file of the user's is written. */
import { devNull } from "node:os";
import { type LoadedChain, type LoadedNf, type LoadedPort, loadChain } from "../chain/load.js";
import { ConfigError } from "../errors.js";
import { isLive, type PortConfig } from "../nic/drivers.js";
import type { FrameSize, Placement } from "./cell.js";
import { placedChain } from "./placements.js";

/** What ports receive from, by name; a port that is not named keeps its own. */
export type Inputs = ReadonlyMap<string, PortConfig>;

/**
 * What NFs write (alerts) goes to the null device: they do the same work.
 * @param input replaces the port named `in`
 * @throws ConfigError for the first thing that is wrong, for live traffic, and for an NF that would write a file of the user's all the same
 */
export async function loadForExperiments(
  file: string,
  warn: (line: string) => void,
  input?: PortConfig,
): Promise<LoadedChain> {
  const discarded: string[] = [];
  const redirect = (path: string) => {
    discarded.push(path);
    return devNull;
  };
  const chain = await loadChain(file, { in: input, redirect, warn });
  const live = chain.ports.find(({ rx, config }) => rx && isLive(config));
  if (live !== undefined) throw isNoInput(live.name);
  for (const { name, outputs } of chain.nfs) {
    const kept = outputs.find((path) => !discarded.includes(path));
    if (kept === undefined) continue;
    const problem = `NF ${name} writes ${kept} by a path of its own, so that experiments would overwrite it`;
    throw new ConfigError(`${file}: nfs.${name}`, problem, "in load(), take the path that context.resolve() returns");
  }
  return chain;
}

/** An error for a port that receives live traffic. */
export function isNoInput(port: string): ConfigError {
  const problem = "a network interface does not give the same packets twice, so that nothing could be compared";
  return new ConfigError(`port ${port}`, problem, "replace it by a capture or a generator: --in FILE");
}

/**
 * The chain with its NFs placed, its inputs replaced, and every output a port that takes all and keeps nothing.
 * @throws ConfigError where the placement leaves an NF out, or names one that is not there or runs on the CPU only
 */
export function variantOf(chain: LoadedChain, placement: Placement, inputs: Inputs): LoadedChain {
  const names = chain.nfs.map((nf) => nf.name);
  const stranger = Object.keys(placement).find((name) => !names.includes(name));
  if (stranger !== undefined) {
    throw new ConfigError("placement", `no NF "${stranger}"; the chain's NFs: ${names.join(", ")}`);
  }
  for (const nf of chain.nfs) checkPlace(chain, nf, placement[nf.name]);
  return {
    ...placedChain(chain, placement),
    ports: chain.ports.map((port) => ({ ...port, config: configOf(port, inputs) })),
  };
}

function checkPlace(chain: LoadedChain, nf: LoadedNf, place: "cpu" | "gpu" | undefined): void {
  if (place === undefined) throw new ConfigError("placement", `it does not say where NF ${nf.name} runs`);
  if (place === "gpu" && nf.module.gpu === undefined) {
    const able = chain.nfs.filter(({ module }) => module.gpu !== undefined).map(({ name }) => name);
    throw new ConfigError(
      "placement",
      `NF ${nf.name} is of type ${nf.type}, which runs on the CPU only`,
      `NFs of this chain that run on a GPU: ${able.length === 0 ? "none" : able.join(", ")}`,
    );
  }
}

function configOf({ name, config, rx, tx }: LoadedPort, inputs: Inputs): PortConfig {
  if (tx) return { driver: "null" };
  return (rx ? inputs.get(name) : undefined) ?? config;
}

/**
 * Inputs of a frame size where every port that receives is a generator, which makes frames of any size.
 * @throws ConfigError for a size other than `as-is` where a port reads a capture
 */
export function generatedInputs(chain: LoadedChain, size: FrameSize): Inputs {
  const inputs = new Map<string, PortConfig>();
  for (const { name, config, rx } of chain.ports) {
    if (!rx) continue;
    if (size === "as-is") inputs.set(name, config);
    else if (config.driver === "generator") {
      const streams = config.streams?.map((stream) => ({ ...stream, size }));
      inputs.set(name, { ...config, size, ...(streams && { streams }) });
    } else {
      throw new ConfigError(`port ${name}`, `${config.driver} frames have the size they have`, "use size as-is");
    }
  }
  return inputs;
}
