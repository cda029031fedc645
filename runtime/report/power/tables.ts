/** Power by load and policy in figures, by domain, and which policy takes least. */
import type { PowerPoint, PowerResult } from "../../experiment/power-result.js";
import { compact, intervalText, listed } from "../compare/words.js";
import type { Column, Section, Table, TableValue } from "../document.js";
import { formatNumber } from "../numbers.js";
import { called, capital, NANO } from "./words.js";

export function figureSection(result: PowerResult): Section {
  const { points, idle } = result;
  const measured = result.meter.provenance === "measured";
  const title = (what: string) =>
    capital(`${called(result, what)} by load and policy: medians and 95 % confidence intervals`);
  const power = { name: called(result, "power"), unit: "W" };
  const packet = { name: called(result, "energy per packet"), unit: "nJ" };
  const perWatt = { name: `throughput per ${called(result, "power")}`, unit: "Gbps/W" };
  const gross: Table = {
    title: title("energy"),
    columns: [
      ...HEAD,
      ...[{ name: "Throughput", unit: "Gbps" }, { name: "Busy", unit: "cores" }, power, packet, perWatt],
      ...[
        { name: "p99", unit: "µs" },
        { name: "Meter's uncertainty", unit: "%" },
      ],
    ],
    rows: points.map((point) => [
      ...head(point),
      point.load_percent === 0 ? null : intervalText(point.gbps),
      ...[intervalText(point.cpu_cores), intervalText(point.watts)],
      intervalText(point.joules_per_packet, undefined, NANO),
      intervalText(point.gbps_per_watt),
      intervalText(point.p99, undefined, 1e-3),
      measured && point.uncertainty !== null ? 100 * point.uncertainty : null,
    ]),
  };
  const net: Table = {
    title: title("energy above the idle machine"),
    columns: [...HEAD, power, packet, perWatt],
    rows: points.map((point) => [
      ...head(point),
      intervalText(point.net_watts),
      intervalText(point.net_joules_per_packet, undefined, NANO),
      intervalText(point.gbps_per_net_watt),
    ]),
  };
  return { heading: "Figures", tables: (idle === null ? [gross] : [gross, net]).map(compact) };
}

const HEAD: readonly Column[] = [{ name: "Placement" }, { name: "Load" }, { name: "Policy" }];

function head({ name, load_percent, wait }: PowerPoint): TableValue[] {
  return [name, `${load_percent} %`, wait];
}

/** What the meter tells apart. */
export function domainSection(result: PowerResult): Section | null {
  const { points } = result;
  const domains = points[0]?.domains ?? [];
  if (domains.length < 2) return null;
  return {
    heading: "Domains",
    text: ["What is within another domain is part of it, and not added."],
    tables: [
      {
        title: capital(`${called(result, "power")} by domain: medians`),
        columns: [
          ...HEAD,
          ...domains.map(({ name, within }) => ({
            name: within === null ? name : `${name} (in ${within})`,
            unit: "W",
          })),
        ],
        rows: [
          ...(domains[0]!.idle_watts === null
            ? []
            : [["idle machine", null, null, ...domains.map((one) => one.idle_watts)]]),
          ...points.map((point) => [...head(point), ...point.domains.map(({ watts }) => watts)]),
        ],
      },
    ],
  };
}

export function verdictSection({ verdicts }: PowerResult): Section | null {
  if (verdicts.length === 0) return null;
  return {
    heading: "Which policy takes least",
    text: [
      "By watts without packets, else by joules per packet. A difference counts where it holds at 95 % over all of these, beyond 3 % and the meter's uncertainty.",
    ],
    tables: [
      {
        title: "Policies by load",
        columns: [{ name: "Load" }, { name: "Lowest" }, { name: "Verdict" }],
        rows: verdicts.map(({ load_percent, lowest, text }) => [`${load_percent} %`, lowest, text]),
      },
    ],
  };
}

export function meterSection({ meter, plan, points, idle }: PowerResult): Section {
  const rate = points.length === 0 ? "" : `, ${formatNumber(points[0]!.readings_per_second)} readings a second`;
  const counted = meter.domains.filter(({ within }) => within === null).map(({ name }) => name);
  const before =
    idle === null
      ? "Idle was not measured."
      : `Idle was measured first, ${plan.idle_ms / 1000} s or more, and is what net figures are above.`;
  return {
    heading: "The meter",
    text: [`${meter.name}${rate}: ${meter.note}.`, `Added up: ${listed(counted)}. ${before}`],
  };
}
