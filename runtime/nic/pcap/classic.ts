/**
 * Classic pcap. Source: draft-ietf-opsawg-pcap.
 *
 * File header, 24 bytes in the writer's byte order: magic u32, major u16, minor u16, two reserved u32, snaplen u32, link type u32
 * (bits 0-15; bit 26: FCS length given in bits 28-31, in 16-bit units). Record: seconds u32, micro- or nanoseconds u32,
 * captured u32, original u32, bytes.
 */
import { ConfigError } from "../../errors.js";
import { linkTypeName, prefixOf } from "./linktypes.js";
import { MAX_RECORD, RECORD, RecordReader } from "./reader.js";
import type { ByteSource } from "./source.js";

export const CLASSIC = {
  MAGIC_MICRO: 0xa1b2c3d4,
  MAGIC_NANO: 0xa1b23c4d,
  /** Kuznetzov's patched tcpdump: longer record headers. */
  MAGIC_MODIFIED: 0xa1b2cd34,
  HEADER_BYTES: 24,
  RECORD_BYTES: 16,
} as const;

const FCS_PRESENT = 0x0400_0000;

export class ClassicReader extends RecordReader {
  private readonly littleEndian: boolean;
  private readonly nsPerTick: number;
  private readonly ticksPerSecond: number;
  private readonly fcsBytes: number;

  /** @param source with the 24 bytes of the file header in its window */
  constructor(source: ByteSource, warn: (line: string) => void) {
    super(source, warn);
    const { view, pos } = source;
    const magic = view.getUint32(pos, true);
    this.littleEndian = magic === CLASSIC.MAGIC_MICRO || magic === CLASSIC.MAGIC_NANO;
    const le = this.littleEndian;
    this.nsPerTick = view.getUint32(pos, le) === CLASSIC.MAGIC_NANO ? 1 : 1000;
    this.ticksPerSecond = 1e9 / this.nsPerTick;
    const major = view.getUint16(pos + 4, le);
    const minor = view.getUint16(pos + 6, le);
    if (major !== 2 || minor !== 4) {
      throw new ConfigError(
        source.file,
        `pcap version ${major}.${minor}, 2.4 is expected`,
        "convert it: editcap -F nsecpcap IN OUT",
      );
    }
    const link = view.getUint32(pos + 20, le);
    const linkType = link & 0xffff;
    this.prefix = prefixOf(linkType);
    if (this.prefix < 0) throw unsupportedLink(source.file, linkType, "the capture");
    this.fcsBytes = (link & FCS_PRESENT) !== 0 ? (link >>> 28) * 2 : 0;
    source.pos += CLASSIC.HEADER_BYTES;
  }

  next(): number {
    const { source, littleEndian } = this;
    if (source.end - source.pos < CLASSIC.RECORD_BYTES && !source.ensure(CLASSIC.RECORD_BYTES)) return this.short();
    const captured = source.view.getUint32(source.pos + 8, littleEndian);
    if (captured > MAX_RECORD) {
      throw this.corrupt(`a captured length of ${captured} bytes, at most ${MAX_RECORD} are believed`);
    }
    const bytes = CLASSIC.RECORD_BYTES + captured;
    if (source.end - source.pos < bytes && !source.ensure(bytes)) return this.short();
    const { view, pos } = source;
    const ticks = view.getUint32(pos + 4, littleEndian);
    this.tsSec = view.getUint32(pos, littleEndian);
    this.tsNsec = ticks * this.nsPerTick;
    if (ticks >= this.ticksPerSecond) {
      // Writers that add an offset without carrying make these.
      this.tsSec += Math.floor(ticks / this.ticksPerSecond);
      this.tsNsec = (ticks % this.ticksPerSecond) * this.nsPerTick;
    }
    this.at = pos + CLASSIC.RECORD_BYTES;
    this.setLengths(captured, view.getUint32(pos + 12, littleEndian));
    if (this.fcsBytes > 0) this.stripFcs(this.fcsBytes);
    source.pos = pos + bytes;
    this.records++;
    return RECORD;
  }
}

export function unsupportedLink(file: string, linkType: number, where: string): ConfigError {
  return new ConfigError(
    file,
    `link type ${linkType} (${linkTypeName(linkType)}) of ${where} is not supported; Ethernet (1) and raw IP (101, 228, 229) are`,
    "capture on an Ethernet interface, or convert it with a tool that rewrites link layers (tcprewrite --dlt=enet)",
  );
}
