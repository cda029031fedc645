/** Samples, estimates and verdicts of a comparison as rows. */
import type { CompareResult, Interval } from "../../experiment/compare-result.js";
import type { DataFile, TableValue } from "../document.js";

export function sampleData({ samples }: Pick<CompareResult, "samples">): DataFile {
  const columns = [
    ...[
      "key",
      "placement_gpu",
      "device",
      "size",
      "cores",
      "workgroups",
      "wait",
      "batch",
      "load",
      "offered_pps",
      "ring",
      "repeat",
      "at",
      "seconds",
    ],
    ...[
      "rx",
      "tx",
      "dropped",
      "missed",
      "bytes",
      "mpps",
      "gbps",
      "loss",
      "p50_ns",
      "p90_ns",
      "p99_ns",
      "p999_ns",
      "max_ns",
      "latency_count",
      "cpu_seconds",
    ],
    ...[
      "device_name",
      "emulated",
      "rows",
      "row_packets",
      "dummies",
      "bytes_copied",
      "meter",
      "provenance",
      "joules",
      "uncertainty_joules",
      "idle_watts",
      "nfs",
    ],
  ];
  const rows = samples.map((sample): TableValue[] => {
    const { cell, load, packets, latency_ns: latency, device, sync, energy } = sample;
    const gpu = Object.keys(cell.placement).filter((nf) => cell.placement[nf] === "gpu");
    const offered = load.kind === "offered" ? load : null;
    return [
      ...[
        sample.key,
        gpu.join("+"),
        cell.device,
        cell.size,
        cell.cores,
        cell.workgroups ?? null,
        cell.wait,
        cell.batch,
      ],
      ...[load.kind, offered?.pps ?? null, offered?.ring ?? null, sample.repeat, sample.at, sample.seconds],
      ...[packets.rx, packets.tx, packets.dropped, packets.missed, sample.bytes, sample.mpps, sample.gbps, sample.loss],
      ...[latency.p50, latency.p90, latency.p99, latency.p999, latency.max, latency.count, sample.cpu_seconds],
      ...[
        device?.name ?? null,
        device === null ? null : String(device.emulated),
        sync.rows,
        sync.packets,
        sync.dummies,
        sync.bytes_copied,
      ],
      ...[
        energy?.meter.name ?? null,
        energy?.meter.provenance ?? null,
        energy?.joules ?? null,
        energy?.uncertainty_joules ?? null,
      ],
      energy?.idle_watts ?? null,
      sample.nfs.map(({ name, place, share }) => `${name}:${place}:${share}`).join(" "),
    ];
  });
  return { name: "samples", columns, rows };
}

export function cellData({ cells }: CompareResult): DataFile {
  const rows = cells.flatMap((one) => {
    const head = [one.key, one.name, one.cell.size, one.cell.cores, one.cell.device];
    const row = (quantity: string, unit: string, load: number | null, interval: Interval | null | undefined) =>
      interval === null || interval === undefined
        ? []
        : [
            [
              ...head,
              quantity,
              unit,
              load,
              interval.median,
              interval.low,
              interval.high,
              interval.confidence,
              interval.samples,
            ],
          ];
    return [
      ...row("throughput", "Gbps", null, one.gbps),
      ...row("throughput", "Mpps", null, one.mpps),
      ...row("busy", "cores", null, one.cpu_cores),
      ...row("p50, saturated", "ns", null, one.saturated_latency.p50),
      ...row("p99, saturated", "ns", null, one.saturated_latency.p99),
      ...row("ndr", "packets/s", null, one.ndr?.interval),
      ...row("pdr", "packets/s", null, one.pdr?.interval),
      ...one.latency.flatMap(({ percent, p50, p90, p99, p999, loss }) => [
        ...row("p50", "ns", percent, p50),
        ...row("p90", "ns", percent, p90),
        ...row("p99", "ns", percent, p99),
        ...row("p99.9", "ns", percent, p999),
        ...row("loss", "share", percent, loss),
      ]),
      ...row(`power, ${one.energy?.provenance}`, "W", null, one.energy?.watts),
      ...row(`energy, ${one.energy?.provenance}`, "J/packet", null, one.energy?.joules_per_packet),
      ...row(`throughput per power, ${one.energy?.provenance}`, "Gbps/W", null, one.energy?.gbps_per_watt),
    ];
  });
  const columns = [
    "key",
    "name",
    "size",
    "cores",
    "device",
    "quantity",
    "unit",
    "load_percent",
    "median",
    "low",
    "high",
    "confidence",
    "samples",
  ];
  return { name: "estimates", columns, rows };
}

export function verdictData({ verdicts }: CompareResult): DataFile {
  const columns = [
    "size",
    "cores",
    "metric",
    "load_percent",
    "verdict",
    "cpu",
    "gpu",
    "ratio",
    "low",
    "high",
    "confidence",
    "emulated",
    "reason",
  ];
  const rows = verdicts.map(
    ({ size, cores, metric, load, verdict, cpu, gpu, ratio, confidence, emulated, reason }): TableValue[] => [
      ...[size, cores, metric, load, verdict, cpu, gpu],
      ...[ratio?.median ?? null, ratio?.low ?? null, ratio?.high ?? null, confidence, String(emulated), reason],
    ],
  );
  return { name: "verdicts", columns, rows };
}
