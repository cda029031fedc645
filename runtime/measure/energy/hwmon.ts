/**
 * Power and energy sensors that drivers offer through hwmon (Documentation/hwmon/sysfs-interface): `energyN_input` counts microjoules,
 * `powerN_average` and `powerN_input` are microwatts. What a sensor includes is known by its driver; of others nothing can be summed, so they are
 * used only by name (`hwmon:TEXT`).
 */
import { basename } from "node:path";
import { ConfigError } from "../../errors.js";
import type { Finding } from "../../native/finding.js";
import type { SystemFiles } from "../../native/system-files.js";
import { CounterAccumulator, PowerAccumulator } from "./accumulate.js";
import { type FoundMeter, missingMeter, type OpenOptions } from "./found.js";
import { sensorFile } from "./sensor-file.js";
import { type Channel, type Coverage, PolledSource, type Source } from "./source.js";

/** Power is sampled so often, ms; and counters are so old at most. */
const INTERVAL_MS = 100;
const UPDATE_MS = 100;
/** Kernels make a 32-bit count of theirs one of 64 bits: it does not begin anew. */
const NEVER = Number.POSITIVE_INFINITY;

interface Driver {
  readonly covers: Coverage;
  readonly what: string;
}

/** By driver: what its first sensor includes. */
const DRIVERS: Readonly<Record<string, Driver>> = {
  // Documentation/hwmon/fam15h_power: power1_input is the package; power1_average, since Carrizo, the compute units alone.
  fam15h_power: { covers: "processor", what: "AMD family 15h processor" },
  amd_energy: { covers: "processor", what: "AMD processor" },
  // Discrete cards alone have this one.
  i915: { covers: "gpu", what: "Intel discrete GPU" },
  xe: { covers: "gpu", what: "Intel discrete GPU" },
  // ACPI 4.0 power meter: what the machine draws, by its management controller.
  power_meter: { covers: "machine", what: "the machine, by its ACPI power meter" },
};

export interface Sensor {
  /** Folder of the hwmon device. */
  readonly folder: string;
  /** "power1_average": the file that is read. */
  readonly file: string;
  readonly driver: string;
  /** "amdgpu PPT" */
  readonly name: string;
  /** Undefined where it is not known what it includes. */
  readonly covers: Coverage | undefined;
  readonly what: string;
}

/** All sensors of energy or power; of one sensor the file that is best integrated. */
export function hwmonSensors(files: SystemFiles): Sensor[] {
  const sensors = files.list("/sys/class/hwmon").flatMap((entry) => sensorsOf(files, `/sys/class/hwmon/${entry}`));
  return sensors.map((sensor) => {
    const twins = sensors.filter(({ name }) => name === sensor.name);
    return twins.length < 2 ? sensor : { ...sensor, name: `${sensor.name} (${placeOf(files, sensor.folder)})` };
  });
}

function sensorsOf(files: SystemFiles, folder: string): Sensor[] {
  const driver = files.text(`${folder}/name`) ?? "unnamed";
  const names = files.list(folder);
  const numbers = (kind: string) => {
    const found = names.flatMap((name) => new RegExp(`^${kind}(\\d+)_(?:input|average)$`).exec(name)?.[1] ?? []);
    return [...new Set(found)];
  };
  const made = (kind: string, number: string): Sensor => {
    const average = `${kind}${number}_average`;
    const file = names.includes(average) ? average : `${kind}${number}_input`;
    const label = files.text(`${folder}/${kind}${number}_label`) ?? `${kind}${number}`;
    return { folder, file, driver, name: `${driver} ${label}`, ...coverage(files, folder, driver, label) };
  };
  const energy = numbers("energy").map((number) => made("energy", number));
  // What counts energy says all that its power could.
  return energy.length > 0 ? energy : numbers("power").map((number) => made("power", number));
}

function coverage(files: SystemFiles, folder: string, driver: string, label: string) {
  const known = DRIVERS[driver];
  if (driver === "amdgpu") {
    // amdgpu_pm.c: only APUs have the voltage of a northbridge; their power is that of the whole processor.
    if (files.text(`${folder}/in1_label`) === "vddnb") return { covers: "processor", what: "AMD APU, whole" } as const;
    return { covers: "gpu", what: "AMD discrete GPU" } as const;
  }
  if (driver === "amd_energy" && !/socket/i.test(label)) return { covers: undefined, what: "a core" };
  return { covers: known?.covers, what: known?.what ?? "not known to this program" };
}

/** The device's address on its bus, which tells two of a kind apart. */
function placeOf(files: SystemFiles, folder: string): string {
  return basename(files.link(`${folder}/device`) ?? folder);
}

export function findHwmon(files: SystemFiles): FoundMeter {
  const common = { area: "energy", name: "hwmon power sensors" } as const;
  const sensors = hwmonSensors(files);
  if (sensors.length === 0)
    return missingMeter({ ...common, state: "missing", detail: "no sensor reports power or energy" });
  const detail = sensors.map(({ name }) => name).join(", ");
  const counted = countedSensors(sensors);
  const finding: Finding =
    counted.length > 0
      ? { ...common, state: "ok", detail }
      : { ...common, state: "limited", detail, remedy: "--meter hwmon:TEXT takes those whose name holds TEXT" };
  return {
    finding,
    covers: [...new Set(counted.map(({ covers }) => covers!))],
    open: async (options) => {
      if (counted.length === 0) {
        const problem = `it is not known what ${detail} include${sensors.length === 1 ? "s" : ""}`;
        throw new ConfigError("--meter hwmon", problem, finding.remedy);
      }
      return openHwmon(files, counted, sensors, options);
    },
  };
}

