/**
 * Which thread does what, and which threads talk. One core runs everything to completion; several form a pipeline:
 *
 *   order flow or global   a line: io -> NF cores in visiting order -> io. Every packet passes every core in arrival order, those
 *                          with nothing to do there included, so order holds by construction and costs one ring hop.
 *   order none             a mesh: a packet goes straight to the core of its next NF.
 */
import { ConfigError } from "../errors.js";
import type { OrderMode, Plan } from "./plan.js";

export interface ThreadRole {
  /** Receives, gates and classifies. */
  readonly rx: boolean;
  /** Sends, counts drops, and returns slots. */
  readonly tx: boolean;
  /** NFs it owns. */
  readonly nfs: readonly number[];
}

export interface Topology {
  readonly threads: readonly ThreadRole[];
  /** Rings as [from, to] thread numbers. */
  readonly rings: readonly (readonly [number, number])[];
  /** Each thread hands everything to the next; else each packet goes to the owner of its target. */
  readonly line: boolean;
  /** In the paper's notation, e.g. "d1n2"; "d1" is run-to-completion. */
  readonly name: string;
}

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

/**
 * Deals roles to threads.
 * @param warn told what the chain cannot use
 */
export function makeTopology(
  plan: Pick<Plan, "nfs" | "nfOrder" | "cyclic">,
  order: OrderMode,
  spec: CoreSpec,
  warn: (line: string) => void,
): Topology {
  if (spec.sync > 0) warn(`--cores c${spec.sync}: no NF is on a GPU, so no CPUSyncer core is started`);
  if (spec.io > 2) warn(`--cores d${spec.io}: two io cores are used, one receives and one sends`);
  const io = Math.min(spec.io, 2);
  const nf = Math.min(spec.nf, plan.nfs.length);
  if (nf < spec.nf)
    warn(`--cores n${spec.nf}: the chain has ${plan.nfs.length} NFs, and one NF runs on one core; ${nf} used`);
  if (plan.cyclic && order !== "none" && io + nf > 1) {
    warn(
      "--cores: the policy has a cycle, where only one core keeps order; running to completion on one (--order none lifts this)",
    );
    return runToCompletion(plan);
  }
  if (io + nf === 1) return runToCompletion(plan);

  const segments: number[][] = Array.from({ length: nf }, () => []);
  const count = plan.nfOrder.length;
  // Later segments take the remainder: what comes first in a chain (crypto, scanning) is what costs.
  plan.nfOrder.forEach((index, i) => {
    if (nf > 0) segments[nf - 1 - Math.floor(((count - 1 - i) * nf) / count)]!.push(index);
  });
  const threads: ThreadRole[] = [{ rx: true, tx: io === 1, nfs: nf === 0 ? plan.nfOrder : [] }];
  for (const nfs of segments) threads.push({ rx: false, tx: false, nfs });
  if (io === 2) threads.push({ rx: false, tx: true, nfs: [] });
  const last = threads.length - 1;
  const line = order !== "none";
  const rings: [number, number][] = [];
  if (line) {
    for (let t = 0; t < last; t++) rings.push([t, t + 1]);
    rings.push([last, 0]);
  } else {
    for (let from = 0; from <= last; from++) for (let to = 0; to <= last; to++) if (from !== to) rings.push([from, to]);
  }
  return { threads, rings, line, name: `d${io}n${nf}` };
}

function runToCompletion(plan: Pick<Plan, "nfOrder">): Topology {
  return { threads: [{ rx: true, tx: true, nfs: plan.nfOrder }], rings: [], line: true, name: "d1" };
}
