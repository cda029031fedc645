/**
 * Where the bytes of a capture come from: a window of constant size that slides over the file, so that a capture of any length
 * takes the same memory. A plain file is read synchronously; a gzip file is decompressed beside the reader (gzip.ts).
 */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { ConfigError } from "../../errors.js";
import type { Bytes } from "../copy.js";

/** Bytes read at once: large against a system call, small against a second-level cache. */
export const CHUNK = 256 * 1024;
/** The longest run of bytes {@link ByteSource.ensure} can be asked for: the longest pcapng block that is looked into. */
export const MAX_RUN = 1024 * 1024;

/** A window over a byte stream: bytes [pos, end) of `u8` are there and not consumed yet. The reader advances `pos`. */
export abstract class ByteSource implements Bytes {
  readonly u8 = new Uint8Array(CHUNK + MAX_RUN);
  readonly view = new DataView(this.u8.buffer);
  pos = 0;
  end = 0;
  /** Nothing comes behind `end`. */
  eof = false;
  /** Why the stream ends too early, where the source itself knows. */
  cut: string | undefined;
  /** Offset in the (decompressed) stream of u8[0]. */
  private base = 0;

  constructor(readonly file: string) {}

  /** Offset in the (decompressed) stream of the next byte that will be consumed. */
  get offset(): number {
    return this.base + this.pos;
  }

  /**
   * Sees to it that `count` (up to MAX_RUN) bytes stand at `pos`, which may move. False: not there, for ever when `eof` is set,
   * else until {@link ready}.
   */
  ensure(count: number): boolean {
    while (this.end - this.pos < count) {
      if (!this.fill()) return false;
    }
    return true;
  }

  /** Appends what can be had now; false when that is nothing. @throws ConfigError where the file cannot be read */
  abstract fill(): boolean;
  abstract ready(): Promise<void>;
  /** Idempotent. */
  abstract close(): void;

  /** Moves what is left to the front; returns the room behind it. */
  protected compact(): number {
    if (this.pos > 0) {
      this.u8.copyWithin(0, this.pos, this.end);
      this.base += this.pos;
      this.end -= this.pos;
      this.pos = 0;
    }
    return this.u8.length - this.end;
  }
}

export class FileSource extends ByteSource {
  constructor(
    file: string,
    private fd: number,
  ) {
    super(file);
  }

  fill(): boolean {
    if (this.eof || this.fd < 0) {
      this.eof = true;
      return false;
    }
    const room = this.compact();
    const got = readOrThrow(this.file, this.fd, this.u8, this.end, Math.min(CHUNK, room));
    this.end += got;
    this.eof = got === 0;
    return got > 0;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
    this.eof = true;
  }
}

/** read(2), with its errors in the user's terms. */
export function readOrThrow(file: string, fd: number, into: Uint8Array, at: number, count: number): number {
  try {
    return readSync(fd, into, at, count, null);
  } catch (error) {
    throw new ConfigError(
      file,
      `cannot read: ${(error as Error).message}`,
      "check the disk, or copy the capture elsewhere",
    );
  }
}

/** Opens a file for reading. @throws ConfigError for what cannot be opened or is not a regular file */
export function openRegular(file: string): number {
  let fd: number;
  try {
    // Without waiting for a writer, should it be a named pipe: this thread could not be stopped any more.
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT")
      throw new ConfigError(
        file,
        "no such file",
        "check the path; `wingbeat gen FILE` makes a capture, and interfaces are auto:NAME",
      );
    if (code === "EACCES" || code === "EPERM") {
      throw new ConfigError(file, "no permission to read it", `chmod +r ${file}, or run as its owner`);
    }
    throw new ConfigError(file, `cannot open: ${message}`, "check the path");
  }
  const stat = fstatSync(fd);
  if (stat.isFile()) return fd;
  closeSync(fd);
  throw stat.isDirectory()
    ? new ConfigError(file, "is a directory, a capture file is expected", "name one file in it")
    : new ConfigError(file, "is not a regular file", "write the capture to a file first (tcpdump -w FILE)");
}
