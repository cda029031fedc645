/** What a figure says of its samples: intervals, reasons, marks; and the chains it is measured with. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Sample } from "../runtime/experiment/cell.js";
import { writePaperChains } from "../runtime/experiment/paper/chains.js";
import { fig3 } from "../runtime/experiment/paper/fig3.js";
import { fig4a } from "../runtime/experiment/paper/fig4.js";
import { fig7 } from "../runtime/experiment/paper/fig7.js";
import { fig8 } from "../runtime/experiment/paper/fig8.js";
import type { PaperFigure } from "../runtime/experiment/paper/figure.js";
import { figureResult } from "../runtime/experiment/paper/figure-result.js";
import type { MeasuredCell } from "../runtime/experiment/paper/measure.js";
import { panelTable } from "../runtime/report/paper/tables.js";
import { folder } from "./chain-support.js";
import { FakeRunner } from "./support/fake-runner.js";
import { RAPL, spanOf } from "./support/samples.js";

const REPEATS = 7;

/** All series at one size, by the model. */
async function cells(figure: PaperFigure, change: (sample: Sample, series: string) => Sample): Promise<MeasuredCell[]> {
  const runner = new FakeRunner({ noise: 0 });
  return Promise.all(
    figure.series.map(async ({ name, chain, gpu, device, cores = "d1" }) => {
      const placement = Object.fromEntries(gpu.map((nf) => [nf, "gpu" as const]));
      const cell: MeasuredCell["cell"] = {
        ...{ chain: `${figure.id} ${chain}`, placement, device: device === "rounds" ? "opencl:rounds" : "opencl" },
        ...{ size: 512, cores, workgroups: undefined, wait: "adaptive" as const, batch: 64 },
      };
      const saturation: Sample[] = [];
      for (let repeat = 0; repeat < REPEATS; repeat++) {
        const sample = await runner.measure(cell, { kind: "saturation" }, { warmUpMs: 0, windowMs: 100 }, repeat);
        saturation.push(change(sample, name));
      }
      return { series: name, chain, cell, saturation, offered: [] };
    }),
  );
}

const same = (sample: Sample) => sample;
const emulated = (sample: Sample): Sample => ({
  ...sample,
  device: sample.device && { ...sample.device, emulated: true },
});

test("the difference of two series is that of their pairs, and knows its sign", async () => {
  // 93/7 has 1 Gbps more in every round, though rounds differ by much more.
  const measured = await cells(fig7, (sample, series) => ({
    ...sample,
    gbps: 10 + 5 * sample.repeat + (series.includes("93") ? 1 : 0),
    sync: { ...sample.sync, packets: 100, dummies: series.includes("93") ? 7 : 50 },
  }));
  const { findings } = figureResult(fig7, measured, 8);
  const [gbps, dummies] = findings;
  assert.equal([gbps!.value!.median, gbps!.value!.low, gbps!.value!.high], [1, 1, 1]);
  assert.is(gbps!.paper, "0 to 0.7");
  const share = (entries: number) => (100 * entries) / (100 + entries);
  assert.ok(Math.abs(dummies!.value!.median - (share(7) - share(50))) < 1e-9);
});

test("a device without persistent kernels is not compared with itself", async () => {
  const measured = await cells(fig3, (sample) => ({ ...sample, device: { ...sample.device!, persistent: false } }));
  const { findings } = figureResult(fig3, measured, 8);
  assert.is(findings[0]!.value, null);
  assert.match(findings[0]!.reason!, /runs no persistent kernels/);
  const fit = figureResult(fig3, await cells(fig3, same), 8).findings[0]!;
  assert.ok(fit.value!.median > 0);
  assert.is(fit.paper_value, 10);
});

test("configurations beyond the machine's cores are marked; an emulated device takes one", async () => {
  const threads = async (change: (sample: Sample) => Sample, processors: number) =>
    figureResult(fig4a, await cells(fig4a, change), processors).series.map((one) => [
      one.name,
      one.threads,
      one.oversubscribed,
    ]);
  assert.equal(await threads(same, 3), [
    ["c1d1", 2, false],
    ["c2d1", 3, false],
    ["c1d2", 3, false],
    ["c2d2", 4, true],
  ]);
  assert.equal((await threads(emulated, 2))[0], ["c1d1", 3, true]);
  const figure = figureResult(fig4a, await cells(fig4a, emulated), 4);
  assert.ok(figure.emulated);
  const table = panelTable(figure, figure.panels[0]!);
  assert.match(table.title, /\(emulated\)/);
  assert.equal(
    table.columns.map(({ name }) => name),
    ["Size", "c1d1", "c2d1", "c1d2", "c2d2, oversubscribed"],
  );
});

test("energy: measured has a ratio, nominal is called so and has none, and without a meter there is no figure", async () => {
  const nominal = { ...RAPL, kind: "nominal", provenance: "nominal" } as const;
  const metered = (meter: typeof RAPL) => (sample: Sample) => ({ ...sample, energy: spanOf(30, 10, meter) });
  const of = async (change: (sample: Sample) => Sample) => figureResult(fig8, await cells(fig8, change), 8);
  const perWatt = ({ findings }: Awaited<ReturnType<typeof of>>) => findings.find(({ panel }) => panel === "per-watt")!;
  const measured = await of(metered(RAPL));
  assert.is(measured.panels[1]!.provenance, "measured");
  assert.ok(perWatt(measured).value!.median > 0);
  const guessed = await of(metered(nominal));
  assert.match(panelTable(guessed, guessed.panels[1]!).title, /nominal, not measured/);
  assert.is(perWatt(guessed).value, null);
  assert.match(perWatt(guessed).reason!, /nominal/);
  const none = await of(same);
  assert.not.ok(none.points.some(({ panel }) => panel === "per-watt"));
  assert.match(perWatt(none).reason!, /no meter was running/);
});

test("the chains are the same bytes every time: 147 different literals, and traffic that is made of nothing else", () => {
  const [one, two] = [folder(), folder()];
  writePaperChains(one);
  writePaperChains(two);
  const names = readdirSync(one);
  assert.equal(readdirSync(two), names);
  for (const name of names)
    assert.is(readFileSync(join(one, name), "utf8"), readFileSync(join(two, name), "utf8"), name);
  const rules = readFileSync(join(one, "literals.rules"), "utf8");
  assert.is(new Set([...rules.matchAll(/content:"([^"]+)"/g)].map(([, literal]) => literal)).size, 147);
  const { streams } = JSON.parse(readFileSync(join(one, "mix-93-7.json"), "utf8")).ports.in;
  assert.equal(
    streams.map(({ weight }: { weight: number }) => weight),
    [93, 7],
  );
});

test.run();
