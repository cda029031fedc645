/** `wingbeat power CHAIN.json`: energy per packet and Gbps per watt, by load and waiting policy. */
import { availableParallelism } from "node:os";
import type { Command } from "commander";
import type { LoadedChain } from "../chain/load.js";
import { parseDevice } from "../device/choose.js";
import { parseCores } from "../engine/core-spec.js";
import { ConfigError } from "../errors.js";
import { onGpu } from "../experiment/cell.js";
import { findDevices } from "../experiment/devices.js";
import { LOCK_FILE } from "../experiment/folder-lock.js";
import { chainFiles, cpuModel, ManifestBuilder, projectVersion } from "../experiment/manifest.js";
import type { Progress } from "../experiment/measurements.js";
import { type PlacedDevice, parsePlacements, placementOf, placeOnDevices } from "../experiment/placements.js";
import { runPower } from "../experiment/power.js";
import { makePowerPlan, type PowerOptions, parseLoads, parseWaits } from "../experiment/power-plan.js";
import type { PowerResult } from "../experiment/power-result.js";
import { ChainRunner } from "../experiment/runner.js";
import { SAMPLES_FILE, SampleStore, samplesOf } from "../experiment/sample-store.js";
import { loadForExperiments } from "../experiment/variant.js";
import { METERS, openRecorder, parseMeter } from "../measure/energy/choose.js";
import type { EnergyRecorder } from "../measure/energy/meter.js";
import { SystemFiles } from "../native/system-files.js";
import { parsePortString } from "../nic/port-config.js";
import { checkReportFolder } from "../report/folder.js";
import { powerDocument } from "../report/power-document.js";
import { experimentProgress } from "./experiment-progress.js";
import { parseInteger, parsePlaces } from "./options.js";
import { checkJson, warn, writeJson } from "./output.js";
import { powerTable } from "./power-table.js";
import { stopOnSignals } from "./stop-on-signals.js";

interface PowerFlags {
  loads?: string;
  wait?: string;
  meter: string;
  tdp?: string;
  place?: string[];
  placements?: string;
  device: string;
  in?: string;
  cores: string;
  seed: string;
  repeats?: string;
  warmUp?: string;
  window?: string;
  quick?: boolean;
  report?: string;
  resume?: boolean;
  json?: string;
  quiet?: boolean;
}

const collect = (value: string, before: string[] = []) => [...before, value];

/** Defaults; times in ms. */
const FULL = { loads: "0,10,25,50,75,100", wait: "all", repeats: 5, windowMs: 2000, warmUpMs: 500, idleMs: 5000 };
const QUICK = {
  loads: "0,50,100",
  wait: "spin,sleep,adaptive",
  repeats: 3,
  windowMs: 400,
  warmUpMs: 150,
  idleMs: 1000,
};
/** Meters that count energy all the time, or need no time: any window will do. */
const COUNTING: readonly string[] = ["rapl", "hwmon", "nvml", "nominal"];
/** Readings a window should have of the others. */
const LEAST_READINGS = 5;
const MOST_REPEATS = 1000;
const LONGEST_MS = 600_000;

