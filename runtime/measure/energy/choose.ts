/** Which meter an experiment takes (`--meter`), and why. */

import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { ConfigError, RunError } from "../../errors.js";
import { findLibrary } from "../../native/library-path.js";
import { SystemFiles } from "../../native/system-files.js";
import { findBattery } from "./battery.js";
import { CommandMeter } from "./command-meter.js";
import { FileMeter } from "./file-meter.js";
import type { FoundMeter, OpenOptions } from "./found.js";
import { findHwmon, hwmonNamed, hwmonOf } from "./hwmon.js";
import type { EnergyRecorder } from "./meter.js";
import { nominalSource, tdpOf } from "./nominal.js";
import { findNvml, NVML } from "./nvml.js";
import { findRapl } from "./rapl.js";
import { SourceRecorder } from "./recorder.js";
import type { Clock, Source } from "./source.js";

/** For --help: of verbs that need one, and of those that do without. */
export const METERS =
  "auto, rapl, hwmon[:TEXT], nvml, battery, file:PATH, command:CMD, nominal[:WATTS]; rapl+nvml adds up";
export const METER_HELP = `none, ${METERS}`;

const KINDS = ["rapl", "hwmon", "nvml", "battery", "file", "command", "nominal"] as const;
type Kind = (typeof KINDS)[number];

export interface MeterRequest {
  /** As it was written. */
  readonly text: string;
  readonly parts: "auto" | "none" | readonly { readonly kind: Kind; readonly value: string | undefined }[];
  /** W; undefined where nobody said. */
  readonly tdp: number | undefined;
}

/** `--meter` and `--tdp`. @throws ConfigError */
export function parseMeter(text: string, tdpText?: string): MeterRequest {
  const tdp = tdpText === undefined ? undefined : parsePower("--tdp", tdpText);
  if (text === "auto" || text === "none") return { text, parts: text, tdp };
  // What stands behind these may hold anything.
  const words = /^(file|command):/.test(text) ? [text] : text.split("+");
  const parts = words.map((word) => {
    const [name, ...rest] = word.split(":");
    const kind = KINDS.find((known) => known === name);
    const value = rest.length === 0 ? undefined : rest.join(":").trim();
    if (kind === undefined) throw new ConfigError("--meter", `found "${word}"; it takes ${METER_HELP}`);
    if ((kind === "file" || kind === "command") && (value === undefined || words.length > 1)) {
      const problem = words.length > 1 ? "cannot be added to others: nobody knows what it includes" : "says not which";
      throw new ConfigError("--meter", `"${word}" ${problem}`, "file:PATH or command:CMD, alone");
    }
    if (value === "" || (value !== undefined && ["rapl", "nvml", "battery"].includes(kind)))
      throw new ConfigError("--meter", `found "${word}"; it takes ${METER_HELP}`);
    return { kind, value };
  });
  const repeated = parts.find((part, i) => parts.findIndex(({ kind }) => kind === part.kind) < i);
  if (repeated !== undefined) throw new ConfigError("--meter", `${repeated.kind} stands twice in "${text}"`);
  const nominal = parts.find(({ kind }) => kind === "nominal")?.value;
  if (nominal === undefined) return { text, parts, tdp };
  if (tdp !== undefined) throw new ConfigError("--tdp", `"--meter ${text}" says the watts already`);
  return { text, parts, tdp: parsePower("--meter nominal:", nominal) };
}

function parsePower(option: string, text: string): number {
  const watts = /^\d+(\.\d+)?W?$/i.test(text) ? Number.parseFloat(text) : Number.NaN;
  if (!(watts > 0 && watts <= 10_000)) throw new ConfigError(option, `expected watts above 0, found "${text}"`);
  return watts;
}

export interface MeterMachine {
  readonly files?: SystemFiles;
  /** Path of the NVML library, or null. Default: where the system has it. */
  readonly nvml?: string | null;
  readonly clock?: Clock;
  readonly wait?: (ms: number) => Promise<void>;
}

/** What `auto` takes. */
export interface AutoChoice {
  readonly meters: readonly FoundMeter[];
  /** A processor's or machine's meter is among them; else its energy is nominal. */
  readonly measured: boolean;
  /** Meters that are there and cannot be used now, with the remedy. */
  readonly refused: readonly FoundMeter[];
}

/**
 * RAPL, else the processor's sensors, else the machine's, else the battery; and discrete GPUs beside the processor.
 * Nothing is added to a meter of the whole machine.
 */
