/**
 * Latencies as they are recorded on the hot path, packet by packet: counts by value with three significant digits, in the buckets of
 * HdrHistogram (2048 of them exact, then 1024 to every power of two), found by clz32. hdr-histogram-js takes some 16 times as long to find
 * the same one (bench: latency-cost), so it reads the counts at the end (percentiles.ts) and does not make them.
 */

/** Half the buckets of a power of two: 2 x 1024 values tell three digits apart. */
const HALF_SHIFT = 10;
/** Bits of values that lie in the first 2048 buckets, each of which holds one value. */
const EXACT_BITS = HALF_SHIFT + 1;
/** ns from which on values do not fit where shifts work; some 2 s. */
const FAR = 2 ** 31;
const FAR_BUCKET = 31 - HALF_SHIFT;
/** One minute: a packet later than that counts as that late. */
export const LATENCY_LIMIT_NS = 60e9;
/** Bits of the limit. */
const LIMIT_BITS = 36;
const BUCKETS = (LIMIT_BITS - EXACT_BITS + 2) << HALF_SHIFT;

/** What a table holds, for another thread to read. */
export interface LatencyCounts {
  /** By bucket; see {@link lowestOf}. */
  readonly counts: Float64Array;
  /** ns, exactly; 0 where nothing was recorded. */
  readonly max: number;
}

export const NOTHING_RECORDED: LatencyCounts = { counts: new Float64Array(0), max: 0 };

export class LatencyTable implements LatencyCounts {
  /** Float64, so that no run is long enough to overflow one. */
  readonly counts = new Float64Array(BUCKETS);
  max = 0;

  /** @param ns from 0 on; fractions are cut off, and 0 counts as 1, as clocks tick @param packets how many took as long */
  record(ns: number, packets = 1): void {
    if (ns >= FAR) {
      this.recordFar(ns, packets);
      return;
    }
    const value = ns < 1 ? 1 : ns | 0;
    if (value > this.max) this.max = value;
    const leading = Math.clz32(value);
    const bucket = leading >= 32 - EXACT_BITS ? 0 : 32 - EXACT_BITS - leading;
    const at = (bucket << HALF_SHIFT) + (value >>> bucket);
    this.counts[at] = this.counts[at]! + packets;
  }

  private recordFar(ns: number, packets: number): void {
    const value = Math.min(Math.floor(ns), LATENCY_LIMIT_NS);
    if (value > this.max) this.max = value;
    const bucket = FAR_BUCKET + 31 - Math.clz32(Math.floor(value / FAR));
    const at = (bucket << HALF_SHIFT) + Math.floor(value / 2 ** bucket);
    this.counts[at] = this.counts[at]! + packets;
  }
}

/** What several threads have recorded, as one. */
export function sumLatencies(tables: readonly LatencyCounts[]): LatencyCounts {
  if (tables.length < 2) return tables[0] ?? NOTHING_RECORDED;
  const counts = new Float64Array(Math.max(...tables.map((table) => table.counts.length)));
  for (const table of tables) for (let i = 0; i < table.counts.length; i++) counts[i] = counts[i]! + table.counts[i]!;
  return { counts, max: Math.max(...tables.map(({ max }) => max)) };
}

/** The least value of a bucket, ns. */
export function lowestOf(at: number): number {
  const bucket = at < 2 << HALF_SHIFT ? 0 : (at >>> HALF_SHIFT) - 1;
  return (at - (bucket << HALF_SHIFT)) * 2 ** bucket;
}
