/** Options of `compare`, parsed: what needs no look at the chain or the machine. */
import type { DeviceRequest } from "../device/choose.js";
import { parseCores } from "../engine/core-spec.js";
import { ConfigError } from "../errors.js";
import type { FrameSize } from "../experiment/cell.js";
import type { CompareOptions } from "../experiment/compare-plan.js";
import { parseDevices } from "../experiment/devices.js";
import { parseSizes } from "../experiment/sizes.js";
import { type MeterRequest, parseMeter } from "../measure/energy/choose.js";
import { type PortConfig, parsePortString } from "../nic/port-config.js";
import { parseInteger } from "./options.js";

/** As commander gives them. */
export interface CompareFlags {
  quick?: boolean;
  report?: string;
  resume?: boolean;
  sizes?: string;
  placements?: string;
  devices: string;
  cores: string;
  repeats?: string;
  warmUp?: string;
  window?: string;
  seed: string;
  in?: string;
  /** commander: `--no-search` makes it false. */
  search?: boolean;
  loads?: string;
  meter: string;
  tdp?: string;
  npf?: boolean;
  json?: string;
  csv?: string;
  quiet?: boolean;
}

export interface CompareRequest extends Omit<CompareOptions, "sizes" | "meter"> {
  /** Undefined: as suits the input. */
  readonly sizes: readonly FrameSize[] | undefined;
  readonly devices: readonly DeviceRequest[];
  readonly input: PortConfig | undefined;
  readonly meter: MeterRequest;
}

/** ms and counts: what a full comparison does, and a quick one. */
const FULL = { repeats: 7, warmUpMs: 300, windowMs: 500, loads: [50, 80, 95] } as const;
const QUICK = { repeats: 3, warmUpMs: 150, windowMs: 200, loads: [] } as const;

const MOST_REPEATS = 1000;
const LONGEST_MS = 600_000;

/** For --help. */
export const DEFAULTS = {
  repeats: `${FULL.repeats}; with --quick ${QUICK.repeats}`,
  warmUp: `${FULL.warmUpMs}; with --quick ${QUICK.warmUpMs}`,
  window: `${FULL.windowMs}; with --quick ${QUICK.windowMs}`,
  loads: `${FULL.loads.join(",")}; with --quick none`,
};

/** @throws ConfigError naming the option */
export function compareRequest(flags: CompareFlags): CompareRequest {
  const usual = flags.quick ? QUICK : FULL;
  const number = (option: string, text: string | undefined, value: number, least: number, most: number) =>
    text === undefined ? value : parseInteger(option, text, least, most);
  const input = flags.in === undefined ? undefined : parsePortString(flags.in);
  if (input?.driver === "null") throw new ConfigError("--in", "null receives nothing", "give a capture or a generator");
  if (flags.resume && flags.report === undefined) {
    throw new ConfigError(
      "--resume",
      "it goes on with the samples of a report",
      "name its folder: --report DIR --resume",
    );
  }
  return {
    sizes: flags.sizes === undefined ? undefined : parseSizes(flags.sizes),
    devices: parseDevices(flags.devices),
    cores: parseWorkers(flags.cores),
    repeats: number("--repeats", flags.repeats, usual.repeats, 1, MOST_REPEATS),
    timing: {
      warmUpMs: number("--warm-up", flags.warmUp, usual.warmUpMs, 0, LONGEST_MS),
      windowMs: number("--window", flags.window, usual.windowMs, 10, LONGEST_MS),
    },
    seed: parseInteger("--seed", flags.seed, 0, 0xffff_ffff),
    search: flags.search ?? !flags.quick,
    loads: flags.loads === undefined ? usual.loads : parseLoads(flags.loads),
    quick: flags.quick === true,
    input,
    meter: parseMeter(flags.meter, flags.tdp),
  };
}

/** Percent of a rate, ascending; `none` for no latency under load. */
function parseLoads(text: string): number[] {
  if (text === "none") return [];
  const loads = text.split(",").map((part) => {
    const match = /^(\d{1,3})\s*%?$/.exec(part.trim());
    const percent = Number(match?.[1]);
    if (!(percent >= 1 && percent <= 100)) {
      throw new ConfigError(
        "--loads",
        `found "${part}"`,
        "give percent from 1 to 100, separated by commas: 50,80,95; or none",
      );
    }
    return percent;
  });
  return [...new Set(loads)].sort((a, b) => a - b);
}

/** `d1,d1n2`, or numbers of workers: 1 is one core for everything, n one for io and the others for NFs. */
function parseWorkers(text: string): string[] {
  const specs = text.split(",").map((part) => {
    const word = part.trim();
    if (!/^\d+$/.test(word)) {
      parseCores(word);
      return word;
    }
    const workers = parseInteger("--cores", word, 1, 64);
    return workers === 1 ? "d1" : `d1n${workers - 1}`;
  });
  return [...new Set(specs)];
}
