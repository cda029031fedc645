/** A capture written once more with its frames brought to a length: read a record at a time, so that memory is bounded whatever its length. */
import { rmSync } from "node:fs";
import { ConfigError } from "../../errors.js";
import { copyBytes } from "../../nic/copy.js";
import { ImixDeck } from "../../nic/generator/imix.js";
import { Random } from "../../nic/generator/random.js";
import { writeSyntheticEthernet } from "../../nic/pcap/linktypes.js";
import { openReader } from "../../nic/pcap/open.js";
import { END, MAX_RECORD, RECORD, type RecordReader } from "../../nic/pcap/reader.js";
import { CaptureWriter } from "../../nic/pcap/writer.js";
import { REPLAY_LIMIT } from "../../nic/replay.js";
import { storedBytes } from "../../nic/store.js";
import { Arena, DATA_OFFSET, MAX_FRAME } from "../../packet/arena.js";
import { Gate } from "../../packet/gate.js";
import { FrameResizer, KEPT_REASONS, type KeptReason, RESIZE } from "./resize.js";

/** What became of a capture's frames: packets = resized + headersOnly + all that were kept. Plain JSON. */
export interface ResizeCounts {
  readonly packets: number;
  /** Frames that have the length asked for; those with less payload than before, and with more. */
  readonly resized: number;
  readonly cut: number;
  readonly filled: number;
  /** Frames cut down to their headers, which are longer than the length asked for. */
  readonly headersOnly: number;
  /** Frames that are as they were, by reason. */
  readonly kept: Readonly<Partial<Record<KeptReason, number>>>;
}

/** Records between two turns of the event loop: a long capture takes seconds, and Ctrl-C and a progress bar do not wait. */
const TURN = 8192;
/** Fill and IMIX are drawn apart, so that neither changes the other. */
const DECK_SEED = 0x9e3779b9;

/**
 * Writes `out` anew with every frame of `file` brought to `size`, in order and with its timestamp.
 * @param seed of the fill, and of the order of sizes in an IMIX
 * @param warn one line for the user: what is odd about the capture itself
 * @param limit bytes of memory it may take to be played
 * @throws ConfigError for what is not a readable capture, or takes more memory; RunError where the disk is full; `out` is gone then
 */
export async function resizeCapture(
  file: string,
  out: string,
  size: number | "imix",
  seed: number,
  warn: (line: string) => void,
  limit = REPLAY_LIMIT,
): Promise<ResizeCounts> {
  const reader = await openReader(file, warn);
  try {
    const writer = new CaptureWriter(out);
    const arena = Arena.create(1);
    try {
      const copier = new Copier(reader, writer, arena, size, seed, limit);
      for (let n = 1; ; n++) {
        const found = reader.next();
        if (found === END) break;
        if (found === RECORD) copier.copy();
        else await reader.source.ready();
        if (n % TURN === 0) await new Promise(setImmediate);
      }
      writer.close();
      return copier.counts();
    } catch (error) {
      // The first error is the one that counts.
      try {
        writer.close();
      } catch {}
      rmSync(out, { force: true });
      throw error;
    } finally {
      arena.free();
    }
  } finally {
    reader.source.close();
  }
}

class Copier {
  private readonly resizer: FrameResizer;
  private readonly deck: ImixDeck | undefined;
  /** By RESIZE code. */
  private readonly done = new Float64Array(4);
  private readonly kept = new Float64Array(KEPT_REASONS.length);
  /** Bytes that the frames take where they are played from. */
  private memory = 0;
  /** Frames longer than a slot holds, with the header they get. */
  private long: { readonly u8: Uint8Array; readonly view: DataView } | undefined;

  constructor(
    private readonly reader: RecordReader,
    private readonly writer: CaptureWriter,
    private readonly arena: Arena,
    private readonly size: number | "imix",
    seed: number,
    private readonly limit: number,
  ) {
    this.resizer = new FrameResizer(arena, new Gate(arena), new Random(seed));
    this.deck = size === "imix" ? new ImixDeck(new Random((seed ^ DECK_SEED) >>> 0)) : undefined;
  }

  counts(): ResizeCounts {
    const { done, kept } = this;
    const resized = done[RESIZE.CUT]! + done[RESIZE.SAME]! + done[RESIZE.FILLED]!;
    const reasons = KEPT_REASONS.map((reason, i) => [reason, kept[i]!] as const).filter(([, frames]) => frames > 0);
    return {
      packets: this.writer.packets,
      resized,
      cut: done[RESIZE.CUT]!,
      filled: done[RESIZE.FILLED]!,
      headersOnly: done[RESIZE.HEADERS_ONLY]!,
      kept: Object.fromEntries(reasons),
    };
  }

  /** The reader's record. */
  copy(): void {
    const { reader, writer, arena, resizer } = this;
    const { source, prefix, captured, original, at, tsSec, tsNsec } = reader;
    const wire = prefix + original;
    // The gate drops it: as it is, with its length on the wire, so that it is dropped for the same reason.
    if (captured < original || prefix + captured > MAX_FRAME) {
      this.kept[0]!++;
      this.copyLong(wire);
      return;
    }
    if (prefix > 0) writeSyntheticEthernet(arena.u8, DATA_OFFSET, captured > 0 ? source.u8[at]! >> 4 : 4);
    copyBytes(arena, DATA_OFFSET + prefix, source, at, captured);
    arena.off[0] = DATA_OFFSET;
    arena.len[0] = wire;
    arena.wireLen[0] = wire;
    arena.rxError[0] = 0;
    const why = resizer.judge();
    if (why < 0) this.kept[-1 - why]!++;
    else this.done[resizer.resize(this.deck?.deal() ?? (this.size as number))]!++;
    const bytes = arena.len[0]!;
    this.remember(bytes);
    writer.record(arena, DATA_OFFSET, bytes, tsSec, tsNsec);
  }

  /** Loads are played from memory: what has no room there need not be written either. */
  private remember(bytes: number): void {
    this.memory += storedBytes(bytes);
    if (this.memory <= this.limit) return;
    const { packets } = this.writer;
    const { file } = this.reader.source;
    const most = `${this.limit >> 20} MiB of memory, and captures are played from there`;
    throw new ConfigError(
      file,
      `with frames of ${this.size === "imix" ? "an IMIX" : `${this.size} bytes`} it takes more than ${most}`,
      `take its first ${packets} packets: editcap -r ${file} OUT 1-${packets}`,
    );
  }

  private copyLong(wire: number): void {
    const { source, prefix, captured, at, tsSec, tsNsec } = this.reader;
    this.remember(Math.min(prefix + captured, MAX_FRAME));
    if (prefix === 0) {
      this.writer.record(source, at, captured, tsSec, tsNsec, wire);
      return;
    }
    if (this.long === undefined) {
      const u8 = new Uint8Array(prefix + MAX_RECORD);
      this.long = { u8, view: new DataView(u8.buffer) };
    }
    const { long } = this;
    writeSyntheticEthernet(long.u8, 0, captured > 0 ? source.u8[at]! >> 4 : 4);
    copyBytes(long, prefix, source, at, captured);
    // What a reader believes a record to be at most.
    this.writer.record(long, 0, Math.min(prefix + captured, MAX_RECORD), tsSec, tsNsec, wire);
  }
}
