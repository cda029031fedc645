/** What Host.lockStep does with a persistent kernel, done with launches. */
import { RunError } from "../../runtime/errors.js";
import { SIZE } from "./bed.js";
import { nowNs } from "./counts.js";
import type { Launcher } from "./launcher.js";

export interface LaunchWork {
  /** Launches, each over as many rows as asked for. */
  readonly sets: number;
  readonly seconds: number;
  /** ns of each, from before its rows are written to when they are known to be done; ascending. */
  readonly ns: Float64Array;
}

export function servedWrongly(counted: number, packets: number): RunError {
  return new RunError("bench", `kernels have served ${counted} packets of ${packets}`, "report this as a bug");
}

/** Sets of `rows` rows, each waited for, over slots that take their turn. */
export function launchLockStep(launcher: Launcher, slots: Uint32Array, rows: number, ms: number): LaunchWork {
  const count = rows * SIZE;
  const sets = Math.max(1, Math.floor(slots.length / count));
  const slotsOf = Array.from({ length: sets }, (_, i) => slots.subarray(i * count, (i + 1) * count));
  const start = nowNs();
  const end = start + ms * 1e6;
  const times: number[] = [];
  let now = start;
  while (now < end) {
    launcher.launch(launcher.write(slotsOf[times.length % sets]!, count));
    const done = nowNs();
    times.push(done - now);
    now = done;
  }
  return { sets: times.length, seconds: (now - start) / 1e9, ns: Float64Array.from(times).sort() };
}
