/**
 * The bytes of a gzip file. Compressed pieces go into zlib one at a time, and the next one only when the reader has used up
 * most of what came out: that bounds memory. Everything zlib has put out is in the queue before it reports that the file is cut off,
 * which a piped stream would throw away with its buffers.
 *
 * Several members one after the other are one stream (RFC 1952 section 2.2), as a capture writer that flushes makes them.
 */
import { closeSync } from "node:fs";
import { createGunzip } from "node:zlib";
import { ConfigError } from "../../errors.js";
import { ByteSource, CHUNK, readOrThrow } from "./source.js";

/** Compressed bytes per step: as many as came to AHEAD decompressed ones by the ratio of the step before, within these bounds. */
const MOST = 64 * 1024;
const LEAST = 4 * 1024;
/** Decompressed bytes above which no further piece is started. */
const AHEAD = 1024 * 1024;

export class GzipSource extends ByteSource {
  private readonly gunzip = createGunzip({ chunkSize: 128 * 1024 });
  private readonly piece = Buffer.alloc(MOST);
  private readonly queue: Buffer[] = [];
  private queued = 0;
  /** Bytes of queue[0] already taken. */
  private taken = 0;
  private step = 16 * 1024;
  /** Bytes that came out of the step under way. */
  private came = 0;
  private busy = false;
  private finished = false;
  private failure: ConfigError | undefined;
  private wake: (() => void) | undefined;

  /** @param fd at the first byte of the file; owned from here on */
  constructor(
    file: string,
    private fd: number,
  ) {
    super(file);
    this.gunzip.on("data", (data: Buffer) => {
      this.queue.push(data);
      this.queued += data.length;
      this.came += data.length;
      this.notify();
    });
    this.gunzip.on("end", () => this.finish());
    this.gunzip.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "Z_BUF_ERROR") this.cut = "the gzip stream is cut off";
      else this.fail(`cannot decompress: ${error.message}`, "the file is damaged: fetch or compress it again");
      this.finish();
    });
  }

  fill(): boolean {
    if (this.queue.length === 0) {
      if (this.finished) {
        if (this.failure !== undefined) throw this.failure;
        this.eof = true;
      } else {
        this.pump();
      }
      return false;
    }
    let room = Math.min(CHUNK, this.compact());
    const moved = room > 0;
    while (room > 0 && this.queue.length > 0) {
      const head = this.queue[0]!;
      const count = Math.min(room, head.length - this.taken);
      this.u8.set(head.subarray(this.taken, this.taken + count), this.end);
      this.end += count;
      this.taken += count;
      this.queued -= count;
      room -= count;
      if (this.taken === head.length) {
        this.queue.shift();
        this.taken = 0;
      }
    }
    this.pump();
    return moved;
  }

  async ready(): Promise<void> {
    if (this.queue.length > 0 || this.finished) return;
    this.pump();
    await new Promise<void>((resolve) => {
      this.wake = resolve;
    });
  }

  close(): void {
    if (this.fd < 0) return;
    closeSync(this.fd);
    this.fd = -1;
    this.gunzip.destroy();
    this.queue.length = 0;
    this.pos = this.end;
    this.finish();
  }

  /** Starts the next piece unless one is under way or enough is decompressed. */
  private pump(): void {
    if (this.busy || this.finished || this.queued >= AHEAD) return;
    let got: number;
    try {
      got = readOrThrow(this.file, this.fd, this.piece, 0, this.step);
    } catch (error) {
      this.failure = error as ConfigError;
      this.finish();
      return;
    }
    this.busy = true;
    if (got === 0) {
      this.gunzip.end();
      return;
    }
    this.gunzip.write(this.piece.subarray(0, got), () => {
      // Behind the last data event of this piece, which may still wait in the stream's own buffer.
      setImmediate(() => {
        this.step = Math.max(LEAST, Math.min(MOST, Math.floor((AHEAD * got) / Math.max(1, this.came))));
        this.came = 0;
        this.busy = false;
        this.pump();
      });
    });
  }

  private fail(problem: string, remedy: string): void {
    this.failure ??= new ConfigError(this.file, problem, remedy);
  }

  private finish(): void {
    this.finished = true;
    this.notify();
  }

  private notify(): void {
    this.wake?.();
    this.wake = undefined;
  }
}
