/** The document of `power`: what waiting costs, what packets cost, and what it rests on. */
import type { PowerResult } from "../experiment/power-result.js";
import { sampleData } from "./compare/data.js";
import { listed } from "./compare/words.js";
import type { ReportDocument } from "./document.js";
import { formatNumber } from "./numbers.js";
import { inOrder } from "./plots/common.js";
import { pointData } from "./power/data.js";
import { plotSection } from "./power/plots.js";
import { domainSection, figureSection, meterSection, verdictSection } from "./power/tables.js";
import { NANO } from "./power/words.js";

export function powerDocument(result: PowerResult): ReportDocument {
  const { plan, manifest, meter } = result;
  const { machine } = manifest;
  const cores = `${machine.cores} ${machine.cores === 1 ? "core" : "cores"}`;
  return {
    title: `Power of ${plan.chain}`,
    subtitle: `power on ${machine.cpu}, ${cores}; energy ${meter.provenance === "nominal" ? "" : "by "}${meter.name}; ${manifest.started.slice(0, 10)}`,
    summary: summaryOf(result),
    warnings: result.warnings,
    sections: [
      plotSection(result),
      figureSection(result),
      domainSection(result),
      verdictSection(result),
      meterSection(result),
    ].filter((section) => section !== null),
    manifest,
    data: [sampleData(result), pointData(result)],
    result,
  };
}

function summaryOf(result: PowerResult): string[] {
  const { points, idle, meter, verdicts } = result;
  const names = inOrder(points.map(({ name }) => name));
  const lines: string[] = [];
  for (const name of names) {
    const waiting = points.filter(
      (point) => point.name === name && point.load_percent === 0 && point.net_watts !== null,
    );
    if (waiting.length > 0) {
      const parts = waiting.map(({ wait, net_watts }) => `${formatNumber(net_watts!.median)} W with ${wait}`);
      lines.push(`Waiting for packets, ${name} takes ${listed(parts)} above the idle machine${nominalWords(result)}.`);
    }
    const [best] = points
      .filter((point) => point.name === name && point.gbps_per_watt !== null)
      .sort((a, b) => b.gbps_per_watt!.median - a.gbps_per_watt!.median);
    if (best !== undefined) {
      const { gbps_per_watt: per, joules_per_packet: joules, load_percent: percent, wait } = best;
      const figures = `${formatNumber(per!.median)} Gbps/W${joules === null ? "" : `, ${formatNumber(joules.median * NANO)} nJ a packet`}`;
      lines.push(`Its best is ${figures}, at ${percent} % load with ${wait}${nominalWords(result)}.`);
    }
  }
  lines.push(...verdicts.filter(({ reason }) => reason === null).map(({ text }) => `${text}.`));
  const before = idle === null ? "" : ` The idle machine takes ${formatNumber(idle.watts)} W.`;
  const how = meter.provenance === "nominal" ? "No meter: energy is" : "Measured by";
  lines.push(`${how} ${meter.name}.${before}`);
  return lines;
}

function nominalWords({ meter }: PowerResult): string {
  return meter.provenance === "nominal" ? " (nominal)" : "";
}
