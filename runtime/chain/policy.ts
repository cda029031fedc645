/**
 * The policy: which NF is next (Hummingbird IV-A2, the route decider). A CSV with the paper's columns
 * `packet type,current NF,next NF`, resolved before the run into one table that the data plane indexes.
 */
import { readFileSync } from "node:fs";
import { parse } from "csv-parse/sync";
import { ConfigError } from "../errors.js";
import type { OutcomeSpec } from "./nf.js";
import { ANY_TYPE, NON_IP_TYPE } from "./type-names.js";

/** Where a packet goes next. */
export type Target =
  | { readonly kind: "nf"; readonly nf: number }
  | { readonly kind: "egress"; readonly port: number | undefined }
  | { readonly kind: "kernel" }
  | { readonly kind: "drop" };

export interface PolicyRow {
  readonly line: number;
  readonly type: string;
  readonly current: string;
  readonly next: string;
  readonly target: Target;
}

/** The names a policy may use. */
export interface PolicyNames {
  /** All packet types, the user's first, then `default` and `non-ip`. */
  readonly types: readonly string[];
  readonly ports: readonly { readonly name: string; readonly rx: boolean; readonly tx: boolean }[];
  readonly nfs: readonly { readonly name: string; readonly outcomes: readonly OutcomeSpec[] }[];
}

export const RESERVED_NAMES: readonly string[] = ["ingress", "egress", "kernel", "drop", "gate", "policy", ANY_TYPE];

/** Reads and checks a policy file against the names of its chain. */
export function readPolicy(file: string, names: PolicyNames): PolicyRow[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError(
      file,
      `cannot read the policy: ${(error as Error).message}`,
      "check the chain's `policy` key",
    );
  }
  return parsePolicy(text, file, names);
}

/** @throws ConfigError with `file:line` for a bad row */
export function parsePolicy(text: string, file: string, names: PolicyNames): PolicyRow[] {
  const rows: PolicyRow[] = [];
  const seen = new Map<string, number>();
  for (const { record, line } of csvRecords(text, file)) {
    const where = `${file}:${line}`;
    if (record.length !== 3) {
      const remedy = "write `packet type,current NF,next NF`";
      throw new ConfigError(where, `expected 3 columns, found ${record.length}`, remedy);
    }
    const [type, current, next] = record as [string, string, string];
    if (rows.length === 0 && seen.size === 0 && /^packet[ _-]?type$/i.test(type)) continue;
    if (type !== ANY_TYPE && !names.types.includes(type)) {
      throw new ConfigError(where, `unknown packet type "${type}"; known: ${[ANY_TYPE, ...names.types].join(", ")}`);
    }
    checkCurrent(where, current, names);
    const key = `${type},${current}`;
    const before = seen.get(key);
    if (before !== undefined) {
      throw new ConfigError(where, `a second row for "${key}"; the first is on line ${before}`, "keep one of the two");
    }
    seen.set(key, line);
    rows.push({ line, type, current, next, target: parseTarget(where, next, names) });
  }
  if (rows.length === 0) throw new ConfigError(file, "no row", "a policy needs at least `*,ingress,egress`");
  return rows;
}

function csvRecords(text: string, file: string): { record: string[]; line: number }[] {
  try {
    const parsed = parse(text, {
      comment: "#",
      trim: true,
      skip_empty_lines: true,
      relax_column_count: true,
      info: true,
      bom: true,
    }) as unknown as { record: string[]; info: { lines: number } }[];
    return parsed.map(({ record, info }) => ({ record, line: info.lines }));
  } catch (error) {
    throw new ConfigError(file, `not a CSV file: ${(error as Error).message}`);
  }
}

function checkCurrent(where: string, current: string, names: PolicyNames): void {
  if (current === "ingress") return;
  if (current.startsWith("ingress:")) {
    const port = current.slice("ingress:".length);
    if (!names.ports.some((p) => p.name === port && p.rx)) {
      const good = names.ports.filter((p) => p.rx).map((p) => p.name);
      throw new ConfigError(where, `no receiving port "${port}"; receiving ports: ${good.join(", ")}`);
    }
    return;
  }
  const [name, outcome, more] = current.split(".");
  const nf = names.nfs.find((n) => n.name === name);
  if (nf === undefined || more !== undefined) {
    const good = ["ingress", "ingress:PORT", ...names.nfs.map((n) => n.name)];
    throw new ConfigError(where, `unknown current NF "${current}"; known: ${good.join(", ")}, and NF.OUTCOME`);
  }
  if (outcome === undefined) return;
  const spec = nf.outcomes.find((o) => o.name === outcome);
  if (spec === undefined) {
    const good = nf.outcomes.filter((o) => !o.alwaysDrops).map((o) => o.name);
    throw new ConfigError(where, `${name} has no outcome "${outcome}"; its outcomes: ${good.join(", ")}`);
  }
  if (spec.alwaysDrops) throw new ConfigError(where, `${current} always drops; no row can lead it elsewhere`);
}

function parseTarget(where: string, next: string, names: PolicyNames): Target {
  if (next === "kernel" || next === "drop") return { kind: next };
  if (next === "egress") return { kind: "egress", port: undefined };
  if (next.startsWith("egress:")) {
    const name = next.slice("egress:".length);
    const port = names.ports.findIndex((p) => p.name === name && p.tx);
    if (port < 0) {
      const good = names.ports.filter((p) => p.tx).map((p) => p.name);
      throw new ConfigError(where, `no sending port "${name}"; sending ports: ${good.join(", ") || "none"}`);
    }
    return { kind: "egress", port };
  }
  const nf = names.nfs.findIndex((n) => n.name === next);
  if (nf < 0) {
    const good = [...names.nfs.map((n) => n.name), "egress", "egress:PORT", "kernel", "drop"];
    throw new ConfigError(where, `unknown next NF "${next}"; known: ${good.join(", ")}`);
  }
  return { kind: "nf", nf };
}

/** Answers "where next?" for every type and source; undefined where no row applies. */
export class PolicyResolver {
  private readonly rows = new Map<string, Target>();

  constructor(rows: readonly PolicyRow[]) {
    for (const row of rows) this.rows.set(`${row.type},${row.current}`, row.target);
  }

  /** Most specific wins: type+place, *+place, for the more specific place first; `*` is any type but non-ip. */
  private find(type: string, places: readonly string[]): Target | undefined {
    for (const place of places) {
      const exact = this.rows.get(`${type},${place}`);
      if (exact !== undefined) return exact;
      const any = type === NON_IP_TYPE ? undefined : this.rows.get(`${ANY_TYPE},${place}`);
      if (any !== undefined) return any;
    }
    return undefined;
  }

  ingress(type: string, port: string): Target | undefined {
    return this.find(type, [`ingress:${port}`, "ingress"]);
  }

  /** An outcome that drops by itself listens only to rows that name it. */
  outcome(type: string, nf: string, outcome: OutcomeSpec): Target | undefined {
    if (outcome.alwaysDrops) return { kind: "drop" };
    const named = this.find(type, [`${nf}.${outcome.name}`]);
    if (named !== undefined) return named;
    return outcome.drops ? { kind: "drop" } : this.find(type, [nf]);
  }
}
