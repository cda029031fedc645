/** The document of `power`: what waiting costs, what packets cost, and what it rests on. */
import type { Interval } from "../experiment/compare-result.js";
import type { PowerPoint, PowerResult } from "../experiment/power-result.js";
import { sampleData } from "./compare/data.js";
import { intervalText, listed, pointOf } from "./compare/words.js";
import type { DataFile, Plot, ReportDocument, Section } from "./document.js";
import { formatNumber } from "./numbers.js";
import { inOrder } from "./plots/common.js";
import { curves } from "./plots.js";

const NANO = 1e9;

export function powerDocument(result: PowerResult): ReportDocument {
  const { plan, manifest, meter } = result;
  const { machine } = manifest;
  const cores = `${machine.cores} ${machine.cores === 1 ? "core" : "cores"}`;
  return {
    title: `Power of ${plan.chain}`,
    subtitle: `power on ${machine.cpu}, ${cores}; ${meter.provenance} by ${meter.name}; ${manifest.started.slice(0, 10)}`,
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

/** "nominal power": nominal figures are called so in every title, axis and column. */
function called(result: PowerResult, what: string): string {
  return result.meter.provenance === "nominal" ? `nominal ${what}` : what;
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
  const how = meter.provenance === "nominal" ? "No meter: energy is nominal" : "Measured";
  lines.push(`${how} by ${meter.name}.${before}`);
  return lines;
}

function nominalWords({ meter }: PowerResult): string {
  return meter.provenance === "nominal" ? " (nominal)" : "";
}

/** One plot of each kind: a curve for each policy, of each placement. */
function plotSection(result: PowerResult): Section | null {
  const { points, idle } = result;
  if (points.length === 0) return null;
  const several = inOrder(points.map(({ name }) => name)).length > 1;
  const series = ({ name, wait }: PowerPoint) => (several ? `${name}, ${wait}` : wait);
  const made = (
    id: string,
    title: string,
    caption: string,
    y: { name: string; unit: string },
    of: (point: PowerPoint) => Interval | null,
    scale = 1,
  ): Plot[] => {
    const shown = points.flatMap((point) => {
      const interval = of(point);
      return interval === null ? [] : [{ series: series(point), x: point.load_percent, ...pointOf(interval, scale) }];
    });
    if (shown.length === 0) return [];
    const [least] = [...shown].sort((a, b) => a.y - b.y);
    const most = [...shown].sort((a, b) => b.y - a.y)[0]!;
    const alt = `${title}. From ${formatNumber(least!.y)} ${y.unit} (${least!.series} at ${least!.x} %) to ${formatNumber(most.y)} ${y.unit} (${most.series} at ${most.x} %).`;
    return [curves({ id, title, caption, alt }, { name: "load", unit: "% of saturation" }, y, shown)];
  };
  const bands = "Bands are 95 % confidence intervals.";
  const beside = idle === null ? "" : ` The idle machine takes ${formatNumber(idle.watts)} W.`;
  return {
    heading: called(result, "energy by load and waiting policy").replace(/^./, (first) => first.toUpperCase()),
    text: [
      "All policies of a placement get the same packets per second; at 100 % each takes what it can. At 0 % one packet a second comes.",
    ],
    plots: [
      ...made(
        "watts",
        `${called(result, "power")} by load`,
        `All that the meter sees.${beside} ${bands}`,
        { name: called(result, "power"), unit: "W" },
        ({ watts }) => watts,
      ),
      ...made(
        "joules-per-packet",
        `${called(result, "energy")} of a packet by load`,
        `Watts over packets received per second. Lower is better. ${bands}`,
        { name: called(result, "energy per packet"), unit: "nJ" },
        ({ joules_per_packet }) => joules_per_packet,
        NANO,
      ),
      ...made(
        "gbps-per-watt",
        `Throughput per ${called(result, "watt")} by load`,
        `Frame bits received over watts. Higher is better. ${bands}`,
        { name: `throughput per ${called(result, "power")}`, unit: "Gbps/W" },
        ({ gbps_per_watt }) => gbps_per_watt,
      ),
      ...made(
        "latency",
        "p99 latency by load",
        `What saving costs: from when a packet was due; at 100 % it is queueing. ${bands}`,
        { name: "p99 latency", unit: "µs" },
        ({ p99 }) => p99,
        1e-3,
      ),
    ],
  };
}

function figureSection(result: PowerResult): Section {
  const measured = result.meter.provenance === "measured";
  return {
    heading: "Figures",
    tables: [
      {
        title: `${called(result, "energy")} by load and policy: medians and 95 % confidence intervals`,
        columns: [
          ...[
            { name: "Placement" },
            { name: "Load", unit: "%" },
            { name: "Policy" },
            { name: "Throughput", unit: "Gbps" },
          ],
          ...[
            { name: "Busy", unit: "cores" },
            { name: called(result, "power"), unit: "W" },
            { name: "above idle", unit: "W" },
          ],
          ...[
            { name: called(result, "energy per packet"), unit: "nJ" },
            { name: "above idle", unit: "nJ" },
          ],
          ...[
            { name: `throughput per ${called(result, "power")}`, unit: "Gbps/W" },
            { name: "above idle", unit: "Gbps/W" },
          ],
          ...[{ name: "p99", unit: "µs" }, ...(measured ? [{ name: "Meter's uncertainty", unit: "%" }] : [])],
        ],
        rows: result.points.map((point) => [
          ...[point.name, point.load_percent, point.wait, point.load_percent === 0 ? null : intervalText(point.gbps)],
          ...[intervalText(point.cpu_cores), intervalText(point.watts), intervalText(point.net_watts)],
          intervalText(point.joules_per_packet, undefined, NANO),
          intervalText(point.net_joules_per_packet, undefined, NANO),
          ...[intervalText(point.gbps_per_watt), intervalText(point.gbps_per_net_watt)],
          intervalText(point.p99, undefined, 1e-3),
          ...(measured ? [point.uncertainty === null ? null : 100 * point.uncertainty] : []),
        ]),
      },
    ],
  };
}

/** What the meter tells apart. */
function domainSection(result: PowerResult): Section | null {
  const { points } = result;
  const domains = points[0]?.domains ?? [];
  if (domains.length < 2) return null;
  return {
    heading: "Domains",
    text: ["What is within another domain is part of it, and not added."],
    tables: [
      {
        title: `${called(result, "power")} by domain: medians`,
        columns: [
          ...[{ name: "Placement" }, { name: "Load", unit: "%" }, { name: "Policy" }],
          ...domains.map(({ name, within }) => ({
            name: within === null ? name : `${name} (in ${within})`,
            unit: "W",
          })),
        ],
        rows: [
          ...(domains[0]!.idle_watts === null
            ? []
            : [["idle machine", null, null, ...domains.map((one) => one.idle_watts)]]),
          ...points.map((point) => [
            point.name,
            point.load_percent,
            point.wait,
            ...point.domains.map(({ watts }) => watts),
          ]),
        ],
      },
    ],
  };
}

function verdictSection({ verdicts }: PowerResult): Section | null {
  if (verdicts.length === 0) return null;
  return {
    heading: "Which policy takes least",
    text: [
      "By watts without packets, else by joules per packet. A difference counts where it holds at 95 % over all of these, beyond 3 % and the meter's uncertainty.",
    ],
    tables: [
      {
        title: "Policies by load",
        columns: [{ name: "Placement" }, { name: "Load", unit: "%" }, { name: "Lowest" }, { name: "Verdict" }],
        rows: verdicts.map(({ name, load_percent, lowest, text }) => [name, load_percent, lowest, text]),
      },
    ],
  };
}

function meterSection({ meter, plan, points, idle }: PowerResult): Section {
  const rate = points.length === 0 ? "" : `, ${formatNumber(points[0]!.readings_per_second)} readings a second`;
  const counted = meter.domains.filter(({ within }) => within === null).map(({ name }) => name);
  const before =
    idle === null
      ? "Idle was not measured."
      : `Idle was measured first, ${plan.idle_ms / 1000} s or more, and is what net figures are above.`;
  return {
    heading: "The meter",
    text: [`${meter.name}, ${meter.provenance}${rate}: ${meter.note}.`, `Added up: ${listed(counted)}. ${before}`],
  };
}

function pointData({ points }: PowerResult): DataFile {
  const quantities: readonly (readonly [string, string, (point: PowerPoint) => Interval | null])[] = [
    ["throughput", "Gbps", ({ gbps }) => gbps],
    ["busy", "cores", ({ cpu_cores }) => cpu_cores],
    ["power", "W", ({ watts }) => watts],
    ["power above idle", "W", ({ net_watts }) => net_watts],
    ["energy", "J/packet", ({ joules_per_packet }) => joules_per_packet],
    ["energy above idle", "J/packet", ({ net_joules_per_packet }) => net_joules_per_packet],
    ["throughput per power", "Gbps/W", ({ gbps_per_watt }) => gbps_per_watt],
    ["throughput per power above idle", "Gbps/W", ({ gbps_per_net_watt }) => gbps_per_net_watt],
    ["p99", "ns", ({ p99 }) => p99],
  ];
  const rows = points.flatMap((point) =>
    quantities.flatMap(([quantity, unit, of]) => {
      const interval = of(point);
      if (interval === null) return [];
      const { median, low, high, confidence, samples } = interval;
      return [
        [point.key, point.name, point.wait, point.load_percent, quantity, unit, median, low, high, confidence, samples],
      ];
    }),
  );
  const columns = [
    "key",
    "name",
    "wait",
    "load_percent",
    "quantity",
    "unit",
    "median",
    "low",
    "high",
    "confidence",
    "samples",
  ];
  return { name: "points", columns, rows };
}
