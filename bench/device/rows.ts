/** The way of a row by itself, with a kernel that touches nothing: round trips, and rows per second against a launch per set of rows. */
import { type Cell, type CellOptions, type CellResult, type Experiment, Figures, inTurns } from "../experiment.js";
import { DEPTH, SIZE, usedDevice, withDevice } from "./bed.js";
import { percentile, sumParams } from "./counts.js";
import { Host } from "./host.js";
import { Launcher } from "./launcher.js";
import { launchLockStep, servedWrongly } from "./lock-step.js";
import { checkTouch, fillTouch, touchNf } from "./touch.js";

/** What the kernel that counts reads and writes of a packet. */
const BYTES = 64;
const PASS = { program: "pass", tables: new Uint32Array(1), writes: "params" } as const;
/** Times as many rows per second as a launch for each set of rows, by workgroups. */
const LEAST_RATIO: Readonly<Record<number, number>> = { 2: 2.5, 4: 2 };
const MOST_US: Readonly<Record<number, number>> = { 2: 20 };
const MEASURED_BEFORE: Readonly<Record<number, string>> = {
  2: "3.0 in a first trial; paper: 10 on an APU, copies included",
  4: "2.6 in a first trial",
  8: "1.7 in a first trial",
};

async function measure(workgroups: number, options: CellOptions): Promise<CellResult> {
  const slots = 2 * workgroups * DEPTH * SIZE;
  const bed = { workgroups, slots, warn: options.warn };
  const all = Uint32Array.from({ length: slots }, (_, slot) => slot);
  await checkWork(workgroups, slots, options);
  const launcher = new Launcher("pass", PASS.tables, slots, workgroups);
  const [persistent, launched] = await inTurns<"p50" | "p99" | "rows">(
    [
      {
        name: "persistent",
        turn: async () => {
          const { result } = await withDevice({ ...bed, nfs: [PASS] }, (device, arena) => {
            const host = new Host(device, arena);
            const { packets, seconds } = host.lockStep(workgroups, options.turnMs);
            const ns = host.roundTrips(options.turnMs);
            host.check();
            return { rows: packets / SIZE / seconds, p50: percentile(ns, 0.5) / 1e3, p99: percentile(ns, 0.99) / 1e3 };
          });
          return result;
        },
      },
      {
        name: "launch",
        turn: async () => {
          const { sets, seconds } = launchLockStep(launcher, all, workgroups, options.turnMs);
          const single = launchLockStep(launcher, all, 1, options.turnMs).ns;
          return {
            rows: (sets * workgroups) / seconds,
            p50: percentile(single, 0.5) / 1e3,
            p99: percentile(single, 0.99) / 1e3,
          };
        },
      },
    ],
    options.repeats,
  );
  launcher.close();
  const figures = new Figures();
  const most = MOST_US[workgroups];
  const least = LEAST_RATIO[workgroups];
  const beside = MEASURED_BEFORE[workgroups];
  const per1000 = (samples: readonly number[]) => samples.map((rows) => rows / 1000);
  figures.add("persistent", "round trip p50", "us", persistent!.p50, most === undefined ? {} : { most });
  figures.add("persistent", "round trip p99", "us", persistent!.p99);
  figures.add("launch", "round trip p50", "us", launched!.p50);
  figures.add("launch", "round trip p99", "us", launched!.p99);
  figures.add("persistent", "lock-step", "krows/s", per1000(persistent!.rows));
  figures.add("launch", "lock-step", "krows/s", per1000(launched!.rows));
  figures.ratio("persistent / launch", "lock-step", persistent!.rows, launched!.rows, {
    ...(least !== undefined && { least }),
    ...(beside !== undefined && { beside }),
  });
  const notes = ["launches run on as many threads of the emulation as the persistent kernel: one for each workgroup"];
  const device = usedDevice();
  return { figures: figures.list, device, notes: device.emulated ? notes : [] };
}

/** Both ways serve every packet once: with a kernel that counts, since pass leaves no trace. */
async function checkWork(workgroups: number, slots: number, options: CellOptions): Promise<void> {
  const nfs = [touchNf];
  await withDevice({ workgroups, slots, nfs, warn: options.warn }, (device, arena) => {
    const before = fillTouch(arena, () => BYTES, options.seed);
    const host = new Host(device, arena);
    host.lockStep(workgroups, 5);
    host.roundTrips(5);
    host.check(sumParams(arena, 0));
    checkTouch(arena, before);
  });
  const launcher = new Launcher("touch", new Uint32Array(1), slots, workgroups);
  const all = Uint32Array.from({ length: slots }, (_, slot) => slot);
  const before = fillTouch(launcher.arena, () => BYTES, options.seed);
  const { sets } = launchLockStep(launcher, all, workgroups, 5);
  const served = sumParams(launcher.arena, 0);
  checkTouch(launcher.arena, before);
  launcher.close();
  if (served !== sets * workgroups * SIZE) throw servedWrongly(served, sets * workgroups * SIZE);
}

const cell = (workgroups: number): Cell => ({
  name: `${workgroups} workgroup${workgroups === 1 ? "" : "s"} of ${SIZE}`,
  workgroups,
  run: (options) => measure(workgroups, options),
});

const rows: Experiment = {
  name: "device-rows",
  about:
    "a row's way to the device and back with a kernel that touches nothing, one at a time and one per workgroup in lock-step, against a launch for each set of rows",
  cells: (quick) => (quick ? [2] : [1, 2, 4, 8]).map(cell),
};
export const experiments: readonly Experiment[] = [rows];
