/**
 * Runs benchmarks and experiments: node dist/bench/main.js [NAME...] [--quick] [--json FILE]
 * Every file beside this one that exports `benches` takes part, and every file in the folders of find.ts that exports `experiments`.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { ConfigError, exitCodeOf } from "../runtime/errors.js";
import type { CellOptions, Experiment, Finding } from "./experiment.js";
import { checkDrawn, type Measured, makeFolder, readMeasured, writeFigures } from "./figures.js";
import { findBenches, findExperiments } from "./find.js";
import { SIZES, type Size } from "./frames.js";
import { type Bench, type BenchOptions, type Measurement, measure, provenance } from "./harness.js";
import { pinToOneProcessor } from "./pin.js";
import { printReport } from "./report.js";
import { runExperiment } from "./run-experiment.js";

const here = dirname(fileURLToPath(import.meta.url));

interface Flags {
  readonly quick?: boolean;
  readonly json?: string;
  readonly markdown?: boolean;
  readonly list?: boolean;
  readonly figures?: string;
  readonly from?: string;
  readonly sizes: readonly Size[];
  readonly seed: number;
  readonly repeats?: number;
}

/** Options that say how to measure, and what to write of it. */
const OF_MEASURING = ["quick", "repeats", "markdown", "json"] as const;
/** Repeats, and ms of an experiment's turn. */
const QUICK = { repeats: 3, frames: 8192, turnMs: 60 };
const FULL = { repeats: 11, frames: 32768, turnMs: 200 };

/** `device` names device-rows and all others that begin so. */
function isNamed(experiment: Experiment, name: string): boolean {
  return experiment.name === name || experiment.name.startsWith(`${name}-`);
}

