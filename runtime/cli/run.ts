/** `wingbeat run CHAIN.json`: runs the chain. */
import type { Command } from "commander";
import { loadChain } from "../chain/load.js";
import { parseDevice } from "../device/choose.js";
import { parseByRole } from "../engine/by-role.js";
import { parseCores } from "../engine/core-spec.js";
import { WAIT_POLICIES } from "../engine/plan.js";
import { type Run, startRun } from "../engine/run.js";
import { openRunDevice } from "../engine/run-device.js";
import { parseSched } from "../engine/sched-spec.js";
import { checkCpus } from "../engine/thread-plan.js";
import { ConfigError } from "../errors.js";
import { RX_PATTERNS } from "../nic/port.js";
import { parsePortString } from "../nic/port-config.js";
import { MAX_BATCH } from "../packet/batch.js";
import { failuresOf } from "./failures.js";
import {
  collect,
  parseChoice,
  parseInteger,
  parsePlaces,
  parseRate,
  parseSeconds,
  parseSlice,
  parseWorkgroups,
} from "./options.js";
import { checkJson, warn, writeJson } from "./output.js";
import { stopOnSignals } from "./stop-on-signals.js";

interface RunFlags {
  in?: string;
  out?: string;
  place?: string[];
  device: string;
  workgroups?: string;
  slice?: string;
  loop: string;
  duration?: string;
  rate?: string;
  seed?: string;
  digest?: boolean;
  order?: string;
  batch: string;
  cores: string;
  sched?: string;
  verifyL4?: boolean;
  rxPattern?: string;
  wait: string;
  portable?: boolean;
  json?: string;
  quiet?: boolean;
}

export function addRunCommand(program: Command): void {
  program
    .command("run")
    .description("run a chain: packets in, through its NFs, out, every one accounted for")
    .argument("<CHAIN.json>", "chain file")
    .option("--in <PORT>", "replaces the port named in: a capture, generator:size=64,..., or DRIVER:INTERFACE")
    .option("--out <PORT>", "replaces the port named out: a capture, null, or DRIVER:INTERFACE")
    .option("--place <NF=cpu|gpu,...>", "where NFs run, whatever the chain says", collect)
    .option(
      "--device <KIND>",
      "auto, none, opencl[:NAME], opencl[:NAME]:rounds (launch per round, with copies), webgpu[:NAME], webgpu[:NAME]:host-routing (packets come back from each NF, to compare), gpujs[:MODE] (webasm, cpu, webgpu)",
      "auto",
    )
    .option(
      "--workgroups <N>",
      "queues and workgroups of the device, 1 to 64; default: as many as it runs at once, up to 8",
    )
    .option(
      "--slice <MS>",
      "ms after which a persistent kernel returns to be launched again; 0: never; default: 250 where a driver has a watchdog",
    )
    .option("--loop <N>", "replay the input N times from memory; 0: until --duration or Ctrl-C", "1")
    .option("--duration <S>", "stop receiving after S seconds")
    .option("--rate <R>", "open loop at this rate: 500000, 1.5Mpps, 2Gbps")
    .option("--seed <N>", "deterministic IVs, global order and digests; for experiments only")
    .option("--digest", "SHA-256 over egress frames and alerts")
    .option("--order <MODE>", "flow, global or none")
    .option("--batch <N>", `packets per burst, 1 to ${MAX_BATCH}`, "64")
    .option(
      "--cores <SPEC>",
      "cores by role: d io, n CPU NFs, c CPUSyncers; d1 runs to completion; pinned to CPUs: d1n2@0-2, or io=0,nf=1,2",
      "d1",
    )
    .option(
      "--sched <SPEC>",
      "class of threads, for all or ROLE=...: other[:NICE], batch[:NICE], rr[:PRIORITY], fifo[:PRIORITY]: io=fifo:50,nf=batch:-5",
    )
    .option(
      "--rx-pattern <P>",
      "how io cores share one AF_XDP receive queue: default, arbitration, range, parent; times the stages of receiving",
    )
    .option("--verify-l4", "the gate also checks TCP, UDP and ICMP checksums")
    .option(
      "--wait <P>",
      "what idle cores do: spin, yield, sleep, adaptive; or by role: io=spin,nf=adaptive",
      "adaptive",
    )
    .option("--portable", "pure TypeScript, no native library, for comparison")
    .option("--json <FILE>", "write the result as JSON; -: stdout")
    .option("--quiet", "no progress and no summary")
    .action(async (file: string, flags: RunFlags) => {
      process.exitCode = await runVerb(file, flags);
    });
}

