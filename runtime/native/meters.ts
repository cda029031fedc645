/** Energy meters, and the drivers' watchdogs that end kernels which run for long. */
import { dirname } from "node:path";
import { isVirtual } from "./cpu.js";
import type { Finding } from "./finding.js";
import { findLibrary } from "./library-path.js";
import type { SystemFiles } from "./system-files.js";

export function energyFindings(files: SystemFiles): Finding[] {
  return [rapl(files), sensors(files), battery(files), nvml()];
}

/** RAPL counts the package's energy (Intel, and AMD since Zen); kernels let only root read it since CVE-2020-8694. */
function rapl(files: SystemFiles): Finding {
  const common = { area: "energy", name: "RAPL (powercap)" } as const;
  const counters = files.glob("/sys/class/powercap/*/energy_uj");
  if (counters.length === 0) {
    if (isVirtual(files))
      return { ...common, state: "missing", detail: "a virtual machine's host keeps its meters to itself" };
    const remedy = "sudo modprobe intel_rapl_msr (it serves AMD processors, too)";
    return { ...common, state: "missing", detail: "no domain under /sys/class/powercap", remedy };
  }
  const domains = counters.map((path) => files.text(`${dirname(path)}/name`) ?? "unnamed").join(", ");
  const refused = counters.filter((path) => !files.readable(path));
  if (refused.length === 0) return { ...common, state: "ok", detail: domains };
  const remedy = "sudo chmod a+r /sys/class/powercap/*/energy_uj (until the next boot)";
  return { ...common, state: "limited", detail: `${domains}: this user may not read them`, remedy };
}

function sensors(files: SystemFiles): Finding {
  const common = { area: "energy", name: "hwmon power sensors" } as const;
  const patterns = ["power*_input", "power*_average", "energy*_input"];
  const found = patterns.flatMap((pattern) => files.glob(`/sys/class/hwmon/hwmon*/${pattern}`));
  const names = found.map((path) => {
    const file = path.slice(dirname(path).length + 1);
    const label = files.text(path.replace(/_(input|average)$/, "_label")) ?? file;
    return `${files.text(`${dirname(path)}/name`) ?? "unnamed"} ${label}`;
  });
  if (names.length === 0) return { ...common, state: "missing", detail: "no sensor reports power or energy" };
  return { ...common, state: "ok", detail: names.join(", ") };
}

function battery(files: SystemFiles): Finding {
  const common = { area: "energy", name: "battery" } as const;
  const folders = files
    .glob("/sys/class/power_supply/*/type")
    .filter((path) => files.text(path) === "Battery")
    .map((path) => dirname(path));
  const folder = folders.find((path) => files.exists(`${path}/power_now`) || files.exists(`${path}/current_now`));
  if (folder === undefined) return { ...common, state: "missing", detail: "none that reports its power" };
  const status = files.text(`${folder}/status`) ?? "unknown";
  const detail = `${folder.split("/").at(-1)}, ${status.toLowerCase()}`;
  if (status === "Discharging") return { ...common, state: "ok", detail };
  return { ...common, state: "limited", detail, remedy: "unplug the charger: the battery meters only what it gives" };
}

function nvml(): Finding {
  const common = { area: "energy", name: "NVML (NVIDIA)" } as const;
  const path = findLibrary(["libnvidia-ml.so.1"]);
  if (path === undefined) return { ...common, state: "missing", detail: "no NVIDIA driver" };
  return { ...common, state: "ok", detail: path };
}

/** A persistent kernel runs as long as the program; a driver that takes that for a hang resets the GPU. */
export function watchdogFindings(files: SystemFiles): Finding[] {
  const findings = watchdogs(files).map((watchdog) => watchdog.finding);
  if (findings.length > 0) return findings;
  return [{ area: "watchdogs", name: "GPU watchdogs", state: "ok", detail: "no driver here has one that is known" }];
}

/** Kernel drivers with a watchdog, by whose GPUs they drive. */
export type WatchedVendor = "intel" | "amd";

/** The watchdog that would end a persistent kernel on a GPU of this vendor: what doctor calls it; undefined where none would. */
export function activeWatchdog(files: SystemFiles, vendor: WatchedVendor): string | undefined {
  return watchdogs(files).find((one) => one.vendor === vendor && one.finding.state !== "ok")?.finding.name;
}

function watchdogs(files: SystemFiles): { vendor: WatchedVendor; finding: Finding }[] {
  const of = (vendor: WatchedVendor, findings: Finding[]) => findings.map((finding) => ({ vendor, finding }));
  return [
    ...of("intel", heartbeats(files)),
    ...of("intel", jobTimeouts(files)),
    ...of("intel", parameter(files, "i915", "enable_hangcheck", "N")),
    ...of("amd", parameter(files, "amdgpu", "lockup_timeout", "-1")),
  ];
}

/** i915 sends a heartbeat through each engine, and resets one that does not answer; 0 turns that off. */
function heartbeats(files: SystemFiles): Finding[] {
  const pattern = "/sys/class/drm/card*/engine/*/heartbeat_interval_ms";
  const values = files.glob(pattern).map((path) => files.text(path) ?? "unreadable");
  if (values.length === 0) return [];
  const common = { area: "watchdogs", name: "i915 heartbeat" } as const;
  if (values.every((value) => value === "0")) return [{ ...common, state: "ok", detail: "off" }];
  const detail = `${[...new Set(values)].join(", ")} ms: it ends a persistent kernel; runs are sliced (--slice)`;
  return [{ ...common, state: "limited", detail, remedy: `echo 0 | sudo tee ${pattern}` }];
}

/** xe ends a job that takes longer than a time it lets root set, up to a maximum. */
function jobTimeouts(files: SystemFiles): Finding[] {
  const paths = files.glob("/sys/class/drm/card*/device/tile*/gt*/engines/*/job_timeout_ms");
  if (paths.length === 0) return [];
  const common = { area: "watchdogs", name: "xe job timeout", state: "limited" } as const;
  const detail = `${[...new Set(paths.map((path) => files.text(path) ?? "unreadable"))].join(", ")} ms: it ends a persistent kernel; runs are sliced (--slice)`;
  const low = paths.filter((path) => (files.number(path) ?? 0) < (files.number(path.replace(/ms$/, "max")) ?? 0));
  if (low.length === 0) return [{ ...common, detail: `${detail}; the driver allows no longer one` }];
  const remedy = low.map((path) => `echo ${files.text(path.replace(/ms$/, "max"))} | sudo tee ${path}`).join("; ");
  return [{ ...common, detail, remedy }];
}

function parameter(files: SystemFiles, module: string, name: string, off: string): Finding[] {
  const value = files.text(`/sys/module/${module}/parameters/${name}`);
  if (value === undefined) return [];
  const common = { area: "watchdogs", name: `${module} ${name}` } as const;
  if (value === off) return [{ ...common, state: "ok", detail: value }];
  const remedy = `boot with ${module}.${name}=${off === "N" ? "0" : off}`;
  const detail = value === "" ? "the driver's default" : value;
  return [
    {
      ...common,
      state: "limited",
      detail: `${detail}: it may end a persistent kernel; runs are sliced (--slice)`,
      remedy,
    },
  ];
}
