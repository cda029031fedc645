/**
 * A result of `compare` whose figures are made up, to try reports on: two devices, three NFs, some sizes. All of it that can differ does, and
 * each kind of verdict is there.
 */
import type { Cell, FrameSize, Placement, Sample } from "../../runtime/experiment/cell.js";
import { cellKey, sampleKey } from "../../runtime/experiment/cell.js";
import type {
  CellEnergy,
  CellResult,
  CompareResult,
  Interval,
  SizeVerdict,
  Verdict,
} from "../../runtime/experiment/compare-result.js";
import type { Manifest } from "../../runtime/report/document.js";
import { Random } from "./random.js";

export interface MadeUp {
  readonly seed: number;
  readonly sizes: readonly FrameSize[];
  /** What an NF is called: text of the user's. */
  readonly nf: string;
  readonly emulated: boolean;
  readonly energy: "measured" | "nominal" | "none";
  readonly repeats: number;
}

export const MADE_UP: MadeUp = {
  seed: 1,
  sizes: [64, 128, 256, 512, 1024, 1472],
  nf: "ipsec",
  emulated: false,
  energy: "measured",
  repeats: 10,
};

const METER: CellEnergy["meter"] = {
  kind: "rapl",
  name: "RAPL (powercap)",
  provenance: "measured",
  domains: [
    { name: "package-0", within: null },
    { name: "core", within: "package-0" },
  ],
  intervalMs: 100,
  note: "package energy in steps of 61 uJ; without memory and power supply",
};
const NOMINAL: CellEnergy["meter"] = {
  ...METER,
  kind: "nominal",
  name: "nominal model",
  provenance: "nominal",
  note: "65 W of thermal design power times the share of processor time",
};

export function madeUpManifest(seed: number): Manifest {
  return {
    verb: "compare",
    command: ["wingbeat", "compare", "examples/gateway.json", "--report", "out/my report"],
    version: "0.1.0",
    commit: "1db7d56",
    started: "2026-11-21T18:52:20.000Z",
    ended: "2026-11-21T19:20:01.000Z",
    seed,
    config_hash: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    files: [
      { path: "examples/gateway.json", sha256: "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752" },
    ],
    machine: {
      hostname: "apu-lab-3",
      cpu: "AMD Ryzen 7 8700G w/ Radeon 780M Graphics",
      cores: 8,
      memory_bytes: 32 * 2 ** 30,
      virtual: false,
      kernel: "6.12.0-amd64",
      os: "Debian GNU/Linux 12",
      governor: "performance",
      node: "20.20.0",
      load_average: [0.12, 0.2, 0.31],
    },
    devices: [
      { name: "AMD Radeon 780M", emulated: false, detail: "OpenCL 3.0, persistent kernel, zero-copy, 8 workgroups" },
    ],
    libraries: [
      { name: "intel-ipsec-mb", version: "1.3" },
      { name: "Hyperscan", version: "5.4.0" },
    ],
    meters: [{ name: METER.name, provenance: "measured", note: METER.note }],
    warnings: ["load average above 0.1 at the start"],
  };
}

