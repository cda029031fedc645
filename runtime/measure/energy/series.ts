/**
 * Meters that send watts when they like (a file that grows, a command's output): their samples are kept with their times, and a span is integrated
 * over those that fall into it. Before the first one the line from the last before the span counts; after the last one it is held.
 */
import { RunError } from "../../errors.js";
import { PowerAccumulator } from "./accumulate.js";
import type { DomainInfo, MeterInfo } from "./meter.js";
import type { Clock, Coverage, SpanUsed } from "./source.js";

/** The remedy where nothing comes any more. */
export const STALE =
  "see that the meter still runs and writes, and that its clock is this machine's (ISO 8601 needs its zone, Z)";

export interface PowerSample {
  /** ms of the recorder's clock. */
  readonly ms: number;
  readonly watts: number;
  /** Smallest step the sample can show, W: that of its last digit. */
  readonly step: number;
}

/** Missing intervals after which a meter is taken to have stopped, and ms at least. */
const PATIENCE = 5;
const PATIENCE_MS = 5000;
/** Samples in a span below which it has not been measured. */
const FEWEST = 2;
/** Intervals that the median is taken over. */
const RECENT = 32;

/** No machine takes more: a unit was mistaken (the kernel's sensors count in microwatts). */
const MOST_WATTS = 1e5;

/** A number as the meter wrote it, W; undefined where it is none, below 0, or no machine's. */
export function parseWatts(text: string): { watts: number; step: number } | undefined {
  const match = /^\s*(\d+(?:\.(\d+))?|\.(\d+))(?:[eE]([+-]?\d{1,2}))?\s*(?:W|watts?)?\s*$/i.exec(text);
  if (match === null) return undefined;
  const [, digits, decimals, bare, exponent] = match;
  const scale = 10 ** Number(exponent ?? 0);
  const watts = Number(digits) * scale;
  return watts <= MOST_WATTS ? { watts, step: 10 ** -(decimals ?? bare ?? "").length * scale } : undefined;
}

export class Series {
  private readonly samples: PowerSample[] = [];
  private startMs = Number.NaN;
  readonly domain: DomainInfo;

  constructor(
    private readonly name: string,
    private readonly clock: Clock,
  ) {
    this.domain = { name, within: null };
  }

  get count(): number {
    return this.samples.length;
  }

  get newest(): PowerSample | undefined {
    return this.samples.at(-1);
  }

  /** ms between samples, the median of recent ones; NaN before there are two. */
  get intervalMs(): number {
    const recent = this.samples.slice(-RECENT - 1);
    const gaps = recent.slice(1).map(({ ms }, i) => ms - recent[i]!.ms);
    return gaps.sort((a, b) => a - b)[gaps.length >> 1] ?? Number.NaN;
  }

  /** @throws RunError where time runs backwards */
  add(sample: PowerSample, where: string): void {
    const { newest } = this;
    if (newest !== undefined && sample.ms < newest.ms) {
      const seconds = ((newest.ms - sample.ms) / 1000).toFixed(3);
      throw new RunError(
        where,
        `its time is ${seconds} s before the sample before it`,
        "the meter has to write samples in the order of time",
      );
    }
    this.samples.push(sample);
  }

  begin(): void {
    this.startMs = this.clock();
    // One before the span is enough for the line into it; more of them tell the interval.
    const keep = this.samples.findIndex(({ ms }) => ms >= this.startMs - 1);
    const before = keep < 0 ? this.samples.length : keep;
    if (before > RECENT) this.samples.splice(0, before - RECENT);
    this.mustBeAlive();
  }

  /** ms since the last sample, where that is too long for a meter that works; undefined where it is not. */
  age(): number | undefined {
    const age = this.clock() - (this.newest?.ms ?? Number.NEGATIVE_INFINITY);
    return age > Math.max(PATIENCE_MS, PATIENCE * (this.intervalMs || 0)) ? age : undefined;
  }

  /** @throws RunError where nothing has come for long */
  mustBeAlive(): void {
    const age = this.age();
    if (age === undefined) return;
    throw new RunError(
      this.name,
      `its last sample is ${(age / 1000).toFixed(1)} s old: the meter stopped answering`,
      STALE,
    );
  }

  end(): SpanUsed {
    const { startMs, samples, name } = this;
    const endMs = this.clock();
    this.mustBeAlive();
    const within = samples.filter(({ ms }) => ms >= startMs && ms <= endMs);
    if (within.length < FEWEST) {
      const problem = `${within.length} of its samples fell into ${((endMs - startMs) / 1000).toFixed(2)} s, with one about every ${(this.intervalMs / 1000).toFixed(2)} s`;
      throw new RunError(name, problem, "measure longer windows (--window)");
    }
    const step = within.reduce((least, sample) => Math.min(least, sample.step), Number.POSITIVE_INFINITY);
    const accumulator = new PowerAccumulator({ stepWatts: step, lagMs: this.intervalMs });
    accumulator.start(startMs, this.at(startMs));
    for (const { ms, watts } of within) accumulator.add(ms, watts);
    accumulator.add(endMs, this.at(endMs));
    return { readings: within.length, domains: [accumulator.used()] };
  }

  /** W at a time: on the line between two samples, held outside of them. */
  private at(ms: number): number {
    const { samples } = this;
    const next = samples.findIndex((sample) => sample.ms >= ms);
    if (next < 0) return samples.at(-1)!.watts;
    const [after, before] = [samples[next]!, samples[next - 1]];
    if (before === undefined) return after.watts;
    const share = after.ms === before.ms ? 1 : (ms - before.ms) / (after.ms - before.ms);
    return before.watts + share * (after.watts - before.watts);
  }
}

/** What is the same of both kinds. */
export function seriesInfo(kind: "file" | "command", series: Series, note: string): MeterInfo {
  const { domain } = series;
  return {
    kind,
    name: domain.name,
    provenance: "measured",
    domains: [domain],
    intervalMs: Math.round(series.intervalMs),
    note: `${note}; what it includes is as the user connected it`,
  };
}

/** Nobody knows what a user's meter sees, so nothing is added to it. */
export const SERIES_COVERS: readonly Coverage[] = ["machine"];
