/** The CPUs of this machine, as far as threads may be pinned to them. */
import { parseCpuList } from "./cpu-list.js";
import type { SystemFiles } from "./system-files.js";

/** CPUs of a list in a file of the kernel's; none where there is no such list. */
export function cpusIn(files: SystemFiles, path: string): number[] {
  return parseCpuList(files.text(path) ?? "") ?? [];
}

/** Set apart by `isolcpus` or by a control group: nothing runs there that is not pinned there, so no thread's own mask has them. */
export function isolatedCpus(files: SystemFiles): number[] {
  return cpusIn(files, "/sys/devices/system/cpu/isolated");
}

/** @param mask of this thread @returns what it may be pinned to: its mask, and isolated CPUs that are there */
export function usableCpus(files: SystemFiles, mask: readonly number[]): number[] {
  const online = cpusIn(files, "/sys/devices/system/cpu/online");
  const isolated = isolatedCpus(files).filter((cpu) => online.includes(cpu));
  return [...new Set([...mask, ...isolated])].sort((a, b) => a - b);
}
