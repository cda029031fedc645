/** Chains by kind of device, side by side, with what the host spends on copies told apart. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunResult } from "../../runtime/engine/result.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { loadBenchSas } from "../ipsec.js";
import { loadBenchRules } from "../nids.js";
import { deviceNote } from "../report.js";
import { type ChainSpec, chainOf, expectSame, runChain } from "./chain-run.js";
import { formsHere, GPUJS, type NamedForm, PERSISTENT, ROUNDS, WEBGPU } from "./forms.js";

const WORKGROUPS = 2;
const COUNT = 8192;
const QUICK_COUNT = 1024;
const FLOWS = 1024;
/** A run of less would be over before all threads are at it; what a run is longer than other turns. */
const LEAST_MS = 100;
const TIMES_TURN = 2.5;
const ROUTES = "0.0.0.0/0 192.0.2.1 out\n172.16.0.0/12 192.0.2.2 out\n";
/** Destinations that select one of the 1,024 SAs each (ipsec.ts). */
const TO_SAS = "10.1.0.0/22";
const CPU = "none";

/** What is on the device; the rest of ipsec -> nids -> router is on the CPU. */
type Placed = "ipsec, nids" | "nids, router";

async function specOf(placed: Placed, size: number, options: CellOptions): Promise<ChainSpec> {
  await loadBenchSas(options);
  await loadBenchRules(options);
  writeFileSync(join(options.scratch, "device-routes.txt"), ROUTES);
  return {
    name: "device-chains",
    nfs: {
      ipsec: { type: "ipsec", config: { sas: "sas.json" } },
      nids: { type: "nids", config: { rules: "bench.rules" } },
      router: { type: "router", config: { routes: "device-routes.txt" } },
    },
    policy: ["*,ingress,ipsec", "*,ipsec,nids", "*,nids,router", "*,router,egress"],
    traffic: { count: options.quick ? QUICK_COUNT : COUNT, flows: FLOWS, size, dst: TO_SAS },
    gpu: placed.split(", "),
  };
}

type Key = "mpps" | "gbps" | "copied" | "copying";

function figuresOf({ throughput, sync, packets, seconds }: RunResult): Record<Key, number> {
  return {
    mpps: throughput.mpps,
    gbps: throughput.gbps,
    copied: packets.rx === 0 ? 0 : sync.bytes_copied / packets.rx,
    copying: (100 * sync.copy_seconds) / seconds,
  };
}

async function measure(placed: Placed, wanted: readonly NamedForm[], size: number, options: CellOptions) {
  const { forms, notes } = await formsHere(wanted);
  const chain = await chainOf(await specOf(placed, size, options), options);
  const onCpu = await runChain(chain, {}, options);
  // As `--device webgpu` has it; the others have nothing that could go on.
  const gpu = ({ form }: NamedForm) => ({ workgroups: WORKGROUPS, form, forwards: form.kind === "webgpu" });
  for (const one of forms) {
    const result = await runChain(chain, gpu(one), options);
    expectSame(chain, result, onCpu);
    notes.push(`${one.name}: ${deviceNote(result.device!)}`);
  }
  const ms = Math.max(LEAST_MS, TIMES_TURN * options.turnMs);
  const samples = await inTurns<Key>(
    [
      { name: CPU, turn: async () => figuresOf(await runChain(chain, { ms }, options)) },
      ...forms.map((one) => ({
        name: one.name,
        turn: async () => figuresOf(await runChain(chain, { ...gpu(one), ms }, options)),
      })),
    ],
    options.repeats,
  );
  const figures = new Figures();
  const [none, ...others] = samples;
  figures.add(CPU, "throughput", "Mpps", none!.mpps);
  figures.add(CPU, "throughput", "Gbps", none!.gbps);
  for (const [i, { name }] of forms.entries()) {
    const own = others[i]!;
    figures.add(name, "throughput", "Mpps", own.mpps);
    figures.add(name, "throughput", "Gbps", own.gbps);
    figures.add(name, "host copies", "bytes a packet", own.copied);
    figures.add(name, "host copies", "% of the run, of one core", own.copying);
    figures.ratio(`${name} / ${CPU}`, "throughput", own.mpps, none!.mpps);
  }
  const note = `ipsec (1,024 SAs) -> nids (147 ip rules, over the ciphertext) -> router; ${WORKGROUPS} workgroups of 64, cores d1; one digest for all; sizes are of what comes in`;
  return { figures: figures.list, device: null, notes: [note, ...notes] } satisfies CellResult;
}

const cell = (placed: Placed, forms: readonly NamedForm[], size: number): Cell => ({
  name: `${placed} on the device, ${size} B`,
  workgroups: WORKGROUPS,
  needs: "nothing",
  run: (options) => measure(placed, forms, size, options),
});

const chains: Experiment = {
  name: "device-chains",
  about: "runs of a chain by kind of device: none, opencl, opencl:rounds, webgpu, gpujs; host copies told apart",
  cells: (quick) =>
    (quick ? [1472] : [64, 512, 1472]).flatMap((size) => [
      ...(quick ? [] : [cell("ipsec, nids", [PERSISTENT, ROUNDS, WEBGPU], size)]),
      cell("nids, router", [PERSISTENT, ROUNDS, WEBGPU, ...GPUJS], size),
    ]),
};
export const experiments: readonly Experiment[] = [chains];
