/** What `--cores` says: how many cores of each role a run has, and which CPUs they are. */
import { ConfigError } from "../errors.js";
import { parseCpuList } from "../native/cpu-list.js";

/** io: rx, gate, classifier, tx (the paper's `d`). nf: NFs on the CPU. sync: CPUSyncers (its `c`). */
export type CoreRole = "io" | "nf" | "sync";

export const CORE_ROLES: readonly CoreRole[] = ["io", "nf", "sync"];

/** Numbers of cores by role: d io (rx, gate, classify, tx), n CPU NFs, c CPUSyncers. */
export interface CoreSpec {
  readonly io: number;
  readonly nf: number;
  readonly sync: number;
  /** The CPU of each of them, in the order of a role's threads; absent: the system chooses. */
  readonly cpus?: Readonly<Record<CoreRole, readonly number[]>>;
}

const REMEDY =
  "write dY for io cores, nZ for cores of CPU NFs, cX for CPUSyncers: d1n2; with CPUs in the order io, nf, sync: d1n2@0-2; or CPUs by role: io=0,nf=1,2";

/**
 * @param text the paper's cXdY notation, in any order, with nZ for cores of CPU NFs: "d1", "d1n2", "c1d2n3"; the same with CPUs to deal:
 * "d1n2@0-2"; or CPUs by role: "io=0,2,nf=1,sync=3-5"
 * @throws ConfigError for anything else, and where CPUs and cores do not go together
 */
export function parseCores(text: string): CoreSpec {
  if (text.includes("=")) return byRole(text);
  const [counts, list, ...more] = text.split("@");
  if (more.length > 0) throw new ConfigError("--cores", `found "${text}"`, REMEDY);
  const spec = parseCounts(text, counts!);
  if (list === undefined) return spec;
  const { io, nf, sync } = spec;
  const dealt = cpusOf(text, list);
  requireDistinct(dealt);
  if (dealt.length !== io + nf + sync) {
    const problem = `"${text}" has ${io + nf + sync} cores and names ${dealt.length} CPUs`;
    throw new ConfigError("--cores", problem, "name one for each, in the order io, nf, sync");
  }
  return { ...spec, cpus: { io: dealt.slice(0, io), nf: dealt.slice(io, io + nf), sync: dealt.slice(io + nf) } };
}

function parseCounts(text: string, notation: string): CoreSpec {
  const counts = { c: 0, d: 0, n: 0 };
  const parts = [...notation.matchAll(/([cdn])(\d+)/g)];
  const letters = parts.map((p) => p[1]);
  if (parts.length === 0 || parts.map((p) => p[0]).join("") !== notation || new Set(letters).size !== letters.length) {
    throw new ConfigError("--cores", `found "${text}"`, REMEDY);
  }
  for (const [, letter, number] of parts) counts[letter as "c" | "d" | "n"] = Number(number);
  if (counts.d === 0) throw new ConfigError("--cores", `"${text}" has no io core`, "add d1");
  return { io: counts.d, nf: counts.n, sync: counts.c };
}

/** "io=0,2,nf=1": a part without "=" goes on with the role before it. */
function byRole(text: string): CoreSpec {
  const cpus: Record<CoreRole, number[]> = { io: [], nf: [], sync: [] };
  const named = new Set<string>();
  let role: CoreRole | undefined;
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    if (at >= 0) {
      const name = part.slice(0, at);
      role = requireRole("--cores", name);
      if (named.has(name)) throw new ConfigError("--cores", `"${text}" names ${name} twice`, "once, with all its CPUs");
      named.add(name);
    }
    if (role === undefined) throw new ConfigError("--cores", `"${text}" begins without a role`, REMEDY);
    cpus[role].push(...cpusOf(text, part.slice(at + 1)));
  }
  if (cpus.io.length === 0) throw new ConfigError("--cores", `"${text}" has no io core`, "add io=CPU");
  requireDistinct([...cpus.io, ...cpus.nf, ...cpus.sync]);
  return { io: cpus.io.length, nf: cpus.nf.length, sync: cpus.sync.length, cpus };
}

function cpusOf(text: string, list: string): number[] {
  const cpus = parseCpuList(list);
  if (cpus === undefined || cpus.length === 0) {
    throw new ConfigError("--cores", `found "${list}" in "${text}"`, "write CPUs as numbers and ranges: 0,2-3");
  }
  return cpus;
}

function requireDistinct(cpus: readonly number[]): void {
  const twice = cpus.find((cpu, i) => cpus.indexOf(cpu) !== i);
  if (twice === undefined) return;
  throw new ConfigError("--cores", `CPU ${twice} is named twice`, "each core has a CPU of its own");
}

/** @throws ConfigError for what is no role */
export function requireRole(option: string, name: string): CoreRole {
  const role = CORE_ROLES.find((one) => one === name);
  if (role === undefined) {
    throw new ConfigError(option, `there is no role "${name}"`, `roles are ${CORE_ROLES.join(", ")}`);
  }
  return role;
}
