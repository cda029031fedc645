/**
 * `file:PATH`: a CSV of time and watts that another program writes, while it is read or before. Time is ISO 8601 (without a zone: local time) or
 * seconds since 1970, by this machine's clock. A header and # comments are allowed.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { ConfigError, RunError } from "../../errors.js";
import type { MeterInfo } from "./meter.js";
import { parseWatts, SERIES_COVERS, Series, STALE, seriesInfo } from "./series.js";
import type { Clock, Source, SpanUsed } from "./source.js";

const CHUNK = 1 << 16;
/** ms by which a sample that arrives may be of the future: beyond that the clocks differ. */
const CLOCK_MS = 2000;
/** Epoch seconds of the year 5138; milliseconds of today are above it. */
const MOST_SECONDS = 1e11;

/** ms since 1970 of a time as written; undefined where it is none. */
function parseTime(text: string): number | undefined {
  const word = text.trim();
  if (/^\d+(\.\d+)?$/.test(word)) return Number(word) <= MOST_SECONDS ? Number(word) * 1000 : undefined;
  const ms = /^\d{4}-\d\d-\d\d[T ]/.test(word) ? Date.parse(word) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

export interface WallClock {
  /** ms since 1970. */
  now(): number;
}

export class FileMeter implements Source {
  readonly covers = SERIES_COVERS;
  private readonly series: Series;
  private readonly fd: number;
  private offset = 0;
  private rest = "";
  private line = 0;
  /** ms from wall time to the recorder's; of the first look, so that a clock that is set later does not tear the samples apart. */
  private readonly wallToClock: number;
  private opened = false;

  /** @throws ConfigError where it is no such file, or not of now */
  constructor(
    private readonly path: string,
    private readonly clock: Clock,
    wall: WallClock = Date,
  ) {
    this.series = new Series(`file ${path}`, clock);
    this.wallToClock = clock() - wall.now();
    // A folder cannot be read, a device has no end, and a pipe would be waited for.
    if (statSync(path, { throwIfNoEntry: false })?.isFile() === false) {
      throw new ConfigError(`--meter file:${path}`, "is no regular file", "a CSV of time and watts, or command:CMD");
    }
    try {
      this.fd = openSync(path, "r");
    } catch (error) {
      throw new ConfigError(
        `--meter file:${path}`,
        `cannot be read: ${(error as Error).message}`,
        "a CSV of time and watts",
      );
    }
    try {
      this.readOn();
      this.mustBeOfNow();
    } catch (error) {
      closeSync(this.fd);
      throw error;
    }
    this.opened = true;
  }

  get info(): MeterInfo {
    return seriesInfo("file", this.series, "watts and times as the file has them");
  }

  begin(): void {
    this.readOn();
    this.series.begin();
  }

  poll(): void {
    this.readOn();
    this.series.mustBeAlive();
  }

  end(): SpanUsed {
    this.readOn();
    return this.series.end();
  }

  close(): void {
    closeSync(this.fd);
  }

  /** Takes the lines that are there, up to the last that is whole. */
  private readOn(): void {
    const { size } = fstatSync(this.fd);
    if (size < this.offset) {
      throw new RunError(
        this.path,
        `is ${size} bytes long, after ${this.offset}: it was cut or written anew`,
        "the meter has to append to it",
      );
    }
    const buffer = Buffer.alloc(CHUNK);
    const { count } = this.series;
    for (;;) {
      const bytes = readSync(this.fd, buffer, 0, CHUNK, this.offset);
      if (bytes === 0) break;
      this.offset += bytes;
      const lines = (this.rest + buffer.toString("latin1", 0, bytes)).split("\n");
      this.rest = lines.pop()!;
      for (const line of lines) this.take(line.trim());
    }
    if (this.opened && this.series.count > count) this.checkClock();
  }

  private take(line: string): void {
    this.line++;
    const where = `${this.path}:${this.line}`;
    if (line === "" || line.startsWith("#")) return;
    const [time, watts, more] = line.replaceAll('"', "").split(/[,;\t]/);
    const at = parseTime(time!);
    const power = watts === undefined ? undefined : parseWatts(watts);
    const isHeader = this.series.count === 0 && at === undefined && power === undefined && /[a-z]/i.test(line);
    if (isHeader && watts !== undefined) return;
    if (at === undefined || power === undefined || more !== undefined) {
      throw this.wrong(
        where,
        `"${line.slice(0, 80)}"; expected time and watts: 2026-01-31T12:00:00Z,41.5 or 1769860800.0,41.5`,
      );
    }
    try {
      this.series.add({ ms: at + this.wallToClock, ...power }, where);
    } catch (error) {
      throw this.opened ? error : this.wrong(where, (error as Error).message.split(": ").slice(1).join(": "));
    }
  }

  /** Before a run a mistake in the file is one of configuration. */
  private wrong(where: string, problem: string): Error {
    return this.opened ? new RunError(where, problem) : new ConfigError(where, problem);
  }

  /** What was not there at the last look cannot be of the future; in a file that was written ahead of time nothing arrives. */
  private checkClock(): void {
    const ahead = this.series.newest!.ms - this.clock();
    if (ahead <= CLOCK_MS) return;
    const problem = `arrived ${(ahead / 1000).toFixed(1)} s before the time it bears: its clock is not this machine's, or not its time zone`;
    const remedy = "write seconds since 1970, or ISO 8601 with a zone (Z), by a clock that is set (NTP)";
    throw new RunError(`${this.path}:${this.line}`, problem, remedy);
  }

  private mustBeOfNow(): void {
    const { series, path } = this;
    if (series.count < 2)
      throw new ConfigError(`--meter file:${path}`, `has ${series.count} samples; two are needed to begin`);
    const age = series.age();
    if (age === undefined) return;
    const problem = `its last sample is ${(age / 1000).toFixed(1)} s old`;
    throw new ConfigError(`--meter file:${path}`, problem, STALE);
  }
}
