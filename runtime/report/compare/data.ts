/** Samples, estimates, searched rates and verdicts of a comparison as rows. */
import type { CompareResult, Interval } from "../../experiment/compare-result.js";
import type { DataFile, TableValue } from "../document.js";

const SAMPLE_COLUMNS =
  "key placement_gpu device size cores workgroups wait batch load offered_pps ring repeat at seconds rx tx dropped missed bytes mpps gbps loss " +
  "p50_ns p90_ns p99_ns p999_ns max_ns latency_count cpu_seconds device_name emulated rows row_packets dummies bytes_copied " +
  "meter provenance joules uncertainty_joules idle_watts nfs";
const ESTIMATE_COLUMNS = "key name size cores device quantity unit load_percent median low high confidence samples";
const RATE_COLUMNS = "key name size cores device rate loss_allowed pps gbps failed_pps hiccups note";
const VERDICT_COLUMNS =
  "kind size cores metric load_percent load_pps verdict gpu ratio low high confidence emulated reason";

export function comparisonData(result: CompareResult): DataFile[] {
  return [sampleData(result), estimates(result), rates(result), verdicts(result)];
}

/** Every sample, a line each. */
export function sampleData({ samples }: Pick<CompareResult, "samples">): DataFile {
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
  return { name: "samples", columns: SAMPLE_COLUMNS.split(" "), rows };
}

function estimates({ cells }: CompareResult): DataFile {
  const rows = cells.flatMap((one) => {
    const head = [one.key, one.name, one.cell.size, one.cell.cores, one.cell.device];
    const row = (quantity: string, unit: string, load: number | null, interval: Interval | null | undefined) => {
      if (interval === null || interval === undefined) return [];
      const { median, low, high, confidence, samples } = interval;
      return [[...head, quantity, unit, load, median, low, high, confidence, samples]];
    };
    const { energy } = one;
    const provenance = energy?.provenance;
    return [
      ...row("throughput", "Gbps", null, one.gbps),
      ...row("throughput", "Mpps", null, one.mpps),
      ...row("busy", "cores", null, one.cpu_cores),
      ...row("p50, saturated", "ns", null, one.saturated_latency?.p50),
      ...row("p99, saturated", "ns", null, one.saturated_latency?.p99),
      ...one.latency.flatMap(({ percent, p50, p90, p99, p999, loss }) => [
        ...row("p50", "ns", percent, p50),
        ...row("p90", "ns", percent, p90),
        ...row("p99", "ns", percent, p99),
        ...row("p99.9", "ns", percent, p999),
        ...row("loss", "share", percent, loss),
      ]),
      ...row(`power, ${provenance}`, "W", null, energy?.watts),
      ...row(`net power, ${provenance}`, "W", null, energy?.net_watts),
      ...row(`energy, ${provenance}`, "J/packet", null, energy?.joules_per_packet),
      ...row(`net energy, ${provenance}`, "J/packet", null, energy?.net_joules_per_packet),
      ...row(`throughput per power, ${provenance}`, "Gbps/W", null, energy?.gbps_per_watt),
      ...row(`throughput per net power, ${provenance}`, "Gbps/W", null, energy?.gbps_per_net_watt),
    ];
  });
  return { name: "estimates", columns: ESTIMATE_COLUMNS.split(" "), rows };
}

function rates({ cells }: CompareResult): DataFile {
  const rows = cells.flatMap(({ key, name, cell, ndr, pdr }) =>
    Object.entries({ ndr, pdr }).flatMap(([rate, found]): TableValue[][] => {
      if (found === null) return [];
      const { loss, pps, gbps, failed_pps, hiccups, note } = found;
      return [[key, name, cell.size, cell.cores, cell.device, rate, loss, pps, gbps, failed_pps, hiccups, note]];
    }),
  );
  return { name: "rates", columns: RATE_COLUMNS.split(" "), rows };
}

function verdicts({ verdicts, comparisons }: CompareResult): DataFile {
  const all = [
    ...verdicts.map((one) => ({ ...one, kind: "best placement", gpu: one.best_gpu })),
    ...comparisons.map((one) => ({ ...one, kind: "each placement" })),
  ];
  const rows = all.map((one): TableValue[] => [
    ...[
      one.kind,
      one.size,
      one.cores,
      one.metric,
      one.load?.percent ?? null,
      one.load?.pps ?? null,
      one.verdict,
      one.gpu,
    ],
    ...[one.ratio?.median ?? null, one.ratio?.low ?? null, one.ratio?.high ?? null],
    ...[one.confidence, String(one.emulated), one.reason],
  ]);
  return { name: "verdicts", columns: VERDICT_COLUMNS.split(" "), rows };
}
