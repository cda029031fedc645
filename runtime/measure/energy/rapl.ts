/**
 * RAPL: energy counters of Intel processors, and of AMD's since Zen, by Linux's powercap (Documentation/power/powercap). A domain is a folder
 * with `name`, `energy_uj` (microjoules) and `max_energy_range_uj`, after which it begins at 0; the folders' names are the tree:
 * `intel-rapl:0` is a package, `intel-rapl:0:1` a domain that hangs below it. Kernels let only root read the counters since CVE-2020-8694.
 *
 * What is summed (Intel SDM vol. 3, 16.10; Khan et al., RAPL in Action, 2018):
 * - core (PP0) and uncore (PP1, the integrated GPU) are within their package;
 * - dram hangs below the package in the tree, but its energy is beside the package's;
 * - psys is what the whole platform draws: packages and dram are within it. Some machines have it and never wired it, so it counts only where it
 *   has been seen to rise at least as fast as what it should include;
 * - intel-rapl-mmio is the same package counter by another way, and left out.
 */
import { isVirtual } from "../../native/cpu.js";
import type { Finding } from "../../native/finding.js";
import type { SystemFiles } from "../../native/system-files.js";
import { CounterAccumulator } from "./accumulate.js";
import { type FoundMeter, missingMeter, type OpenOptions } from "./found.js";
import type { DomainInfo } from "./meter.js";
import { sensorFile } from "./sensor-file.js";
import { PolledSource, type Source } from "./source.js";

const FOLDER = "/sys/class/powercap";
const REMEDY = `sudo chmod a+r ${FOLDER}/*/energy_uj (until the next boot), or run as root`;
/** Counters are exact between any two readings; these are for the wrap-around, minutes apart at the least. */
const INTERVAL_MS = 1000;
/** Counters are updated about every ms (Intel SDM vol. 3, 16.10.3). */
const UPDATE_MS = 1;
/** Counters are 32 bits wide; powercap gives their range in microjoules, and not their unit. */
const COUNTS = 2 ** 32;

const PSYS = "psys";
/** How long psys is watched before it is believed, and how much of its parts' energy it must have: they are read one after the other. */
const PSYS_MS = 100;
const PSYS_SHARE = 0.9;

export interface RaplDomain extends DomainInfo {
  /** Folder under /sys/class/powercap. */
  readonly folder: string;
}

/** The tree of domains, as names; psys outermost. */
export function raplDomains(files: SystemFiles): RaplDomain[] {
  const zones = files
    .list(FOLDER)
    .filter((zone) => /^intel-rapl(:\d+)+$/.test(zone) && files.exists(`${FOLDER}/${zone}/energy_uj`));
  const label = (zone: string) => files.text(`${FOLDER}/${zone}/name`) ?? zone;
  const parentOf = (zone: string) => zones.find((other) => other === zone.replace(/:\d+$/, ""));
  const platforms = zones.filter((zone) => label(zone) === PSYS);
  const platform = platforms.length === 1 ? PSYS : null;
  const seen = new Set<string>();
  // Of several nobody can say which includes what.
  const known = platform === null ? zones.filter((zone) => !platforms.includes(zone)) : zones;
  return known.map((zone) => {
    const parent = parentOf(zone);
    const full = parent === undefined ? label(zone) : `${label(parent)} ${label(zone)}`;
    const name = seen.has(full) ? `${full} (${zone})` : full;
    seen.add(name);
    const beside = parent === undefined || label(zone) === "dram";
    const within = platforms.includes(zone) ? null : beside ? platform : label(parent!);
    return { folder: `${FOLDER}/${zone}`, name, within };
  });
}

export function findRapl(files: SystemFiles): FoundMeter {
  const common = { area: "energy", name: "RAPL (powercap)" } as const;
  const domains = raplDomains(files);
  if (domains.length === 0) {
    const detail = `no domain under ${FOLDER}`;
    const remedy = "sudo modprobe intel_rapl_msr (it serves AMD processors, too)";
    if (!isVirtual(files)) return missingMeter({ ...common, state: "missing", detail, remedy });
    return missingMeter({ ...common, state: "missing", detail: "a virtual machine's host keeps its meters to itself" });
  }
  const detail = domains.map(({ name }) => name).join(", ");
  const refused = domains.some(({ folder }) => !files.readable(`${folder}/energy_uj`));
  const finding: Finding = refused
    ? { ...common, state: "limited", detail: `${detail}: this user may not read them`, remedy: REMEDY }
    : { ...common, state: "ok", detail };
  return { finding, covers: ["processor"], open: (options) => openRapl(files, domains, options) };
}

async function openRapl(
  files: SystemFiles,
  all: readonly RaplDomain[],
  { clock, wait, shared }: OpenOptions,
): Promise<Source> {
  const notes = ["the processor's own energy counters"];
  const psys = all.some((domain) => domain.within === PSYS);
  const platform = psys && !shared && (await isWired(files, all, wait));
  if (psys && shared) notes.push("psys is left out, since it may include what other meters count");
  else if (psys && !platform) notes.push("psys is left out: it rises less than what it should include");
  // Without the platform its parts count by themselves.
  const domains = platform
    ? all
    : all
        .filter(({ name }) => name !== PSYS)
        .map((domain) => (domain.within === PSYS ? { ...domain, within: null } : domain));
  const channels = domains.map(({ folder, name, within }) => {
    const path = `${folder}/energy_uj`;
    // The range of 2^32 - 1 counts, in microjoules, tells what a count is.
    const range = files.number(`${folder}/max_energy_range_uj`);
    const step = range === undefined ? 1 : Math.max(1, range / (COUNTS - 1));
    const modulus = range === undefined ? Number.POSITIVE_INFINITY : range + step;
    const accumulator = new CounterAccumulator({ name, unit: 1e-6, modulus, step, updateMs: UPDATE_MS });
    return { domain: { name, within }, accumulator, read: sensorFile(files, path, `RAPL ${name}`, REMEDY) };
  });
  for (const { read } of channels) read();
  const sum = domains.filter(({ within }) => within === null).map(({ name }) => name);
  notes.push(`the sum is ${sum.join(" + ")}${platform ? ", the whole platform" : "; not the rest of the machine"}`);
  const info = {
    kind: "rapl",
    name: "RAPL (powercap)",
    provenance: "measured",
    intervalMs: INTERVAL_MS,
    note: notes.join("; "),
  } as const;
  return new PolledSource(info, [platform ? "machine" : "processor"], channels, clock);
}

/** Whether psys rises as it must if it includes its parts. */
async function isWired(
  files: SystemFiles,
  domains: readonly RaplDomain[],
  wait: OpenOptions["wait"],
): Promise<boolean> {
  const outer = domains.filter(({ name }) => name === PSYS);
  const parts = domains.filter(({ within }) => within === PSYS);
  const microjoules = (some: readonly RaplDomain[]) =>
    some.reduce((sum, { folder, name }) => sum + sensorFile(files, `${folder}/energy_uj`, `RAPL ${name}`, REMEDY)(), 0);
  const before = [microjoules(outer), microjoules(parts)] as const;
  await wait(PSYS_MS);
  const risen = microjoules(outer) - before[0];
  return risen > 0 && risen >= PSYS_SHARE * (microjoules(parts) - before[1]);
}
