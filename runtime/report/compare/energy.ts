/** Energy of the cells of a comparison; what is nominal is called so wherever it stands. */
import { sizeName } from "../../experiment/compare-plan.js";
import type { CellEnergy, CellResult, CompareResult } from "../../experiment/compare-result.js";
import type { Section, Table } from "../document.js";
import { formatNumber } from "../numbers.js";
import { groupedBars } from "../plots.js";
import { intervalText, largest, pointOf } from "./words.js";

type Metered = CellResult & { readonly energy: CellEnergy };

export function energySection({ cells }: CompareResult): Section | null {
  if (cells.length === 0) return null;
  const measured = cells.filter((cell): cell is Metered => cell.energy !== null);
  const first = measured[0]?.energy;
  if (first === undefined) {
    return {
      heading: "Energy",
      text: ["No energy was measured: no meter was found, and no nominal model was asked for."],
    };
  }
  const nominal = measured.some(({ energy }) => energy.provenance === "nominal");
  const kind = nominal ? "nominal, not measured" : "measured";
  const isNet = measured.every(({ energy }) => energy.gbps_per_net_watt !== null);
  const perWatt = ({ gbps_per_watt, gbps_per_net_watt }: CellEnergy) => gbps_per_net_watt ?? gbps_per_watt;
  const points = measured.map(({ name, cell, energy }) => ({
    series: name,
    x: sizeName(cell.size),
    ...pointOf(isNet ? perWatt(energy) : energy.gbps_per_watt),
  }));
  const worth = nominal
    ? "Thermal design power times the share of processor time: it says nothing about a GPU's energy."
    : `Medians with 95 % confidence intervals over repeats; the meter itself is good for ${formatNumber(Math.max(...measured.map(({ energy }) => energy.uncertainty)) * 100)} %, which repeats do not lessen.`;
  const best = largest(measured, ({ energy }) => (energy === null ? null : perWatt(energy).median));
  return {
    heading: `Energy (${kind})`,
    text: [
      `${first.meter.name}, ${kind}, every ${first.meter.intervalMs} ms: ${first.meter.note}.`,
      isNet
        ? "Net figures are above the idle machine, which was measured first."
        : "The idle machine could not be taken off: figures are of all the meter sees.",
    ],
    plots: [
      groupedBars(
        {
          id: "gbps-per-watt",
          title: `Gbps per ${isNet ? "net " : ""}watt by frame size (${kind})`,
          caption: `More is better. ${worth}`,
          alt: `Gbps per watt by frame size and placement, ${kind}. ${best}`,
        },
        { name: "frame size" },
        { name: nominal ? "throughput per nominal power" : "throughput per power", unit: "Gbps/W" },
        points,
      ),
    ],
    tables: [energyTable(measured, kind), domainTable(measured, kind)],
  };
}

function energyTable(cells: readonly Metered[], kind: string): Table {
  return {
    title: `Energy (${kind}): medians and 95 % confidence intervals`,
    columns: [
      { name: "Size" },
      { name: "Placement" },
      { name: "Power", unit: "W" },
      { name: "Idle", unit: "W" },
      { name: "Net power", unit: "W" },
      { name: "Per packet", unit: "nJ" },
      { name: "Net per packet", unit: "nJ" },
      { name: "Throughput per power", unit: "Gbps/W" },
      { name: "per net power", unit: "Gbps/W" },
      { name: "Meter ±", unit: "%" },
      { name: "Provenance" },
    ],
    rows: cells.map(({ cell, name, energy }) => [
      sizeName(cell.size),
      name,
      intervalText(energy.watts),
      energy.idle_watts,
      intervalText(energy.net_watts),
      intervalText(energy.joules_per_packet, undefined, 1e9),
      intervalText(energy.net_joules_per_packet, undefined, 1e9),
      intervalText(energy.gbps_per_watt),
      intervalText(energy.gbps_per_net_watt),
      energy.uncertainty * 100,
      energy.provenance,
    ]),
  };
}

/** A column for each domain that any cell has; one within another is part of it, and does not count again. */
function domainTable(cells: readonly Metered[], kind: string): Table {
  const domains = [
    ...new Map(cells.flatMap(({ energy }) => energy.domains.map((domain) => [domain.name, domain]))).values(),
  ];
  return {
    title: `Power by domain (${kind}), idle machine included`,
    columns: [
      { name: "Size" },
      { name: "Placement" },
      ...domains.map(({ name, within }) => ({
        name: within === null ? name : `${name}, part of ${within}`,
        unit: "W",
      })),
    ],
    rows: cells.map(({ cell, name, energy }) => [
      sizeName(cell.size),
      name,
      ...domains.map((domain) => energy.domains.find((one) => one.name === domain.name)?.watts ?? null),
    ]),
  };
}
