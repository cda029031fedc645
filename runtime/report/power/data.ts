/** Estimates of `power` as rows. */
import type { Interval } from "../../experiment/compare-result.js";
import type { PowerPoint, PowerResult } from "../../experiment/power-result.js";
import type { DataFile } from "../document.js";

export function pointData({ points }: PowerResult): DataFile {
  const quantities: readonly (readonly [string, string, (point: PowerPoint) => Interval | null])[] = [
    ["throughput", "Gbps", ({ gbps }) => gbps],
    ["busy", "cores", ({ cpu_cores }) => cpu_cores],
    ["power", "W", ({ watts }) => watts],
    ["power above idle", "W", ({ net_watts }) => net_watts],
    ["energy", "J/packet", ({ joules_per_packet }) => joules_per_packet],
    ["energy above idle", "J/packet", ({ net_joules_per_packet }) => net_joules_per_packet],
    ["throughput per power", "Gbps/W", ({ gbps_per_watt }) => gbps_per_watt],
    ["throughput per power above idle", "Gbps/W", ({ gbps_per_net_watt }) => gbps_per_net_watt],
    ["p99", "ns", ({ p99 }) => p99],
  ];
  const rows = points.flatMap((point) =>
    quantities.flatMap(([quantity, unit, of]) => {
      const interval = of(point);
      if (interval === null) return [];
      const { median, low, high, confidence, samples } = interval;
      return [
        [point.key, point.name, point.wait, point.load_percent, quantity, unit, median, low, high, confidence, samples],
      ];
    }),
  );
  const columns = [
    "key",
    "name",
    "wait",
    "load_percent",
    "quantity",
    "unit",
    "median",
    "low",
    "high",
    "confidence",
    "samples",
  ];
  return { name: "points", columns, rows };
}
