/** The verb `paper` as its users meet it, on a model instead of chains: figures, the paper's numbers, refusals, resuming. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Cell, onGpu } from "../runtime/experiment/cell.js";
import { PAPER_FIGURES } from "../runtime/experiment/paper/figures.js";
import type { FigureResult, PaperResult } from "../runtime/experiment/paper/result.js";
import { folder, wingbeat } from "./chain-support.js";
import { paper, paperResult } from "./support/paper-model.js";

const NO_METER = ["--meter", "none"];

const figureOf = ({ figures }: PaperResult, id: string): FigureResult => figures.find((one) => one.id === id)!;

test("without a figure: which there are, and what they show", async () => {
  const { stdout, error } = await paper([]);
  assert.is(error, undefined);
  for (const { id, shows } of PAPER_FIGURES) assert.ok(stdout.includes(`${id.padEnd(6)} ${shows}\n`), id);
});

test("all figures: tables, JSON, report, and the chains to run", async () => {
  const cwd = folder();
  const report = join(cwd, "r");
  const json = join(cwd, "r.json");
  const { stdout, error, exitCode } = await paper(["all", "--quick", ...NO_METER, "--report", report, "--json", json]);
  assert.is(error, undefined);
  assert.is(exitCode, 0);
  const result = paperResult(cwd);
  assert.is(result.state, "complete");
  assert.equal(
    result.figures.map(({ id }) => id),
    PAPER_FIGURES.map(({ id }) => id),
  );
  assert.equal(result.progress.done, result.progress.planned);
  assert.is(result.samples.length, result.progress.planned);
  assert.equal(result.plan.sizes, [64, 1472]);
  for (const { id, points, findings } of result.figures) {
    assert.ok(points.length > 0, id);
    assert.ok(findings.length > 0, id);
  }
  // The numbers that the paper's text gives, at their places and nowhere else.
  const said = result.figures.flatMap(({ id, points }) =>
    points.flatMap(({ series, size, paper: number }) => (number === null ? [] : [`${id} ${series} ${size} ${number}`])),
  );
  assert.equal(said, ["fig6 g-chain 1472 8.46", "fig6 c-chain 1472 1.9"]);
  assert.match(stdout, /fig6: Static chain/);
  assert.match(stdout, /│ +1,472 │ +[0-9.]+ \[[^\]]+\] │ +8\.46 │ +[0-9.]+ \[[^\]]+\] │ +1\.90 │/);
  assert.match(stdout, /g-chain over c-chain +│ +1,472 │.*│ 4\.45 +│/);
  assert.match(stdout, /no energy meter was running/);
  const page = readFileSync(join(report, "index.html"), "utf8");
  for (const { id } of PAPER_FIGURES) assert.ok(page.includes(`<h2 id`) && page.includes(`${id}: `), id);
  assert.ok(existsSync(join(report, "plots", "fig6-throughput.png")));
  assert.match(readFileSync(join(report, "data", "points.csv"), "utf8"), /fig6,throughput,Gbps,,g-chain,1472,/);
  assert.equal(paperResult(report, "result.json").figures, result.figures);
  const checked = wingbeat(["check", join(report, "chains", "mix-93-7.json"), "--json", "-"], cwd);
  assert.is(checked.code, 0, checked.stderr);
});

test("medians and ratios are those of the model", async () => {
  const cwd = folder();
  const gpus = ({ placement }: Cell) => onGpu(placement).length;
  // g-chain 3 Mpps, c-chain 1 Mpps.
  const model = { noise: 0, capacity: (cell: Cell) => (gpus(cell) === 2 ? 3e6 : 1e6) };
  const { error } = await paper(["fig6", "--sizes", "1000", "--json", join(cwd, "r.json")], model);
  assert.is(error, undefined);
  const { points, findings } = figureOf(paperResult(cwd), "fig6");
  assert.equal(
    points.map(({ series, value }) => [series, value.median, value.samples]),
    [
      ["g-chain", 24, 7],
      ["c-chain", 8, 7],
    ],
  );
  const [ratio] = findings;
  assert.ok(Math.abs(ratio!.value!.median - 3) < 1e-9);
  assert.is(ratio!.paper, "above 1");
  assert.is(ratio!.paper_value, null);
});

test("latency is of the same load for all series of a chain", async () => {
  const cwd = folder();
  const capacity = ({ placement }: Cell) => (onGpu(placement).length > 0 ? 4e6 : 1e6);
  const { error } = await paper(["fig5", "--quick", "--json", join(cwd, "r.json")], { noise: 0, capacity });
  assert.is(error, undefined);
  const result = paperResult(cwd);
  const offered = result.samples.flatMap(({ load }) => (load.kind === "offered" ? [load.pps] : []));
  assert.is(offered.length, 5 * 2 * 3);
  // Half of the CPU's, which is the lower one.
  assert.equal(new Set(offered), new Set([5e5]));
  const latency = figureOf(result, "fig5").findings.filter(({ panel }) => panel === "latency");
  assert.is(latency.length, 4);
  // The model's queue: 10 us / (1 - busy), busy 1/2 and 1/8.
  for (const { value } of latency) assert.ok(Math.abs(value!.median - 2 / (8 / 7)) < 1e-9);
});

test("every round has all series at all sizes once, in another order", async () => {
  const cwd = folder();
  const { error } = await paper(["fig4", "--quick", "--json", join(cwd, "r.json")]);
  assert.is(error, undefined);
  const { samples } = paperResult(cwd);
  for (const chain of ["fig4a ipsec", "fig4b two"]) {
    const keys = samples.filter(({ cell }) => cell.chain === chain).map(({ key }) => key);
    const rounds = [0, 1, 2].map((round) => keys.slice(8 * round, 8 * round + 8));
    assert.is(keys.length, 24);
    for (const round of rounds) assert.is(new Set(round).size, 8);
    assert.not.equal(rounds[0], rounds[1]);
  }
});

test("a figure without its device is refused; of all of them it is left out", async () => {
  const refused = async (words: RegExp, ...args: string[]) => {
    const { error } = await paper(args);
    assert.is(error?.name, "ConfigError", args.join(" "));
    assert.match(error!.message, words);
  };
  await refused(/fig6: it has NFs on a GPU, and there is no device.*fig5 shows/s, "fig6", "--device", "none");
  await refused(/fig3: it has a persistent kernel, which webgpu does not run/, "fig3", "--device", "webgpu");
  await refused(
    /fig3: it has a persistent kernel, which opencl:rounds does not run/,
    "fig3",
    "--device",
    "opencl:rounds",
  );
  await refused(/ipsec.*does not run on gpujs/s, "fig6", "--device", "gpujs");
  await refused(/there is no figure "fig9".*fig3, fig4a/s, "fig9");
  await refused(/frame sizes in bytes/, "fig6", "--sizes", "64,imix");
  await refused(/--resume.*goes on with the samples of a report/, "fig6", "--resume");
  await refused(/--repeats/, "fig6", "--repeats", "0");
  await refused(/--cores/, "fig6", "--cores", "x1");
  const cwd = folder();
  const { error } = await paper(["all", "--quick", "--device", "none", "--json", join(cwd, "r.json")]);
  assert.is(error, undefined);
  const result = paperResult(cwd);
  assert.equal(
    result.figures.map(({ id, series }) => [id, series.map(({ name }) => name)]),
    [["fig5", ["IPsec (CPU)", "NIDS (CPU)", "Router (CPU)"]]],
  );
  assert.is(result.plan.left_out.length, PAPER_FIGURES.length - 1 + 2);
  assert.ok(result.warnings.some((line) => line.startsWith("left out: fig3: ")));
});

test("series that give other packets are refused, before any figure", async () => {
  const cwd = folder();
  const args = ["fig6", "--quick", "--json", join(cwd, "r.json"), "--report", join(cwd, "r")];
  const { error, stdout, runners } = await paper(args, {}, { differs: true });
  assert.is(error?.name, "RunError");
  assert.match(error!.message, /gives another result than all on cpu/);
  assert.match(stdout, /REFUSED/);
  assert.is(runners.length, 0);
  const { state, figures, samples } = paperResult(cwd);
  assert.equal([state, figures, samples], ["refused", [], []]);
});

test("what failed midway goes on with --resume, and nothing is measured twice", async () => {
  const cwd = folder();
  const args = ["fig6", "--quick", "--json", join(cwd, "r.json"), "--report", join(cwd, "r")];
  const before = (call: number) => {
    if (call === 5) throw new Error("the device is gone");
  };
  const failed = await paper(args, { before });
  assert.match(failed.error!.message, /the device is gone/);
  assert.is(paperResult(cwd).state, "interrupted");
  assert.is(paperResult(cwd).samples.length, 5);
  assert.match((await paper(args)).error!.message, /samples of an earlier experiment/);
  const other = await paper([...args, "--resume", "--seed", "2"]);
  assert.match(other.error!.message, /seed: 1 there, 2 now/);
  const resumed = await paper([...args, "--resume"]);
  assert.is(resumed.error, undefined);
  assert.is(resumed.runners[0]!.calls.length, 12 - 5);
  const whole = await paper(["fig6", "--quick", "--json", join(cwd, "w.json")]);
  assert.is(whole.error, undefined);
  assert.equal(paperResult(cwd).figures, paperResult(cwd, "w.json").figures);
});

test("--npf: lines as npf reads them", async () => {
  const { stdout } = await paper(["fig5,fig7", "--quick", "--npf"], { noise: 0, capacity: () => 1e6 });
  const npf = /^SIZE-(64|1472)-RESULT-([A-Za-z0-9_:~.@()-]+) -?[0-9.]+(?:e[+-][0-9]+)?$/;
  const lines = stdout.trim().split("\n");
  for (const line of lines) assert.match(line, npf);
  assert.ok(lines.includes("SIZE-1472-RESULT-THROUGHPUT-fig5:Router_(CPU) 11776000000"));
  assert.ok(lines.some((line) => line.includes("RESULT-LATENCY50-fig5:NIDS_(GPU) ")));
  assert.ok(lines.some((line) => line.includes("RESULT-DUMMYSHARE-fig7:f1_93__")));
});

test.run();
