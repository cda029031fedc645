/**
 * Writes captures: pcap with nanosecond magic, or pcapng where the name ends in .pcapng; gzip where .gz follows. Records gather in a
 * buffer that goes out only with whole records in it, so that a run that fails or is killed leaves a readable file. With .gz
 * every flush is a gzip member of its own, for the same reason.
 *
 * Everything is little-endian. Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng, RFC 1952.
 */
import { closeSync, constants, ftruncateSync, openSync, statSync, writeSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { ConfigError, RunError } from "../../errors.js";
import { type Bytes, copyBytes } from "../copy.js";
import { CLASSIC } from "./classic.js";
import { PCAPNG } from "./pcapng.js";

const BUFFER_BYTES = 1024 * 1024;
const LINKTYPE_ETHERNET = 1;
/** What both formats' headers declare; no record here is longer. */
const SNAP_LENGTH = 262144;
/** Speed over size: captures compress well enough at any level. */
const GZIP_LEVEL = 1;
/** Block type, length, interface, time, captured, original, and the trailing length. */
const ENHANCED_BYTES = 32;

export class CaptureWriter implements Bytes {
  readonly u8 = new Uint8Array(BUFFER_BYTES);
  readonly view = new DataView(this.u8.buffer);
  private readonly pcapng: boolean;
  private readonly gzip: boolean;
  private fd: number;
  private used = 0;
  /** Bytes of the file that are whole records. */
  private good = 0;
  packets = 0;
  /** Frame bytes, without any header of the file's. */
  bytes = 0;

  /**
   * Creates or empties the file.
   * @throws ConfigError where that is not possible
   */
  constructor(readonly file: string) {
    const name = file.toLowerCase();
    this.gzip = name.endsWith(".gz");
    this.pcapng = (this.gzip ? name.slice(0, -3) : name).endsWith(".pcapng");
    this.fd = openForWriting(file);
    if (this.pcapng) this.pcapngHeader();
    else this.classicHeader();
    // At once, so that the file can be read whatever becomes of this process.
    this.flush();
  }

  /**
   * Appends a frame of `count` bytes at `at`.
   * @param wire its length on the wire, where that is more: a frame that was cut off when it was captured
   * @throws RunError where the file cannot be written
   */
  record(from: Bytes, at: number, count: number, sec: number, nsec: number, wire = count): void {
    if (this.used + ENHANCED_BYTES + count + 3 > BUFFER_BYTES) this.flush();
    const { view, used } = this;
    if (this.pcapng) {
      const bytes = (ENHANCED_BYTES + count + 3) & ~3;
      // sec * 10^9 + nsec as two 32-bit halves, in products a double holds exactly.
      const low = (sec & 0xffff) * 1e9 + nsec;
      const middle = (sec >>> 16) * 1e9 + Math.floor(low / 65536);
      view.setUint32(used, PCAPNG.ENHANCED_PACKET, true);
      view.setUint32(used + 4, bytes, true);
      view.setUint32(used + 8, 0, true);
      view.setUint32(used + 12, Math.floor(middle / 65536), true);
      view.setUint32(used + 16, (middle % 65536) * 65536 + (low % 65536), true);
      view.setUint32(used + 20, count, true);
      view.setUint32(used + 24, wire, true);
      // The last word first: of its bytes the frame then takes what it needs, and the padding is zero.
      view.setUint32(used + bytes - 8, 0, true);
      copyBytes(this, used + 28, from, at, count);
      view.setUint32(used + bytes - 4, bytes, true);
      this.used = used + bytes;
    } else {
      view.setUint32(used, sec, true);
      view.setUint32(used + 4, nsec, true);
      view.setUint32(used + 8, count, true);
      view.setUint32(used + 12, wire, true);
      copyBytes(this, used + CLASSIC.RECORD_BYTES, from, at, count);
      this.used = used + CLASSIC.RECORD_BYTES + count;
    }
    this.packets++;
    this.bytes += count;
  }

  /** Hands what is buffered to the operating system. @throws RunError where it cannot be written */
  flush(): void {
    if (this.used === 0) return;
    if (this.fd < 0)
      throw new RunError(this.file, "is closed, by close() or after an error", "nothing more can be written to it");
    const records = this.u8.subarray(0, this.used);
    this.used = 0;
    const data = this.gzip ? gzipSync(records, { level: GZIP_LEVEL }) : records;
    try {
      for (let done = 0; done < data.length; ) done += writeSync(this.fd, data, done, data.length - done);
      this.good += data.length;
    } catch (error) {
      this.abandon();
      throw writeError(this.file, error as NodeJS.ErrnoException);
    }
  }

  /** Flushes and closes; idempotent. */
  close(): void {
    if (this.fd < 0) return;
    this.flush();
    const fd = this.fd;
    this.fd = -1;
    try {
      closeSync(fd);
    } catch (error) {
      throw writeError(this.file, error as NodeJS.ErrnoException);
    }
  }

  /** After a failed write: cuts off half a record, so that what is there can be read. */
  private abandon(): void {
    try {
      ftruncateSync(this.fd, this.good);
    } catch {
      // Not a regular file: nothing to cut.
    }
    try {
      closeSync(this.fd);
    } catch {
      // The write error that follows says more.
    }
    this.fd = -1;
  }

  private classicHeader(): void {
    const { view } = this;
    view.setUint32(0, CLASSIC.MAGIC_NANO, true);
    view.setUint16(4, 2, true);
    view.setUint16(6, 4, true);
    view.setUint32(16, SNAP_LENGTH, true);
    view.setUint32(20, LINKTYPE_ETHERNET, true);
    this.used = CLASSIC.HEADER_BYTES;
  }

  /** A section header of unknown section length and one Ethernet interface with nanosecond clock. */
  private pcapngHeader(): void {
    const { view } = this;
    const words = [
      PCAPNG.SECTION_HEADER,
      28,
      PCAPNG.BYTE_ORDER_MAGIC,
      1,
      0xffff_ffff,
      0xffff_ffff,
      28,
      // Options: if_tsresol (9), one byte: 9; end of options.
      PCAPNG.INTERFACE,
      32,
      LINKTYPE_ETHERNET,
      SNAP_LENGTH,
      (1 << 16) | 9,
      9,
      0,
      32,
    ];
    for (const [i, word] of words.entries()) view.setUint32(i * 4, word, true);
    this.used = words.length * 4;
  }
}

function openForWriting(file: string): number {
  try {
    if (!statSync(file, { throwIfNoEntry: false })?.isFIFO()) return openSync(file, "w");
    // Opening a named pipe waits for its reader, which no signal could end: first without waiting, which fails where there is none.
    const probe = openSync(file, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      return openSync(file, "w");
    } finally {
      closeSync(probe);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT")
      throw new ConfigError(file, "cannot create: the folder does not exist", "create the folder first");
    if (code === "EISDIR")
      throw new ConfigError(file, "is a directory, a file to write is expected", "name a file in it");
    if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
      throw new ConfigError(file, "no permission to write it", "write to a folder of your own");
    }
    if (code === "ENXIO") throw new ConfigError(file, "is a pipe that nobody reads", "start its reader first");
    throw new ConfigError(file, `cannot create: ${message}`, "check the path");
  }
}

function writeError(file: string, error: NodeJS.ErrnoException): RunError {
  if (error.code === "ENOSPC" || error.code === "EDQUOT") {
    return new RunError(
      file,
      "the disk is full",
      "free space, or write elsewhere; what was written before can be read",
    );
  }
  if (error.code === "EPIPE")
    return new RunError(file, "its reader has gone away", "keep the reader running, or write to a file");
  return new RunError(file, `cannot write: ${error.message}`, "check the disk; what was written before can be read");
}
