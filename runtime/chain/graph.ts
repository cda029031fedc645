/**
 * What can happen to a packet under a policy: which (type, NF) pairs are reached, whether each has a way out, which NFs form
 * cycles, and the order in which NFs are visited.
 */
import type { OutcomeSpec } from "./nf.js";
import type { PolicyNames, PolicyResolver, Target } from "./policy.js";
import { NON_IP_TYPE } from "./type-names.js";

/** A packet of a type at an NF. */
export interface Place {
  readonly type: string;
  readonly nf: number;
}

export interface PolicyGraph {
  /** Rows that are missing: a packet can get there, and nothing says where it goes. */
  readonly missing: readonly { readonly type: string; readonly at: string }[];
  /** Places from which no packet ever leaves by egress or kernel, and which do not drop on purpose either. */
  readonly trapped: readonly Place[];
  /** NFs no packet reaches. */
  readonly unreachable: readonly number[];
  /** NFs that can hand packets back to themselves, directly or through others. */
  readonly cyclic: readonly number[];
  /** All NFs so that, cycles apart, every packet visits them from front to back. */
  readonly order: readonly number[];
  readonly places: readonly Place[];
}

/** @param possible per NF, the outcomes its configuration can produce; all of them where the NF does not say */
export function analyse(
  names: PolicyNames,
  policy: PolicyResolver,
  possible: readonly (readonly OutcomeSpec[])[],
): PolicyGraph {
  const missing = new Map<string, { type: string; at: string }>();
  const edges = names.nfs.map(() => new Set<number>());
  const reached = new Map<string, Place>();
  const leaves = new Map<string, boolean>();
  const followers = new Map<string, string[]>();
  const work: Place[] = [];
  const visit = (target: Target | undefined, type: string, at: string, from?: Place): void => {
    if (target === undefined) {
      // A non-IP frame without a row is dropped and counted; everything else without a row is a mistake.
      if (type !== NON_IP_TYPE) missing.set(`${type},${at}`, { type, at });
      else if (from !== undefined) leaves.set(keyOf(from), true);
      return;
    }
    if (from !== undefined && target.kind !== "nf") leaves.set(keyOf(from), true);
    if (target.kind !== "nf") return;
    const place = { type, nf: target.nf };
    const key = keyOf(place);
    if (from !== undefined) {
      edges[from.nf]!.add(target.nf);
      followers.set(keyOf(from), [...(followers.get(keyOf(from)) ?? []), key]);
    }
    if (reached.has(key)) return;
    reached.set(key, place);
    work.push(place);
  };

  for (const port of names.ports.filter((p) => p.rx)) {
    for (const type of names.types) visit(policy.ingress(type, port.name), type, `ingress:${port.name}`);
  }
  for (let place = work.pop(); place !== undefined; place = work.pop()) {
    const nf = names.nfs[place.nf]!;
    for (const outcome of possible[place.nf]!) {
      // What is decapsulated is classified anew and may be of any IP type.
      const types = outcome.reparse ? names.types.filter((t) => t !== NON_IP_TYPE) : [place.type];
      for (const type of types) {
        const target = policy.outcome(type, nf.name, outcome);
        // A drop that is the outcome's own nature is no way out for what the NF lets pass.
        if (target?.kind === "drop" && (outcome.drops || outcome.alwaysDrops)) continue;
        visit(target, type, outcome.reparse ? `${nf.name}.${outcome.name}` : nf.name, place);
      }
    }
  }

  // Ways out, backwards: a place leaves when one of its followers does.
  for (let changed = true; changed; ) {
    changed = false;
    for (const key of reached.keys()) {
      if (leaves.get(key)) continue;
      if ((followers.get(key) ?? []).some((next) => leaves.get(next))) {
        leaves.set(key, true);
        changed = true;
      }
    }
  }
  const stuck = [...missing.values()].map((m) => m.type);
  const trapped = [...reached.entries()]
    .filter(([key, place]) => !leaves.get(key) && !stuck.includes(place.type))
    .map(([, place]) => place);
  const nfsReached = new Set([...reached.values()].map((p) => p.nf));
  const cyclic = names.nfs.map((_, nf) => nf).filter((nf) => reaches(edges, nf, nf));
  return {
    missing: [...missing.values()],
    trapped,
    unreachable: names.nfs.map((_, nf) => nf).filter((nf) => !nfsReached.has(nf)),
    cyclic,
    order: visitOrder(edges),
    places: [...reached.values()],
  };
}

const keyOf = (place: Place): string => `${place.nf},${place.type}`;

function reaches(edges: readonly ReadonlySet<number>[], from: number, to: number): boolean {
  const seen = new Set<number>();
  const work = [...edges[from]!];
  for (let at = work.pop(); at !== undefined; at = work.pop()) {
    if (at === to) return true;
    if (seen.has(at)) continue;
    seen.add(at);
    work.push(...edges[at]!);
  }
  return false;
}

/** Reverse post-order of a depth-first walk: a topological order where there is one. */
function visitOrder(edges: readonly ReadonlySet<number>[]): number[] {
  const seen = new Set<number>();
  const post: number[] = [];
  const walk = (nf: number): void => {
    if (seen.has(nf)) return;
    seen.add(nf);
    for (const next of [...edges[nf]!].sort((a, b) => b - a)) walk(next);
    post.push(nf);
  };
  for (let nf = edges.length - 1; nf >= 0; nf--) walk(nf);
  return post.reverse();
}
