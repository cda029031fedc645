/**
 * A capture file as a receiving port. A plain file is read inside receive(); a gzip file is decompressed beside it, and receive()
 * returns 0 until more is there. Memory is constant, whatever the length of the capture.
 */
import { DATA_OFFSET, MAX_FRAME, RX_ERROR, SLOT_SHIFT } from "../../packet/arena.js";
import { copyBytes } from "../copy.js";
import type { PortContext, RxPort } from "../port.js";
import { writeSyntheticEthernet } from "./linktypes.js";
import { openReader } from "./open.js";
import { END, RECORD, type RecordReader } from "./reader.js";

/** @throws ConfigError for what is not a readable capture */
export async function openCaptureRx(file: string, context: PortContext): Promise<RxPort> {
  return new CaptureRx(await openReader(file, context.warn), context);
}

class CaptureRx implements RxPort {
  private ended = false;
  private failure: unknown;

  constructor(
    private readonly reader: RecordReader,
    private readonly context: PortContext,
  ) {}

  get done(): boolean {
    return this.ended;
  }

  receive(slots: Uint32Array, count: number): number {
    const { reader } = this;
    if (this.failure !== undefined) throw this.failure;
    if (this.ended) return 0;
    let filled = 0;
    try {
      for (; filled < count; filled++) {
        const found = reader.next();
        if (found !== RECORD) {
          this.ended = found === END;
          return filled;
        }
        this.store(slots[filled]!);
      }
    } catch (error) {
      // The frames before the damage are delivered first.
      if (filled === 0) throw error;
      this.failure = error;
    }
    return filled;
  }

  ready(): Promise<void> {
    return this.ended ? Promise.resolve() : this.reader.source.ready();
  }

  async close(): Promise<void> {
    this.ended = true;
    this.failure = undefined;
    this.reader.source.close();
  }

  /** Writes the reader's record into a slot. */
  private store(slot: number): void {
    const { reader, context } = this;
    const { arena } = context;
    const { source, prefix, captured, original } = reader;
    let at = (slot << SLOT_SHIFT) + DATA_OFFSET;
    let errors = captured < original ? RX_ERROR.TRUNCATED : 0;
    let bytes = captured;
    if (prefix + bytes > MAX_FRAME) {
      errors |= RX_ERROR.TOO_LONG;
      bytes = MAX_FRAME - prefix;
    }
    if (prefix > 0) {
      writeSyntheticEthernet(arena.u8, at, captured > 0 ? source.u8[reader.at]! >> 4 : 4);
      at += prefix;
    }
    copyBytes(arena, at, source, reader.at, bytes);
    arena.off[slot] = DATA_OFFSET;
    arena.len[slot] = prefix + bytes;
    arena.wireLen[slot] = prefix + original;
    arena.rxError[slot] = errors;
    arena.tsSec[slot] = reader.tsSec;
    arena.tsNsec[slot] = reader.tsNsec;
  }
}
