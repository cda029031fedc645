/** The drivers' watchdogs that end kernels which run for long. */
import type { Finding } from "./finding.js";
import type { SystemFiles } from "./system-files.js";

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
