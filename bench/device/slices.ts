/** What it costs that the persistent kernel returns every few milliseconds and is launched again (`--slice`). */
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { DEPTH, SIZE, usedDevice, withDevice } from "./bed.js";
import { sumParams } from "./counts.js";
import { Host } from "./host.js";
import { checkTouch, fillTouch, touchNf } from "./touch.js";

const WORKGROUPS = 2;
const SLOTS = 2 * WORKGROUPS * DEPTH * SIZE;
const BYTES = 512;
/** ms; 0: the kernel runs from start to stop. */
const SLICES = [0, 1, 5, 10, 50];
const QUICK_SLICES = [0, 5];
/** Of the longest slice, in a turn at least. */
const SLICES_PER_TURN = 4;

async function measure(slices: readonly number[], options: CellOptions): Promise<CellResult> {
  const ms = Math.max(options.turnMs, SLICES_PER_TURN * Math.max(...slices));
  const samples = await inTurns<"mpps" | "launches">(
    slices.map((sliceMs) => ({
      name: `${sliceMs} ms`,
      turn: async () => {
        const bed = { workgroups: WORKGROUPS, slots: SLOTS, nfs: [touchNf], sliceMs, warn: options.warn };
        const { result, launches } = await withDevice(bed, (device, arena) => {
          const before = fillTouch(arena, () => BYTES, options.seed);
          const host = new Host(device, arena);
          const { packets, seconds } = host.saturate(ms);
          host.check(sumParams(arena, 0));
          checkTouch(arena, before);
          return packets / seconds / 1e6;
        });
        return { mpps: result, launches };
      },
    })),
    options.repeats,
  );
  const figures = new Figures();
  for (const [i, sliceMs] of slices.entries()) {
    const name = sliceMs === 0 ? "no slices" : `slices of ${sliceMs} ms`;
    figures.add(name, "throughput", "Mpps", samples[i]!.mpps);
    if (sliceMs === 0) continue;
    figures.add(name, "launches in a turn", "launches", samples[i]!.launches);
    figures.ratio(`${name} / none`, "throughput", samples[i]!.mpps, samples[0]!.mpps);
  }
  const note = `${WORKGROUPS} workgroups of ${SIZE}, turns of ${ms} ms, a kernel that inverts the ${BYTES} bytes of each packet`;
  return { figures: figures.list, device: usedDevice(), notes: [note] };
}

const cell = (slices: readonly number[]): Cell => ({
  name: "saturating load",
  workgroups: WORKGROUPS,
  run: (options) => measure(slices, options),
});

const slices: Experiment = {
  name: "device-slices",
  about:
    "throughput where the persistent kernel returns every few milliseconds, against one that runs from start to stop",
  cells: (quick) => [cell(quick ? QUICK_SLICES : SLICES)],
};
export const experiments: readonly Experiment[] = [slices];
