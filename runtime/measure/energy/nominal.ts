/**
 * The nominal model, for machines without a meter: thermal design power times the share of the machine's processor time that this process takes.
 * No measurement, and called nominal wherever it is shown: a processor draws neither nothing when idle nor its TDP whenever it is busy.
 */
import { availableParallelism, cpus } from "node:os";
import type { SystemFiles } from "../../native/system-files.js";
import type { Accumulator, Used } from "./accumulate.js";
import { raplDomains } from "./rapl.js";
import { type Clock, PolledSource, type Source } from "./source.js";

const INTERVAL_MS = 1000;
/**
 * Where nobody says more: watts for each logical processor. Data sheets have 2 (AMD EPYC 9654: 360 W / 192) to 5 (Ryzen 9 7950X: 170 W / 32) and 16
 * (A12-9800: 65 W / 4), so it is good for comparisons on one machine, and wrong by a factor of three on any.
 */
export const ASSUMED_WATTS = 5;

export interface Tdp {
  readonly watts: number;
  /** Where it is from, in words. */
  readonly from: string;
}

/** As the user says; else what the processor says of itself, which needs no rights; else the assumption above. */
export function tdpOf(files: SystemFiles, stated: number | undefined): Tdp {
  if (stated !== undefined) return { watts: stated, from: "as stated" };
  // Thermal specification power (Intel SDM vol. 3, 16.10.3, PACKAGE_POWER_INFO), as powercap shows it.
  const limits = raplDomains(files)
    .filter(({ folder }) => files.text(`${folder}/name`)?.startsWith("package"))
    .map(({ folder }) => files.number(`${folder}/constraint_0_max_power_uw`) ?? 0);
  if (limits.length > 0 && limits.every((limit) => limit > 0)) {
    return { watts: limits.reduce((sum, limit) => sum + limit, 0) * 1e-6, from: "as the processor states" };
  }
  const logical = cpus().length || availableParallelism();
  const from = `assumed: ${ASSUMED_WATTS} W for each of ${logical} logical processors, wrong by a factor of up to three; --tdp W states it`;
  return { watts: ASSUMED_WATTS * logical, from };
}

/** Seconds of processor time times the watts of one processor. */
class NominalAccumulator implements Accumulator {
  private first = 0;
  private last = 0;
  private startMs = 0;
  private lastMs = 0;

  constructor(
    private readonly watts: number,
    private readonly processors: number,
  ) {}

  start(ms: number, seconds: number): void {
    this.first = this.last = seconds;
    this.startMs = this.lastMs = ms;
  }

  add(ms: number, seconds: number): void {
    this.last = seconds;
    this.lastMs = ms;
  }

  /** All that is certain: it was something from nothing to TDP all the time. */
  used(): Used {
    const joules = (this.watts * (this.last - this.first)) / this.processors;
    const most = (this.watts * (this.lastMs - this.startMs)) / 1000;
    return { joules, uncertainty: Math.max(joules, most - joules) };
  }
}

export interface ProcessorTime {
  /** Seconds that this process has used. */
  seconds(): number;
  readonly processors: number;
}

function ownTime(): ProcessorTime {
  const seconds = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) * 1e-6;
  };
  return { seconds, processors: cpus().length || availableParallelism() };
}

export function nominalSource({ watts, from }: Tdp, clock: Clock, time: ProcessorTime = ownTime()): Source {
  const info = {
    kind: "nominal",
    name: "nominal (TDP x busy share)",
    provenance: "nominal",
    intervalMs: INTERVAL_MS,
    note: `no measurement: TDP of ${Number(watts.toPrecision(3))} W (${from}) x this process's share of the processor time of ${time.processors} processors`,
  } as const;
  const accumulator = new NominalAccumulator(watts, time.processors);
  const domain = { name: "processor (nominal)", within: null };
  return new PolledSource(info, ["processor"], [{ domain, accumulator, read: () => time.seconds() }], clock);
}
