/** What of a run's result placement must not change, and where two results part in it (CONTRACT: digests, outcomes and drops are equal). */
import type { NfResult, RunResult } from "../engine/result.js";

/** A line for each thing in which `found` is not as `expected`; empty where all is equal. */
export function resultDifferences(expected: RunResult, found: RunResult): string[] {
  const lines: string[] = [];
  const compare = (what: string, was: number | string | null, is: number | string | null) => {
    if (was !== is) lines.push(`${what}: ${is ?? "none"} instead of ${was ?? "none"}`);
  };
  if (found.failure !== null) lines.push(`the run failed: ${found.failure}`);
  if (!found.ledger.balanced) lines.push("the ledger does not balance");
  compare("packets received", expected.packets.rx, found.packets.rx);
  compare("packets sent", expected.packets.tx, found.packets.tx);
  compare("bytes received", expected.bytes.rx, found.bytes.rx);
  compare("bytes sent", expected.bytes.tx, found.bytes.tx);
  for (const key of ["originated", "to_kernel", "dropped", "in_flight"] as const) {
    compare(`ledger ${key}`, expected.ledger[key], found.ledger[key]);
  }
  const names = union(expected.nfs.map(nameOf), found.nfs.map(nameOf));
  for (const name of names) compareNf(name, nfNamed(expected, name), nfNamed(found, name), compare);
  const was = dropsOf(expected);
  const is = dropsOf(found);
  for (const drop of union([...was.keys()], [...is.keys()])) {
    compare(`drops ${drop}`, was.get(drop) ?? 0, is.get(drop) ?? 0);
  }
  for (const port of expected.ports) {
    const other = found.ports.find(({ name }) => name === port.name);
    for (const key of ["ipackets", "ibytes", "opackets", "obytes"] as const) {
      compare(`port ${port.name} ${key}`, port[key], other?.[key] ?? null);
    }
  }
  compare("egress digest", expected.digest, found.digest);
  compare("alerts digest", expected.alerts_digest, found.alerts_digest);
  return lines;
}

function compareNf(
  name: string,
  expected: NfResult | undefined,
  found: NfResult | undefined,
  compare: (what: string, was: number | null, is: number | null) => void,
): void {
  for (const key of ["packets", "bytes"] as const) {
    compare(`NF ${name} ${key}`, expected?.[key] ?? null, found?.[key] ?? null);
  }
  const outcomes = union(Object.keys(expected?.outcomes ?? {}), Object.keys(found?.outcomes ?? {}));
  for (const outcome of outcomes) {
    compare(`NF ${name} outcome ${outcome}`, expected?.outcomes[outcome] ?? 0, found?.outcomes[outcome] ?? 0);
  }
}

const nameOf = ({ name }: NfResult): string => name;

function nfNamed({ nfs }: RunResult, name: string): NfResult | undefined {
  return nfs.find((nf) => nf.name === name);
}

function dropsOf({ ledger }: RunResult): Map<string, number> {
  return new Map(ledger.drops.map(({ nf, reason, packets }) => [`${nf} ${reason}`, packets]));
}

function union(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])];
}