export function madeUpComparison(options: Partial<MadeUp> = {}): CompareResult {
  const { seed, sizes, nf, emulated, energy, repeats } = { ...MADE_UP, ...options };
  const numbers = new Random(seed);
  const next = () => numbers.int(0, 1000) / 1000;
  const interval = (median: number): Interval => {
    const [low, high] = [median * (1 - 0.01 - 0.03 * next()), median * (1 + 0.01 + 0.03 * next())];
    // With less than 6 samples there is no 95 % interval of a median.
    return {
      median,
      low: repeats < 6 ? null : low,
      high: repeats < 6 ? null : high,
      confidence: 0.95,
      samples: repeats,
    };
  };
  const places: Placement[] = [
    { [nf]: "cpu", nids: "cpu", router: "cpu" },
    { [nf]: "gpu", nids: "cpu", router: "cpu" },
    { [nf]: "cpu", nids: "gpu", router: "cpu" },
    { [nf]: "gpu", nids: "gpu", router: "cpu" },
  ];
  const devices = ["opencl", "webgpu"];
  const cells: Cell[] = sizes.flatMap((size) =>
    places.flatMap((placement, index) =>
      (index === 0 ? ["none"] : index === 3 ? devices : ["opencl"]).map((device): Cell => {
        return { placement, device, size, cores: "d1", workgroups: undefined, wait: "yield", batch: 64 };
      }),
    ),
  );
  const nameOf = ({ placement, device }: Cell) => {
    const gpu = Object.keys(placement).filter((one) => placement[one] === "gpu");
    return gpu.length === 0 ? "all on cpu" : `${gpu.join("+")} on gpu (${device})`;
  };
  const samples: Sample[] = [];
  const results = cells.map((cell): CellResult => {
    const bytes = typeof cell.size === "number" ? cell.size : 360;
    const gpu = Object.values(cell.placement).filter((place) => place === "gpu").length;
    const rate =
      gpu === 0 ? 9 / (9 / 6 + bytes / 500) : (gpu * 5) / (3 + bytes / 900) / (cell.device === "webgpu" ? 2.4 : 1);
    const gbps = (rate * bytes * 8) / 1000;
    const device =
      gpu === 0
        ? null
        : {
            kind: cell.device,
            name: emulated ? "SwiftShader" : "AMD Radeon 780M",
            emulated,
            persistent: cell.device === "opencl",
            zero_copy: cell.device === "opencl",
            workgroups: 8,
          };
    const base = (gpu === 0 ? 9_000 : 42_000) * (1 + next() / 5);
    const nfs = Object.entries(cell.placement).map(([name, place], at) => ({
      name,
      place,
      engine: place,
      share: [0.42, 1, 0.93][at]!,
    }));
    const meter = energy === "nominal" ? NOMINAL : METER;
    for (let repeat = 0; repeat < repeats; repeat++) {
      const load = { kind: "saturation" } as const;
      const mpps = rate * (0.98 + 0.04 * next());
      samples.push({
        key: sampleKey(cell, load),
        cell,
        load,
        repeat,
        at: "2026-11-21T18:53:00.000Z",
        seconds: 0.5,
        packets: { rx: Math.round(mpps * 5e5), tx: Math.round(mpps * 5e5), dropped: 0, missed: 0 },
        bytes: Math.round(mpps * 5e5 * bytes),
        mpps,
        gbps: (mpps * bytes * 8) / 1000,
        loss: 0,
        latency_ns: { p50: base, p90: base * 2, p99: base * 4, p999: base * 8, max: base * 20, count: 10_000 },
        cpu_seconds: 0.5,
        nfs,
        device,
        drops: [],
        sync: { rows: 0, packets: 0, dummies: 0, bytes_copied: 0 },
        energy: null,
      });
    }
    const watts = gpu === 0 ? 31 : 24 + 4 * gpu;
    const found = (share: number, loss: number, note: string | null) => {
      const pps = Math.round(rate * share * 1e6);
      return { pps, gbps: gbps * share, loss, failed_pps: pps * 1.02, hiccups: 1, note };
    };
    const ndr = found(0.9, 0, null);
    return {
      key: cellKey(cell),
      cell,
      name: nameOf(cell),
      baseline: gpu === 0,
      device,
      gbps: interval(gbps),
      mpps: interval(rate),
      cpu_cores: interval(gpu === 0 ? 1 : 1.9),
      saturated_latency: { p50: interval(base * 5), p99: interval(base * 12) },
      ndr,
      pdr: found(0.95, 0.005, gpu === 2 ? "ended at 12 trials" : null),
      latency: [50, 80, 95].map((percent) => {
        const at = base * (1 + (percent / 100) ** 8 * 3);
        // As measured: rates are whole packets.
        const pps = Math.round((ndr.pps * percent) / 100);
        return {
          percent: (100 * pps) / ndr.pps,
          shared_with: [],
          pps,
          gbps: (ndr.gbps * percent) / 100,
          p50: interval(at),
          p90: interval(at * 1.7),
          p99: interval(at * 3.1),
          p999: interval(at * 7),
          max: at * 30,
          loss: interval(0),
        };
      }),
      energy:
        energy === "none"
          ? null
          : {
              meter,
              provenance: meter.provenance,
              watts: interval(watts),
              idle_watts: energy === "nominal" ? null : 11.5,
              joules_per_packet: interval(watts / rate / 1e6),
              gbps_per_watt: interval(gbps / watts),
              net_watts: energy === "nominal" ? null : interval(watts - 11.5),
              net_joules_per_packet: energy === "nominal" ? null : interval((watts - 11.5) / rate / 1e6),
              gbps_per_net_watt: energy === "nominal" ? null : interval(gbps / (watts - 11.5)),
              uncertainty: 0.012,
              domains: [
                { name: "package-0", within: null, watts },
                { name: "core", within: "package-0", watts: watts * 0.7 },
              ],
            },
      nfs,
      rows:
        gpu === 0
          ? null
          : {
              packets_per_row: 51.3,
              dummy_share: 0.198,
              bytes_copied_per_packet: cell.device === "webgpu" ? 2 * bytes : 0,
            },
      drops: [],
      spread: 0.03,
    };
  });
  const comparisons = sizes.flatMap((size) =>
    verdictsOf(
      results.filter(({ cell }) => cell.size === size),
      emulated,
      energy,
    ),
  );
  return {
    verb: "compare",
    format: 1,
    state: "complete",
    plan: {
      hash: "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
      chain: "gateway",
      input: "generator:size=imix",
      sizes,
      placements: places,
      devices,
      cores: ["d1"],
      repeats,
      warm_up_ms: 200,
      window_ms: 500,
      seed,
      search: true,
      loads: [50, 80, 95],
      loads_of: "ndr",
      quick: false,
      cells,
      left_out: [
        { what: `${nf} on gpu (gpujs)`, why: "its kernel writes packets, and a gpu.js kernel answers with one number" },
      ],
    },
    equivalence: {
      equal: true,
      packets: 20_000,
      cases: results.map(({ cell, name }) => ({
        size: cell.size,
        name,
        placement: cell.placement,
        device: cell.device,
        cores: cell.cores,
        digest: `sha256:${"5e884898da28047151d0e56f8dc62927".repeat(2)}`,
        alerts_digest: `sha256:${"73603d0d6aabbdd62a11ef721d1542d8".repeat(2)}`,
        packets: 20_000,
        differences: [],
        first_frame: null,
      })),
    },
    cells: results,
    verdicts: sizes.flatMap((size) => {
      const here = comparisons.filter((one) => one.size === size);
      return (["gbps", "p99", "gbps_per_watt"] as const).map((metric): SizeVerdict => {
        const of = here.filter((one) => one.metric === metric && one.ratio !== null);
        const sign = metric === "p99" ? 1 : -1;
        const best =
          of.sort((a, b) => sign * (a.ratio!.median - b.ratio!.median))[0] ??
          here.find((one) => one.metric === metric)!;
        const { cpu: _, gpu, name: __, ...common } = best;
        return { ...common, best_gpu: gpu };
      });
    }),
    comparisons,
    crossovers: [
      {
        name: "the best on gpu",
        cores: "d1",
        metric: "gbps",
        axis: "size",
        size: null,
        at: 1130,
        low: 1024,
        high: 1472,
        between: [1024, 1472],
        below: "cpu",
        above: "gpu",
        text: "the best on gpu, throughput by size: CPU below 1130 B (1024 to 1472 B), GPU above",
      },
    ],
    pareto: results.map(({ cell, key, name, gbps, latency, energy: per }, _, all) => {
      const faster = all.some(
        (other) =>
          other.cell.size === cell.size &&
          other.gbps.median > gbps.median &&
          other.latency[1]!.p99.median < latency[1]!.p99.median,
      );
      const perWatt = per === null || per.provenance === "nominal" ? null : per.gbps_per_watt.median;
      return {
        size: cell.size,
        key,
        name,
        gbps: gbps.median,
        p99: latency[1]!.p99.median,
        gbps_per_watt: perWatt,
        front: !faster,
        standing: faster ? ("dominated" as const) : ("front" as const),
      };
    }),
    best: {
      placement: places[3]!,
      device: "opencl",
      cores: "d1",
      name: `${nf}+nids on gpu (opencl)`,
      ratio: 1.4,
      emulated,
      why: "1.40 times the throughput of all on cpu, as a geometric mean over the sizes",
      file: "best.json",
    },
    warnings: emulated
      ? [
          "the device is an emulation on the CPU: no verdict on hardware",
          "a virtual machine with 2 cores: figures vary",
        ]
      : [],
    progress: { done: samples.length, planned: samples.length },
    manifest: madeUpManifest(seed),
    samples,
  };
}

