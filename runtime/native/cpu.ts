/** Processor, memory and huge pages, from /proc and /sys. */
import { cpus } from "node:os";
import { parseCpuList } from "./cpu-list.js";
import type { Finding } from "./finding.js";
import type { SystemFiles } from "./system-files.js";

/** Instructions that the native libraries choose their code by. */
const INSTRUCTIONS: readonly { readonly name: string; readonly flags: readonly string[]; readonly speeds: string }[] = [
  { name: "AVX-512", flags: ["avx512f", "avx512bw", "avx512vl"], speeds: "Hyperscan and ipsec-mb" },
  { name: "VAES", flags: ["vaes"], speeds: "AES in ipsec-mb" },
  { name: "SHA-NI", flags: ["sha_ni"], speeds: "SHA-1 in ipsec-mb" },
  { name: "AES-NI", flags: ["aes"], speeds: "AES in ipsec-mb" },
  { name: "AVX2", flags: ["avx2"], speeds: "Hyperscan" },
];

/** 512 MiB: an arena of 65,536 slots, the tables of the network functions, and room for a second run. */
const HUGE_PAGES = 256;

export function cpuFindings(files: SystemFiles): Finding[] {
  return [model(files), cores(files), ...instructions(files), governor(files)];
}

export function memoryFindings(files: SystemFiles): Finding[] {
  return [memory(files), hugePages(files), transparentHugePages(files)];
}

/** True in a virtual machine, whose host keeps meters and frequencies to itself. */
export function isVirtual(files: SystemFiles): boolean {
  return flagsOf(files).has("hypervisor") || files.exists("/sys/hypervisor/type");
}

function model(files: SystemFiles): Finding {
  const name = files.field("/proc/cpuinfo", "model name") ?? cpus()[0]?.model ?? "unknown";
  const where = isVirtual(files) ? ", in a virtual machine" : "";
  return { area: "cpu", name: "model", state: "ok", detail: `${name} (${process.arch})${where}` };
}

function cores(files: SystemFiles): Finding {
  const allowed = countOfList(files.field("/proc/self/status", "Cpus_allowed_list"));
  const present = countOfList(files.text("/sys/devices/system/cpu/online")) ?? cpus().length;
  const quota = cpuQuota(files);
  const usable = Math.min(allowed ?? present, quota ?? Number.POSITIVE_INFINITY);
  const common = { area: "cpu", name: "cores" } as const;
  if (quota !== undefined && quota < (allowed ?? present)) {
    return {
      ...common,
      state: "limited",
      detail: `${present} online, but the control group allows ${quota.toFixed(2)} of them: threads are stopped in mid-run`,
      remedy: "raise the limit: docker run --cpus, or cpu.max of the control group in /proc/self/cgroup",
    };
  }
  if (usable < present) {
    const remedy = `run it with more cores: taskset -c 0-${present - 1} COMMAND`;
    return { ...common, state: "limited", detail: `${present} online, ${usable} allowed to this process`, remedy };
  }
  const enough = usable >= 2;
  const detail = `${usable} online and usable${enough ? "" : ": rx, network functions and tx share one core"}`;
  return { ...common, state: enough ? "ok" : "limited", detail };
}

/** Cores' worth of time the tightest control group above this process allows, or undefined. */
function cpuQuota(files: SystemFiles): number | undefined {
  const quotas: number[] = [];
  for (const line of (files.text("/proc/self/cgroup") ?? "").split("\n")) {
    const [, controllers, path] = line.split(":");
    if (path === undefined) continue;
    const version1 = controllers !== "" && controllers?.split(",").includes("cpu");
    if (controllers !== "" && !version1) continue;
    const parts = path.split("/").filter((part) => part !== "");
    for (let depth = 0; depth <= parts.length; depth++) {
      const folder = [version1 ? "/sys/fs/cgroup/cpu" : "/sys/fs/cgroup", ...parts.slice(0, depth)].join("/");
      const [quota, period] = version1
        ? [files.number(`${folder}/cpu.cfs_quota_us`), files.number(`${folder}/cpu.cfs_period_us`)]
        : (files.text(`${folder}/cpu.max`) ?? "").split(" ").map(Number);
      if (quota !== undefined && period !== undefined && quota > 0 && period > 0) quotas.push(quota / period);
    }
  }
  return quotas.length === 0 ? undefined : Math.min(...quotas);
}

