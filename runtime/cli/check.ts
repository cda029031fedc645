/** `wingbeat check CHAIN.json`: validates everything a run would read, and shows what the policy does. */
import Table from "cli-table3";
import type { Command } from "commander";
import { type LoadedChain, type LoadedNf, loadChain } from "../chain/load.js";
import type { OutcomeSpec } from "../chain/nf.js";
import type { Target } from "../chain/policy.js";
import { DEFAULT_TYPE, NON_IP_TYPE } from "../chain/type-names.js";
import { hopsOf } from "../engine/hops.js";
import { isLive } from "../nic/drivers.js";
import { type IcmpCheck, icmpLine, icmpOf } from "./check-icmp.js";
import { collect, parsePlaces } from "./options.js";
import { checkJson, warn, writeJson } from "./output.js";

interface CheckResult {
  readonly chain: string;
  readonly ok: true;
  readonly ports: readonly { name: string; dir: string; driver: string }[];
  /** Where each NF is placed, and whether it has a kernel for a GPU. */
  readonly nfs: readonly { name: string; type: string; place: "cpu" | "gpu"; gpu: boolean }[];
  readonly policy: readonly { type: string; at: string; next: string }[];
  /** Rows of the policy from one NF that is placed on gpu to another: whether a WebGPU device hands the packets on by itself, else why not. */
  readonly hops: readonly {
    from: string;
    to: string;
    types: readonly string[];
    forwarded: boolean;
    why: string | null;
  }[];
  /** Of ports that receive: where messages of the gateway's own (time exceeded, fragmentation needed) come from. */
  readonly icmp: readonly IcmpCheck[];
  readonly warnings: readonly string[];
}

export function addCheckCommand(program: Command): void {
  program
    .command("check")
    .description("validate a chain with its policy, rules, routes and SAs; print the resolved policy table")
    .argument("<CHAIN.json>", "chain file")
    .option("--place <NF=cpu|gpu,...>", "where NFs run, whatever the chain says", collect)
    .option("--json <FILE>", "write the result as JSON; -: stdout")
    .action(async (file: string, flags: { json?: string; place?: string[] }) => {
      const warnings: string[] = [];
      const place = flags.place === undefined ? undefined : parsePlaces(flags.place);
      const chain = await loadChain(file, { place, warn: (line) => warnings.push(line) });
      checkJson(flags.json, chain.files);
      const result = examine(chain, warnings);
      if (flags.json !== undefined) writeJson(flags.json, result);
      const live = chain.ports.some(({ config }) => isLive(config));
      if (flags.json !== "-") print(result, live ? result.icmp.map(icmpLine) : []);
    });
}

export function examine(chain: LoadedChain, loadWarnings: readonly string[]): CheckResult {
  const policy: { type: string; at: string; next: string }[] = [];
  for (const type of chain.types) {
    for (const port of chain.ports.filter((p) => p.rx)) {
      const target = chain.policy.ingress(type, port.name);
      // As the ledger will have it: a row that drops, or non-ip without a row.
      const reason = target === undefined ? "policy: non-ip" : "policy: drop";
      policy.push({ type, at: `ingress:${port.name}`, next: describe(target, chain, reason) });
    }
    for (const place of chain.graph.places.filter((p) => p.type === type)) {
      const nf = chain.nfs[place.nf]!;
      for (const outcome of nf.module.outcomes) {
        const target = chain.policy.outcome(type, nf.name, outcome);
        policy.push({
          type,
          at: `${nf.name}.${outcome.name}`,
          next: describe(target, chain, `${nf.name}: ${outcome.name}`),
        });
      }
    }
  }
  const ports = chain.ports.map((p) => ({
    name: p.name,
    dir: p.rx && p.tx ? "both" : p.tx ? "tx" : "rx",
    driver: p.config.driver,
  }));
  const nfs = chain.nfs.map(({ name, type, place, module }) => ({ name, type, place, gpu: module.gpu !== undefined }));
  const hops = hopsOf(chain).map(({ from, to, outcome, types, lack }) => ({
    from: `${chain.nfs[from]!.name}.${outcome}`,
    to: chain.nfs[to]!.name,
    types,
    forwarded: lack === undefined,
    why: lack ?? null,
  }));
  return {
    chain: chain.name,
    ok: true,
    ports,
    nfs,
    policy,
    hops,
    icmp: icmpOf(chain.ports),
    warnings: [...loadWarnings, ...policyWarnings(chain)],
  };
}

