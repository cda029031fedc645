/** CPU time that a device takes while nothing is in flight: its thread is to sleep, not to poll. */
import { setTimeout as delay } from "node:timers/promises";
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { SIZE, withDevice } from "./bed.js";
import { formsHere, GPUJS, type NamedForm, PERSISTENT, ROUNDS, WEBGPU } from "./forms.js";

const WORKGROUPS = 2;
/** DIR-24-8 without a route: every kind of device has the kernel. */
const NF = { program: "router", tables: new Uint32Array(2 ** 23), writes: "params" } as const;
/** ms after the start in which a thread falls asleep. */
const SETTLE_MS = 100;
const LEAST_MS = 200;
const MOST_PERCENT = 2;

async function percentOfCore({ form }: NamedForm, ms: number, options: CellOptions): Promise<number> {
  const bed = { ...form, workgroups: WORKGROUPS, slots: 4 * SIZE, nfs: [NF], warn: options.warn };
  const { result } = await withDevice(bed, async () => {
    await delay(SETTLE_MS);
    const before = process.cpuUsage();
    const start = performance.now();
    await delay(ms);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 10 / (performance.now() - start);
  });
  return result;
}

async function measure(options: CellOptions): Promise<CellResult> {
  const { forms, notes } = await formsHere([PERSISTENT, ROUNDS, WEBGPU, ...GPUJS]);
  const ms = Math.max(LEAST_MS, 5 * options.turnMs);
  const samples = await inTurns<"percent">(
    forms.map((one) => ({
      name: one.name,
      turn: async () => ({ percent: await percentOfCore(one, ms, options) }),
    })),
    options.repeats,
  );
  const figures = new Figures();
  for (const [i, { name }] of forms.entries()) {
    // A persistent kernel polls: on a GPU, or as threads of an emulation.
    const target = name === PERSISTENT.name ? {} : { most: MOST_PERCENT };
    figures.add(name, "CPU time, nothing in flight", "% of a core", samples[i]!.percent, target);
  }
  const note = `${WORKGROUPS} workgroups, ${ms} ms; of the whole process. A persistent kernel polls, which an emulation does on the CPU`;
  return { figures: figures.list, device: null, notes: [note, ...notes] };
}

const cell: Cell = { name: "nothing in flight", workgroups: WORKGROUPS, needs: "nothing", run: measure };

const idle: Experiment = {
  name: "device-idle",
  about: "CPU time that a device takes while nothing is in flight, by kind of device",
  cells: () => [cell],
};
export const experiments: readonly Experiment[] = [idle];
