/** What a comparison goes through: which cells, how often, under which loads; decided before the first packet. */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import type { LoadedChain } from "../chain/load.js";
import type { WaitPolicy } from "../engine/plan.js";
import { ConfigError } from "../errors.js";
import type { PortConfig } from "../nic/drivers.js";
import type { Manifest } from "../report/document.js";
import { type Cell, type FrameSize, onGpu, placementName, type Timing } from "./cell.js";
import type { ComparePlan } from "./compare-result.js";
import { type PlacedDevice, placementOf } from "./placements.js";
import type { Identity } from "./sample-store.js";

/** Of what is kept on disk: samples of another form are not gone on with. */
const FORMAT = 1;

/** What `run` does unless it is told otherwise. */
const BATCH = 64;
const WAIT: WaitPolicy = "adaptive";

export interface CompareOptions {
  readonly sizes: readonly FrameSize[];
  /** As `--cores` takes them. */
  readonly cores: readonly string[];
  readonly repeats: number;
  readonly timing: Timing;
  readonly seed: number;
  readonly search: boolean;
  /** Percent. */
  readonly loads: readonly number[];
  readonly quick: boolean;
  /** As `--meter` takes it. */
  readonly meter: string;
}

export interface PlanParts {
  readonly chain: LoadedChain;
  readonly options: CompareOptions;
  /** Placements on the devices that can take them, in the order of tables; all on the CPU is added where it is not there. */
  readonly placed: readonly PlacedDevice[];
  readonly devices: readonly string[];
  readonly leftOut: ComparePlan["left_out"];
  readonly files: Manifest["files"];
  /** "AMD EPYC, 2 cores": samples of two machines do not mix. */
  readonly machine: string;
  readonly version: string;
}

export interface MadePlan {
  readonly plan: ComparePlan;
  /** What samples on disk have to be of. */
  readonly identity: Identity;
  /** Everything the chain reads. */
  readonly files: Manifest["files"];
}

/** @throws ConfigError where nothing is left to compare */
export function makePlan({ chain, options, placed, devices, leftOut, files, machine, version }: PlanParts): MadePlan {
  const { sizes, cores, repeats, timing, seed, search, loads, quick, meter } = options;
  const cpu: PlacedDevice = { placement: placementOf(chain, []), device: "none" };
  const all = [cpu, ...placed.filter(({ placement }) => onGpu(placement).length > 0)];
  if (all.length === 1) {
    const why = leftOut.map(({ what, why }) => `${what}: ${why}`);
    const problem = ["there is nothing to compare all on cpu with", ...why].join("\n  ");
    throw new ConfigError("--placements", problem, "name another --placements or --devices");
  }
  const cells: Cell[] = sizes.flatMap((size) =>
    cores.flatMap((spec) =>
      all.map(({ placement, device }) => ({
        placement,
        device,
        size,
        cores: spec,
        workgroups: undefined,
        wait: WAIT,
        batch: BATCH,
      })),
    ),
  );
  const named = new Map(all.map(({ placement }) => [placementName(placement), placement]));
  const common = {
    chain: chain.name,
    input: inputOf(chain),
    sizes,
    placements: [...named.values()],
    devices,
    cores,
    repeats,
    warm_up_ms: timing.warmUpMs,
    window_ms: timing.windowMs,
    seed,
    search,
    loads,
    quick,
  };
  const identity: Identity = {
    format: FORMAT,
    version,
    machine,
    ...common,
    meter,
    placements: all.map(({ placement, device }) => `${placementName(placement)} (${device})`),
    // Not their folders: they may be mounted elsewhere when it is gone on with.
    files: files.map(({ path, sha256 }) => `${basename(path)} ${sha256}`),
  };
  const hash = createHash("sha256").update(JSON.stringify(identity)).digest("hex");
  return {
    plan: { hash, ...common, loads_of: search ? "ndr" : "saturation", cells, left_out: leftOut },
    identity,
    files,
  };
}

/** What the chain's receiving ports get: "in: generator {...}; wan: branch.pcap". */
export function inputOf(chain: LoadedChain): string {
  const ports = chain.ports.filter(({ rx }) => rx);
  return ports
    .map(({ name, config }) => (ports.length === 1 ? describe(config) : `${name}: ${describe(config)}`))
    .join("; ");
}

function describe(config: PortConfig): string {
  if (config.driver === "pcap") return basename(config.file);
  const { driver, dir, ...rest } = config;
  return `${driver} ${JSON.stringify(rest)}`;
}

/** Whether it is what others are compared with. */
export function isBaseline(cell: Cell): boolean {
  return onGpu(cell.placement).length === 0;
}

/** A cell among those of its size, for people: cores are named where there are several. */
export function cellName(cell: Cell, plan: Pick<ComparePlan, "cores">): string {
  const where = isBaseline(cell) ? "" : ` (${cell.device})`;
  const cores = plan.cores.length > 1 ? `, ${cell.cores}` : "";
  return `${placementName(cell.placement)}${where}${cores}`;
}

/** "64 B", "IMIX", "input as it is". */
export function sizeName(size: FrameSize): string {
  if (size === "as-is") return "input as it is";
  return size === "imix" ? "IMIX" : `${size} B`;
}
