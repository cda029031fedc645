/**
 * pcapng. Source: draft-ietf-opsawg-pcapng (sections by block name).
 *
 * A file is a row of blocks: type u32, total length u32, body, total length again; padded to 4 bytes. A section header block starts a
 * section, which has its own byte order and its own interfaces. Interfaces give link type and clock; a packet names its interface.
 * Blocks and options this reader has no use for are skipped.
 */
import { ConfigError } from "../../errors.js";
import { unsupportedLink } from "./classic.js";
import { CaptureClock } from "./clock.js";
import { prefixOf } from "./linktypes.js";
import { MAX_RECORD, RECORD, RecordReader } from "./reader.js";
import { type ByteSource, MAX_RUN } from "./source.js";

export const PCAPNG = {
  SECTION_HEADER: 0x0a0d0d0a,
  INTERFACE: 1,
  /** Obsolete, written by old tools. */
  PACKET: 2,
  SIMPLE_PACKET: 3,
  ENHANCED_PACKET: 6,
  BYTE_ORDER_MAGIC: 0x1a2b3c4d,
} as const;

const OPTION = { END: 0, NAME: 2, TSRESOL: 9, FCSLEN: 13, TSOFFSET: 14 } as const;

/** Total lengths above this are taken for corruption, as Wireshark does. */
const MAX_BLOCK = 16 * 1024 * 1024;
/** Type, length, trailing length. */
const BLOCK_OVERHEAD = 12;
const MAX_INTERFACES = 65536;
const padded = (bytes: number) => (bytes + 3) & ~3;

interface Interface {
  readonly linkType: number;
  /** Bytes of synthetic Ethernet header; -1: frames of this link type cannot be read. */
  readonly prefix: number;
  /** 0: no limit. */
  readonly snapLength: number;
  readonly name: string;
  readonly fcsBytes: number;
  readonly clock: CaptureClock;
}

export class PcapngReader extends RecordReader {
  private littleEndian = true;
  private interfaces: Interface[] = [];
  /** Bytes of a block still to be passed over. */
  private skipping = 0;

  /** @param source at the first section header block */
  constructor(source: ByteSource, warn: (line: string) => void) {
    super(source, warn);
  }

  next(): number {
    const { source } = this;
    for (;;) {
      if (this.skipping > 0 && !this.skip()) return this.short(true);
      if (source.end - source.pos < BLOCK_OVERHEAD && !source.ensure(BLOCK_OVERHEAD)) return this.short();
      const type = source.view.getUint32(source.pos, this.littleEndian);
      if (type === PCAPNG.SECTION_HEADER) {
        if (!source.ensure(16)) return this.short();
        this.section();
        continue;
      }
      const total = source.view.getUint32(source.pos + 4, this.littleEndian);
      if (total < BLOCK_OVERHEAD || total > MAX_BLOCK) {
        throw this.corrupt(
          `a block of type ${type} with a total length of ${total} bytes, ${BLOCK_OVERHEAD} to ${MAX_BLOCK} are believed`,
        );
      }
      const bytes = padded(total);
      const wanted =
        type === PCAPNG.ENHANCED_PACKET ||
        type === PCAPNG.SIMPLE_PACKET ||
        type === PCAPNG.PACKET ||
        type === PCAPNG.INTERFACE;
      if (bytes > MAX_RUN) {
        if (wanted)
          throw this.corrupt(
            `a block of type ${type} with a total length of ${total} bytes, at most ${MAX_RUN} are read`,
          );
        this.skipping = bytes;
        continue;
      }
      if (source.end - source.pos < bytes && !source.ensure(bytes)) return this.short();
      const trailing = source.view.getUint32(source.pos + bytes - 4, this.littleEndian);
      if (trailing !== total) {
        throw this.corrupt(`a block of type ${type} whose two total lengths differ: ${total} and ${trailing}`);
      }
      if (type === PCAPNG.INTERFACE) this.interfaceBlock(total);
      else if (wanted) this.packet(type, total);
      source.pos += bytes;
      if (wanted && type !== PCAPNG.INTERFACE) {
        this.records++;
        return RECORD;
      }
    }
  }

  /** Passes over a block that may be longer than the window; false when its end is not there yet. */
  private skip(): boolean {
    const { source } = this;
    for (;;) {
      const count = Math.min(this.skipping, source.end - source.pos);
      source.pos += count;
      this.skipping -= count;
      if (this.skipping === 0) return true;
      if (!source.fill()) return false;
    }
  }