function instructions(files: SystemFiles): Finding[] {
  const flags = flagsOf(files);
  if (process.arch !== "x64") {
    const there = ["aes", "sha1", "sha2", "asimd", "sve"].filter((flag) => flags.has(flag));
    const detail = there.length > 0 ? there.join(", ") : "none that matter here";
    return [{ area: "cpu", name: "instructions", state: "ok", detail }];
  }
  return INSTRUCTIONS.map(({ name, flags: wanted, speeds }) => {
    const there = wanted.every((flag) => flags.has(flag));
    const detail = there ? `speeds up ${speeds}` : `not in this processor, which slows ${speeds}`;
    return { area: "cpu", name, state: there ? "ok" : "limited", detail };
  });
}

function flagsOf(files: SystemFiles): Set<string> {
  const line = files.field("/proc/cpuinfo", "flags") ?? files.field("/proc/cpuinfo", "Features") ?? "";
  return new Set(line.split(/\s+/));
}

function governor(files: SystemFiles): Finding {
  const common = { area: "cpu", name: "governor" } as const;
  const found = files.glob("/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor").map((path) => files.text(path));
  const governors = [...new Set(found.filter((name) => name !== undefined))];
  if (governors.length === 0) {
    const detail = isVirtual(files)
      ? "the virtual machine's host decides the frequency"
      : "no frequency scaling driver";
    return { ...common, state: "missing", detail };
  }
  if (governors.every((name) => name === "performance")) return { ...common, state: "ok", detail: "performance" };
  return {
    ...common,
    state: "limited",
    detail: `${governors.join(", ")}: the frequency changes during measurements`,
    remedy: "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
  };
}

function memory(files: SystemFiles): Finding {
  const total = kibibytes(files, "MemTotal");
  const available = kibibytes(files, "MemAvailable");
  const common = { area: "memory", name: "memory" } as const;
  if (total === undefined) return { ...common, state: "missing", detail: "/proc/meminfo cannot be read" };
  const detail = `${gibibytes(total)} GiB, ${available === undefined ? "?" : gibibytes(available)} GiB available`;
  if (available === undefined || available >= 1 << 20) return { ...common, state: "ok", detail };
  return {
    ...common,
    state: "limited",
    detail,
    remedy: "end other programs: a run with a full routing table takes 1 GiB",
  };
}

function hugePages(files: SystemFiles): Finding {
  const folder = "/sys/kernel/mm/hugepages/hugepages-2048kB";
  const total = files.number(`${folder}/nr_hugepages`);
  const free = files.number(`${folder}/free_hugepages`) ?? 0;
  const common = { area: "memory", name: "huge pages" } as const;
  if (total === undefined) return { ...common, state: "missing", detail: "this kernel has none of 2 MiB" };
  const detail = `${total} of 2 MiB reserved, ${free} free`;
  if (free >= HUGE_PAGES / 2) return { ...common, state: "ok", detail };
  const remedy = `sudo sysctl -w vm.nr_hugepages=${total - free + HUGE_PAGES}`;
  return { ...common, state: "limited", detail: `${detail}: the arena lies in ordinary or transparent ones`, remedy };
}

function transparentHugePages(files: SystemFiles): Finding {
  const mode = /\[(\w+)\]/.exec(files.text("/sys/kernel/mm/transparent_hugepage/enabled") ?? "")?.[1];
  const common = { area: "memory", name: "transparent huge pages" } as const;
  if (mode === undefined) return { ...common, state: "missing", detail: "not in this kernel" };
  if (mode !== "never") return { ...common, state: "ok", detail: mode };
  const remedy = "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled";
  return { ...common, state: "limited", detail: "never", remedy };
}

function kibibytes(files: SystemFiles, key: string): number | undefined {
  const value = Number.parseInt(files.field("/proc/meminfo", key) ?? "", 10);
  return Number.isNaN(value) ? undefined : value;
}

function gibibytes(kib: number): string {
  return (kib / (1 << 20)).toFixed(1);
}

/** How many CPUs a kernel list such as `0-3,8` names, or undefined. */
function countOfList(list: string | undefined): number | undefined {
  return list === undefined ? undefined : parseCpuList(list)?.length;
}
