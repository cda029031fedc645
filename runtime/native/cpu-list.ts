/** Lists of CPUs as the kernel writes them (cpuset(7), "List format"). */

/** More than any Linux has. */
const MOST = 8192;

/** "0-3,8" in order of its parts. @returns undefined for anything else, "" included */
export function parseCpuList(text: string): number[] | undefined {
  if (!/^\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*$/.test(text)) return undefined;
  const cpus: number[] = [];
  for (const range of text.split(",")) {
    const [first, last] = range.split("-").map(Number) as [number, number?];
    const end = last ?? first;
    if (end < first || end >= MOST) return undefined;
    for (let cpu = first; cpu <= end; cpu++) cpus.push(cpu);
  }
  return cpus;
}

/** [0, 1, 2, 8] as "0-2,8"; "none" for an empty list. */
export function cpuListText(cpus: readonly number[]): string {
  const sorted = [...new Set(cpus)].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    let end = i;
    while (sorted[end + 1] === sorted[end]! + 1) end++;
    parts.push(end === i ? `${sorted[i]}` : `${sorted[i]}-${sorted[end]}`);
    i = end + 1;
  }
  return parts.length === 0 ? "none" : parts.join(",");
}