function verdictsOf(cells: readonly CellResult[], emulated: boolean, energy: MadeUp["energy"]): Verdict[] {
  const cpu = cells.find(({ baseline }) => baseline)!;
  return cells
    .filter(({ baseline }) => !baseline)
    .flatMap((gpu) =>
      (["gbps", "p99", "gbps_per_watt"] as const).map((metric): Verdict => {
        const value = ({ gbps, latency, energy: per }: CellResult) =>
          metric === "gbps"
            ? gbps.median
            : metric === "p99"
              ? latency[1]!.p99.median
              : (per?.gbps_per_watt.median ?? 1);
        const ratio = value(gpu) / value(cpu);
        const better = metric === "p99" ? 1 / ratio : ratio;
        const none = metric === "gbps_per_watt" && energy !== "measured";
        return {
          size: gpu.cell.size,
          cores: gpu.cell.cores,
          metric,
          load: metric === "p99" ? { percent: 80, pps: 1_000_000 } : null,
          verdict: none ? "none" : better > 1.05 ? "gpu" : better < 0.95 ? "cpu" : "no difference",
          cpu: cpu.key,
          gpu: gpu.key,
          name: gpu.name,
          ratio: none ? null : { median: ratio, low: ratio * 0.97, high: ratio * 1.03, confidence: 0.95, samples: 10 },
          confidence: 0.95,
          emulated,
          reason: none ? (energy === "none" ? "no meter" : "nominal energy") : null,
          text: `${gpu.name}: ${ratio}`,
        };
      }),
    );
}
