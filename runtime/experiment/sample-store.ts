/**
 * Samples as they are taken, kept in a file that survives whatever ends the program: JSON lines, each on the disk before the next sample
 * begins. The first line says what was to be measured; every other one is a sample, or a finding (`equivalence`) that is as costly to have
 * again. A line that is cut off is one that was not written yet; it is measured again.
 */
import { closeSync, constants, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { UsedFile } from "../chain/files.js";
import { ConfigError, RunError } from "../errors.js";
import { makeFolder } from "../folders.js";
import { type Sample, sampleKey } from "./cell.js";
import { FolderLock } from "./folder-lock.js";

export const SAMPLES_FILE = "samples.jsonl";

/** The samples of a report folder, as a file that nothing else may be written to. */
export function samplesOf(folder: string): UsedFile {
  return { file: join(folder, SAMPLES_FILE), what: "which keeps the samples" };
}

/** What samples have to have in common to be of one experiment; plain JSON. Compared key by key, so that a refusal says what differs. */
export type Identity = Readonly<Record<string, unknown>>;

const LINE_END = 0x0a;

export class SampleStore {
  readonly samples: Sample[] = [];
  private readonly byKey = new Map<string, Sample>();
  private readonly findings = new Map<string, unknown>();

  private constructor(
    /** Undefined: in memory alone. */
    private readonly file: { readonly path: string; readonly fd: number; readonly lock: FolderLock } | undefined,
    /** Bytes of the file that are whole lines. */
    private length: number,
  ) {}

  /** A store that ends with the program. */
  static inMemory(): SampleStore {
    return new SampleStore(undefined, 0);
  }

  /**
   * Opens the samples of an experiment in this folder, which is made where it is not there.
   * @param resume goes on with samples that are there; without it they are in the way. Where there are none, both begin anew.
   * @param warn takes a line for each line of the file that cannot be read
   * @throws ConfigError where samples are in the way or are of another experiment (with what differs), or nothing can be written there
   */
  static open(folder: string, identity: Identity, resume: boolean, warn: (line: string) => void): SampleStore {
    const lock = lockFolder(folder);
    const path = join(folder, SAMPLES_FILE);
    let fd: number | undefined;
    try {
      fd = openSync(path, constants.O_RDWR | constants.O_CREAT);
      const bytes = readFileSync(fd);
      const length = bytes.lastIndexOf(LINE_END) + 1;
      const store = new SampleStore({ path, fd, lock }, length);
      // What a killed program had begun to write.
      if (bytes.length > length) ftruncateSync(fd, length);
      if (length === 0) store.write({ plan: identity });
      else if (resume) store.read(path, bytes.toString("utf8", 0, length), identity, warn);
      else throw new ConfigError("--report", `${path} has samples of an earlier experiment`, EARLIER);
      return store;
    } catch (error) {
      if (fd !== undefined) closeSync(fd);
      lock.release();
      if (error instanceof ConfigError || error instanceof RunError) throw error;
      throw new ConfigError("--report", `cannot write ${path}: ${(error as Error).message}`, "name another folder");
    }
  }

  /** The sample of this cell and load ({@link sampleKey}) and repeat, where it is there. */
  get(key: string, repeat: number): Sample | undefined {
    return this.byKey.get(identify(key, repeat));
  }

  /** @throws RunError where it cannot be kept; what was kept before stays as it is */
  add(sample: Sample): void {
    if (this.get(sample.key, sample.repeat) !== undefined) throw new Error(`a second sample of ${sample.key}`);
    this.write({ sample });
    this.remember(sample);
  }

  finding<T>(name: string): T | undefined {
    return this.findings.get(name) as T | undefined;
  }

  /** @throws RunError where it cannot be kept */
  addFinding(name: string, value: unknown): void {
    this.write({ finding: name, value });
    this.findings.set(name, value);
  }

  close(): void {
    if (this.file === undefined) return;
    closeSync(this.file.fd);
    this.file.lock.release();
  }

  private remember(sample: Sample): void {
    this.samples.push(sample);
    this.byKey.set(identify(sample.key, sample.repeat), sample);
  }

  private read(path: string, text: string, identity: Identity, warn: (line: string) => void): void {
    const lines = text.split("\n").slice(0, -1);
    checkIdentity(path, lines[0], identity);
    for (let i = 1; i < lines.length; i++) {
      if (!this.take(lines[i]!)) warn(`${path}:${i + 1}: not a sample; it is measured again`);
    }
  }

  /** @returns false where the line is nothing that is known */
  private take(line: string): boolean {
    let record: { sample?: Sample; finding?: string; value?: unknown } | null;
    try {
      record = JSON.parse(line) as typeof record;
    } catch {
      return false;
    }
    const { sample, finding, value } = record ?? {};
    if (typeof finding === "string") this.findings.set(finding, value);
    else if (!isSample(sample)) return false;
    else if (this.get(sample.key, sample.repeat) === undefined) this.remember(sample);
    return true;
  }

  private write(record: object): void {
    if (this.file === undefined) return;
    const { fd, path } = this.file;
    const bytes = Buffer.from(`${JSON.stringify(record)}\n`);
    try {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(fd, bytes, done, bytes.length - done, this.length + done);
      }
      fsyncSync(fd);
    } catch (error) {
      this.cutBack();
      const kept = `${this.samples.length} sample${this.samples.length === 1 ? "" : "s"} before it are kept`;
      throw new RunError(path, `a sample cannot be kept: ${(error as Error).message}; ${kept}`, FULL);
    }
    this.length += bytes.length;
  }

  /** Takes back half a line. Where that fails, too, resuming does it. */
  private cutBack(): void {
    try {
      ftruncateSync(this.file!.fd, this.length);
    } catch {
      // Nothing is lost by it.
    }
  }
}

