/** NFs with frames for their kernels, as all experiments with kernels by themselves have them. */
import { nf as ipsecNf } from "../../nfs/ipsec/index.js";
import { nf as nidsNf } from "../../nfs/nids/index.js";
import { nf as routerNf } from "../../nfs/router/index.js";
import { through } from "../chain.js";
import type { CellOptions } from "../experiment.js";
import { type FrameSet, type Size, udpFrames } from "../frames.js";
import { loadBenchTunnels, toRandomSa } from "../ipsec.js";
import { loadBenchRules, payloads } from "../nids.js";
import { loadBenchRoutes } from "../router.js";
import type { LoadedNf } from "./prepared.js";

export const SIZES: readonly Size[] = ["64", "512", "1472"];

/** What a cell measures: an NF with frames for it. */
export interface KernelSubject {
  readonly nf: LoadedNf;
  readonly sizes: readonly Size[];
  frames(size: Size, count: number): FrameSet;
  /** Outcomes on the CPU. */
  readonly expect: readonly string[];
  /** Which of several rates measured before are its own. */
  readonly kernel: "esp" | "ahoCorasick" | "dir248";
  readonly note: string;
}

/** Routes where there is no BGP table and time is short. */
const QUICK_ROUTES = 20_000;

export async function ipsecSubject(options: CellOptions, direction: "seal" | "open"): Promise<KernelSubject> {
  const { outbound, inbound } = await loadBenchTunnels(options);
  const plain = (size: Size, count: number) => udpFrames({ size, count, seed: options.seed, destination: toRandomSa });
  const seal = direction === "seal";
  return {
    nf: { module: ipsecNf as never, loaded: seal ? outbound : inbound },
    sizes: SIZES,
    frames: (size, count) => (seal ? plain(size, count) : through(ipsecNf as never, outbound, plain(size, count))),
    expect: [seal ? "protected" : "opened"],
    kernel: "esp",
    note: "sizes are of the inner frame",
  };
}

export async function nidsSubject(options: CellOptions): Promise<KernelSubject> {
  const loaded = await loadBenchRules(options);
  return {
    nf: { module: nidsNf as never, loaded },
    sizes: SIZES,
    frames: (size, count) => udpFrames({ size, count, seed: options.seed, payload: payloads("random", loaded) }),
    expect: ["clean", "alert"],
    kernel: "ahoCorasick",
    note: `${loaded.patterns.length} literals, 1 % of packets hitting, random bytes`,
  };
}

export async function routerSubject(options: CellOptions): Promise<KernelSubject> {
  const { loaded, routes, source, destination } = await loadBenchRoutes(
    options,
    options.quick ? QUICK_ROUTES : undefined,
  );
  return {
    nf: { module: routerNf as never, loaded },
    sizes: ["64"],
    frames: (size, count) => udpFrames({ size, count, seed: options.seed, destination }),
    expect: ["forward"],
    kernel: "dir248",
    note: `${routes.table.count} prefixes (${source}); no byte of a packet is looked at, so its size does not matter`,
  };
}
