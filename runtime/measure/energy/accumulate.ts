/**
 * From readings to joules: counters are subtracted, watts are integrated over time. Pure arithmetic on times in ms that the caller gives.
 */
import { RunError } from "../../errors.js";

export interface Used {
  readonly joules: number;
  /** Plus or minus. */
  readonly uncertainty: number;
}

/** Takes the readings of one domain, from the first of a span to its last. */
export interface Accumulator {
  /** The first reading of a span. */
  start(ms: number, value: number): void;
  /** @throws RunError where the reading cannot follow the last one */
  add(ms: number, value: number): void;
  used(): Used;
}

export interface CounterTraits {
  /** Of the domain, for messages. */
  readonly name: string;
  /** Joules of one count. */
  readonly unit: number;
  /** Counts after which it begins at 0 again; Infinity: never. */
  readonly modulus: number;
  /** Smallest step it makes, counts. */
  readonly step: number;
  /** ms between its updates, by whoever keeps it. */
  readonly updateMs: number;
}

/** More than a domain takes: what is above has not been measured, the counter was set back. */
const MAX_WATTS = 5000;

/** An energy counter (RAPL, NVML, hwmon energy*_input). */
export class CounterAccumulator implements Accumulator {
  private last = 0;
  private lastMs = 0;
  private startMs = 0;
  private counts = 0;

  constructor(private readonly traits: CounterTraits) {}

  start(ms: number, value: number): void {
    this.last = value;
    this.lastMs = this.startMs = ms;
    this.counts = 0;
  }

  add(ms: number, value: number): void {
    const { name, unit, modulus, updateMs } = this.traits;
    const most = (MAX_WATTS * (ms - this.lastMs + updateMs)) / 1000;
    if (most >= modulus * unit) {
      const seconds = ((ms - this.lastMs) / 1000).toFixed(1);
      const problem = `${seconds} s passed between two readings, in which its counter may have begun anew more than once`;
      throw new RunError(
        name,
        problem,
        "leave the machine some time for the reader: fewer cores (--cores), or less other work",
      );
    }
    const delta = value >= this.last ? value - this.last : value - this.last + modulus;
    if (delta * unit > most) {
      const problem = `its counter went from ${this.last} to ${value}: it was set back`;
      throw new RunError(name, problem, "measure again; a suspended machine or a reloaded driver does that");
    }
    this.counts += delta;
    this.last = value;
    this.lastMs = ms;
  }

  /** The counter shows the past, up to one update ago, at both ends; and counts whole steps. */
  used(): Used {
    const { unit, step, updateMs } = this.traits;
    const joules = this.counts * unit;
    const ms = this.lastMs - this.startMs;
    const stale = ms > 0 ? (joules * Math.min(updateMs, ms)) / ms : 0;
    return { joules, uncertainty: stale + step * unit };
  }
}

export interface PowerTraits {
  /** Smallest step of a reading, W. */
  readonly stepWatts: number;
  /** A reading tells of power up to so many ms ago. */
  readonly lagMs: number;
}

/**
 * Readings of power, W, by the trapezoidal rule. Between two readings the mean may have been anywhere between them: half their difference, and
 * those errors are independent of each other, so they add in squares. At both ends power of before the span may stand in a reading: half the
 * spread of all readings for the lag of the meter.
 */
export class PowerAccumulator implements Accumulator {
  private last = 0;
  private lastMs = 0;
  private startMs = 0;
  private joules = 0;
  private squares = 0;
  private min = 0;
  private max = 0;

  constructor(private readonly traits: PowerTraits) {}

  start(ms: number, watts: number): void {
    this.last = this.min = this.max = watts;
    this.lastMs = this.startMs = ms;
    this.joules = this.squares = 0;
  }

  add(ms: number, watts: number): void {
    const seconds = (ms - this.lastMs) / 1000;
    this.joules += ((this.last + watts) / 2) * seconds;
    this.squares += (((watts - this.last) / 2) * seconds) ** 2;
    this.min = Math.min(this.min, watts);
    this.max = Math.max(this.max, watts);
    this.last = watts;
    this.lastMs = ms;
  }

  used(): Used {
    const { stepWatts, lagMs } = this.traits;
    const seconds = (this.lastMs - this.startMs) / 1000;
    const ends = (this.max - this.min) * Math.min(lagMs / 1000, seconds);
    return { joules: this.joules, uncertainty: (stepWatts / 2) * seconds + Math.sqrt(this.squares) + ends };
  }
}
