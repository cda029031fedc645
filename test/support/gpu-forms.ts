/** Runs of chains on the device that is there, in threads, in forms a test chooses. */
import { join } from "node:path";
import * as assert from "uvu/assert";
import { type LoadedChain, loadChain } from "../../runtime/chain/load.js";
import { type DeviceOptions, openDevice } from "../../runtime/device/open.js";
import { parseCores } from "../../runtime/engine/core-spec.js";
import { deviceNfs, slotsFor } from "../../runtime/engine/device-plan.js";
import { forwardingOf } from "../../runtime/engine/hops.js";
import type { OrderMode } from "../../runtime/engine/plan.js";
import type { RunResult } from "../../runtime/engine/result.js";
import { startRun } from "../../runtime/engine/run.js";
import type { Random } from "./random.js";

/** PoCL has as many threads as the first device of the process asks for. */
export const MOST_WORKGROUPS = 8;
const CORES = ["d1", "c1d1", "c2d1", "c1d1n1", "d1n2", "d2n1", "c2d2n2"];

/** Where NFs run, and on how much. */
export interface Form {
  readonly place: readonly string[];
  /** opencl unless given. */
  readonly kind?: DeviceOptions["kind"];
  readonly cores: string;
  readonly workgroups: number;
  readonly order?: OrderMode;
  readonly mode?: "persistent" | "rounds";
  readonly workgroupSize?: number;
  readonly depth?: number;
  /** Packets per burst; 64. */
  readonly batch?: number;
  /** ms of a launch of the persistent kernel; 0: one launch for the whole run. */
  readonly sliceMs?: number;
  /** Rounds, or launches of gpujs, after which the device is destroyed. */
  readonly loseAfter?: number;
  readonly gpuJsMode?: DeviceOptions["gpuJsMode"];
  /** False: every packet comes back to the host from every NF, also where the device could hand it on. */
  readonly forwards?: boolean;
}

export async function load(
  folderPath: string,
  names: readonly string[],
  place: readonly string[],
): Promise<LoadedChain> {
  return loadChain(join(folderPath, "chain.json"), {
    place: new Map(names.map((name) => [name, place.includes(name) ? "gpu" : "cpu"])),
    warn: () => {},
  });
}

/** `form` undefined: without a device. */
export async function runLoaded(
  chain: LoadedChain,
  form: Form | undefined,
  ivSeed: number,
  verifyL4 = false,
): Promise<RunResult> {
  const nfs = deviceNfs(chain);
  const device =
    form === undefined || nfs.length === 0
      ? undefined
      : await openDevice({
          kind: form.kind ?? "opencl",
          nfs,
          slots: slotsFor,
          workgroups: form.workgroups,
          ...(form.mode && { mode: form.mode }),
          workgroupSize: form.workgroupSize ?? 64,
          depth: form.depth ?? 8,
          sliceMs: form.sliceMs ?? 0,
          ...(form.loseAfter && { loseAfter: form.loseAfter }),
          ...(form.gpuJsMode && { gpuJsMode: form.gpuJsMode }),
          ...(form.forwards !== false && { forwarding: forwardingOf(chain) }),
          warn: () => {},
        });
  const run = startRun(chain, {
    ...{
      cores: parseCores(form?.cores ?? "d1"),
      batch: form?.batch ?? 64,
      portable: false,
      order: form?.order ?? "global",
    },
    ...{ wait: {}, verifyL4, loop: 1, duration: 0, rate: undefined, seed: ivSeed, digest: true },
    device,
    warn: () => {},
  });
  return run.result;
}

/** What holds of every run on the device. */
export function check(result: RunResult, form: Form, about: string): void {
  assert.is(result.failure, null, about);
  assert.ok(result.ledger.balanced, about);
  for (const nf of result.nfs) {
    const onGpu = form.place.includes(nf.name);
    assert.is(nf.place, onGpu ? "gpu" : "cpu", about);
    assert.is(nf.device, onGpu ? result.device!.name : null, about);
  }
  assert.is(result.device!.kind, form.kind ?? "opencl", about);
  const { rows, packets, dummies, bytes_copied } = result.sync;
  assert.is(packets + dummies, rows * (form.workgroupSize ?? 64), about);
  assert.ok(packets > 0, about);
  assert.is(bytes_copied === 0, result.device!.zero_copy, about);
}

export function randomForm(r: Random, place: readonly string[], kind: DeviceOptions["kind"] = "opencl"): Form {
  const cores = r.pick(CORES);
  return {
    kind,
    place,
    cores,
    workgroups: r.int(cores === "d1n2" ? 2 : 1, MOST_WORKGROUPS),
    workgroupSize: r.pick([1, 8, 64, 64, 256]),
    depth: r.pick([1, 4, 8]),
    mode: r.pick(["persistent", "persistent", "rounds"]),
    batch: r.pick([1, 7, 64, 64, 256]),
    sliceMs: r.pick([0, 0, 2, 20]),
    forwards: r.chance(0.7),
  };
}
