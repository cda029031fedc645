/** Values of command-line options, parsed and checked; each error names the option and what it takes. */
import { ConfigError } from "../errors.js";

/** Decimal prefixes of rates. */
const PREFIX: Record<string, number> = { "": 1, k: 1e3, m: 1e6, g: 1e9 };

export function parseInteger(option: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new ConfigError(option, `expected a whole number from ${min} to ${max}, found "${text}"`);
  }
  return value;
}

export function parseSeconds(option: string, text: string): number {
  const match = /^(\d*\.?\d+)s?$/.exec(text);
  const value = Number(match?.[1]);
  if (!(value > 0)) throw new ConfigError(option, `expected seconds above 0, found "${text}"`);
  return value;
}

/** "1000000", "1.5Mpps", "2Gbps": packets or bits per second; a bare number is packets. */
export function parseRate(text: string): { unit: "pps" | "bps"; value: number } {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?)(pps|bps|bit\/s)?$/i.exec(text);
  const value = Number(match?.[1]) * PREFIX[(match?.[2] ?? "").toLowerCase()]!;
  if (!match || !(value > 0)) {
    throw new ConfigError("--rate", `found "${text}"`, "give packets or bits per second: 500000, 1.5Mpps, 2Gbps");
  }
  return { unit: (match[3] ?? "pps").toLowerCase() === "pps" ? "pps" : "bps", value };
}

export function parseChoice<T extends string>(option: string, text: string, choices: readonly T[]): T {
  const found = choices.find((c) => c === text);
  if (found === undefined) throw new ConfigError(option, `found "${text}"; it takes ${choices.join(", ")}`);
  return found;
}

/** Longest slice, ms: watchdogs have less patience. */
const MAX_SLICE_MS = 60_000;
const MAX_WORKGROUPS = 64;

/** `--slice MS`: 0 for none; undefined where the device's driver decides. */
export function parseSlice(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseInteger("--slice", text, 0, MAX_SLICE_MS);
}

/** `--workgroups N`; undefined where the device decides. */
export function parseWorkgroups(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseInteger("--workgroups", text, 1, MAX_WORKGROUPS);
}

/** For options that may be given several times. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];

/** `--place a=cpu,b=gpu`, several times or in one. */
export function parsePlaces(texts: readonly string[]): Map<string, "cpu" | "gpu"> {
  const places = new Map<string, "cpu" | "gpu">();
  for (const part of texts.flatMap((t) => t.split(","))) {
    const [name, place, more] = part.split("=");
    if (!name || more !== undefined || (place !== "cpu" && place !== "gpu")) {
      throw new ConfigError("--place", `found "${part}"`, "write NF=cpu or NF=gpu, separated by commas");
    }
    places.set(name, place);
  }
  return places;
}
