/**
 * Benchmarks: subjects that do the same work are measured in turns (A, B, A, B...), so that what else the machine does meets all
 * of them alike; figures are medians with their spread, and the ratio is the median of the ratios of neighbouring repeats.
 *
 * A benchmark is a file bench/<name>.ts that exports `benches`, a list of {@link Bench}; main.ts finds it by that.
 */
import { cpus } from "node:os";
import type { FrameSet, Size } from "./frames.js";
import { markdownTable, type TableText, terminalTable } from "./table.js";

/** Something that can be measured. */
export interface Subject {
  readonly name: string;
  /** Ratios are wingbeat's speed over the peer's. */
  readonly role: "wingbeat" | "peer";
  /** Library and version, or which implementation. */
  readonly engine: string;
  /** One repeat: nanoseconds per packet. */
  repeat(): Promise<number>;
  close(): Promise<void>;
}

export interface BenchOptions {
  readonly quick: boolean;
  readonly seed: number;
  /** Frames per set. */
  readonly frames: number;
  /** Folder with public data sets; benchmarks make their own input where it is missing. */
  readonly data: string;
  /** Folder for this run's temporary files. */
  readonly scratch: string;
  warn(line: string): void;
}

/** What a benchmark has loaded once for all frame sizes. */
export interface BenchSetup {
  /** What was loaded, for the report. */
  readonly note: string;
  frames(size: Size): FrameSet;
  /** Subjects on these frames, and one line for each that cannot run here. */
  subjects(frames: FrameSet): Promise<{ readonly subjects: readonly Subject[]; readonly skipped: readonly string[] }>;
}

export interface Bench {
  readonly nf: string;
  setUp(options: BenchOptions): Promise<BenchSetup>;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Measurement {
  readonly nf: string;
  readonly frames: string;
  readonly mean_bytes: number;
  readonly subject: string;
  readonly role: Subject["role"];
  readonly engine: string;
  readonly ns_per_packet: Spread;
  readonly mpps: Spread;
  /** Frame bytes x 8 at the median, layer 2 without FCS. */
  readonly gbps: number;
  /** Speed over the fastest peer's, repeat by repeat; null for peers and where there is none. */
  readonly ratio_to_peer: Spread | null;
  readonly samples_ns: readonly number[];
}

const WARM_UPS = 2;

/** Measures subjects in turns. The first repeats, in which code is compiled and caches fill, do not count. */
export async function measure(
  nf: string,
  frames: FrameSet,
  subjects: readonly Subject[],
  repeats: number,
): Promise<Measurement[]> {
  const samples = subjects.map(() => [] as number[]);
  for (let turn = -WARM_UPS; turn < repeats; turn++) {
    for (const [i, subject] of subjects.entries()) {
      const nanoseconds = await subject.repeat();
      if (turn >= 0) samples[i]!.push(nanoseconds);
    }
  }
  // The fastest peer is the one to be compared with.
  const peer = samples
    .filter((_, i) => subjects[i]!.role === "peer")
    .sort((a, b) => spread(a).median - spread(b).median)[0];
  return subjects.map((subject, i) => {
    const own = samples[i]!;
    const ns = spread(own);
    const compared = subject.role === "wingbeat" && peer !== undefined;
    return {
      nf,
      frames: frames.name,
      mean_bytes: frames.meanBytes,
      subject: subject.name,
      role: subject.role,
      engine: subject.engine,
      ns_per_packet: ns,
      mpps: { median: 1e3 / ns.median, min: 1e3 / ns.max, max: 1e3 / ns.min },
      gbps: (frames.meanBytes * 8) / ns.median,
      ratio_to_peer: compared ? spread(own.map((sample, turn) => peer[turn]! / sample)) : null,
      samples_ns: own,
    };
  });
}

export function spread(samples: readonly number[]): Spread {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]! };
}

const HEAD = ["NF", "frames", "subject", "engine", "Mpps", "min..max", "Gbps", "ratio to peer", "min..max"] as const;
const RIGHT = [4, 5, 6, 7, 8];

/** The table of a run, as text. */
export function renderTable(measurements: readonly Measurement[], markdown = false): string {
  const rows = measurements.map(({ nf, frames, subject, engine, mpps, gbps, ratio_to_peer: ratio }) => [
    nf,
    frames,
    subject,
    engine,
    figure(mpps.median),
    range(mpps),
    figure(gbps),
    ratio === null ? "" : figure(ratio.median),
    ratio === null ? "" : range(ratio),
  ]);
  const table: TableText = { head: HEAD, rows, right: RIGHT };
  return markdown ? markdownTable(table) : terminalTable(table);
}

export function range(value: Spread): string {
  return `${figure(value.min)}..${figure(value.max)}`;
}

/** Three significant digits: more would be noise. */
export function figure(value: number): string {
  if (value === 0) return "0";
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** Where the figures come from. */
export function provenance(): Record<string, unknown> {
  const processors = cpus();
  return {
    cpu: processors[0]?.model ?? "unknown",
    cores: processors.length,
    node: process.version,
    date: new Date().toISOString(),
    method:
      "frames in memory, one core, batches of 64, restored outside the timed part; medians of interleaved repeats",
  };
}
