/** Ablation: an atomic of every thread instead of the workgroup's first (bench/kernels/thread-atomics). */
import { join } from "node:path";
import { type Cell, type CellOptions, type CellResult, Figures, inTurns } from "../experiment.js";
import { BENCH_KERNELS, DEPTH, SIZE, usedDevice, withDevice } from "./bed.js";
import { percentile, sumParams } from "./counts.js";
import { Host } from "./host.js";
import { checkTouch, fillTouch, touchNf } from "./touch.js";

const THREAD_ATOMICS = join(BENCH_KERNELS, "thread-atomics");
const PASS = { program: "pass", tables: new Uint32Array(1), writes: "params" } as const;
const BYTES = 64;

async function measure(workgroups: number, options: CellOptions): Promise<CellResult> {
  const slots = 2 * workgroups * DEPTH * SIZE;
  const bed = { workgroups, slots, warn: options.warn };
  const variant = (name: string, folder: { variant?: string }) => ({
    name,
    turn: async () => {
      const { result } = await withDevice({ ...bed, ...folder, nfs: [PASS] }, (device, arena) => {
        const host = new Host(device, arena);
        const { packets, seconds } = host.lockStep(workgroups, options.turnMs);
        const p50 = percentile(host.roundTrips(options.turnMs / 2), 0.5) / 1e3;
        host.check();
        return { krows: packets / SIZE / seconds / 1e3, p50 };
      });
      return result;
    },
  });
  // pass leaves no trace: that the other kernel serves each packet once, and when, a kernel that writes shows.
  await withDevice({ ...bed, variant: THREAD_ATOMICS, nfs: [touchNf] }, (device, arena) => {
    const before = fillTouch(arena, () => BYTES, options.seed);
    const host = new Host(device, arena);
    host.once();
    host.saturate(5);
    host.check(sumParams(arena, 0));
    checkTouch(arena, before);
  });
  const [first, every] = await inTurns<"krows" | "p50">(
    [variant("first thread", {}), variant("every thread", { variant: THREAD_ATOMICS })],
    options.repeats,
  );
  const figures = new Figures();
  figures.add("atomics of the first thread (the product)", "lock-step", "krows/s", first!.krows);
  figures.add("atomics of the first thread (the product)", "round trip p50", "us", first!.p50);
  figures.add("atomics of every thread", "lock-step", "krows/s", every!.krows);
  figures.add("atomics of every thread", "round trip p50", "us", every!.p50);
  figures.ratio("first thread / every thread", "lock-step", first!.krows, every!.krows);
  const note = "emulation runs a workgroup's threads one after the other: the first polls, the others look once";
  const device = usedDevice();
  return { figures: figures.list, device, notes: device.emulated ? [note] : [] };
}

export function atomicsCells(quick: boolean): Cell[] {
  return (quick ? [2] : [1, 2]).map((workgroups) => ({
    name: `atomics, ${workgroups} workgroup${workgroups === 1 ? "" : "s"}`,
    workgroups,
    run: (options) => measure(workgroups, options),
  }));
}