export function addPowerCommand(program: Command): void {
  program
    .command("power")
    .description("energy per packet and Gbps per watt, by load and by what idle cores do; above the idle machine")
    .argument("<CHAIN.json>", "chain file")
    .option("--loads <P,...>", `percent of the saturation rate; 0: no packets (default: ${FULL.loads})`)
    .option("--wait <P,...>", "waiting policies: spin, yield, sleep, adaptive, or all (default: all)")
    .option("--meter <M>", METERS, "auto")
    .option("--tdp <W>", "thermal design power, for the nominal model where there is no meter")
    .option("--place <NF=cpu|gpu,...>", "where NFs run, whatever the chain says", collect)
    .option("--placements <P,...>", "several placements: cpu, gpu, all, or NFs on the GPU joined by +")
    .option("--device <KIND>", "as run takes it", "auto")
    .option("--in <PORT>", "replaces the port named in: a capture or generator:size=64,...")
    .option("--cores <SPEC>", "as run takes it", "d1")
    .option("--seed <N>", "of the order in which points are measured", "1")
    .option("--repeats <N>", `samples of each point (default: ${FULL.repeats})`)
    .option("--warm-up <MS>", `before a sample's window; default ${FULL.warmUpMs}; with --quick ${QUICK.warmUpMs}`)
    .option("--window <MS>", `that counts; default ${FULL.windowMs}; with --quick ${QUICK.windowMs}`)
    .option("--quick", "a first answer in under a minute: fewer loads, policies and repeats, shorter windows")
    .option("--report <DIR>", "write a report (HTML, PNG, CSV, JSON); samples are kept there as they are taken")
    .option("--resume", "go on with the samples in --report DIR")
    .option("--json <FILE>", "write the result as JSON; -: stdout")
    .option("--quiet", "no progress and no table")
    .action(async (file: string, flags: PowerFlags) => {
      process.exitCode = await powerVerb(file, flags);
    });
}

async function powerVerb(file: string, flags: PowerFlags): Promise<number> {
  const options = powerOptions(flags);
  const request = parseMeter(flags.meter, flags.tdp);
  if (request.parts === "none") throw new ConfigError("--meter", "without a meter there is nothing to tell", METERS);
  const input = flags.in === undefined ? undefined : parsePortString(flags.in);
  if (input?.driver === "null") throw new ConfigError("--in", "null receives nothing", "give a capture or a generator");
  const { report, resume } = flags;
  if (resume && report === undefined) {
    throw new ConfigError(
      "--resume",
      "it goes on with the samples of a report",
      "name its folder: --report DIR --resume",
    );
  }
  const chain = await loadForExperiments(file, warn, input);
  checkJson(flags.json, [...chain.files, ...(report === undefined ? [] : [samplesOf(report)])]);
  if (report !== undefined) checkReportFolder(report, [SAMPLES_FILE, LOCK_FILE]);
  const placed = await placesOf(chain, flags);
  const stopping = new AbortController();
  const release = stopOnSignals("stopping: what was measured until now is the result", () => stopping.abort());
  try {
    const manifest = await ManifestBuilder.begin();
    const recorder = (await openRecorder(request, warn))!;
    try {
      const { signal } = stopping;
      return await measured({
        chain,
        flags,
        placed,
        manifest,
        recorder,
        signal,
        options: fitted(options, recorder, flags),
      });
    } finally {
      recorder.close();
    }
  } finally {
    release();
  }
}

interface Parts {
  readonly chain: LoadedChain;
  readonly flags: PowerFlags;
  readonly placed: readonly PlacedDevice[];
  readonly manifest: ManifestBuilder;
  readonly recorder: EnergyRecorder;
  readonly signal: AbortSignal;
  readonly options: PowerOptions;
}

async function measured({ chain, flags, placed, manifest, recorder, signal, options }: Parts): Promise<number> {
  const files = chainFiles(chain);
  const machine = `${cpuModel(new SystemFiles())}, ${availableParallelism()} cores`;
  const common = { machine, version: projectVersion(), meter: recorder.info.name };
  const { plan, identity } = makePowerPlan({ chain, options, placed, files, ...common });
  const { report, resume } = flags;
  const store =
    report === undefined ? SampleStore.inMemory() : SampleStore.open(report, identity, resume === true, warn);
  const progress = experimentProgress(flags.quiet === true);
  const say = (line: string) => {
    progress.clear();
    warn(line);
  };
  const runner = new ChainRunner(chain, { energy: recorder, signal, warn: say });
  try {
    const show = (now: Progress) => progress.show(now);
    const { result, error } = await runPower({ plan, files, store, runner, recorder, manifest, signal, show });
    progress.clear();
    if (result.points.length > 0) await tell(result, flags);
    if (result.state === "interrupted" && report !== undefined && result.samples.length > 0)
      warn("what was measured is kept; the same command with --resume goes on with it");
    if (error !== undefined) throw error;
    return result.state === "complete" ? 0 : 1;
  } finally {
    progress.clear();
    await runner.close();
    store.close();
  }
}

