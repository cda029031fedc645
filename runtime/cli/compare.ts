/** `wingbeat compare CHAIN.json`: CPU against GPU, placement by placement, on equal inputs. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import type { LoadedChain } from "../chain/load.js";
import { parseDevice } from "../device/choose.js";
import { openRunDevice } from "../engine/run-device.js";
import { BEST_CHAIN_FILE, writeBestChain } from "../experiment/best-chain.js";
import { runCompare } from "../experiment/compare.js";
import type { CompareResult } from "../experiment/compare-result.js";
import { LOCK_FILE } from "../experiment/folder-lock.js";
import { PreparedInputs } from "../experiment/input/prepare.js";
import { SAMPLES_FILE, SampleStore, samplesOf } from "../experiment/sample-store.js";
import { loadForExperiments } from "../experiment/variant.js";
import { METER_HELP, openRecorder } from "../measure/energy/choose.js";
import { checkReportFolder } from "../report/folder.js";
import { npfLines } from "./compare-npf.js";
import { type CompareFlags, compareRequest, DEFAULTS } from "./compare-options.js";
import { openStore, planFor } from "./compare-setup.js";
import { compareTable } from "./compare-table.js";
import { experimentProgress } from "./experiment-progress.js";
import { type ExperimentTools, REAL_TOOLS, resumeCommand, unannounced } from "./experiment-tools.js";
import { checkJson, warn, writeJson } from "./output.js";
import { writeSamples } from "./samples-csv.js";
import { stopOnSignals } from "./stop-on-signals.js";

/** The exit code. */
const INTERRUPTED = 1;
/** Packets of each generator that the proof takes. */
const PROVEN = 10_000;
const PROVEN_QUICK = 3000;
/** ms over which the idle machine is metered. */
const IDLE_MS = 3000;
const IDLE_QUICK_MS = 500;

export function addCompareCommand(program: Command, tools: ExperimentTools = REAL_TOOLS): void {
  program
    .command("compare")
    .description("compare CPU with GPU placements of a chain's NFs on equal inputs: rates, latency, energy, verdicts")
    .argument("<CHAIN.json>", "chain file")
    .option("--quick", "a first answer in under a minute: few sizes, placements and repeats, no rate search")
    .option("--report <DIR>", "folder for a report (HTML, PNG, CSV, JSON), the samples and best-chain.json")
    .option("--resume", "go on with the samples in the --report folder; with the same options")
    .option(
      "--sizes <LIST>",
      "frame sizes in bytes, imix, as-is (the input as it stands), or all; default: 64 to 1472 and imix",
    )
    .option(
      "--placements <LIST>",
      "NFs on the GPU joined by +, cpu, gpu (all that can), or all: ipsec,ipsec+nids; default: all",
    )
    .option(
      "--devices <LIST>",
      "as run's --device: auto, opencl, webgpu, gpujs, ...; none, the baseline, is always there",
      "auto",
    )
    .option("--cores <LIST>", "numbers of workers, or as run's --cores: d1,d1n2", "d1")
    .option("--repeats <N>", `samples of each cell and load; default ${DEFAULTS.repeats}`)
    .option("--warm-up <MS>", `before a sample's window; default ${DEFAULTS.warmUp}`)
    .option("--window <MS>", `that counts; default ${DEFAULTS.window}`)
    .option("--seed <N>", "of input, order of cells and IVs of the proof", "1")
    .option("--in <PORT>", "replaces the port named in: a capture, or generator:size=64,...")
    .option("--search", "search NDR (no loss) and PDR (loss up to 0.5 %) after RFC 2544; the default without --quick")
    .option("--no-search", "loads are then shares of the saturation rate")
    .option("--loads <LIST>", `percent of NDR at which latency is measured, or none; default ${DEFAULTS.loads}`)
    .option("--meter <METER>", `energy: ${METER_HELP}`, "auto")
    .option("--tdp <W>", "design power for nominal energy")
    .option("--npf", "RESULT-THROUGHPUT lines for npf instead of the table")
    .option("--json <FILE>", "write the result as JSON; -: stdout")
    .option("--csv <FILE>", "write every sample as CSV")
    .option("--quiet", "no progress and no table")
    .addHelpText(
      "after",
      "\nInterrupted (Ctrl-C) it says what was found until then, and ends with exit code 1; --resume goes on.",
    )
    .action(async (file: string, flags: CompareFlags) => {
      process.exitCode = await compareVerb(file, flags, tools);
    });
}