function describe(target: Target | undefined, chain: LoadedChain, reason: string): string {
  if (target === undefined) return `drop (${reason})`;
  if (target.kind === "nf") return chain.nfs[target.nf]!.name;
  if (target.kind === "egress")
    return target.port === undefined ? "egress" : `egress:${chain.ports[target.port]!.name}`;
  return target.kind === "drop" ? `drop (${reason})` : target.kind;
}

function policyWarnings(chain: LoadedChain): string[] {
  const { graph, nfs } = chain;
  const warnings: string[] = [];
  for (const nf of graph.unreachable) warnings.push(`NF ${nfs[nf]!.name}: no packet reaches it; no row leads there`);
  if (graph.cyclic.length > 0) {
    const names = graph.cyclic.map((nf) => nfs[nf]!.name).join(", ");
    warnings.push(
      `the policy has a cycle through ${names}: packets are processed one at a time on one core to keep order, and dropped as "loop" ` +
        "after 64 visits",
    );
  }
  const reached = (type: string) => graph.places.some((p) => p.type === type);
  for (const type of chain.types.filter((t) => t !== DEFAULT_TYPE && t !== NON_IP_TYPE)) {
    const dropped = chain.ports.filter((p) => p.rx).every((p) => chain.policy.ingress(type, p.name)?.kind === "drop");
    if (!reached(type) && dropped) warnings.push(`type ${type}: every packet of it is dropped at ingress`);
  }
  for (const type of chain.types) {
    const { nfs: visited, leaves, unrouted } = waysOut(chain, type);
    // A type that is dropped at ingress is dropped on purpose, and said above.
    if (visited > 0 && !leaves)
      warnings.push(`type ${type}: no way out; whatever its packets meet, they end in a drop`);
    if (unrouted) {
      const ports = chain.ports.filter((p) => p.tx).map((p) => p.name);
      warnings.push(
        `type ${type}: packets can reach \`egress\` without a router having chosen one of ${ports.join(", ")}; ` +
          "those are dropped as egress/no-port; write egress:PORT",
      );
    }
  }
  if (chain.rows.some((r) => r.target.kind === "kernel")) warnings.push(...kernelWarnings(chain));
  warnings.push(...ciphertextWarnings(chain));
  return warnings;
}

/** Ports that receive and from which nothing is handed to the host's network stack. */
function kernelWarnings(chain: LoadedChain): string[] {
  const receive = chain.ports.filter((p) => p.rx);
  const names = (ports: typeof receive) => ports.map((p) => p.name).join(", ");
  const without = receive.filter((p) => !isLive(p.config));
  const seen = receive.filter(({ config }) => config.driver === "packet" || config.driver === "mmsg");
  const warnings: string[] = [];
  if (without.length > 0) {
    warnings.push(
      `kernel: captures and generators (${names(without)}) have no host behind them; ` +
        "such packets are counted as to_kernel and end there",
    );
  }
  if (seen.length > 0) {
    warnings.push(
      `kernel: behind AF_PACKET (${names(seen)}) the host sees every packet anyway, once; ` +
        "such packets are counted as to_kernel and go no other way",
    );
  }
  return warnings;
}

/** Outcomes an NF can have as it is configured. */
function outcomesOf(nf: LoadedNf): readonly OutcomeSpec[] {
  const some = nf.module.possible?.(nf.loaded);
  return some === undefined ? nf.module.outcomes : nf.module.outcomes.filter((o) => some.includes(o.name));
}