async function run(names: readonly string[], flags: Flags): Promise<void> {
  const benches = await findBenches();
  const experiments = await findExperiments();
  if (flags.list === true) {
    for (const { nf } of benches) console.log(nf);
    for (const { name, about } of experiments) console.log(`${name}: ${about}`);
    return;
  }
  for (const name of names) {
    if (benches.some((bench) => bench.nf === name) || experiments.some((one) => isNamed(one, name))) continue;
    const good = [...benches.map((bench) => bench.nf), ...experiments.map((one) => one.name)].join(", ");
    throw new ConfigError("bench", `no benchmark is named ${JSON.stringify(name)}`, `use one of: ${good}`);
  }
  if (flags.from !== undefined && flags.figures === undefined)
    throw new ConfigError("--from", "draws figures", "add --figures FOLDER");
  const idle = flags.from === undefined ? undefined : OF_MEASURING.find((name) => flags[name] !== undefined);
  if (idle !== undefined)
    throw new ConfigError(`--${idle}`, "there is nothing to measure or write with --from", "leave it out");
  const measured = flags.from === undefined ? undefined : readMeasured(flags.from);
  if (flags.figures !== undefined) {
    checkDrawn(wantedOf(experiments, names));
    makeFolder(flags.figures);
    if (measured !== undefined) return drawFigures(flags.figures, experiments, names, measured);
  }
  const quick = flags.quick ?? false;
  const { repeats: usual, frames, turnMs } = quick ? QUICK : FULL;
  const repeats = flags.repeats ?? usual;
  const scratch = mkdtempSync(join(tmpdir(), "wingbeat-bench-"));
  const options: BenchOptions = {
    quick,
    seed: flags.seed,
    frames,
    data: process.env.WINGBEAT_DATA ?? join(here, "../../../shared/data"),
    scratch,
    warn: (line) => console.error(line),
  };
  const findings: Finding[] = [];
  const results: Measurement[] = [];
  const notes: Record<string, string> = {};
  const remarks: string[] = [];
  const skipped = new Set<string>();
  const failed: string[] = [];
  let processor: number | undefined;
  try {
    // Experiments first: they need all processors, and the benchmarks are pinned to one.
    const cellOptions: CellOptions = { ...options, repeats, turnMs };
    for (const experiment of wantedOf(experiments, names)) {
      console.error(`${experiment.name}: ${experiment.about}`);
      const report = await runExperiment(experiment, cellOptions);
      findings.push(...report.findings);
      remarks.push(...report.notes);
      for (const line of report.skipped) skipped.add(line);
      for (const line of report.failed) console.error(`FAILED ${line}`);
      failed.push(...report.failed);
    }
    const wanted = benches.filter((bench) => names.length === 0 || names.includes(bench.nf));
    if (wanted.length > 0) processor = pinToOneProcessor();
    for (const bench of wanted) {
      notes[bench.nf] = await runBench(bench, options, flags.sizes, repeats, results, skipped);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const origin = { ...provenance(), pinned_to: processor ?? null };
  const report = {
    ...origin,
    quick,
    repeats,
    seed: flags.seed,
    notes,
    results,
    findings,
    remarks,
    skipped: [...skipped],
    failed,
  };
  if (failed.length > 0) process.exitCode = 1;
  if (flags.json !== "-") printReport(report, flags.markdown ?? false);
  if (flags.json !== undefined) {
    const text = `${JSON.stringify(report, null, 2)}\n`;
    if (flags.json === "-") process.stdout.write(text);
    else writeFileSync(flags.json, text);
  }
  if (flags.figures !== undefined) {
    await drawFigures(flags.figures, experiments, names, { findings, cores: cpus().length });
  }
}

/** Those named; without names all. */
function wantedOf(experiments: readonly Experiment[], names: readonly string[]): readonly Experiment[] {
  return experiments.filter((one) => names.length === 0 || names.some((name) => isNamed(one, name)));
}

async function drawFigures(
  folder: string,
  experiments: readonly Experiment[],
  names: readonly string[],
  measured: Measured,
): Promise<void> {
  for (const file of await writeFigures(folder, wantedOf(experiments, names), measured))
    console.error(`drawn: ${file}`);
}

/** @returns what was loaded */
async function runBench(
  bench: Bench,
  options: BenchOptions,
  sizes: readonly Size[],
  repeats: number,
  results: Measurement[],
  skipped: Set<string>,
): Promise<string> {
  const setup = await bench.setUp(options);
  for (const size of sizes) {
    const frames = setup.frames(size);
    const opened = await setup.subjects(frames);
    for (const line of opened.skipped) skipped.add(line);
    console.error(`${bench.nf}, ${frames.name}: ${opened.subjects.map((subject) => subject.name).join(" against ")}`);
    try {
      results.push(...(await measure(bench.nf, frames, opened.subjects, repeats)));
    } finally {
      for (const subject of opened.subjects) await subject.close();
    }
  }
  return setup.note;
}

function parseSizes(text: string): Size[] {
  return text.split(",").map((name) => {
    const size = SIZES.find((candidate) => candidate === name.toLowerCase());
    if (size === undefined) throw new InvalidArgumentError(`sizes are ${SIZES.join(", ")}`);
    return size;
  });
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError("expected a whole number from 1 on");
  return count;
}

const program = new Command("bench")
  .description("Measures NFs on one core against the same work in C on the same libraries, and what a GPU device does")
  .argument("[name...]", "which benchmarks and experiments; default all; device: all that begin with device-")
  .option("--list", "what there is, and nothing else")
  .option("--quick", "3 repeats on fewer frames, shorter turns")
  .option("--repeats <n>", "repeats of each subject", parseCount)
  .option("--sizes <list>", `frame sizes of the benchmarks, of ${SIZES.join(",")}`, parseSizes, [...SIZES])
  .option("--seed <n>", "seed of the frames", parseCount, 1)
  .option("--markdown", "tables as Markdown")
  .option("--json <file>", "write the results as JSON; - for stdout instead of the tables");
program
  .option("--figures <folder>", "draw the figures of experiments that have some, as SVG and PNG")
  .option("--from <file>", "with --figures: draw what --json has written before, and measure nothing");
program.action((names: string[]) => run(names, program.opts<Flags>()));
try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = exitCodeOf(error);
}
