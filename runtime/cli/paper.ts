/** `wingbeat paper FIGURE`: the experiments of the Hummingbird paper on this machine. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { parseDevice } from "../device/choose.js";
import { openRunDevice } from "../engine/run-device.js";
import { LOCK_FILE } from "../experiment/folder-lock.js";
import { PreparedInputs } from "../experiment/input/prepare.js";
import { type PaperChain, writePaperChains } from "../experiment/paper/chains.js";
import type { PaperFigure } from "../experiment/paper/figure.js";
import { ALL_FIGURES, parseFigures } from "../experiment/paper/figures.js";
import { ManyChains } from "../experiment/paper/many-chains.js";
import { type PaperEnd, runPaper } from "../experiment/paper/paper.js";
import type { PaperResult } from "../experiment/paper/result.js";
import { SAMPLES_FILE, SampleStore } from "../experiment/sample-store.js";
import { METER_HELP, openRecorder } from "../measure/energy/choose.js";
import type { EnergyRecorder } from "../measure/energy/meter.js";
import { checkReportFolder } from "../report/folder.js";
import { openStore } from "./compare-setup.js";
import { experimentProgress, type ProgressView } from "./experiment-progress.js";
import { type ExperimentTools, REAL_TOOLS, resumeCommand, unannounced } from "./experiment-tools.js";
import { checkJson, warn, writeJson } from "./output.js";
import { paperNpfLines } from "./paper-npf.js";
import { PAPER_DEFAULTS, type PaperFlags, type PaperRequest, paperRequest } from "./paper-options.js";
import { CHAINS_FOLDER, type PaperSetup, setUp } from "./paper-setup.js";
import { figureList, paperTable } from "./paper-table.js";
import { stopOnSignals } from "./stop-on-signals.js";

/** The exit code. */
const INTERRUPTED = 1;
/** Packets that the proof takes. */
const PROVEN = 10_000;
const PROVEN_QUICK = 3000;
/** ms over which the idle machine is metered. */
const IDLE_MS = 3000;
const IDLE_QUICK_MS = 500;

export function addPaperCommand(program: Command, tools: ExperimentTools = REAL_TOOLS): void {
  program
    .command("paper")
    .description(
      "the experiments of the Hummingbird paper, figure by figure, the paper's numbers beside this machine's",
    )
    .argument("[FIGURES]", "fig3, fig4a, fig4b, fig5, ..., several by commas, or all; none: lists them")
    .option("--device <KIND>", "as run takes it; none: what the CPU does alone (fig5)", "auto")
    .option("--cores <SPEC>", "as run takes it, where a figure does not say", "d1")
    .option("--sizes <LIST>", `frame sizes in bytes; default ${PAPER_DEFAULTS.sizes}`)
    .option("--repeats <N>", `samples of each point; default ${PAPER_DEFAULTS.repeats}`)
    .option("--warm-up <MS>", `before a sample's window; default ${PAPER_DEFAULTS.warmUp}`)
    .option("--window <MS>", `that counts; default ${PAPER_DEFAULTS.window}`)
    .option("--seed <N>", "of the order of measurements and the IVs of the proof", "1")
    .option("--quick", "a figure in under a minute: two sizes, fewer and shorter samples")
    .option("--meter <METER>", `energy, for fig8: ${METER_HELP}`, "auto")
    .option("--tdp <W>", "design power for nominal energy")
    .option("--report <DIR>", "folder for a report (HTML, PNG, CSV, JSON), the samples and the chains")
    .option("--resume", "go on with the samples in the --report folder; with the same options")
    .option("--npf", "RESULT-THROUGHPUT lines for npf instead of the tables")
    .option("--json <FILE>", "write the result as JSON; -: stdout")
    .option("--quiet", "no progress and no tables")
    .action(async (figures: string | undefined, flags: PaperFlags) => {
      if (figures === undefined) process.stdout.write(figureList());
      else process.exitCode = await paperVerb(figures, flags, tools);
    });
}

/** @returns the exit code: 1 where it was interrupted */
async function paperVerb(text: string, flags: PaperFlags, tools: ExperimentTools): Promise<number> {
  const figures = parseFigures(text);
  const request = paperRequest(flags);
  const progress = experimentProgress(flags.quiet === true);
  const say = (line: string) => {
    progress.clear();
    warn(line);
  };
  checkJson(flags.json);
  if (flags.report !== undefined) checkReportFolder(flags.report, [SAMPLES_FILE, LOCK_FILE, CHAINS_FOLDER]);
  const scratch = mkdtempSync(join(tmpdir(), "wingbeat-paper-"));
  try {
    const all = text.trim().toLowerCase() === ALL_FIGURES;
    const setup = await setUp(figures, request, { folder: join(scratch, CHAINS_FOLDER), all, tools, say });
    const shown = figures.filter(({ id }) => setup.plan.figures.some((planned) => planned.id === id));
    return await measured({ figures: shown, request, flags, setup, tools, scratch, progress, say });
  } finally {
    progress.clear();
    rmSync(scratch, { recursive: true, force: true });
  }
}

