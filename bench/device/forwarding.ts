/** Chains whose NFs are all on a WebGPU device: packets that go on from NF to NF there, against packets that the host routes to each. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunResult } from "../../runtime/engine/result.js";
import { RunError } from "../../runtime/errors.js";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { loadBenchSas } from "../ipsec.js";
import { loadBenchRules } from "../nids.js";
import { usedAdapter } from "./adapter.js";
import { type ChainRun, type ChainSpec, chainOf, expectSame, runChain } from "./chain-run.js";

const WORKGROUPS = 2;
/** Frames made; they come again and again. */
const COUNT = 8192;
const QUICK_COUNT = 1024;
const FLOWS = 1024;
/** A round of ipsec takes up to a tenth of a second on an emulated device: a turn has to see some. */
const LEAST_MS = 200;
const TIMES_TURN = 5;
/** What forwarding has to gain, and what it may not lose where the kernels take nearly all the time. */
const LEAST = 1.1;

const ROUTES = "0.0.0.0/0 192.0.2.1 out\n172.16.0.0/12 192.0.2.2 out\n";
const IPSEC = { type: "ipsec", config: { sas: "sas.json" } };
const NIDS = { type: "nids", config: { rules: "bench.rules" } };
const ROUTER = { type: "router", config: { routes: "device-routes.txt" } };
/** Destinations that select one of the 1,024 SAs each (ipsec.ts). */
const TO_SAS = "10.1.0.0/22";

const NFS = { ipsec: IPSEC, first: ROUTER, nids: NIDS, router: ROUTER };
type Name = keyof typeof NFS;

/** NFs one behind the other, all on the device. */
function lineOf(names: readonly Name[], size: number, options: CellOptions): ChainSpec {
  const stops = ["ingress", ...names, "egress"];
  return {
    name: `forwarding-${names.join("-")}-${size}`,
    nfs: Object.fromEntries(names.map((name) => [name, NFS[name]])),
    policy: stops.slice(1).map((next, i) => `*,${stops[i]},${next}`),
    traffic: { count: options.quick ? QUICK_COUNT : COUNT, flows: FLOWS, size, dst: TO_SAS },
    gpu: names,
  };
}

const ON: ChainRun = { workgroups: WORKGROUPS, form: { kind: "webgpu" }, forwards: true };
const OFF: ChainRun = { workgroups: WORKGROUPS, form: { kind: "webgpu" } };

type Key = "mpps" | "gbps" | "bytes" | "rows";

function figuresOf({ throughput, sync, packets }: RunResult): Record<Key, number> {
  return {
    mpps: throughput.mpps,
    gbps: throughput.gbps,
    bytes: sync.bytes_copied / packets.rx,
    rows: sync.packets / packets.rx,
  };
}

async function measure(names: readonly Name[], size: number, options: CellOptions): Promise<CellResult> {
  await loadBenchSas(options);
  await loadBenchRules(options);
  writeFileSync(join(options.scratch, "device-routes.txt"), ROUTES);
  const chain = await chainOf(lineOf(names, size, options), options);
  const [forwarded, routed] = [await runChain(chain, ON, options), await runChain(chain, OFF, options)];
  expectSame(chain, forwarded, routed);
  expectSame(chain, forwarded, await runChain(chain, {}, options));
  expectForwarded(forwarded, names.length - 1);
  const ms = Math.max(LEAST_MS, TIMES_TURN * options.turnMs);
  const [on, off] = await inTurns<Key>(
    [
      { name: "on", turn: async () => figuresOf(await runChain(chain, { ...ON, ms }, options)) },
      { name: "off", turn: async () => figuresOf(await runChain(chain, { ...OFF, ms }, options)) },
    ],
    options.repeats,
  );
  const figures = new Figures();
  for (const [name, of] of [
    ["forwarding on the device", on!],
    ["host routing", off!],
  ] as const) {
    figures.add(name, "throughput", "Mpps", of.mpps);
    figures.add(name, "throughput", "Gbps", of.gbps);
    figures.add(name, "copied", "bytes per packet", of.bytes);
    figures.add(name, "published", "times per packet", of.rows);
  }
  figures.ratio("forwarding / host routing", "throughput", on!.mpps, off!.mpps, { least: LEAST });
  const note = `all NFs on the device, ${WORKGROUPS} workgroups of 64, cores d1; the same digests both ways and on the CPU`;
  return { figures: figures.list, device: await usedAdapter(), notes: [note] };
}

/** Nearly every packet has gone on at every NF: not those in which the nids finds something. */
function expectForwarded({ sync, packets }: RunResult, hops: number): void {
  if (sync.forwarded >= 0.9 * hops * packets.rx && sync.forwarded_in_vain === 0) return;
  const found = `${sync.forwarded} hops of ${hops} x ${packets.rx} on the device, ${sync.forwarded_in_vain} in vain`;
  throw new RunError("bench", found, "report this as a bug");
}

const cell = (names: readonly Name[], size: number): Cell => ({
  name: `${names.join(", ")}, ${size} B`,
  workgroups: WORKGROUPS,
  needs: "webgpu",
  run: (options) => measure(names, size, options),
});

const forwarding: Experiment = {
  name: "device-webgpu-forwarding",
  about: "chains of NFs that are all on a WebGPU device: going on from NF to NF there, against routing by the host",
  cells: (quick) => [
    ...(quick ? [64] : [64, 512, 1472]).map((size) => cell(["ipsec", "nids", "router"], size)),
    ...(quick ? [] : [64, 512, 1472]).map((size) => cell(["first", "nids", "router"], size)),
  ],
};
export const experiments: readonly Experiment[] = [forwarding];
