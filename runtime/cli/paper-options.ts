/** Options of `paper`, parsed: what needs no look at the machine. */
import { type DeviceRequest, parseDevice } from "../device/choose.js";
import { parseCores } from "../engine/core-spec.js";
import { ConfigError } from "../errors.js";
import { PAPER_SIZES } from "../experiment/paper/figure.js";
import type { PaperOptions } from "../experiment/paper/plan.js";
import { parseSizes } from "../experiment/sizes.js";
import { type MeterRequest, parseMeter } from "../measure/energy/choose.js";
import { parseInteger } from "./options.js";

/** As commander gives them. */
export interface PaperFlags {
  device: string;
  cores: string;
  sizes?: string;
  repeats?: string;
  warmUp?: string;
  window?: string;
  seed: string;
  quick?: boolean;
  meter: string;
  tdp?: string;
  report?: string;
  resume?: boolean;
  npf?: boolean;
  json?: string;
  quiet?: boolean;
}

export interface PaperRequest extends Omit<PaperOptions, "meter"> {
  readonly device: DeviceRequest;
  readonly meter: MeterRequest;
}

/** ms and counts. */
const FULL = { sizes: PAPER_SIZES, repeats: 7, warmUpMs: 300, windowMs: 500 } as const;
const QUICK = { sizes: [64, 1472], repeats: 3, warmUpMs: 150, windowMs: 200 } as const;
const MOST_REPEATS = 1000;
const LONGEST_MS = 600_000;

/** For --help. */
export const PAPER_DEFAULTS = {
  sizes: `${FULL.sizes.join(",")}; with --quick ${QUICK.sizes.join(",")}`,
  repeats: `${FULL.repeats}; with --quick ${QUICK.repeats}`,
  warmUp: `${FULL.warmUpMs}; with --quick ${QUICK.warmUpMs}`,
  window: `${FULL.windowMs}; with --quick ${QUICK.windowMs}`,
};

/** @throws ConfigError naming the option */
export function paperRequest(flags: PaperFlags): PaperRequest {
  const usual = flags.quick ? QUICK : FULL;
  const number = (option: string, text: string | undefined, value: number, least: number, most: number) =>
    text === undefined ? value : parseInteger(option, text, least, most);
  if (flags.resume && flags.report === undefined) {
    throw new ConfigError(
      "--resume",
      "it goes on with the samples of a report",
      "name its folder: --report DIR --resume",
    );
  }
  parseCores(flags.cores);
  return {
    device: parseDevice(flags.device),
    cores: flags.cores,
    sizes: flags.sizes === undefined ? usual.sizes : numbers(flags.sizes),
    repeats: number("--repeats", flags.repeats, usual.repeats, 1, MOST_REPEATS),
    timing: {
      warmUpMs: number("--warm-up", flags.warmUp, usual.warmUpMs, 0, LONGEST_MS),
      windowMs: number("--window", flags.window, usual.windowMs, 10, LONGEST_MS),
    },
    seed: parseInteger("--seed", flags.seed, 0, 0xffff_ffff),
    quick: flags.quick === true,
    meter: parseMeter(flags.meter, flags.tdp),
  };
}

/** The figures' axis is bytes. */
function numbers(text: string): number[] {
  return parseSizes(text).map((size) => {
    if (typeof size === "number") return size;
    throw new ConfigError(
      "--sizes",
      `found "${size}"`,
      `the figures are over frame sizes in bytes: ${PAPER_SIZES.join(",")}`,
    );
  });
}
