/** The result of `power` for people: what it found, a table, what to know of it. */
import Table from "cli-table3";
import type { Interval } from "../experiment/compare-result.js";
import type { PowerPoint, PowerResult, PowerVerdict } from "../experiment/power-result.js";
import { formatNumber } from "../report/numbers.js";

/** A table without lines: it is read in terminals, logs and mails. */
const PLAIN = {
  ...{ top: "", "top-mid": "", "top-left": "", "top-right": "", bottom: "", "bottom-mid": "", "bottom-left": "" },
  ...{ "bottom-right": "", left: "", "left-mid": "", mid: "", "mid-mid": "", right: "", "right-mid": "", middle: "  " },
};

const NANO = 1e9;

export function powerTable(result: PowerResult): string {
  const { plan, points, meter, idle, verdicts, warnings, state, progress } = result;
  const kind = meter.provenance === "nominal" ? "nominal " : "";
  const several = new Set(points.map(({ name }) => name)).size > 1;
  const table = new Table({
    head: [
      ...(several ? ["placement"] : []),
      ...[
        "load",
        "policy",
        "Gbps",
        "cores",
        `${kind}W`,
        `${kind}net W`,
        `${kind}nJ/packet`,
        "net nJ",
        `Gbps/${kind}W`,
        "p99 us",
      ],
      ...(kind === "" ? ["+-%"] : []),
    ],
    chars: PLAIN,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
    colAligns: [...(several ? (["left"] as const) : []), "right", "left", ...Array<"right">(9).fill("right")],
  });
  for (const point of points) table.push([...(several ? [point.name] : []), ...row(point, kind === "", idle)]);
  const lines = [
    `power of ${plan.chain}, ${plan.input}`,
    kind === "" ? `measured by ${meter.name}: ${meter.note}` : `energy is ${meter.name}, no measurement`,
    idle === null
      ? ""
      : `idle machine: ${formatNumber(idle.watts)} W${plusMinus(idle.uncertainty_watts, kind === "")}; net figures are above it`,
    "",
    table.toString(),
    "",
    ...domainLines(points, kind),
    ...verdictLines(verdicts),
    ...warnings.map((line) => `note: ${line}`),
    ...(state === "interrupted" ? [`interrupted after ${progress.done} of ${progress.planned} samples`] : []),
  ];
  return `${lines.join("\n")}\n`;
}

function row(point: PowerPoint, measured: boolean, idle: PowerResult["idle"]): string[] {
  const { load_percent: percent, wait, gbps, cpu_cores, watts, net_watts, uncertainty } = point;
  const figure = (interval: Interval | null, scale = 1) =>
    interval === null ? "-" : formatNumber(interval.median * scale);
  return [
    ...[percent === 100 ? "100 %" : `${percent} %`, wait, percent === 0 ? "-" : figure(gbps)],
    ...[figure(cpu_cores), figure(watts), measured && isNothing(point, idle) ? "~0" : figure(net_watts)],
    ...[figure(point.joules_per_packet, NANO), figure(point.net_joules_per_packet, NANO), figure(point.gbps_per_watt)],
    figure(point.p99, 1e-3),
    ...(measured ? [uncertainty === null ? "-" : formatNumber(100 * uncertainty)] : []),
  ];
}

/** What keeps all of them back is said once. */
function verdictLines(verdicts: readonly PowerVerdict[]): string[] {
  const [first] = verdicts;
  if (first === undefined) return [];
  const same = first.reason !== null && verdicts.every(({ reason }) => reason === first.reason);
  return same ? [`no verdict on policies, since ${first.reason}`] : verdicts.map(({ text }) => text);
}

/** Whether what is above idle is no more than the meter may be wrong by. */
function isNothing({ net_watts, watts, uncertainty }: PowerPoint, idle: PowerResult["idle"]): boolean {
  const doubt = (uncertainty ?? 0) * watts.median + (idle?.uncertainty_watts ?? 0);
  return net_watts !== null && Math.abs(net_watts.median) <= doubt;
}

/** Domains at the highest and the lowest load, where there is more than one. */
function domainLines(points: readonly PowerPoint[], kind: string): string[] {
  const told = [points.at(0), points.at(-1)].filter((point) => point !== undefined && point.domains.length > 1);
  return told.map((point) => {
    const { name, wait, load_percent: percent, domains } = point!;
    const parts = domains.map(
      (one) => `${one.name}${one.within === null ? "" : ` (in ${one.within})`} ${formatNumber(one.watts)} W`,
    );
    return `${kind}domains, ${name}, ${wait}, ${percent} %: ${parts.join(", ")}`;
  });
}

function plusMinus(watts: number | null, measured: boolean): string {
  return watts === null || !measured ? "" : ` +- ${formatNumber(watts)}`;
}
