/** Ablation: a launch per batch instead of a persistent kernel, and copies instead of memory that host and device share. */
import { nf as ipsecNf } from "../../nfs/ipsec/index.js";
import type { DeviceNf } from "../../runtime/device/device.js";
import type { Arena } from "../../runtime/packet/arena.js";
import { type Cell, type CellOptions, type CellResult, Figures, inTurns } from "../experiment.js";
import { udpFrames } from "../frames.js";
import { loadBenchSas, toRandomSa } from "../ipsec.js";
import { DEPTH, SIZE, usedDevice, withDevice } from "./bed.js";
import { percentile, sumParams } from "./counts.js";
import { Host } from "./host.js";
import { Launcher } from "./launcher.js";
import { launchLockStep, servedWrongly } from "./lock-step.js";
import { PreparedNf } from "./prepared.js";
import { checkTouch, fillTouch, touchNf } from "./touch.js";

const WORKGROUPS = 2;
const SLOTS = 2 * WORKGROUPS * DEPTH * SIZE;
/** Rows of a batch: 1024 packets, as many as in kernel-only measurements. */
const BATCH_ROWS = 16;

/** An NF with packets for it. */
interface Load {
  readonly nf: DeviceNf;
  /** Fills all slots. Returns what checks them: after one serve of each, or after as many as the kernel counted. */
  fill(arena: Arena): { readonly served: "once" | "counted"; check(): void };
}

function touchLoad(bytes: number, options: CellOptions): Load {
  return {
    nf: touchNf,
    fill(arena) {
      const before = fillTouch(arena, () => bytes, options.seed);
      return { served: "counted", check: () => checkTouch(arena, before) };
    },
  };
}

async function ipsecLoad(options: CellOptions): Promise<Load> {
  const { loaded } = await loadBenchSas(options);
  const frames = udpFrames({ size: "1472", count: SLOTS, seed: options.seed, destination: toRandomSa });
  const { program, writes, tables } = ipsecNf.gpu!;
  return {
    nf: { program, writes, tables: tables(loaded) },
    fill(arena) {
      const prepared = new PreparedNf({ module: ipsecNf as never, loaded }, frames, arena);
      return {
        served: "once",
        check() {
          prepared.verify();
          prepared.restore();
          prepared.close();
        },
      };
    },
  };
}

/** Mpps under saturation, and of 1024 packets at a time; us of a row, or of what is launched at once; bytes per packet. */
type Key = "saturated" | "lockStep" | "p50" | "copied";

async function measure(load: Load, options: CellOptions): Promise<CellResult> {
  const all = Uint32Array.from({ length: SLOTS }, (_, slot) => slot);
  /** The product's device, one way or the other. */
  const onDevice = async (mode: "persistent" | "rounds"): Promise<Record<Key, number>> => {
    const bed = { workgroups: WORKGROUPS, slots: SLOTS, nfs: [load.nf], mode, warn: options.warn };
    const { result, bytesCopied } = await withDevice(bed, (device, arena) => {
      const work = load.fill(arena);
      const host = new Host(device, arena);
      host.once();
      if (work.served === "once") work.check();
      const { packets, seconds } = host.saturate(options.turnMs);
      const together = host.lockStep(BATCH_ROWS, options.turnMs / 2);
      const p50 = percentile(host.roundTrips(options.turnMs / 2), 0.5) / 1e3;
      host.check(work.served === "counted" ? sumParams(arena, 0) : undefined);
      if (work.served === "counted") work.check();
      const lockStep = together.packets / together.seconds / 1e6;
      return { saturated: packets / seconds / 1e6, lockStep, p50, added: host.added };
    });
    const { saturated, lockStep, p50, added } = result;
    return { saturated, lockStep, p50, copied: bytesCopied / added };
  };
  const launcher = new Launcher(load.nf.program, load.nf.tables, SLOTS, SLOTS / SIZE);
  const work = load.fill(launcher.arena);
  launcher.launch(launcher.write(all, SLOTS));
  let serves = SLOTS;
  if (work.served === "once") work.check();
  const launches = async (rows: number): Promise<Record<Key, number>> => {
    const { sets, seconds, ns } = launchLockStep(launcher, all, rows, options.turnMs);
    serves += sets * rows * SIZE;
    const lockStep = (sets * rows * SIZE) / seconds / 1e6;
    return { saturated: lockStep, lockStep, p50: percentile(ns, 0.5) / 1e3, copied: 0 };
  };
  const [persistent, few, many, copies] = await inTurns<Key>(
    [
      { name: "persistent", turn: () => onDevice("persistent") },
      { name: "launch, a row per workgroup", turn: () => launches(WORKGROUPS) },
      { name: "launch, 1024 packets", turn: () => launches(BATCH_ROWS) },
      { name: "copies", turn: () => onDevice("rounds") },
    ],
    options.repeats,
  );
  if (work.served === "counted") {
    work.check();
    const counted = sumParams(launcher.arena, 0);
    if (counted !== serves) throw servedWrongly(counted, serves);
  }
  launcher.close();
  const figures = new Figures();
  const devices = [
    ["persistent, zero-copy (the product)", persistent!],
    ["rounds with copies", copies!],
  ] as const;
  for (const [name, { saturated, lockStep, p50 }] of devices) {
    figures.add(name, "throughput, saturated", "Mpps", saturated);
    figures.add(name, "throughput, 1024 packets at a time", "Mpps", lockStep);
    figures.add(name, "round trip p50 of a row", "us", p50);
  }
  const launched = [
    [`launch for each ${WORKGROUPS} rows, zero-copy`, `${WORKGROUPS} rows`, few!],
    ["launch for each 1024 packets, zero-copy", "1024 packets", many!],
  ] as const;
  for (const [name, what, { lockStep, p50 }] of launched) {
    figures.add(name, `throughput, ${what} at a time`, "Mpps", lockStep);
    figures.add(name, `round trip p50 of ${what}`, "us", p50);
  }
  figures.add("rounds with copies", "copied per packet", "bytes", copies!.copied);
  figures.ratio(
    `persistent, saturated / launch for each ${WORKGROUPS} rows`,
    "throughput",
    persistent!.saturated,
    few!.lockStep,
  );
  figures.ratio("persistent / launch, 1024 packets at a time", "throughput", persistent!.lockStep, many!.lockStep);
  figures.ratio("persistent / copies", "throughput, saturated", persistent!.saturated, copies!.saturated, {
    beside: "Hummingbird, on an APU: 10 over launches with copies",
  });
  figures.ratio("copies / persistent", "round trip p50", copies!.p50, persistent!.p50, {
    beside: "Hummingbird, on an APU: latency up to 5.9 lower",
  });
  return { figures: figures.list, device: usedDevice(), notes: [`${WORKGROUPS} workgroups of ${SIZE}`] };
}

const cell = (name: string, load: (options: CellOptions) => Load | Promise<Load>): Cell => ({
  name,
  workgroups: WORKGROUPS,
  run: async (options) => measure(await load(options), options),
});

export function launchCells(quick: boolean): Cell[] {
  const touched = (bytes: number) =>
    cell(`launches and copies, ${bytes} B read and written`, (options) => touchLoad(bytes, options));
  if (quick) return [touched(1472)];
  return [touched(64), touched(1472), cell("launches and copies, ipsec seal, 1472 B", ipsecLoad)];
}