interface Parts {
  readonly figures: readonly PaperFigure[];
  readonly request: PaperRequest;
  readonly flags: PaperFlags;
  readonly setup: PaperSetup;
  readonly tools: ExperimentTools;
  readonly scratch: string;
  readonly progress: ProgressView;
  say(line: string): void;
}

async function measured(parts: Parts): Promise<number> {
  const { figures, request, flags, setup, tools, say } = parts;
  const { report, resume } = flags;
  const store = report === undefined ? SampleStore.inMemory() : openStore(report, setup, resume, say);
  const stop = new AbortController();
  const release = stopOnSignals("stopping: what was measured until now is the result", () => stop.abort());
  let recorder: EnergyRecorder | undefined;
  try {
    if (report !== undefined) writePaperChains(join(report, CHAINS_FOLDER));
    const manifest = await tools.manifest();
    if (figures.some(({ panels }) => panels.some(({ energy }) => energy))) {
      recorder = await openRecorder(request.meter, say);
      await recorder?.measureIdle(request.quick ? IDLE_QUICK_MS : IDLE_MS);
    }
    const { signal } = stop;
    const heard = unannounced(say);
    const inputs = new Map(
      [...setup.chains].map(([name, chain]) => [
        name,
        new PreparedInputs(chain, { seed: request.seed, scratch: parts.scratch, warn: heard }),
      ]),
    );
    const runner = new ManyChains((name) => {
      const chain = chainOfCells(setup, name);
      return tools.runner(setup.chains.get(chain)!, {
        inputs: async (size) => (await inputs.get(chain)!.for(size)).ports,
        ...{ energy: recorder, signal, warn: heard },
      });
    });
    const end = await runPaper({
      ...{ plan: setup.plan, figures, files: setup.files, store, runner, manifest, recorder, signal },
      prove: (name, cells) => {
        const prepared = inputs.get(name)!;
        return tools.prove(cells, {
          ...{ chain: setup.chains.get(name)!, seed: request.seed, scratch: parts.scratch, signal, warn: heard },
          batch: cells[0]!.batch,
          open: async (placed, { device, workgroups }) =>
            (await openRunDevice(placed, { request: parseDevice(device), workgroups, sliceMs: undefined }, () => {}))!,
          input: (size) => prepared.for(size),
          generated: request.quick ? PROVEN_QUICK : PROVEN,
          progress: (done, planned) => {
            const what = `proving that ${name} is the same everywhere`;
            parts.progress.show({ done, planned, secondsLeft: undefined, what });
          },
        });
      },
      show: (now) => parts.progress.show(now),
    });
    await runner.close();
    parts.progress.clear();
    return await conclude(end, flags);
  } finally {
    recorder?.close();
    release();
    store.close();
  }
}

function chainOfCells({ plan }: PaperSetup, name: string): PaperChain {
  return plan.figures.flatMap(({ cells }) => cells).find(({ cell }) => cell.chain === name)!.chain;
}

/** @throws what it failed with, after all that could be written is */
async function conclude({ result, error }: PaperEnd, flags: PaperFlags): Promise<number> {
  // Nothing was found out: an input that is unreadable, a device that does not open.
  if (error !== undefined && result.equivalence.length === 0 && result.samples.length === 0) throw error;
  const lost = await output(result, flags);
  const { report } = flags;
  const kept = result.samples.length > 0 || result.equivalence.some(({ proof }) => proof.equal);
  if (report !== undefined && result.state === "interrupted" && kept) {
    warn(`what was measured is kept; this goes on with it: ${resumeCommand()}`);
  }
  if (error !== undefined && lost !== undefined) warn((lost as Error).message);
  const failure = error ?? lost;
  if (failure !== undefined) throw failure;
  return result.state === "complete" ? 0 : INTERRUPTED;
}

/** @returns what could not be written */
async function output(result: PaperResult, { quiet, npf, json, report }: PaperFlags): Promise<unknown> {
  if (!quiet && json !== "-") process.stdout.write(npf ? paperNpfLines(result) : paperTable(result));
  const failures: unknown[] = [];
  const attempt = (write: () => void | Promise<void>) =>
    Promise.resolve()
      .then(write)
      .catch((error: unknown) => failures.push(error));
  if (json !== undefined) await attempt(() => writeJson(json, result));
  if (report !== undefined) await attempt(() => writeReportTo(report, result, quiet === true));
  return failures[0];
}

/** The libraries that draw take longer to load than all others: only where something is drawn. */
async function writeReportTo(folder: string, result: PaperResult, quiet: boolean): Promise<void> {
  const { paperDocument } = await import("../report/paper-document.js");
  const { writeReport } = await import("../report/write.js");
  const { page, remarks } = await writeReport(paperDocument(result), folder);
  for (const remark of remarks) warn(`report: ${remark}`);
  if (!quiet) warn(`report: ${page}`);
}
