/** What makes a comparison one of equals: the same packets out, each NF's share of them, and how it was measured. */
import { sizeName } from "../../experiment/compare-plan.js";
import type { CompareResult } from "../../experiment/compare-result.js";
import type { Section, Table } from "../document.js";
import { groupedBars } from "../plots.js";
import { passes } from "./summary.js";
import { listed, sizesListed } from "./words.js";

/** Placements see the same packets, so the baseline's shares stand for all. */
export function sharesSection({ cells }: CompareResult): Section | null {
  const baselines = cells.filter(({ baseline, nfs }, index) => {
    const first = cells.findIndex((one) => one.baseline && one.cell.size === cells[index]?.cell.size);
    return baseline && nfs.length > 0 && first === index;
  });
  if (baselines.length === 0) return null;
  const points = baselines.flatMap(({ cell, nfs }) =>
    nfs.map(({ name, share }) => ({ series: sizeName(cell.size), x: name, y: share * 100 })),
  );
  const rows = cells.filter((cell) => cell.rows !== null);
  return {
    heading: "What the network functions saw",
    text: [
      "The share of received packets that each NF saw; above 100 % where packets come to it more than once. A capture that is resized has its flows kept, so shares can differ by size.",
    ],
    plots: [
      groupedBars(
        {
          id: "nf-shares",
          title: "Packets each NF saw",
          caption: "With all on the CPU; other placements see the same, as the proof below says.",
          alt: `Share of the received packets by NF and frame size: ${listed(points.slice(0, 6).map(({ x, y, series }) => `${x} ${y.toFixed(0)} % at ${series}`))}.`,
        },
        { name: "network function" },
        { name: "packets seen", unit: "% of received" },
        points,
      ),
    ],
    tables: rows.length === 0 ? [] : [rowsTable(rows)],
  };
}

function rowsTable(cells: CompareResult["cells"]): Table {
  return {
    title: "Rows of the device's queues",
    columns: [
      { name: "Size" },
      { name: "Placement" },
      { name: "Device" },
      { name: "Kernel" },
      { name: "Workgroups", digits: 0 },
      { name: "Packets per row" },
      { name: "Dummies", unit: "% of entries", digits: 1 },
      { name: "Copied", unit: "bytes a packet" },
    ],
    rows: cells.map(({ cell, name, device, rows }) => [
      sizeName(cell.size),
      name,
      device === null ? "" : `${device.name}${device.emulated ? " (emulated)" : ""}`,
      device === null
        ? ""
        : `${device.persistent ? "persistent" : "rounds"}, ${device.zero_copy ? "zero-copy" : "copies"}`,
      device?.workgroups ?? null,
      rows?.packets_per_row ?? null,
      rows === null ? null : rows.dummy_share * 100,
      rows?.bytes_copied_per_packet ?? null,
    ]),
  };
}

export function equivalenceSection({ equivalence }: Pick<CompareResult, "equivalence">): Section {
  const heading = "Proof of equivalence";
  if (equivalence === null) return { heading, text: ["It was stopped before this was known."] };
  const { cases, equal, packets } = equivalence;
  return {
    heading,
    text: [
      equal
        ? `Before anything was timed, each placement had the same input, ${passes(packets)}, and gave the same frames in the same order, the same alerts, outcomes and drops as all on the CPU.`
        : "Placements gave different packets. Figures of such a comparison would mean nothing, so none were taken.",
    ],
    tables: [
      {
        title: "Digests of the untimed pass",
        columns: [
          { name: "Size" },
          { name: "Placement" },
          { name: "Packets", digits: 0 },
          { name: "Result" },
          { name: "Frames" },
          { name: "Alerts" },
        ],
        rows: cases.map((one) => [
          sizeName(one.size),
          one.name,
          one.packets,
          one.differences.length === 0 ? "equal" : one.differences.join("; "),
          one.digest,
          one.alerts_digest,
        ]),
        marked: cases.flatMap(({ differences }, index) => (differences.length > 0 ? [index] : [])),
      },
    ],
  };
}

export function measuredSection({ plan, progress, best, state }: CompareResult): Section {
  const search = plan.search ? "rates were also searched by RFC 2544" : "rates were not searched by RFC 2544";
  const loads =
    plan.loads.length === 0
      ? "latency under load was not measured"
      : `latency was taken at ${listed(plan.loads.map(String))} % of ${plan.loads_of === "ndr" ? "NDR" : "the saturation rate"}`;
  const file = best === null || best.file === null ? [] : [`A chain file with the best placement: ${best.file}.`];
  return {
    heading: "How it was measured",
    text: [
      `${plan.placements.length} placements at ${sizesListed(plan.sizes)}, input ${plan.input}, seed ${plan.seed}; ${plan.repeats} repeats of ${plan.window_ms} ms each after ${plan.warm_up_ms} ms of warm-up, all cells in turns; ${search}; ${loads}.`,
      `${progress.done} of ${progress.planned} measurements were made${state === "interrupted" ? " before it was interrupted" : ""}.`,
      ...file,
    ],
    tables:
      plan.left_out.length === 0
        ? []
        : [
            {
              title: "Left out",
              columns: [{ name: "What" }, { name: "Why" }],
              rows: plan.left_out.map(({ what, why }) => [what, why]),
            },
          ],
  };
}
