/** What the report of a comparison says, for who reads nothing but its summary, and for who reads its tables. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { latencyAt, usualLatency } from "../runtime/experiment/compare-best.js";
import type { CompareResult } from "../runtime/experiment/compare-result.js";
import { compareDocument } from "../runtime/report/compare-document.js";
import type { ReportDocument, Table } from "../runtime/report/document.js";
import { MADE_UP, madeUpComparison } from "./support/compare-result.js";

function table({ sections }: ReportDocument, title: RegExp): Table {
  const found = sections.flatMap(({ tables = [] }) => tables).find((one) => title.test(one.title));
  assert.ok(found, String(title));
  return found!;
}

/** The comparison with each size's throughput verdict as given. */
function withVerdicts(words: readonly ("cpu" | "gpu" | "no difference" | "none")[], ratio: number): CompareResult {
  const result = madeUpComparison();
  const verdicts = result.verdicts.map((one) => {
    if (one.metric !== "gbps") return one;
    const verdict = words[MADE_UP.sizes.indexOf(one.size)]!;
    const median = verdict === "cpu" ? 1 / ratio : ratio;
    return { ...one, verdict, ratio: { ...one.ratio!, median }, reason: "3 repeats decide nothing" };
  });
  return { ...result, verdicts };
}

test("the answer is first: sizes by who is better there, and by how much", () => {
  const first = (...args: Parameters<typeof withVerdicts>) => compareDocument(withVerdicts(...args)).summary[0];
  assert.is(
    first(["cpu", "cpu", "cpu", "no difference", "gpu", "gpu"], 2),
    "The GPU is faster at 1024 and 1472 B by a factor of 2.00; the CPU at 64 to 256 B by a factor of 2.00; no difference could be shown at 512 B.",
  );
  assert.is(
    first(["cpu", "cpu", "cpu", "cpu", "cpu", "cpu"], 4),
    "The CPU is faster at every size by a factor of 4.00.",
  );
  const none = "Throughput: no difference could be shown at any size.";
  assert.is(first(Array(6).fill("no difference"), 1), none);
  assert.is(first(Array(6).fill("none"), 1), "No verdict on throughput: 3 repeats decide nothing.");
  assert.is(
    first(["gpu", "none", "gpu", "cpu", "none", "none"], 2),
    "The GPU is faster at 64 and 256 B by a factor of 2.00; the CPU at 512 B by a factor of 2.00; no verdict at 128, 1024 and 1472 B.",
  );
});

test("at a glance, each size has its verdicts", () => {
  const document = compareDocument(withVerdicts(["cpu", "cpu", "gpu", "no difference", "none", "gpu"], 2));
  const { rows, columns } = table(document, /glance/);
  assert.equal(
    columns.map(({ name }) => name),
    ["Size", "Throughput", "p99 latency at 80 % of the lower NDR", "Gbps per watt"],
  );
  assert.equal(
    rows.map((row) => row.slice(0, 2)),
    [
      ["64 B", "CPU, 2.00 ×"],
      ["128 B", "CPU, 2.00 ×"],
      ["256 B", "GPU, 2.00 ×"],
      ["512 B", "no difference"],
      ["1024 B", "no verdict: 3 repeats decide nothing"],
      ["1472 B", "GPU, 2.00 ×"],
    ],
  );
});

test("of an emulated device it says so where it says anything, and marks nothing as a gain", () => {
  const document = compareDocument(madeUpComparison({ emulated: true, energy: "nominal" }));
  assert.match(document.summary[0]!, /^The emulated device is faster at 1472 B/);
  assert.match(document.summary.join("\n"), /No verdict on Gbps per watt: nominal energy\./);
  assert.match(document.summary.join("\n"), /emulation on the CPU: .* say nothing about what GPU hardware/);
  assert.not.match(JSON.stringify(table(document, /glance/).rows), /GPU/);
  assert.equal(table(document, /Verdicts by size/).marked, []);
});

test("nominal energy is called so wherever it is shown; without a meter that is said", () => {
  const document = compareDocument(madeUpComparison({ energy: "nominal" }));
  const energy = document.sections.find(({ heading }) => heading.startsWith("Energy"))!;
  for (const title of [
    energy.heading,
    ...energy.tables!.map((one) => one.title),
    ...energy.plots!.map((one) => one.title),
  ])
    assert.match(title, /nominal, not measured/);
  const without = compareDocument(madeUpComparison({ energy: "none" }));
  assert.match(without.sections.find(({ heading }) => heading === "Energy")!.text![0]!, /No energy was measured/);
});

test("every cell is in every table, with its interval or without where there is none", () => {
  const result = madeUpComparison({ repeats: 3 });
  const document = compareDocument(result);
  for (const title of [/Under saturation/, /NDR and PDR/, /^Energy/, /What can be had/])
    assert.is(table(document, title).rows.length, result.cells.length, String(title));
  assert.is(table(document, /Latency by load/).rows.length, result.cells.length * 3);
  assert.is(table(document, /Under saturation/).rows[0]![2], Number(result.cells[0]!.gbps.median).toPrecision(3));
  assert.match(document.sections.flatMap(({ plots = [] }) => plots)[0]!.caption, /too few for confidence intervals/);
});

test("latency has a plot with every load that was asked for, of every placement", () => {
  const result = madeUpComparison();
  const { plots } = compareDocument(result).sections.find(({ heading }) => heading === "Latency under load")!;
  assert.is(plots!.length, 3, "of the first, the middle and the last size");
  const drawn = JSON.stringify(plots![0]);
  for (const load of result.plan.loads) assert.match(drawn, new RegExp(`"${load} % of NDR"`));
});

test("the share of a cell's own rate stands for it, not the one at which it was compared with another", () => {
  const cell = madeUpComparison().cells[0]!;
  const [half, , most] = cell.latency;
  const shared = { ...half!, percent: 79.7, shared_with: ["another"] };
  const latency = [half!, shared, most!];
  assert.is(usualLatency({ ...cell, latency }, { loads: [50, 95] }), most);
  assert.is(latencyAt({ ...cell, latency }, 95), most);
  assert.is(latencyAt({ ...cell, latency }, 80), shared);
  assert.is(latencyAt({ ...cell, latency }, 90), undefined);
});

test("stopped before anything was measured there is still a report", () => {
  const nothing = { cells: [], verdicts: [], comparisons: [], crossovers: [], pareto: [], samples: [], best: null };
  const document = compareDocument({ ...madeUpComparison(), ...nothing, state: "interrupted", equivalence: null });
  assert.match(document.summary[0]!, /^Interrupted/);
  assert.equal(
    document.sections.map(({ heading }) => heading),
    ["Proof of equivalence", "How it was measured"],
  );
});

test.run();