async function tell(result: PowerResult, flags: PowerFlags): Promise<void> {
  if (!flags.quiet) (flags.json === "-" ? process.stderr : process.stdout).write(powerTable(result));
  if (flags.json !== undefined) writeJson(flags.json, result);
  if (flags.report === undefined) return;
  // What draws plots takes a while to load, and most runs of the program draw none.
  const { writeReport } = await import("../report/write.js");
  const { page, remarks } = await writeReport(powerDocument(result), flags.report);
  for (const remark of remarks) warn(`report: ${remark}`);
  warn(`report: ${page}`);
}

function powerOptions(flags: PowerFlags): PowerOptions {
  const usual = flags.quick ? QUICK : FULL;
  parseCores(flags.cores);
  return {
    loads: parseLoads(flags.loads ?? usual.loads),
    waits: parseWaits(flags.wait ?? usual.wait),
    cores: flags.cores,
    repeats: flags.repeats === undefined ? usual.repeats : parseInteger("--repeats", flags.repeats, 1, MOST_REPEATS),
    timing: {
      warmUpMs: flags.warmUp === undefined ? usual.warmUpMs : parseInteger("--warm-up", flags.warmUp, 0, LONGEST_MS),
      windowMs: flags.window === undefined ? usual.windowMs : parseInteger("--window", flags.window, 10, LONGEST_MS),
    },
    idleMs: usual.idleMs,
    seed: parseInteger("--seed", flags.seed, 0, 0xffff_ffff),
    quick: flags.quick === true,
  };
}

/** Windows as long as a slow meter needs, where nobody said otherwise. */
function fitted(options: PowerOptions, { info }: EnergyRecorder, flags: PowerFlags): PowerOptions {
  const least = COUNTING.includes(info.kind) ? 0 : LEAST_READINGS * info.intervalMs;
  const { timing } = options;
  if (flags.window !== undefined || timing.windowMs >= least) return options;
  warn(`windows of ${least} ms, since the meter is read every ${info.intervalMs} ms (--window MS has the last word)`);
  return { ...options, timing: { ...timing, windowMs: least } };
}

/** Where NFs run: as the chain or `--place` says, or `--placements`. */
async function placesOf(chain: LoadedChain, flags: PowerFlags): Promise<PlacedDevice[]> {
  const places = flags.place === undefined ? undefined : parsePlaces(flags.place);
  if (places !== undefined && flags.placements !== undefined) {
    throw new ConfigError("--placements", "--place says where NFs run", "give one of them");
  }
  const request = parseDevice(flags.device);
  const stranger = [...(places?.keys() ?? [])].find((name) => !chain.nfs.some((nf) => nf.name === name));
  if (stranger !== undefined) {
    throw new ConfigError(
      "--place",
      `no NF "${stranger}"; the chain's NFs: ${chain.nfs.map(({ name }) => name).join(", ")}`,
    );
  }
  if (request.kind === "none" && flags.placements === undefined)
    return [{ placement: placementOf(chain, []), device: "none" }];
  const own = chain.nfs.filter((nf) => (places?.get(nf.name) ?? nf.place) === "gpu").map(({ name }) => name);
  const wanted =
    flags.placements === undefined
      ? { placements: [placementOf(chain, own)], named: true }
      : parsePlacements(flags.placements, chain);
  const onDevice = wanted.placements.some((placement) => onGpu(placement).length > 0);
  const devices = onDevice && request.kind !== "none" ? await findDevices(chain, [request], warn) : [];
  return placeOnDevices(chain, wanted, devices, warn);
}