/** @returns the exit code: 1 where it was interrupted */
async function compareVerb(file: string, flags: CompareFlags, tools: ExperimentTools): Promise<number> {
  const request = compareRequest(flags);
  const progress = experimentProgress(flags.quiet === true);
  const say = (line: string) => {
    progress.clear();
    warn(line);
  };
  const chain = await loadForExperiments(file, say, request.input);
  const kept = flags.report === undefined ? [] : [samplesOf(flags.report)];
  checkJson(flags.json, [...chain.files, ...kept]);
  const json = flags.json === undefined ? [] : [{ file: flags.json, what: "which --json writes" }];
  checkJson(flags.csv, [...chain.files, ...kept, ...json], "--csv");
  if (flags.report !== undefined) checkReportFolder(flags.report, [SAMPLES_FILE, LOCK_FILE, BEST_CHAIN_FILE]);
  const devices = await tools.devices(chain, request.devices, say);
  const made = planFor(chain, request, flags.placements, devices);
  const store = flags.report === undefined ? SampleStore.inMemory() : openStore(flags.report, made, flags.resume, say);
  const scratch = mkdtempSync(join(tmpdir(), "wingbeat-compare-"));
  const stop = new AbortController();
  const release = stopOnSignals("stopping: what was measured until now is the result", () => stop.abort());
  try {
    const manifest = await tools.manifest();
    const recorder = await openRecorder(request.meter, say);
    try {
      await recorder?.measureIdle(request.quick ? IDLE_QUICK_MS : IDLE_MS);
      const prepared = new PreparedInputs(chain, { seed: request.seed, scratch, warn: say });
      const { signal } = stop;
      const runner = tools.runner(chain, {
        inputs: async (size) => (await prepared.for(size)).ports,
        energy: recorder,
        signal,
        warn: unannounced(say),
      });
      const { result, error } = await runCompare({
        ...{ plan: made.plan, files: made.files, store, runner, manifest, recorder, signal },
        prove: (cells) =>
          tools.prove(cells, {
            ...{ chain, seed: request.seed, scratch, signal, batch: cells[0]!.batch, warn: unannounced(say) },
            open: async (placed, { device, workgroups }) =>
              (await openRunDevice(
                placed,
                { request: parseDevice(device), workgroups, sliceMs: undefined },
                () => {},
              ))!,
            input: (size) => prepared.for(size),
            generated: request.quick ? PROVEN_QUICK : PROVEN,
            progress: (done, of) =>
              progress.show({ done, planned: of, secondsLeft: undefined, what: "proving that placements do the same" }),
          }),
        show: (now) => progress.show(now),
      });
      await runner.close();
      progress.clear();
      // Nothing was found out: an input that is unreadable, a device that does not open.
      if (error !== undefined && result.equivalence === null) throw error;
      const lost = await output(chain, result, flags);
      if (error !== undefined && lost !== undefined) warn((lost as Error).message);
      return conclude(result, error ?? lost, flags);
    } finally {
      recorder?.close();
    }
  } finally {
    progress.clear();
    release();
    store.close();
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * Writes everything that was asked for, also where one of it fails: a full disk of the report is none of `--json`'s.
 * @returns the first failure
 */
async function output(chain: LoadedChain, found: CompareResult, flags: CompareFlags): Promise<unknown> {
  const { report } = flags;
  const failures: unknown[] = [];
  const attempt = async (write: () => void | Promise<void>) => {
    try {
      await write();
      return true;
    } catch (error) {
      failures.push(error);
      return false;
    }
  };
  const { best } = found;
  const hasChain =
    report !== undefined &&
    best !== null &&
    (await attempt(() => writeBestChain(chain, best.placement, join(report, BEST_CHAIN_FILE))));
  const result = hasChain ? { ...found, best: { ...best, file: BEST_CHAIN_FILE } } : found;
  // Before the report, which takes a while.
  const people = flags.json === "-" || flags.csv === "-" ? process.stderr : process.stdout;
  if (flags.npf) people.write(npfLines(result));
  else if (!flags.quiet) people.write(compareTable(result, report));
  const { json, csv } = flags;
  if (json !== undefined) await attempt(() => writeJson(json, result));
  if (csv !== undefined) await attempt(() => writeSamples(csv, result));
  if (report !== undefined) await attempt(() => writeReportTo(report, result, flags.quiet === true));
  return failures[0];
}

/** The libraries that draw take longer to load than all others: only where something is drawn. */
async function writeReportTo(folder: string, result: CompareResult, quiet: boolean): Promise<void> {
  const { compareDocument } = await import("../report/compare-document.js");
  const { writeReport } = await import("../report/write.js");
  const { page, remarks } = await writeReport(compareDocument(result), folder);
  for (const remark of remarks) warn(`report: ${remark}`);
  if (!quiet) warn(`report: ${page}`);
}

/** @throws what it failed with */
function conclude(result: CompareResult, error: unknown, flags: CompareFlags): number {
  const kept = result.samples.length > 0 || result.equivalence?.equal === true;
  if (flags.report !== undefined && result.state === "interrupted" && kept) {
    warn(`what was measured is kept; this goes on with it: ${resumeCommand()}`);
  }
  if (error !== undefined) throw error;
  return result.state === "complete" ? 0 : INTERRUPTED;
}