/** Where packets of a type can end up: whether any leaves, and whether one comes to `egress` with no port chosen for it. */
function waysOut(chain: LoadedChain, type: string): { nfs: number; leaves: boolean; unrouted: boolean } {
  const { nfs, policy, types } = chain;
  const choice = chain.ports.filter((p) => p.tx).length > 1;
  const seen = new Set<string>();
  const work: { target: Target | undefined; type: string; routed: boolean }[] = chain.ports
    .filter((p) => p.rx)
    .map((p) => ({ target: policy.ingress(type, p.name), type, routed: false }));
  let leaves = false;
  let unrouted = false;
  for (let at = work.pop(); at !== undefined; at = work.pop()) {
    const { target, routed } = at;
    if (target?.kind === "kernel") leaves = true;
    if (target?.kind === "egress") {
      if (target.port === undefined && choice && !routed) unrouted = true;
      else leaves = true;
    }
    const key = target?.kind === "nf" ? `${target.nf},${at.type},${routed}` : "";
    if (target?.kind !== "nf" || seen.has(key)) continue;
    seen.add(key);
    const nf = nfs[target.nf]!;
    for (const outcome of outcomesOf(nf)) {
      // What comes out of a tunnel is a new packet, without a port and of any IP type.
      const chooses = nf.module.egressPorts !== undefined && !outcome.drops && !outcome.alwaysDrops;
      for (const next of outcome.reparse ? types.filter((t) => t !== NON_IP_TYPE) : [at.type]) {
        const onward = policy.outcome(next, nf.name, outcome);
        work.push({ target: onward, type: next, routed: outcome.reparse ? false : routed || chooses });
      }
    }
  }
  return { nfs: seen.size, leaves, unrouted };
}

/** nids behind an ipsec that protects sees ESP: only rules of protocol `ip` look at it, and payload rules find nothing in it. */
function ciphertextWarnings(chain: LoadedChain): string[] {
  const { nfs, graph, policy } = chain;
  const warnings = new Set<string>();
  for (const place of graph.places) {
    const nf = nfs[place.nf]!;
    if (nf.type !== "ipsec") continue;
    const protectedOutcome = outcomesOf(nf).find((o) => o.name === "protected");
    if (protectedOutcome === undefined) continue;
    const seen = new Set<number>();
    const work = [policy.outcome(place.type, nf.name, protectedOutcome)];
    for (let target = work.pop(); target !== undefined; target = work.pop()) {
      if (target.kind !== "nf" || seen.has(target.nf)) continue;
      seen.add(target.nf);
      const next = nfs[target.nf]!;
      if (next.type === "nids") {
        warnings.add(
          `NF ${next.name}: packets of type ${place.type} reach it as ESP from ${nf.name}; its rules scan ciphertext`,
        );
      }
      for (const outcome of outcomesOf(next)) {
        const onward = policy.outcome(place.type, next.name, outcome);
        if (onward !== undefined && !outcome.reparse) work.push(onward);
      }
    }
  }
  return [...warnings];
}

function print(result: CheckResult, icmp: readonly string[]): void {
  const table = new Table({ head: ["packet type", "at", "next"], style: { head: [], border: [], compact: true } });
  for (const row of result.policy) table.push([row.type, row.at, row.next]);
  process.stdout.write(
    `${result.chain}: ports ${result.ports.map((p) => `${p.name} (${p.dir}, ${p.driver})`).join(", ")}\n`,
  );
  const nfs = result.nfs.map(
    (nf) => `${nf.name} (${nf.type}, ${nf.place}${nf.gpu && nf.place === "cpu" ? " or gpu" : ""})`,
  );
  if (nfs.length > 0) process.stdout.write(`NFs ${nfs.join(", ")}\n`);
  process.stdout.write(`${table.toString()}\n`);
  for (const { from, to, types, forwarded, why } of result.hops) {
    const hop = `webgpu: ${from} -> ${to} (${types.join(", ")})`;
    process.stdout.write(`${hop}: ${forwarded ? "stays on the device" : `through the host; ${why}`}\n`);
  }
  for (const line of icmp) process.stdout.write(`${line}\n`);
  for (const line of result.warnings) warn(line);
  process.stdout.write(result.warnings.length === 0 ? "ok\n" : `ok, with ${result.warnings.length} warning(s)\n`);
}
