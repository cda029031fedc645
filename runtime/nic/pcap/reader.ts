/** What the readers of both capture formats share: a record at a time, and how a file's end and its lies are told. */
import { ConfigError } from "../../errors.js";
import type { ByteSource } from "./source.js";

/** What {@link RecordReader.next} found. */
export const RECORD = 1;
export const WAIT = 0;
export const END = -1;

/** Captured bytes of one record above which the file is taken to be corrupt: the limit of libpcap and Wireshark. */
export const MAX_RECORD = 256 * 1024;

/**
 * One record at a time. After `next()` returned RECORD its fields describe the record, whose bytes stand in
 * `source.u8[at, at + captured)` until the next call.
 */
export abstract class RecordReader {
  at = 0;
  /** Bytes in the file. */
  captured = 0;
  /** Bytes on the wire; never less than `captured`. */
  original = 0;
  /** Bytes of Ethernet header to put before it: 0, or 14 for raw IP. */
  prefix = 0;
  tsSec = 0;
  tsNsec = 0;
  /** Whole records found so far. */
  records = 0;
  private ended = false;
  private warnedOriginal = false;

  /** @param warn one line for the user */
  constructor(
    readonly source: ByteSource,
    protected readonly warn: (line: string) => void,
  ) {}

  /** Advances to the next record: RECORD, WAIT (await source.ready()) or END. @throws ConfigError for a corrupt file */
  abstract next(): number;

  /** Asked for more bytes than there are: a wait, or the end, which is announced where it cuts a record off. */
  protected short(inRecord = false): number {
    const { source } = this;
    if (!source.eof) return WAIT;
    if (!this.ended) {
      this.ended = true;
      const left = source.end - source.pos;
      if (inRecord || left > 0 || source.cut !== undefined) {
        const what = source.cut ?? "the last record is cut off";
        const where = source.cut === undefined ? "byte" : "byte (decompressed)";
        this.warn(`${source.file}: ${what} at ${where} ${source.offset}; ${this.records} whole records were read`);
      }
    }
    return END;
  }

  /** `original` below `captured` is a lie that hurts nobody. */
  protected setLengths(captured: number, original: number): void {
    this.captured = captured;
    this.original = original;
    if (original < captured) {
      this.original = captured;
      if (!this.warnedOriginal) {
        this.warnedOriginal = true;
        this.warn(
          `${this.source.file}: record ${this.records + 1} has an original length of ${original} bytes, less than the ${captured} ` +
            "captured; taking the captured length, here and wherever else",
        );
      }
    }
  }

  /** A frame check sequence is no part of a frame here: layer 2 without FCS. It is captured only where the record is whole. */
  protected stripFcs(bytes: number): void {
    this.original = Math.max(0, this.original - bytes);
    this.captured = Math.min(this.captured, this.original);
  }

  protected corrupt(problem: string): ConfigError {
    const { source } = this;
    return new ConfigError(
      source.file,
      `record ${this.records + 1} at byte ${source.offset}: ${problem}`,
      this.records === 0
        ? "the file is damaged: capture or copy it again"
        : `the file is damaged; keep its ${this.records} good records: editcap -r IN OUT 1-${this.records}`,
    );
  }
}
