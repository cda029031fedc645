/** What `--cores` says: how many cores of each role a run has. */
import { ConfigError } from "../errors.js";

/** io: rx, gate, classifier, tx (the paper's `d`). nf: NFs on the CPU. sync: CPUSyncers (its `c`). */
export type CoreRole = "io" | "nf" | "sync";

/** Numbers of cores by role: d io (rx, gate, classify, tx), n CPU NFs, c CPUSyncers. */
export interface CoreSpec {
  readonly io: number;
  readonly nf: number;
  readonly sync: number;
}

/** @param text the paper's cXdY notation, in any order, with nZ for cores of CPU NFs: "d1", "d1n2", "c1d2n3" */
export function parseCores(text: string): CoreSpec {
  const counts = { c: 0, d: 0, n: 0 };
  const parts = [...text.matchAll(/([cdn])(\d+)/g)];
  const letters = parts.map((p) => p[1]);
  if (parts.length === 0 || parts.map((p) => p[0]).join("") !== text || new Set(letters).size !== letters.length) {
    throw new ConfigError(
      "--cores",
      `found "${text}"`,
      "write dY for io cores, nZ for cores of CPU NFs, cX for CPUSyncers: d1n2",
    );
  }
  for (const [, letter, number] of parts) counts[letter as "c" | "d" | "n"] = Number(number);
  if (counts.d === 0) throw new ConfigError("--cores", `"${text}" has no io core`, "add d1");
  return { io: counts.d, nf: counts.n, sync: counts.c };
}
