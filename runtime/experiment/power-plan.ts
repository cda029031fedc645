/** What `power` goes through: every waiting policy of every placement, at shares of the rate they all reach. */
import type { LoadedChain } from "../chain/load.js";
import { WAIT_POLICIES, type WaitPolicy } from "../engine/plan.js";
import { ConfigError } from "../errors.js";
import type { Manifest } from "../report/document.js";
import { type Cell, cellKey, onGpu, placementName, type Timing } from "./cell.js";
import { inputOf } from "./compare-plan.js";
import type { PlacedDevice } from "./placements.js";
import type { PowerPlan } from "./power-result.js";
import type { Identity } from "./sample-store.js";

/** Of what is kept on disk. */
const FORMAT = 1;
/** What `run` does unless it is told otherwise. */
const BATCH = 64;

export interface PowerOptions {
  readonly loads: readonly number[];
  readonly waits: readonly WaitPolicy[];
  readonly cores: string;
  readonly repeats: number;
  readonly timing: Timing;
  readonly idleMs: number;
  readonly seed: number;
  readonly quick: boolean;
}

export interface PowerPlanParts {
  readonly chain: LoadedChain;
  readonly options: PowerOptions;
  readonly placed: readonly PlacedDevice[];
  readonly files: Manifest["files"];
  /** "AMD EPYC, 2 cores": samples of two machines do not mix. */
  readonly machine: string;
  readonly version: string;
  /** Name of the meter: neither do those of two meters. */
  readonly meter: string;
}

export function makePowerPlan({ chain, options, placed, files, machine, version, meter }: PowerPlanParts): {
  readonly plan: PowerPlan;
  readonly identity: Identity;
} {
  const { timing, idleMs, cores, ...rest } = options;
  const cells = placed.flatMap(({ placement, device }) =>
    options.waits.map(
      (wait): Cell => ({ placement, device, size: "as-is", cores, workgroups: undefined, wait, batch: BATCH }),
    ),
  );
  const common = {
    ...{ chain: chain.name, input: inputOf(chain), cores, ...rest },
    ...{ warm_up_ms: timing.warmUpMs, window_ms: timing.windowMs, idle_ms: idleMs },
  };
  const placements = placed.map(({ placement, device }) => `${placementName(placement)} (${device})`);
  const identity: Identity = {
    ...{ format: FORMAT, verb: "power", version, machine, meter, ...common, placements },
    files: files.map(({ path, sha256 }) => `${path} ${sha256}`),
  };
  return { plan: { ...common, cells }, identity };
}

/** `--loads`: percent of the saturation rate, ascending, each once. @throws ConfigError */
export function parseLoads(text: string): number[] {
  const loads = new Set<number>();
  for (const part of text.split(",")) {
    const percent = /^\s*\d+(\.\d+)?\s*%?\s*$/.test(part) ? Number.parseFloat(part) : Number.NaN;
    if (!(percent >= 0 && percent <= 100)) {
      const remedy = "0 is the chain without packets, 100 is saturation: 0,10,25,50,75,100";
      throw new ConfigError(
        "--loads",
        `found "${part.trim()}"; expected percent from 0 to 100, separated by commas`,
        remedy,
      );
    }
    loads.add(percent);
  }
  return [...loads].sort((a, b) => a - b);
}

/** `--wait`: policies separated by commas, or all. @throws ConfigError */
export function parseWaits(text: string): WaitPolicy[] {
  const words = text.split(",").map((word) => word.trim());
  const waits = words.flatMap((word): readonly WaitPolicy[] => {
    if (word === "all") return WAIT_POLICIES;
    const wait = WAIT_POLICIES.find((one) => one === word);
    if (wait === undefined)
      throw new ConfigError(
        "--wait",
        `found "${word}"; it takes ${WAIT_POLICIES.join(", ")} and all, separated by commas`,
      );
    return [wait];
  });
  return [...new Set(waits)];
}

/** Cells that differ in their policy alone have the same; they are compared with each other. */
export function groupOf(cell: Cell): string {
  return cellKey({ ...cell, wait: "spin" });
}

/** Of a group, for people. */
export function groupName({ placement, device }: Cell): string {
  return onGpu(placement).length === 0 ? placementName(placement) : `${placementName(placement)} (${device})`;
}
