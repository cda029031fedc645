/** Which figures are measured, with which cells; decided before the first packet. */
import { createHash } from "node:crypto";
import { type DeviceRequest, parseDevice } from "../../device/choose.js";
import { ConfigError } from "../../errors.js";
import type { Manifest } from "../../report/document.js";
import type { Cell, Timing } from "../cell.js";
import type { Identity } from "../sample-store.js";
import { nfsOf, type PaperChain } from "./chains.js";
import type { PaperFigure, Series } from "./figure.js";

/** Of what is kept on disk: samples of another form are not gone on with. */
const FORMAT = 1;
/** What `run` does unless it is told otherwise. */
const BATCH = 64;

export interface PaperOptions {
  readonly sizes: readonly number[];
  /** Of series that do not say theirs, as `--cores` takes it. */
  readonly cores: string;
  readonly repeats: number;
  readonly timing: Timing;
  readonly seed: number;
  readonly quick: boolean;
  /** As `--meter` takes it. */
  readonly meter: string;
}

export interface PlannedCell {
  readonly series: string;
  readonly chain: PaperChain;
  readonly cell: Cell & { readonly size: number };
}

export interface PlannedFigure {
  readonly id: string;
  readonly cells: readonly PlannedCell[];
}

export interface PaperPlan {
  readonly hash: string;
  readonly figures: readonly PlannedFigure[];
  /** As `--device` takes it; null: none. */
  readonly device: string | null;
  readonly sizes: readonly number[];
  readonly cores: string;
  readonly repeats: number;
  readonly warm_up_ms: number;
  readonly window_ms: number;
  readonly seed: number;
  readonly quick: boolean;
  /** Figures and series, with the reason. */
  readonly left_out: readonly { readonly what: string; readonly why: string }[];
}

export interface PaperPlanParts {
  readonly figures: readonly PaperFigure[];
  readonly options: PaperOptions;
  /** `auto` is resolved; undefined: there is none, or it is not wanted. */
  readonly device: DeviceRequest | undefined;
  /** Why a chain's NFs cannot be on a kind of device; undefined where they can. */
  lack(chain: PaperChain, gpu: readonly string[], device: DeviceRequest): string | undefined;
  /** A figure that cannot be shown is left out; else refused. */
  readonly all: boolean;
  readonly files: Manifest["files"];
  readonly machine: string;
  readonly version: string;
}

/** @throws ConfigError where a figure cannot be shown on this device */
export function makePaperPlan(parts: PaperPlanParts): { readonly plan: PaperPlan; readonly identity: Identity } {
  const { figures, options, device, all, files, machine, version } = parts;
  const leftOut: { what: string; why: string }[] = [];
  const planned = figures.flatMap((figure) => {
    const reason = unshowable(figure, parts);
    if (reason === undefined) return [plannedFigure(figure, parts, leftOut)];
    if (!all) throw new ConfigError("--device", `${figure.id}: ${reason}`, remedy(figure));
    leftOut.push({ what: figure.id, why: reason });
    return [];
  });
  if (planned.length === 0) throw new ConfigError("--device", `no figure can be shown: ${leftOut[0]?.why}`, DOCTOR);
  const { sizes, cores, repeats, timing, seed, quick, meter } = options;
  const common = {
    ...{ device: device?.text ?? null, sizes, cores, repeats },
    ...{ warm_up_ms: timing.warmUpMs, window_ms: timing.windowMs, seed, quick },
  };
  const identity: Identity = {
    ...{ format: FORMAT, version, machine, verb: "paper", figures: planned.map(({ id }) => id), ...common, meter },
    files: files.map(({ path, sha256 }) => `${path} ${sha256}`),
  };
  const hash = createHash("sha256").update(JSON.stringify(identity)).digest("hex");
  return { plan: { hash, figures: planned, ...common, left_out: leftOut }, identity };
}

const DOCTOR = "`wingbeat doctor` lists what devices there are";

function remedy({ series }: PaperFigure): string {
  return series.some(({ device }) => device === "persistent")
    ? `it needs --device opencl; ${DOCTOR}`
    : `name another --device; fig5 shows what the CPU does alone; ${DOCTOR}`;
}

/** Why a figure makes no sense with this device; undefined where it does. */
function unshowable(figure: PaperFigure, { device, lack }: PaperPlanParts): string | undefined {
  if (device === undefined)
    return figure.withoutGpu ? undefined : "it has NFs on a GPU, and there is no device to run on";
  for (const { chain, gpu, device: on } of figure.series) {
    if (gpu.length === 0 || on === "gpujs") continue;
    if (on === "persistent" && (device.kind !== "opencl" || device.rounds)) {
      return `it has a persistent kernel, which ${device.text} does not run`;
    }
    const missing = lack(chain, gpu, device);
    if (missing !== undefined) return missing;
  }
  return undefined;
}

function plannedFigure(
  figure: PaperFigure,
  { options, device, lack }: PaperPlanParts,
  leftOut: { what: string; why: string }[],
): PlannedFigure {
  const shown = figure.series.filter(({ name, chain, gpu, device: on }) => {
    if (gpu.length === 0) return true;
    const request = device === undefined ? undefined : on === "gpujs" ? parseDevice("gpujs") : device;
    const why = request === undefined ? "there is no device" : lack(chain, gpu, request);
    if (why !== undefined) leftOut.push({ what: `${figure.id}, ${name}`, why });
    return why === undefined;
  });
  const cells = options.sizes.flatMap((size) =>
    shown.map((series): PlannedCell => {
      const { name, chain, gpu } = series;
      const placement = Object.fromEntries(nfsOf(chain).map((nf) => [nf, gpu.includes(nf) ? "gpu" : "cpu"] as const));
      const common = { placement, size, workgroups: undefined, wait: "adaptive", batch: BATCH } as const;
      const cores = series.cores ?? options.cores;
      return {
        ...{ series: name, chain },
        cell: { chain: `${figure.id} ${chain}`, ...common, device: deviceOf(series, device), cores },
      };
    }),
  );
  return { id: figure.id, cells };
}

function deviceOf({ device: on, gpu }: Series, device: DeviceRequest | undefined): string {
  if (gpu.length === 0 || device === undefined) return "none";
  if (on === "rounds") return `${device.text}:rounds`;
  return on === "gpujs" ? "gpujs" : device.text;
}

/** The chains of these figures, each once. */
export function chainsOf({ figures }: Pick<PaperPlan, "figures">): PaperChain[] {
  return [...new Set(figures.flatMap(({ cells }) => cells.map(({ chain }) => chain)))];
}
