/**
 * Batteries (Documentation/ABI/testing/sysfs-class-power): what they give, by `power_now` (microwatts) or `voltage_now` x `current_now` (microvolts,
 * microamperes). Only of a machine without a charger; then it is all that the machine draws. Fuel gauges show means of seconds, so spans should be long.
 */
import { basename, dirname } from "node:path";
import { RunError } from "../../errors.js";
import type { Finding } from "../../native/finding.js";
import type { SystemFiles } from "../../native/system-files.js";
import { PowerAccumulator } from "./accumulate.js";
import { type FoundMeter, missingMeter, type OpenOptions } from "./found.js";
import { sensorFile } from "./sensor-file.js";
import { PolledSource, type Source } from "./source.js";

const INTERVAL_MS = 1000;
/** Gauges update every few seconds. */
const LAG_MS = 5000;
const FOLDER = "/sys/class/power_supply";
const UNPLUG = "unplug the charger: the battery meters only what it gives";

/** Batteries of the machine, not of its mouse. */
function batteries(files: SystemFiles): string[] {
  return files
    .glob(`${FOLDER}/*/type`)
    .filter((path) => files.text(path) === "Battery")
    .map((path) => dirname(path))
    .filter((folder) => files.text(`${folder}/scope`) !== "Device")
    .filter((folder) => ["power_now", "current_now"].some((name) => files.exists(`${folder}/${name}`)));
}

/** A charger that is plugged in; undefined where there is none. */
function charger(files: SystemFiles): string | undefined {
  const supplies = files.glob(`${FOLDER}/*/online`).map((path) => dirname(path));
  const charging = supplies.find(
    (folder) => files.text(`${folder}/type`) !== "Battery" && (files.number(`${folder}/online`) ?? 0) > 0,
  );
  return charging && basename(charging);
}

const isDischarging = (files: SystemFiles, folder: string) => files.text(`${folder}/status`) === "Discharging";

export function findBattery(files: SystemFiles): FoundMeter {
  const common = { area: "energy", name: "battery" } as const;
  const folders = batteries(files);
  if (folders.length === 0) return missingMeter({ ...common, state: "missing", detail: "none that reports its power" });
  const states = folders.map((one) => `${basename(one)}, ${(files.text(`${one}/status`) ?? "unknown").toLowerCase()}`);
  const plugged = charger(files);
  const detail = states.join("; ") + (plugged === undefined ? "" : `; ${plugged} is plugged in`);
  const ready = plugged === undefined && folders.some((folder) => isDischarging(files, folder));
  const finding: Finding = ready
    ? { ...common, state: "ok", detail }
    : { ...common, state: "limited", detail, remedy: UNPLUG };
  return { finding, covers: ["machine"], open: async (options) => openBattery(files, folders, options) };
}

function openBattery(files: SystemFiles, folders: readonly string[], { clock }: OpenOptions): Source {
  const channels = folders.map((folder, index) => {
    const watts = wattsOf(files, folder);
    const read = () => {
      if (index === 0) mustDischarge(files, folders);
      return isDischarging(files, folder) ? watts() : 0;
    };
    const accumulator = new PowerAccumulator({ stepWatts: 1e-3, lagMs: LAG_MS });
    read();
    return { domain: { name: basename(folder), within: null }, accumulator, read };
  });
  const note =
    "all that the machine draws; slow: gauges show means of seconds, so measure windows of a minute (--window 60000)";
  const info = { kind: "battery", name: "battery", provenance: "measured", intervalMs: INTERVAL_MS, note } as const;
  return new PolledSource(info, ["machine"], channels, clock);
}

/** W; some drivers give the current of a discharging battery below 0. */
function wattsOf(files: SystemFiles, folder: string): () => number {
  const file = (name: string) => sensorFile(files, `${folder}/${name}`, basename(folder), "run as root");
  if (files.exists(`${folder}/power_now`)) {
    const power = file("power_now");
    return () => Math.abs(power()) * 1e-6;
  }
  const [voltage, current] = [file("voltage_now"), file("current_now")];
  return () => Math.abs(voltage() * current()) * 1e-12;
}

function mustDischarge(files: SystemFiles, folders: readonly string[]): void {
  const plugged = charger(files);
  if (plugged !== undefined)
    throw new RunError("battery", `${plugged} is plugged in, so it is not what feeds the machine`, UNPLUG);
  if (folders.some((folder) => isDischarging(files, folder))) return;
  const states = folders.map(
    (folder) => `${basename(folder)} is ${(files.text(`${folder}/status`) ?? "gone").toLowerCase()}`,
  );
  throw new RunError("battery", `${states.join(", ")}: nothing that it gives can be measured`, UNPLUG);
}
