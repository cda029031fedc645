/** What a run wants of a GPU device, and what of the device the plan of a run holds. */
import type { LoadedChain } from "../chain/load.js";
import type { GpuProgram } from "../chain/nf.js";
import type { DeviceHandle, DeviceNf } from "../device/device.js";
import type { QueueShape } from "../device/queue.js";
import { ConfigError, RunError } from "../errors.js";
import { isLive, ringEntries } from "../nic/drivers.js";
import { USUAL_RING } from "../nic/rings/ring-memory.js";
import { arenaBytes } from "../packet/arena.js";
import type { RegionHandle } from "../packet/memory.js";
import { type PlanHops, planHops } from "./hops.js";
import { RING_SHARE } from "./live-ports.js";

/** Slots without a device: bursts of a few cores in flight; 8 MiB, so that they stay in the second-level caches. */
const CPU_SLOTS = 4096;
/** With network interfaces: a quarter of them waits in receive rings, as many more may be bursts that came while a thread slept. */
const LIVE_SLOTS = 16_384;
/** 128 MiB; more in flight at a device than that is queueing and nothing else. */
const MOST_DEVICE_SLOTS = 65_536;
/** 256 MiB, which fill a receive ring of the longest there is. */
const MOST_LIVE_SLOTS = 131_072;
/** Rows in flight, and as many packets again on the CPU. */
const TIMES_ROWS = 2;

/**
 * Slots of the arena of a run; with a device, enough to fill every row of every queue and go on working meanwhile.
 * @param least as {@link leastSlots} says
 */
export function slotsFor(shape?: QueueShape, least = CPU_SLOTS): number {
  if (shape === undefined) return least;
  return slotsAbove(TIMES_ROWS * shape.workgroups * shape.depth * shape.workgroupSize, least, MOST_DEVICE_SLOTS);
}

function slotsAbove(wanted: number, least: number, most: number): number {
  let slots = least;
  while (slots < wanted && slots < most) slots *= 2;
  return slots;
}

/**
 * Slots that a chain's ports want, without a device: with network interfaces, enough to fill the receive rings that the chain asks for.
 * @param warn told where that is more than an arena has
 */
export function leastSlots(chain: Pick<LoadedChain, "ports">, warn: (line: string) => void = () => {}): number {
  if (!chain.ports.some(({ config }) => isLive(config))) return CPU_SLOTS;
  const entriesOf = (usual: number) =>
    chain.ports.reduce((sum, { config, rx }) => sum + (rx ? ringEntries(config, usual) : 0), 0);
  // Rings that nobody asks for share what there is; beside others they have to be reckoned with.
  const entries = entriesOf(0) === 0 ? 0 : entriesOf(USUAL_RING);
  const slots = slotsAbove(entries / RING_SHARE, LIVE_SLOTS, MOST_LIVE_SLOTS);
  if (slots * RING_SHARE < entries)
    warn(
      `receive rings of ${entries} entries in all are filled with ${slots * RING_SHARE} slots: ${slots} slots are the most`,
    );
  return slots;
}

/** Numbers of the chain's NFs that are placed on a GPU, in the order in which the device is to be opened with them. */
function gpuNfs(chain: LoadedChain): number[] {
  return chain.nfs.flatMap((nf, i) => (nf.place === "gpu" ? [i] : []));
}

/**
 * What the device has to be opened with, in this order.
 * @throws ConfigError where an NF of a type that runs on the CPU only is placed on a GPU
 */
export function deviceNfs(chain: LoadedChain): DeviceNf[] {
  return gpuNfs(chain).map((i) => {
    const { name, type, module, loaded } = chain.nfs[i]!;
    if (module.gpu === undefined) {
      throw new ConfigError(`nfs.${name}.place`, `an NF of type ${type} runs on the CPU only`, 'write "place": "cpu"');
    }
    const { program, writes } = module.gpu;
    return { program, writes, tables: tablesOf(module.gpu, loaded) };
  });
}

/** Tables by what an NF has loaded: an automaton may take seconds to build, and experiments open devices again and again. */
const built = new WeakMap<object, Uint32Array>();

function tablesOf(gpu: GpuProgram<unknown>, loaded: unknown): Uint32Array {
  if (loaded === null || typeof loaded !== "object") return gpu.tables(loaded);
  let tables = built.get(loaded);
  if (tables === undefined) {
    tables = gpu.tables(loaded);
    built.set(loaded, tables);
  }
  return tables;
}

/** A device in the plan of a run. */
export interface PlanDevice {
  readonly handle: DeviceHandle;
  /** By number of the NF in the chain: its number on the device; -1 where it runs on the CPU. */
  readonly numberOf: readonly number[];
  /** By number of the NF in the chain: the drop reason of packets the device did not serve; -1 where it runs on the CPU. */
  readonly stalled: readonly number[];
  /** Of a device that hands packets on by itself. */
  readonly hops: PlanHops | undefined;
}

/** The reason of packets that a device which has come to a halt did not serve. */
const STALLED_REASON = "device-stalled";

/** @param addDrop enters a drop reason in the plan and returns its number */
export function planDevice(
  chain: LoadedChain,
  handle: DeviceHandle,
  addDrop: (nf: string, reason: string) => number,
): PlanDevice {
  const placed = gpuNfs(chain);
  if (placed.length !== handle.nfs.length) {
    throw new RunError("device", `opened for ${handle.nfs.length} NFs, the chain places ${placed.length} on it`);
  }
  return {
    handle,
    numberOf: chain.nfs.map((_, i) => placed.indexOf(i)),
    hops: handle.ahead && planHops(chain),
    stalled: chain.nfs.map((nf, i) => (placed.includes(i) ? addDrop(nf.name, STALLED_REASON) : -1)),
  };
}

/** Slots of an arena in a device's memory. */
export function slotsIn(region: RegionHandle, shape: QueueShape, least: number): number {
  const slots = slotsFor(shape, least);
  const bytes = arenaBytes(slots);
  if (region.size < bytes) {
    throw new RunError("device", `its memory for packets has ${region.size} bytes, ${slots} slots take ${bytes}`);
  }
  return slots;
}
