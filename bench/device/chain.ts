/** Chains with NFs on the device: against all of them on the CPU, and with a policy that sends traffic past the NIDS. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LoadedChain } from "../../runtime/chain/load.js";
import type { RunResult } from "../../runtime/engine/result.js";
import { RunError } from "../../runtime/errors.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { loadBenchSas } from "../ipsec.js";
import { loadBenchRules } from "../nids.js";
import { usedDevice } from "./bed.js";
import { type ChainSpec, chainOf, expectSame, runChain } from "./chain-run.js";

const WORKGROUPS = 2;
const GPU = { workgroups: WORKGROUPS };
/** Frames made; they come again and again. */
const COUNT = 8192;
const QUICK_COUNT = 1024;
const FLOWS = 1024;
/** A run of less would be over before all threads are at it; what a run is longer than other turns. */
const LEAST_MS = 100;
const TIMES_TURN = 2.5;
const ROUTES = "0.0.0.0/0 192.0.2.1 out\n172.16.0.0/12 192.0.2.2 out\n";
/** Ports by which the policy tells the traffic that goes past the NIDS. */
const PAST_PORT = 50000;
const OTHER_PORT = 40000;

async function writeConfigs(options: CellOptions): Promise<void> {
  await loadBenchSas(options);
  await loadBenchRules(options);
  writeFileSync(join(options.scratch, "device-routes.txt"), ROUTES);
}

const IPSEC = { type: "ipsec", config: { sas: "sas.json" } };
const NIDS = { type: "nids", config: { rules: "bench.rules" } };
const ROUTER = { type: "router", config: { routes: "device-routes.txt" } };
/** Destinations that select one of the 1,024 SAs each (ipsec.ts). */
const TO_SAS = "10.1.0.0/22";

const countOf = (options: CellOptions) => (options.quick ? QUICK_COUNT : COUNT);

type Key = "mpps" | "gbps" | "gpuMpps" | "dummies";

function figuresOf({ throughput, seconds, sync, nfs }: RunResult): Record<Key, number> {
  const onGpu = nfs.filter(({ place }) => place === "gpu").reduce((sum, { packets }) => sum + packets, 0);
  const entries = sync.packets + sync.dummies;
  return {
    mpps: throughput.mpps,
    gbps: throughput.gbps,
    gpuMpps: onGpu / seconds / 1e6,
    dummies: entries === 0 ? 0 : (100 * sync.dummies) / entries,
  };
}

async function measureWhole(size: number, options: CellOptions): Promise<CellResult> {
  await writeConfigs(options);
  const spec: ChainSpec = {
    name: "device-chain",
    nfs: { ipsec: IPSEC, nids: NIDS, router: ROUTER },
    policy: ["*,ingress,ipsec", "*,ipsec,nids", "*,nids,router", "*,router,egress"],
    traffic: { count: countOf(options), flows: FLOWS, size, dst: TO_SAS },
    gpu: ["ipsec", "nids"],
  };
  const chain = await chainOf(spec, options);
  expectSame(chain, await runChain(chain, GPU, options), await runChain(chain, {}, options));
  const ms = Math.max(LEAST_MS, TIMES_TURN * options.turnMs);
  const [onGpu, onCpu] = await inTurns<Key>(
    [
      { name: "gpu", turn: async () => figuresOf(await runChain(chain, { ...GPU, ms }, options)) },
      { name: "cpu", turn: async () => figuresOf(await runChain(chain, { ms }, options)) },
    ],
    options.repeats,
  );
  const figures = new Figures();
  const beside = size === 1472 ? { beside: "Hummingbird, on an APU: NIDS on GPU 8.46 Gbps, on CPU 1.9" } : {};
  figures.add("ipsec, nids on the device", "throughput", "Mpps", onGpu!.mpps);
  figures.add("ipsec, nids on the device", "throughput", "Gbps", onGpu!.gbps, beside);
  figures.add("ipsec, nids on the device", "dummies", "% of entries", onGpu!.dummies, { most: 1 });
  figures.add("all on the CPU", "throughput", "Mpps", onCpu!.mpps);
  figures.add("all on the CPU", "throughput", "Gbps", onCpu!.gbps);
  figures.ratio("device / CPU", "throughput", onGpu!.mpps, onCpu!.mpps);
  const note = `ipsec (1,024 SAs) -> nids (147 ip rules, over the ciphertext) -> router, ${WORKGROUPS} workgroups of 64, cores d1; the same digest on both`;
  return { figures: figures.list, device: usedDevice(), notes: [note] };
}

