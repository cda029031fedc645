/** Whole runs in this process, as `wingbeat run` makes them, with traffic from memory and an output that takes all. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type LoadedChain, loadChain } from "../../runtime/chain/load.js";
import { openDevice } from "../../runtime/device/open.js";
import { parseCores } from "../../runtime/engine/core-spec.js";
import { deviceNfs, slotsFor } from "../../runtime/engine/device-plan.js";
import { forwardingOf } from "../../runtime/engine/hops.js";
import type { RunResult } from "../../runtime/engine/result.js";
import { startRun } from "../../runtime/engine/run.js";
import { RunError } from "../../runtime/errors.js";
import type { GeneratorInput } from "../../runtime/nic/generator/options.js";
import type { CellOptions } from "../experiment.js";
import { benchDevice, type DeviceForm } from "./bed.js";

export interface ChainSpec {
  readonly name: string;
  readonly types?: object;
  readonly nfs: object;
  /** Rows of the policy. */
  readonly policy: readonly string[];
  readonly traffic: GeneratorInput;
  /** NFs on the device; the others run on the CPU. */
  readonly gpu: readonly string[];
}

/** Loads a chain whose files the scratch folder holds. */
export async function chainOf(spec: ChainSpec, options: CellOptions): Promise<LoadedChain> {
  const { name, types, nfs, policy, traffic, gpu } = spec;
  const file = join(options.scratch, `${name}.json`);
  const ports = { in: { driver: "generator", seed: options.seed, ...traffic }, out: { driver: "null" } };
  writeFileSync(join(options.scratch, `${name}.csv`), policy.join("\n"));
  writeFileSync(file, JSON.stringify({ name, ports, ...(types && { types }), nfs, policy: `${name}.csv` }));
  return loadChain(file, { place: new Map(gpu.map((nf) => [nf, "gpu"])), warn: options.warn });
}

export interface ChainRun {
  /** Absent: every NF on the CPU. */
  readonly workgroups?: number;
  /** Absent: the OpenCL device. */
  readonly form?: DeviceForm;
  /** webgpu: packets go on from NF to NF there; else they come back to the host from each. */
  readonly forwards?: boolean;
  /** ms; absent: the traffic once, with its digest, for comparison. */
  readonly ms?: number;
}

/**
 * Runs a chain to its end.
 * @throws RunError where a packet is not accounted for, or the device has failed, or has copied
 */
export async function runChain(chain: LoadedChain, run: ChainRun, options: CellOptions): Promise<RunResult> {
  const { workgroups, ms, form = { kind: "opencl" }, forwards = false } = run;
  const { warn } = options;
  const device =
    workgroups === undefined
      ? undefined
      : await openDevice({
          ...form,
          ...(form.kind === "opencl" && { found: benchDevice() }),
          forwarding: forwards ? forwardingOf(chain) : undefined,
          slots: slotsFor,
          nfs: deviceNfs(chain),
          workgroups,
          warn,
        });
  const seed = ms === undefined ? options.seed : undefined;
  const result = await startRun(chain, {
    order: seed === undefined ? "flow" : "global",
    batch: 64,
    loop: ms === undefined ? 1 : 0,
    duration: ms === undefined ? 0 : ms / 1000,
    rate: undefined,
    seed,
    digest: seed !== undefined,
    verifyL4: false,
    portable: false,
    wait: {},
    cores: parseCores("d1"),
    device,
    warn,
  }).result;
  const { ledger, failure, sync, device: used } = result;
  if (failure !== null) throw new RunError(chain.name, failure);
  if (!ledger.balanced || ledger.tx !== ledger.rx) {
    const drops = ledger.drops.map(({ nf, reason, packets }) => `${nf} ${reason} ${packets}`).join(", ");
    throw new RunError(chain.name, `${ledger.rx} packets came, ${ledger.tx} left (${drops})`, "report this as a bug");
  }
  if (used?.zero_copy === true && sync.bytes_copied !== 0)
    throw new RunError(chain.name, `${sync.bytes_copied} bytes were copied`, "report this as a bug");
  return result;
}

/** Both runs of the same traffic must end alike. */
export function expectSame(chain: LoadedChain, a: RunResult, b: RunResult): void {
  if (a.digest === b.digest && a.digest !== null && a.alerts_digest === b.alerts_digest) return;
  throw new RunError(chain.name, `digests ${a.digest} on the device, ${b.digest} on the CPU`, "report this as a bug");
}