async function runVerb(file: string, flags: RunFlags): Promise<number> {
  const options = runOptions(flags);
  const deviceFlags = {
    request: parseDevice(flags.device),
    workgroups: parseWorkgroups(flags.workgroups),
    sliceMs: parseSlice(flags.slice),
  };
  const input = flags.in === undefined ? undefined : parsePortString(flags.in);
  if (input?.driver === "null") throw new ConfigError("--in", "null receives nothing", "give a capture or a generator");
  const output = flags.out === undefined ? undefined : parsePortString(flags.out, "--out");
  if (output?.driver === "generator") {
    throw new ConfigError("--out", "a generator makes packets, it takes none", "give a capture or null");
  }
  const chain = await loadChain(file, {
    in: input,
    out: output,
    place: flags.place === undefined ? undefined : parsePlaces(flags.place),
    warn,
  });
  checkJson(flags.json, chain.files);
  if (options.seed !== undefined)
    warn("--seed makes IVs predictable: for experiments, never for traffic that must stay secret");
  // What only shows something takes as long to load as most of the rest.
  const show = flags.quiet ? undefined : { ...(await import("./progress.js")), ...(await import("./summary.js")) };
  const device = await openRunDevice(chain, deviceFlags, warn);
  let run: Run;
  try {
    run = startRun(chain, { ...options, device, warn });
  } catch (error) {
    await device?.close();
    throw error;
  }
  const progress = show?.showProgress(run);
  const release = stopOnSignals("stopping: draining packets under way", () => run.stop());
  try {
    const result = await run.result;
    if (progress !== undefined) show?.endProgress(progress);
    if (show !== undefined) (flags.json === "-" ? process.stderr : process.stdout).write(show.summary(result));
    if (flags.json !== undefined) writeJson(flags.json, result);
    const failures = failuresOf(result);
    for (const line of failures) warn(line);
    return failures.length === 0 ? 0 : 1;
  } finally {
    if (progress !== undefined) show?.endProgress(progress);
    release();
  }
}

function runOptions(flags: RunFlags) {
  const seed = flags.seed === undefined ? undefined : parseInteger("--seed", flags.seed, 0, 0xffff_ffff);
  const digest = flags.digest === true || seed !== undefined;
  const order =
    flags.order === undefined
      ? digest
        ? ("global" as const)
        : ("flow" as const)
      : parseChoice("--order", flags.order, ["flow", "global", "none"] as const);
  if (digest && order === "none")
    warn("--order none: the digest is over the order packets left in and compares with nothing");
  const cores = parseCores(flags.cores);
  // Before a device is opened, which takes its time.
  checkCpus(cores);
  const duration = flags.duration === undefined ? 0 : parseSeconds("--duration", flags.duration);
  return {
    order,
    batch: parseInteger("--batch", flags.batch, 1, MAX_BATCH),
    loop: parseInteger("--loop", flags.loop, 0, 0xffff_ffff),
    duration,
    rate: flags.rate === undefined ? undefined : parseRate(flags.rate),
    seed,
    digest,
    verifyL4: flags.verifyL4 === true,
    portable: flags.portable === true,
    wait: parseByRole("--wait", flags.wait, (policy) => parseChoice("--wait", policy, WAIT_POLICIES)),
    cores,
    sched: flags.sched === undefined ? undefined : parseSched(flags.sched),
    rxPattern: flags.rxPattern === undefined ? undefined : parseChoice("--rx-pattern", flags.rxPattern, RX_PATTERNS),
  };
}
