/**
 * From which NF on a device packets go on to which without coming back to the host (device/forward.ts), and why from others they do not: from
 * the policy, and from what NFs say of themselves.
 */
import type { LoadedChain, LoadedNf } from "../chain/load.js";
import type { GpuEntrance, OutcomeSpec, PacketPart } from "../chain/nf.js";
import { NON_IP_TYPE } from "../chain/type-names.js";
import { type Forwarding, MOST_HOPS, MOST_NFS, OUTCOMES, READS } from "../device/forward.js";

/** Packets with an outcome that the policy sends from one NF on the device to another. NFs are numbered as in the chain. */
export interface Hop {
  readonly from: number;
  readonly to: number;
  readonly outcome: string;
  /** Packet types it is for. */
  readonly types: readonly string[];
  /** Why they come back to the host; undefined where they stay on the device. */
  readonly lack: string | undefined;
}

interface Edge {
  readonly from: number;
  readonly to: number;
  readonly outcome: number;
  readonly types: number[];
  lack: string | undefined;
}

/** In the order in which packets visit the NFs. */
export function hopsOf(chain: LoadedChain): Hop[] {
  const at = (nf: number) => chain.graph.order.indexOf(nf);
  return [...edgesOf(chain)]
    .sort((a, b) => at(a.from) - at(b.from) || at(a.to) - at(b.to) || a.outcome - b.outcome)
    .map(({ from, to, outcome, types, lack }) => ({
      from,
      to,
      outcome: chain.nfs[from]!.module.outcomes[outcome]!.name,
      types: types.map((type) => chain.types[type]!),
      lack,
    }));
}

/** @returns what a device has to be told to forward, with NFs by their number on the device; undefined where no packet would stay there */
export function forwardingOf(chain: LoadedChain): Forwarding | undefined {
  const placed = chain.nfs.flatMap((nf, i) => (nf.place === "gpu" ? [i] : []));
  const edges = edgesOf(chain).filter(({ lack }) => lack === undefined);
  if (edges.length === 0) return undefined;
  const next = new Uint8Array(chain.types.length * placed.length * OUTCOMES);
  for (const { from, to, outcome, types } of edges) {
    for (const type of types) {
      next[(type * placed.length + placed.indexOf(from)) * OUTCOMES + outcome] = placed.indexOf(to) + 1;
    }
  }
  const paths = placed.map((nf) => reachOf(nf, edges));
  return {
    types: chain.types.length,
    next,
    hops: Math.max(...paths.map(({ hops }) => hops)),
    keeps: placed.map((nf) => keptOf(chain.nfs[nf]!)),
    reads: paths.map(({ nfs }) => [...nfs].reduce((bits, nf) => bits | readsOf(chain.nfs[nf]!), 0)),
  };
}

/** Hops of a plan on its device, as plain data. NFs are numbered as in the chain. */
export interface PlanHops {
  /** Pairs of NFs between which packets stay on the device. */
  readonly pairs: readonly { readonly from: number; readonly to: number }[];
  /** By NF: words of the params that ask and that answer; undefined where no packet comes to it on the device. */
  readonly words: readonly ({ readonly asks: readonly number[]; readonly answers: readonly number[] } | undefined)[];
}

export function planHops(chain: LoadedChain): PlanHops {
  const stays = hopsOf(chain).filter(({ lack }) => lack === undefined);
  const keys = [...new Set(stays.map(({ from, to }) => `${from} ${to}`))];
  const pairs = keys.map((key) => key.split(" ").map(Number)).map(([from, to]) => ({ from: from!, to: to! }));
  const words = chain.nfs.map((nf, i) => {
    const entrance = pairs.some(({ to }) => to === i) ? entranceOf(nf) : "";
    return typeof entrance === "string" ? undefined : { asks: entrance.asks, answers: entrance.answers };
  });
  return { pairs, words };
}

/** NFs that come behind one on the device, and how many one after the other. */
function reachOf(nf: number, edges: readonly Edge[]): { nfs: ReadonlySet<number>; hops: number } {
  const nfs = new Set<number>();
  let hops = 0;
  for (let front = new Set([nf]); hops < MOST_HOPS; hops++) {
    front = new Set(edges.filter(({ from }) => front.has(from)).map(({ to }) => to));
    if (front.size === 0) break;
    for (const one of front) nfs.add(one);
  }
  return { nfs, hops };
}