  /** Section header block: byte order magic at 8, version at 12. Its options are passed over. */
  private section(): void {
    const { view, pos, file } = this.source;
    this.littleEndian = view.getUint32(pos + 8, true) === PCAPNG.BYTE_ORDER_MAGIC;
    if (!this.littleEndian && view.getUint32(pos + 8, false) !== PCAPNG.BYTE_ORDER_MAGIC) {
      throw this.corrupt("a section header without byte order magic");
    }
    const major = view.getUint16(pos + 12, this.littleEndian);
    if (major !== 1) {
      throw new ConfigError(file, `pcapng version ${major}, 1 is expected`, "convert it: editcap -F nsecpcap IN OUT");
    }
    const total = view.getUint32(pos + 4, this.littleEndian);
    if (total < 28 || total > MAX_BLOCK) throw this.corrupt(`a section header with a total length of ${total} bytes`);
    this.interfaces = [];
    this.skipping = padded(total);
  }

  /** Interface description block: link type u16 at 8, snap length u32 at 12, options from 16. */
  private interfaceBlock(total: number): void {
    const { view, u8, pos } = this.source;
    const le = this.littleEndian;
    if (total < 20) throw this.corrupt(`an interface description of ${total} bytes, at least 20 are expected`);
    if (this.interfaces.length >= MAX_INTERFACES)
      throw this.corrupt(`more than ${MAX_INTERFACES} interfaces in one section`);
    let name = "";
    let resolution = 6; // if_tsresol's default: microseconds
    let offset = 0;
    let fcsBytes = 0;
    const end = pos + total - 4;
    let at = pos + 16;
    while (at + 4 <= end) {
      const code = view.getUint16(at, le);
      const bytes = view.getUint16(at + 2, le);
      if (code === OPTION.END) break;
      const value = at + 4;
      if (value + bytes > end)
        throw this.corrupt(`an interface option (${code}) of ${bytes} bytes reaches out of its block`);
      if (code === OPTION.NAME)
        name = Buffer.from(u8.subarray(value, value + bytes))
          .toString("utf8")
          .replace(/\0.*$/s, "");
      else if (code === OPTION.TSRESOL && bytes >= 1) resolution = u8[value]!;
      else if (code === OPTION.FCSLEN && bytes >= 1) fcsBytes = u8[value]!;
      else if (code === OPTION.TSOFFSET && bytes >= 8) offset = Number(view.getBigInt64(value, le));
      at = value + padded(bytes);
    }
    const linkType = view.getUint16(pos + 8, le);
    this.interfaces.push({
      linkType,
      prefix: prefixOf(linkType),
      snapLength: view.getUint32(pos + 12, le),
      name,
      fcsBytes,
      clock: new CaptureClock(resolution, offset),
    });
  }

  /**
   * Fields from the start of the block:
   * enhanced: interface u32 8, time 12 and 16, captured 20, original 24, bytes 28;
   * obsolete: interface u16 8, drops u16 10, then as enhanced;
   * simple: original 8, bytes 12; interface 0, no time, captured what the snap length leaves of the original.
   */
  private packet(type: number, total: number): void {
    const { view, pos } = this.source;
    const le = this.littleEndian;
    const simple = type === PCAPNG.SIMPLE_PACKET;
    const dataAt = simple ? 12 : 28;
    const room = total - dataAt - 4;
    if (room < 0)
      throw this.corrupt(`a packet block (type ${type}) of ${total} bytes, at least ${dataAt + 4} are expected`);
    const index = simple ? 0 : type === PCAPNG.PACKET ? view.getUint16(pos + 8, le) : view.getUint32(pos + 8, le);
    const from = this.interfaces[index];
    if (from === undefined) {
      throw this.corrupt(
        `a packet of interface ${index}, but the section describes ${this.interfaces.length} interfaces`,
      );
    }
    if (from.prefix < 0) {
      const name = from.name === "" ? "" : ` (${from.name})`;
      throw unsupportedLink(
        this.source.file,
        from.linkType,
        `interface ${index}${name}, used by record ${this.records + 1},`,
      );
    }
    let captured: number;
    let original: number;
    if (simple) {
      original = view.getUint32(pos + 8, le);
      captured = Math.min(original, room);
      if (from.snapLength > 0) captured = Math.min(captured, from.snapLength);
      this.tsSec = 0;
      this.tsNsec = 0;
    } else {
      captured = view.getUint32(pos + 20, le);
      original = view.getUint32(pos + 24, le);
      from.clock.read(view.getUint32(pos + 12, le), view.getUint32(pos + 16, le));
      this.tsSec = from.clock.sec;
      this.tsNsec = from.clock.nsec;
    }
    if (captured > MAX_RECORD || captured > room) {
      throw this.corrupt(
        `a captured length of ${captured} bytes in a block with room for ${room}; at most ${MAX_RECORD} are believed`,
      );
    }
    this.prefix = from.prefix;
    this.at = pos + dataAt;
    this.setLengths(captured, original);
    if (from.fcsBytes > 0) this.stripFcs(from.fcsBytes);
  }
}