export function chooseAuto(files: SystemFiles, nvml: FoundMeter): AutoChoice {
  const rapl = findRapl(files);
  const battery = findBattery(files);
  const ready = (meter: FoundMeter | undefined) => meter?.finding.state === "ok";
  const processor = [rapl, hwmonOf(files, "processor")].find(ready);
  const machine = [hwmonOf(files, "machine"), battery].find(ready);
  // A battery that is charged is missed only where nothing else measures.
  const missed = processor === undefined && machine === undefined ? [rapl, battery] : [rapl];
  const refused = missed.filter(({ finding }) => finding.state === "limited");
  if (processor === undefined && machine !== undefined) return { meters: [machine], measured: true, refused };
  const meters = [processor, hwmonOf(files, "gpu"), nvml].filter((meter) => meter !== undefined && ready(meter));
  return { meters: meters as FoundMeter[], measured: processor !== undefined, refused };
}

/**
 * Opens what was asked for.
 * @param warn gets a line for everything that is not as one would like: nominal energy, meters that refuse
 * @returns undefined for `none`
 * @throws ConfigError where the choice makes no sense, RunError where a meter that was named does not answer
 */
export async function openRecorder(
  request: MeterRequest,
  warn: (line: string) => void,
  machine: MeterMachine = {},
): Promise<EnergyRecorder | undefined> {
  const { parts, tdp, text } = request;
  const { files = new SystemFiles(), clock = () => performance.now(), wait = delay } = machine;
  const nvml = () => findNvml(machine.nvml === undefined ? findLibrary([NVML]) : (machine.nvml ?? undefined));
  if (parts === "none") return undefined;
  const sources: Source[] = [];
  try {
    if (parts === "auto") sources.push(...(await openAuto(chooseAuto(files, nvml()), warn, { clock, wait })));
    else {
      for (const { kind, value } of parts) {
        if (kind === "nominal") sources.push(nominalSource(tdpOf(files, tdp), clock));
        else if (kind === "file") sources.push(new FileMeter(value!, clock));
        else if (kind === "command") sources.push(await CommandMeter.open(value!, clock));
        else sources.push(await found(files, kind, value, nvml).open({ clock, wait, shared: parts.length > 1 }));
      }
      refuseOverlap(text, sources);
    }
    if (parts === "auto" && !sources.some(coversProcessor)) sources.unshift(nominalSource(tdpOf(files, tdp), clock));
  } catch (error) {
    for (const source of sources) source.close();
    throw error;
  }
  const recorder = new SourceRecorder(sources, clock, wait);
  const isNominal = recorder.info.provenance === "nominal";
  if (isNominal) warn(`energy is nominal, not measured: ${recorder.info.note}`);
  if (tdp !== undefined && !sources.some(({ info }) => info.kind === "nominal"))
    warn("--tdp: a meter is in use, so nothing rests on it");
  return recorder;
}

const coversProcessor = ({ covers }: Source) => covers.some((one) => one === "processor" || one === "machine");

function found(files: SystemFiles, kind: Kind, value: string | undefined, nvml: () => FoundMeter): FoundMeter {
  if (kind === "rapl") return findRapl(files);
  if (kind === "battery") return findBattery(files);
  if (kind === "nvml") return nvml();
  return value === undefined ? findHwmon(files) : hwmonNamed(files, value);
}

/** A meter that turns out not to answer is said, and done without. */
async function openAuto(
  { meters, refused }: AutoChoice,
  warn: (line: string) => void,
  options: Omit<OpenOptions, "shared">,
): Promise<Source[]> {
  for (const { finding } of refused) warn(`${finding.name}: ${finding.detail}; remedy: ${finding.remedy}`);
  const sources: Source[] = [];
  for (const meter of meters) {
    try {
      sources.push(await meter.open({ ...options, shared: meters.length > 1 }));
    } catch (error) {
      if (!(error instanceof RunError)) throw error;
      warn(`${meter.finding.name} is done without: ${error.message.replace("\n  remedy", "; remedy")}`);
    }
  }
  return sources;
}

/** Energy that two meters see would be counted twice. */
function refuseOverlap(text: string, sources: readonly Source[]): void {
  for (const [i, one] of sources.entries()) {
    for (const other of sources.slice(i + 1)) {
      const both = one.covers.find((what) => other.covers.includes(what));
      const all = [one, other].find(({ covers }) => covers.includes("machine"));
      if (both === undefined && all === undefined) continue;
      const why = both === undefined ? `${all!.info.name} sees the whole machine` : `both see the ${both}`;
      const problem = `${one.info.name} and ${other.info.name} cannot be added up: ${why}`;
      throw new ConfigError(`--meter ${text}`, problem, "name one of them");
    }
  }
}