/** Percent of the traffic that the policy sends past the NIDS: none (a static chain), and as in the paper (section V-F). */
const PAST = [0, 7, 50] as const;

function dynamicSpec(past: number, nfs: "nids" | "both", options: CellOptions): ChainSpec {
  const both = nfs === "both";
  const streams = [
    ...(past === 0 ? [] : [{ weight: past, dport: PAST_PORT }]),
    { weight: 100 - past, dport: OTHER_PORT },
  ];
  const source = both ? "ipsec" : "ingress";
  return {
    name: `device-dynamic-${past}`,
    types: { past: { dport: PAST_PORT } },
    nfs: { ...(both && { ipsec: IPSEC }), nids: NIDS, router: ROUTER },
    policy: [
      ...(both ? ["*,ingress,ipsec"] : []),
      `past,${source},router`,
      `*,${source},nids`,
      "*,nids,router",
      "*,router,egress",
    ],
    traffic: { count: countOf(options), flows: FLOWS, size: 1472, dst: TO_SAS, streams },
    gpu: both ? ["ipsec", "nids"] : ["nids"],
  };
}

/** The device and the CPU make the same of it, and the policy sends past the NIDS what it is said to. */
async function compare(chain: LoadedChain, past: number, options: CellOptions): Promise<void> {
  const result = await runChain(chain, GPU, options);
  expectSame(chain, result, await runChain(chain, {}, options));
  const seen = 100 * (result.nfs.find(({ name }) => name === "nids")!.packets / result.packets.rx);
  if (Math.abs(seen - (100 - past)) <= 1) return;
  throw new RunError("bench", `${seen} % of the packets went to the NIDS, expected ${100 - past} %`);
}

async function measureDynamic(nfs: "nids" | "both", options: CellOptions): Promise<CellResult> {
  await writeConfigs(options);
  const ms = Math.max(LEAST_MS, TIMES_TURN * options.turnMs);
  const variants = [];
  for (const past of PAST) {
    const chain = await chainOf(dynamicSpec(past, nfs, options), options);
    if (!options.quick || past === PAST.at(-1)) await compare(chain, past, options);
    variants.push({
      name: `${past} %`,
      turn: async () => figuresOf(await runChain(chain, { ...GPU, ms }, options)),
    });
  }
  const [none, few, many] = await inTurns<Key>(variants, options.repeats);
  const figures = new Figures();
  for (const [i, of] of [none!, few!, many!].entries()) {
    const name = PAST[i] === 0 ? "static chain" : `${PAST[i]} % past the NIDS`;
    figures.add(name, "throughput", "Gbps", of.gbps);
    figures.add(name, "packets served by NFs on the device", "Mpps", of.gpuMpps);
    figures.add(name, "dummies", "% of entries", of.dummies);
  }
  figures.ratio("50 % past / 7 % past", "per packet served by an NF on the device", many!.gpuMpps, few!.gpuMpps, {
    // With the NIDS alone it is not the device that limits: the more go past it, the more the host's thread does for each.
    ...(nfs === "both" && { least: 0.9 }),
  });
  figures.add(
    "7 % past - 50 % past",
    "throughput",
    "Gbps",
    few!.gbps.map((gbps, turn) => gbps - many!.gbps[turn]!),
    { beside: "Hummingbird, figure 7, on an APU: at most 0.7 Gbps" },
  );
  const note = `router on the CPU; 1472 B, ${WORKGROUPS} workgroups of 64, cores d1; each policy with the same digest as on the CPU`;
  return { figures: figures.list, device: usedDevice(), notes: [note] };
}

const cell = (name: string, run: Cell["run"]): Cell => ({ name, workgroups: WORKGROUPS, anyDevice: true, run });

const chain: Experiment = {
  name: "device-chain",
  about: "runs of chains with NFs on the device: against the CPU, and with policies that send traffic past the NIDS",
  cells: (quick) => [
    ...(quick ? [1472] : [64, 512, 1472]).map((size) =>
      cell(`ipsec, nids, router, ${size} B`, (options) => measureWhole(size, options)),
    ),
    cell("dynamic, ipsec and nids on the device", (options) => measureDynamic("both", options)),
    ...(quick ? [] : [cell("dynamic, nids on the device", (options) => measureDynamic("nids", options))]),
  ],
};
export const experiments: readonly Experiment[] = [chain];
