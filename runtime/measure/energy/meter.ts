/**
 * Energy as experiments see it: meters that were found on the machine, and the energy of a span of time. A figure is either measured, and
 * says by what, or nominal, and is called so wherever it is shown.
 */

export type MeterKind = "rapl" | "hwmon" | "nvml" | "battery" | "file" | "command" | "nominal";

/** measured: a meter of this machine's energy. nominal: thermal design power times the share of processor time, no measurement. */
export type Provenance = "measured" | "nominal";

export interface DomainInfo {
  /** "package-0", "core", "amdgpu PPT": as the meter names it, unique within the meter. */
  readonly name: string;
  /** The domain whose energy includes this one's; null: it counts in the sum. */
  readonly within: string | null;
}

export interface MeterInfo {
  readonly kind: MeterKind;
  /** "RAPL (powercap)", "amdgpu hwmon". */
  readonly name: string;
  readonly provenance: Provenance;
  readonly domains: readonly DomainInfo[];
  /** ms between readings. */
  readonly intervalMs: number;
  /** What its figures rest on, in a line: resolution, what it covers and does not. */
  readonly note: string;
}

export interface DomainEnergy extends DomainInfo {
  readonly joules: number;
  /** Watts of the idle machine in this domain; absent where idle was not measured. */
  readonly idle_watts?: number;
}

/** Energy of a span of time. Plain JSON. */
export interface EnergySpan {
  readonly meter: MeterInfo;
  readonly seconds: number;
  /** Over all domains that are within no other. */
  readonly joules: number;
  /** Plus or minus, from the meter's resolution and interval. */
  readonly uncertainty_joules: number;
  /** Readings taken. */
  readonly readings: number;
  readonly domains: readonly DomainEnergy[];
  /** Watts of the idle machine, measured before; null where that was not done. What is above it the work has caused. */
  readonly idle_watts: number | null;
  /** Plus or minus; absent where idle was not measured. */
  readonly idle_uncertainty_watts?: number;
}

/** A meter in use: main thread only, one span at a time. */
export interface EnergyRecorder {
  readonly info: MeterInfo;
  start(): void;
  /** @returns what was used since start @throws RunError where the meter stopped answering: never a silent zero */
  stop(): EnergySpan;
  /** Measures the idle machine for so many ms; spans name it from then on. */
  measureIdle(ms: number): Promise<void>;
  close(): void;
}