/** The part of findHwmon() that covers this alone; undefined where there is none. */
export function hwmonOf(files: SystemFiles, wanted: Coverage): FoundMeter | undefined {
  const sensors = hwmonSensors(files).filter(({ covers }) => covers === wanted);
  if (sensors.length === 0) return undefined;
  const counted = countedSensors(sensors);
  const detail = counted.map(({ name }) => name).join(", ");
  const finding = { ...findHwmon(files).finding, detail };
  return { finding, covers: [wanted], open: async (options) => openHwmon(files, counted, sensors, options) };
}

/** `hwmon:TEXT`: the sensors whose name holds it, each counted. */
export function hwmonNamed(files: SystemFiles, text: string): FoundMeter {
  const all = hwmonSensors(files);
  const sensors = all.filter(({ name }) => name.toLowerCase().includes(text.toLowerCase()));
  const { finding } = findHwmon(files);
  const open = async (options: OpenOptions): Promise<Source> => {
    if (sensors.length > 0) return openHwmon(files, sensors, sensors, options);
    const there = all.length === 0 ? "there is none" : `there are ${all.map(({ name }) => name).join(", ")}`;
    throw new ConfigError(`--meter hwmon:${text}`, `no sensor of that name; ${there}`);
  };
  // Of sensors somebody names nobody knows that others do not include them.
  return { finding, covers: ["machine"], open };
}

/** Those that count in the sum: the machine's, else one sensor of each device, and of the processor one driver's. */
function countedSensors(sensors: readonly Sensor[]): Sensor[] {
  const first = sensors.filter(
    (sensor) =>
      sensor.covers !== undefined &&
      (sensor.driver === "amd_energy" || sensors.find(({ folder }) => folder === sensor.folder) === sensor),
  );
  const machine = first.filter(({ covers }) => covers === "machine");
  if (machine.length > 0) return machine;
  const processor = first.filter(({ covers }) => covers === "processor");
  // An APU's figure includes the compute units that fam15h_power sees.
  const best = processor.find(({ driver }) => driver === "amdgpu") ?? processor[0];
  return [
    ...processor.filter(({ driver }) => driver === best?.driver),
    ...first.filter(({ covers }) => covers === "gpu"),
  ];
}

function openHwmon(
  files: SystemFiles,
  counted: readonly Sensor[],
  sensors: readonly Sensor[],
  { clock }: OpenOptions,
): Source {
  const lags: number[] = [];
  const channels = sensors.flatMap((sensor): Channel[] => {
    const { folder, file, name } = sensor;
    const outer = counted.includes(sensor) ? null : outerOf(sensor, counted);
    // Neither in the sum nor within what is.
    if (outer === undefined) return [];
    const path = `${folder}/${file}`;
    const read = sensorFile(files, path, name, `sudo chmod a+r ${path} (until the next boot), or run as root`);
    read();
    const domain = { name, within: outer };
    if (file.startsWith("energy")) {
      const traits = { name, unit: 1e-6, modulus: NEVER, step: 1, updateMs: UPDATE_MS };
      return [{ domain, accumulator: new CounterAccumulator(traits), read }];
    }
    // ms, by the documentation of fam15h_power and power_meter.
    const over = file.endsWith("_average") ? files.number(`${path}_interval`) : undefined;
    const lagMs = Math.max(INTERVAL_MS, over ?? 0);
    lags.push(lagMs);
    return [{ domain, accumulator: new PowerAccumulator({ stepWatts: 1e-6, lagMs }), read: () => read() * 1e-6 }];
  });
  const whats = [...new Set(counted.map((sensor) => `${sensor.name}: ${sensor.what}`))];
  const cores = counted.some(({ driver, file }) => driver === "fam15h_power" && file.endsWith("_average"));
  const note = [
    whats.join("; "),
    ...(cores ? ["the compute units alone, neither the integrated GPU nor the northbridge"] : []),
    ...(lags.length > 0 ? [`power, sampled every ${INTERVAL_MS} ms`] : ["energy counters"]),
  ].join("; ");
  const name = [...new Set(counted.map(({ driver }) => driver))].join(" + ");
  const info = {
    kind: "hwmon",
    name: `${name} (hwmon)`,
    provenance: "measured",
    intervalMs: INTERVAL_MS,
    note,
  } as const;
  const covers = [...new Set(counted.map((sensor) => sensor.covers ?? "machine"))];
  return new PolledSource(info, covers, channels, clock);
}

/** The counted sensor that includes this one's energy; undefined where that is not known. */
function outerOf(sensor: Sensor, counted: readonly Sensor[]): string | undefined {
  const same = counted.find(({ folder }) => folder === sensor.folder);
  if (same !== undefined) return same.name;
  if (sensor.driver !== "fam15h_power") return undefined;
  return counted.find(({ driver, covers }) => driver === "amdgpu" && covers === "processor")?.name;
}
