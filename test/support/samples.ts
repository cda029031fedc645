/** Samples as a runner would give them, for what is made of samples. */
import { type Cell, type Load, type Sample, sampleKey } from "../../runtime/experiment/cell.js";
import type { EnergySpan, MeterInfo } from "../../runtime/measure/energy/meter.js";

export const RAPL: MeterInfo = {
  kind: "rapl",
  name: "RAPL (powercap)",
  provenance: "measured",
  domains: [{ name: "package-0", within: null }],
  intervalMs: 100,
  note: "package",
};

export function cellOf(on: "cpu" | "gpu", size: Cell["size"] = 64): Cell {
  return {
    placement: { ipsec: "cpu", nids: on },
    device: on === "cpu" ? "none" : "opencl",
    size,
    cores: "1",
    workgroups: undefined,
    wait: "spin",
    batch: 64,
  };
}

export interface SampleShape {
  readonly cell?: Cell;
  readonly load?: Load;
  readonly repeat?: number;
  readonly gbps?: number;
  readonly mpps?: number;
  readonly p99?: number;
  /** Packets the percentiles are over. */
  readonly count?: number;
  readonly loss?: number;
  readonly missed?: number;
  readonly emulated?: boolean;
  readonly energy?: EnergySpan | null;
}

/** One second long. */
export function sampleOf(shape: SampleShape): Sample {
  const { cell = cellOf("cpu"), load = { kind: "saturation" }, repeat = 0, gbps = 1, p99 = 5000, count = 1000 } = shape;
  const { mpps = 1, loss = 0, missed = 0, emulated = false, energy = null } = shape;
  const rx = Math.round(mpps * 1e6);
  return {
    ...{ key: sampleKey(cell, load), cell, load, repeat, at: "2026-01-01T00:00:00Z", seconds: 1 },
    packets: { rx, tx: rx, dropped: 0, missed },
    bytes: (gbps * 1e9) / 8,
    ...{ mpps, gbps, loss },
    latency_ns: { p50: p99 / 2, p90: p99 * 0.9, p99, p999: p99 * 1.5, max: p99 * 2, count },
    cpu_seconds: 1.5,
    nfs: [{ name: "nids", place: cell.placement["nids"]!, engine: "x", share: 1 }],
    device:
      cell.device === "none"
        ? null
        : { kind: "opencl", name: "d", emulated, persistent: true, zero_copy: true, workgroups: 2 },
    drops: [],
    sync: { rows: 0, packets: 0, dummies: 0, bytes_copied: 0 },
    energy,
  };
}

export function spanOf(
  watts: number,
  idle: number | null = 10,
  meter: MeterInfo = RAPL,
  uncertainty = 0.1,
): EnergySpan {
  return {
    ...{ meter, seconds: 1, joules: watts, uncertainty_joules: uncertainty, readings: 10 },
    domains: [{ name: "package-0", within: null, joules: watts }],
    idle_watts: idle,
  };
}
