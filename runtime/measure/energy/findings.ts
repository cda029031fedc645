/** Doctor's energy area: the meters of this machine, and which of them experiments would take. */
import { ask } from "../../native/ask.js";
import type { Finding } from "../../native/finding.js";
import { findLibrary } from "../../native/library-path.js";
import type { SystemFiles } from "../../native/system-files.js";
import { findBattery } from "./battery.js";
import { chooseAuto } from "./choose.js";
import { missingMeter } from "./found.js";
import { findHwmon } from "./hwmon.js";
import { tdpOf } from "./nominal.js";
import { findNvml, NVML } from "./nvml.js";
import { findRapl } from "./rapl.js";

const PROBE = new URL("./nvml-probe.js", import.meta.url);
const EXTERNAL = "an external meter serves, too: --meter file:PATH or command:CMD";

/** Of NVIDIA's driver, asked in a process of its own, where it may crash or hang. */
export async function nvmlFinding(path = findLibrary([NVML])): Promise<Finding> {
  const none = findNvml(undefined).finding;
  if (path === undefined) return none;
  const answer = await ask<Finding>(PROBE, path);
  if (!(answer instanceof Error)) return answer;
  return { ...none, state: "limited", detail: `${path} cannot be used: ${answer.message}` };
}

/** @param nvml of {@link nvmlFinding}; absent: no such driver */
export function energyFindings(files: SystemFiles, nvml: Finding = findNvml(undefined).finding): Finding[] {
  const meters = [findRapl(files), findHwmon(files), findBattery(files)].map(({ finding }) => finding);
  return [...meters, nvml, experiments(files, nvml)];
}

/** What `--meter auto` would take. */
function experiments(files: SystemFiles, nvml: Finding): Finding {
  const common = { area: "energy", name: "experiments (--meter auto)" } as const;
  const { meters, measured, refused } = chooseAuto(files, missingMeter(nvml));
  const names = meters.map(({ finding }) => `${finding.name}: ${finding.detail}`);
  if (measured) return { ...common, state: "ok", detail: names.join(" + ") };
  const { watts, from } = tdpOf(files, undefined);
  const nominal = `nominal for the processor: no measurement, but TDP of ${Number(watts.toPrecision(3))} W (${from}) x busy share`;
  const remedies = refused.flatMap(({ finding }) => finding.remedy ?? []);
  const remedy = [...remedies.slice(0, 1), EXTERNAL].join("; or ");
  return { ...common, state: "limited", detail: [...names, nominal].join(" + "), remedy };
}