function entranceOf({ module, loaded }: LoadedNf): GpuEntrance | string {
  return module.gpu?.forward?.enters(loaded) ?? "its kernel takes packets from the host alone";
}

function readsOf(nf: LoadedNf): number {
  const entrance = entranceOf(nf);
  if (typeof entrance === "string") return 0;
  const header = entrance.reads.some((part) => part === "header" || part === "ttl");
  return (header ? READS.HEADER : 0) | (entrance.reads.includes("data") ? READS.DATA : 0);
}

/** Bits of the words of params that the host compares, and takes. */
function keptOf(nf: LoadedNf): number {
  const entrance = entranceOf(nf);
  if (typeof entrance === "string") return 0;
  return [...entrance.asks, ...entrance.answers].reduce((mask, word) => mask | (1 << word), 0);
}

function edgesOf(chain: LoadedChain): Edge[] {
  const { nfs, types, policy, graph } = chain;
  const edges = new Map<string, Edge>();
  const many = nfs.filter(({ place }) => place === "gpu").length > MOST_NFS;
  for (const { nf: from, type } of graph.places) {
    const nf = nfs[from]!;
    if (nf.place !== "gpu") continue;
    const some = nf.module.possible?.(nf.loaded);
    nf.module.outcomes.forEach((outcome, code) => {
      if (!(some?.includes(outcome.name) ?? true)) return;
      // What is decapsulated may be of any type: where it goes from there is no matter of this one.
      for (const next of outcome.reparse ? types.filter((one) => one !== NON_IP_TYPE) : [type]) {
        const target = policy.outcome(next, nf.name, outcome);
        if (target?.kind !== "nf" || nfs[target.nf]!.place !== "gpu") continue;
        const key = `${from} ${target.nf} ${code}`;
        const lack = many
          ? `the chain places more than ${MOST_NFS} NFs on the device`
          : lackOf(nf, nfs[target.nf]!, outcome);
        const edge = edges.get(key) ?? { from, to: target.nf, outcome: code, types: [], lack };
        const number = types.indexOf(next);
        if (!edge.types.includes(number)) edge.types.push(number);
        edges.set(key, edge);
      }
    });
  }
  const all = [...edges.values()];
  refuseChanged(chain, all);
  return all;
}

/** Why packets with an outcome do not go on from one NF to another on the device, as far as the two by themselves have a say. */
function lackOf(nf: LoadedNf, to: LoadedNf, outcome: OutcomeSpec): string | undefined {
  const { forward } = nf.module.gpu!;
  if (forward === undefined) return `${nf.name}'s kernel gives every packet back to the host`;
  const final = outcome.reparse ? "it passes gate and classifier first" : forward.final(outcome.name, nf.loaded);
  if (final !== true) return `${nf.name}: ${final}`;
  const entrance = entranceOf(to);
  return typeof entrance === "string" ? `${to.name}: ${entrance}` : undefined;
}

const WORDS: Readonly<Record<PacketPart, string>> = {
  frame: "the Ethernet header",
  ttl: "TTL and checksum",
  header: "the IP header",
  data: "what is behind the IP header",
};

/** A hop to an NF that reads what the finish of one in front of it has still to change is none: bytes would be those of before. */
function refuseChanged({ nfs }: LoadedChain, edges: readonly Edge[]): void {
  for (const edge of edges) {
    if (edge.lack !== undefined) continue;
    const entrance = entranceOf(nfs[edge.to]!) as GpuEntrance;
    const before = nfs.flatMap((_, nf) => (nf === edge.from || reachOf(nf, edges).nfs.has(edge.from) ? [nf] : []));
    for (const nf of before) {
      const { name, module, place } = nfs[nf]!;
      const part = place === "gpu" && module.gpu?.forward?.changes.find((one) => entrance.reads.includes(one));
      if (part) edge.lack = `${nfs[edge.to]!.name} reads ${WORDS[part]}, which ${name} changes on the CPU`;
    }
  }
}