const FULL = "free space or mend the folder, then go on with --resume";

const EARLIER = "--resume goes on with them; else name another folder, or remove that file";

/** Whether it has what figures are made of; a line that was changed by whatever means has it no longer. */
function isSample(sample: Sample | undefined): sample is Sample {
  try {
    const { key, cell, load, repeat, packets, bytes, mpps, gbps, loss, latency_ns: latency } = sample!;
    const { rx, tx, dropped, missed } = packets;
    const figures = [rx, tx, dropped, missed, bytes, mpps, gbps, loss, sample!.seconds, sample!.cpu_seconds];
    figures.push(latency.p50, latency.p90, latency.p99, latency.p999, latency.max, latency.count);
    return key === sampleKey(cell, load) && Number.isInteger(repeat) && figures.every(Number.isFinite);
  } catch {
    return false;
  }
}

const identify = (key: string, repeat: number): string => `${repeat}; ${key}`;

function lockFolder(folder: string): FolderLock {
  try {
    makeFolder(folder);
  } catch (error) {
    const problem = `cannot make ${folder}: ${(error as Error).message}`;
    throw new ConfigError("--report", problem, "name a folder that can be written");
  }
  return FolderLock.take(folder);
}

/** @throws ConfigError where the file is of another experiment */
function checkIdentity(path: string, header: string | undefined, identity: Identity): void {
  let plan: Identity | undefined;
  try {
    plan = (JSON.parse(header ?? "") as { plan?: Identity }).plan;
  } catch {
    // Said below.
  }
  if (plan === undefined) {
    throw new ConfigError("--resume", `${path} does not begin with a plan`, "remove it and begin anew");
  }
  const differing = [...new Set([...Object.keys(plan), ...Object.keys(identity)])].filter(
    (key) => JSON.stringify(plan[key]) !== JSON.stringify(identity[key]),
  );
  if (differing.length === 0) return;
  const lines = differing.map((key) => `\n  ${key}: ${shorten(plan[key])} there, ${shorten(identity[key])} now`);
  throw new ConfigError(
    "--resume",
    `${path} is of another experiment:${lines.join("")}`,
    "give the options it was begun with, or another folder without --resume",
  );
}

/** Most characters of a value in a message. */
const MOST = 120;

function shorten(value: unknown): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length <= MOST ? text : `${text.slice(0, MOST)}...`;
}
