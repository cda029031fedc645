/** What a run of the benchmarks prints: tables, where the figures are from, what was left out. */
import { FINDING_HEAD, FINDING_RIGHT, type Finding, findingRow, type UsedDevice } from "./experiment.js";
import { type Measurement, renderTable } from "./harness.js";
import { markdownTable, terminalTable } from "./table.js";

export interface Report {
  readonly [origin: string]: unknown;
  readonly repeats: number;
  readonly seed: number;
  readonly pinned_to: number | null;
  readonly notes: Readonly<Record<string, string>>;
  readonly results: readonly Measurement[];
  readonly findings: readonly Finding[];
  readonly remarks: readonly string[];
  readonly skipped: readonly string[];
  readonly failed: readonly string[];
}

/** One table; in Markdown one for each experiment, under its name. */
export function renderFindings(findings: readonly Finding[], markdown: boolean): string {
  if (!markdown) return terminalTable({ head: FINDING_HEAD, rows: findings.map(findingRow), right: FINDING_RIGHT });
  const names = [...new Set(findings.map(({ experiment }) => experiment))];
  return names
    .map((name) => {
      const rows = findings.filter(({ experiment }) => experiment === name).map((one) => findingRow(one).slice(1));
      const right = FINDING_RIGHT.map((column) => column - 1);
      return `**${name}**\n\n${markdownTable({ head: FINDING_HEAD.slice(1), rows, right })}`;
    })
    .join("\n\n");
}

/** What a device's figures are good for. */
export function deviceNote({ name, emulated }: UsedDevice): string {
  if (!emulated) return `device ${name}`;
  return `device ${name}: emulation on the CPU. It proves correctness, and says nothing of the benefit of a GPU`;
}

export function printReport(report: Report, markdown: boolean): void {
  const { results, findings, notes, remarks, skipped, failed, pinned_to: processor } = report;
  const machine = `${report["cpu"]}, ${report["cores"]} cores, Node ${report["node"]}`;
  const many = `${report.repeats} repeats, seed ${report.seed}`;
  // Lists in Markdown, lines on a terminal.
  const line = (text: string) => console.log(markdown ? `- ${text}` : text);
  if (findings.length > 0) {
    console.log(`${renderFindings(findings, markdown)}\n`);
    line(`${machine}: what is compared is measured in turns; medians; ${many}`);
    const devices = new Map(findings.flatMap(({ device }) => (device === null ? [] : [[device.name, device]])));
    for (const device of devices.values()) line(deviceNote(device));
    for (const remark of remarks) line(remark);
  }
  if (results.length > 0) {
    console.log(`${renderTable(results, markdown)}\n`);
    const pinned = processor === null ? "" : `, pinned to processor ${processor}`;
    line(`${machine}: ${report["method"]}${pinned}; ${many}`);
    for (const [nf, note] of Object.entries(notes)) line(`${nf}: ${note}`);
  }
  for (const reason of skipped) line(`skipped: ${reason}`);
  for (const reason of failed) line(`FAILED: ${reason}`);
}
