/** Opens a capture of any supported kind. What it is, its first bytes say, never its name. */
import { closeSync, readSync } from "node:fs";
import { ConfigError } from "../../errors.js";
import { CLASSIC, ClassicReader } from "./classic.js";
import { GzipSource } from "./gzip.js";
import { PCAPNG, PcapngReader } from "./pcapng.js";
import type { RecordReader } from "./reader.js";
import { type ByteSource, FileSource, openRegular } from "./source.js";

const GZIP_MAGIC = 0x1f8b;
/** First bytes of what users also compress captures with, and of other capture formats. */
const FOREIGN: ReadonlyArray<readonly [magic: string, name: string, remedy: string]> = [
  ["28b52ffd", "zstd-compressed", "decompress it first: zstd -d FILE"],
  ["04224d18", "lz4-compressed", "decompress it first: lz4 -d FILE"],
  ["fd377a58", "xz-compressed", "decompress it first: xz -d FILE"],
  ["425a68", "bzip2-compressed", "decompress it first: bzip2 -d FILE"],
  ["504b0304", "a zip archive", "unpack it first"],
  ["736e6f6f70", "a snoop capture", "convert it: editcap -F nsecpcap IN OUT"],
  ["34cdb2a1", "a modified pcap (Kuznetzov)", "convert it: editcap -F nsecpcap IN OUT"],
  ["a1b2cd34", "a modified pcap (Kuznetzov)", "convert it: editcap -F nsecpcap IN OUT"],
];

/**
 * Opens a capture and reads its file header.
 * @throws ConfigError for what is missing, unreadable, empty or not a capture
 */
export async function openReader(file: string, warn: (line: string) => void): Promise<RecordReader> {
  const source = openSource(file);
  try {
    if (!(await waitFor(source, 4))) throw notACapture(source);
    const magic = source.view.getUint32(source.pos, true);
    if (magic === PCAPNG.SECTION_HEADER) return new PcapngReader(source, warn);
    if (!isClassic(magic) && !isClassic(source.view.getUint32(source.pos, false))) throw notACapture(source);
    if (!(await waitFor(source, CLASSIC.HEADER_BYTES))) {
      throw new ConfigError(file, "ends within its file header of 24 bytes", "capture or copy it again");
    }
    return new ClassicReader(source, warn);
  } catch (error) {
    source.close();
    throw error;
  }
}

function isClassic(magic: number): boolean {
  return magic === CLASSIC.MAGIC_MICRO || magic === CLASSIC.MAGIC_NANO;
}

/** The byte stream of a file, decompressed where its first two bytes say gzip. */
function openSource(file: string): ByteSource {
  const fd = openRegular(file);
  const magic = Buffer.alloc(2);
  try {
    // Positional, so that the file offset stays at 0.
    readSync(fd, magic, 0, 2, 0);
  } catch (error) {
    closeSync(fd);
    throw new ConfigError(file, `cannot read: ${(error as Error).message}`, "check the disk");
  }
  return magic.readUInt16BE(0) === GZIP_MAGIC ? new GzipSource(file, fd) : new FileSource(file, fd);
}

/** Waits until `count` bytes are there; false at the end of the file. */
async function waitFor(source: ByteSource, count: number): Promise<boolean> {
  while (!source.ensure(count)) {
    if (source.eof) return false;
    await source.ready();
  }
  return true;
}

function notACapture(source: ByteSource): ConfigError {
  const first = Buffer.from(source.u8.subarray(source.pos, Math.min(source.end, source.pos + 8)));
  if (first.length === 0) {
    const why = source.cut === undefined ? "is empty" : `holds nothing: ${source.cut}`;
    return new ConfigError(source.file, why, "capture or copy it again; `wingbeat gen FILE` makes a capture");
  }
  const hex = first.toString("hex");
  for (const [magic, name, remedy] of FOREIGN) {
    if (hex.startsWith(magic)) return new ConfigError(source.file, `is ${name}, not a pcap or pcapng capture`, remedy);
  }
  return new ConfigError(
    source.file,
    `is not a pcap or pcapng capture: it starts with ${hex.replace(/../g, "$& ").trim()}`,
    "convert it: editcap -F nsecpcap IN OUT",
  );
}
