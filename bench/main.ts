/**
 * Runs the benchmarks: node dist/bench/main.js [NF...] [--quick] [--json FILE]
 * Every file beside this one that exports `benches` takes part.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { ConfigError, exitCodeOf } from "../runtime/errors.js";
import { SIZES, type Size } from "./frames.js";
import { type Bench, type BenchOptions, type Measurement, measure, provenance, renderTable } from "./harness.js";
import { pinToOneProcessor } from "./pin.js";

const here = dirname(fileURLToPath(import.meta.url));

interface Flags {
  readonly quick?: boolean;
  readonly json?: string;
  readonly sizes: readonly Size[];
  readonly seed: number;
  readonly repeats?: number;
}

async function findBenches(): Promise<Bench[]> {
  const benches: Bench[] = [];
  for (const file of readdirSync(here).sort()) {
    if (!file.endsWith(".js") || file === "main.js") continue;
    const module = (await import(pathToFileURL(join(here, file)).href)) as { benches?: readonly Bench[] };
    benches.push(...(module.benches ?? []));
  }
  return benches;
}

async function run(names: readonly string[], flags: Flags): Promise<void> {
  const known = await findBenches();
  for (const name of names) {
    if (known.some((bench) => bench.nf === name)) continue;
    const good = known.map((bench) => bench.nf).join(", ");
    throw new ConfigError("bench", `no benchmark is named ${JSON.stringify(name)}`, `use one of: ${good}`);
  }
  const quick = flags.quick ?? false;
  const processor = pinToOneProcessor();
  const repeats = flags.repeats ?? (quick ? 3 : 11);
  const scratch = mkdtempSync(join(tmpdir(), "wingbeat-bench-"));
  const options: BenchOptions = {
    quick,
    seed: flags.seed,
    frames: quick ? 8192 : 32768,
    data: process.env.WINGBEAT_DATA ?? join(here, "../../../shared/data"),
    scratch,
    warn: (line) => console.error(line),
  };
  const results: Measurement[] = [];
  const notes: Record<string, string> = {};
  const skipped = new Set<string>();
  try {
    for (const bench of known) {
      if (names.length > 0 && !names.includes(bench.nf)) continue;
      const setup = await bench.setUp(options);
      notes[bench.nf] = setup.note;
      for (const size of flags.sizes) {
        const frames = setup.frames(size);
        const opened = await setup.subjects(frames);
        for (const line of opened.skipped) skipped.add(line);
        console.error(
          `${bench.nf}, ${frames.name}: ${opened.subjects.map((subject) => subject.name).join(" against ")}`,
        );
        try {
          results.push(...(await measure(bench.nf, frames, opened.subjects, repeats)));
        } finally {
          for (const subject of opened.subjects) await subject.close();
        }
      }
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const origin: Record<string, unknown> = { ...provenance(), pinned_to: processor ?? null };
  if (flags.json !== "-") {
    console.log(renderTable(results));
    console.log(
      `${origin.cpu}, Node ${origin.node}: ${origin.method}${processor === undefined ? "" : `, pinned to processor ${processor}`}; ${repeats} repeats, seed ${flags.seed}`,
    );
    for (const [nf, note] of Object.entries(notes)) console.log(`${nf}: ${note}`);
    for (const line of skipped) console.log(`skipped: ${line}`);
  }
  if (flags.json !== undefined) {
    const report = { ...origin, quick, repeats, seed: flags.seed, notes, results, skipped: [...skipped] };
    const text = `${JSON.stringify(report, null, 2)}\n`;
    if (flags.json === "-") process.stdout.write(text);
    else writeFileSync(flags.json, text);
  }
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
  .description("Measures NFs on one core against the same work in C on the same libraries")
  .argument("[nf...]", "which NFs; default all")
  .option("--quick", "3 repeats on fewer frames")
  .option("--repeats <n>", "repeats of each subject", parseCount)
  .option("--sizes <list>", `frame sizes, of ${SIZES.join(",")}`, parseSizes, [...SIZES])
  .option("--seed <n>", "seed of the frames", parseCount, 1)
  .option("--json <file>", "write the results as JSON; - for stdout instead of the table");
program.action((names: string[]) => run(names, program.opts<Flags>()));
try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = exitCodeOf(error);
}
