/** The document of a comparison: the answer first, then what it rests on. */
import type { CompareResult } from "../experiment/compare-result.js";
import { comparisonData } from "./compare/data.js";
import { energySection } from "./compare/energy.js";
import { latencySection, paretoSection } from "./compare/latency.js";
import { equivalenceSection, measuredSection, sharesSection } from "./compare/proof.js";
import { foundRatesSection, throughputSection } from "./compare/rates.js";
import { summaryOf } from "./compare/summary.js";
import { comparisonsSection, verdictSection } from "./compare/verdicts.js";
import { compact } from "./compare/words.js";
import type { ReportDocument, Section } from "./document.js";

export function compareDocument(result: CompareResult): ReportDocument {
  const { plan, manifest } = result;
  const { machine } = manifest;
  const refused = result.state === "refused";
  const sections = refused
    ? [equivalenceSection(result), measuredSection(result)]
    : [
        verdictSection(result),
        throughputSection(result),
        foundRatesSection(result),
        latencySection(result),
        energySection(result),
        paretoSection(result),
        comparisonsSection(result),
        sharesSection(result),
        equivalenceSection(result),
        measuredSection(result),
      ];
  const devices = plan.devices.length === 0 ? "no device" : plan.devices.join(", ");
  const cores = `${machine.cores} ${machine.cores === 1 ? "core" : "cores"}`;
  return {
    title: `CPU and GPU placements of ${plan.chain}`,
    subtitle: `compare on ${machine.cpu}, ${cores}, with ${devices}; ${manifest.started.slice(0, 10)}`,
    summary: summaryOf(result),
    warnings: result.warnings,
    sections: sections.filter((section) => section !== null).map(compacted),
    manifest,
    data: comparisonData(result),
    result,
  };
}

function compacted(section: Section): Section {
  return section.tables === undefined ? section : { ...section, tables: section.tables.map(compact) };
}
