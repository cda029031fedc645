/**
 * Multi-pattern search by Hyperscan, block mode, many packets in one scan.
 *
 * The payloads of a batch are copied one behind the other into a region of 64 KiB and scanned with one call. That beats a call per
 * packet, in C as well, because hs_scan spends 100 ns or more on its set-up, and a koffi call of it another 270. Measured on a 2.5 GHz
 * Cascade Lake, 147 Snort patterns, random payloads, ns per packet at 22 / 470 / 1430 bytes of payload:
 *   hs_scan per packet, in C                  141 / 271 / 578
 *   hs_scan_vector over 64 packets, in C      128 / 284 / 608   (stream state between the packets)
 *   one hs_scan over 64 packets, copy in C     16 / 195 / 552
 * hs_compile_lit_multi and hs_compile_multi, with HS_FLAG_SINGLEMATCH or without, are equally fast; so is a database of the
 * patterns' last eight bytes.
 *
 * From here the copy costs more than in C, since it meets the cache misses alone: beside the peer in bench/ (six runs on a busy machine)
 * the ratio was 0.64-0.91, median 0.90, at 470 bytes of random payload and 0.82-1.22, median 0.97, at 1430.
 *
 * What ends in one packet and begins before it is not a match: patterns have known lengths, so the handler checks both ends. It
 * never stops the scan at a hit, because Hyperscan does not promise to report matches in order of their position: a
 * packet before the hit could be missed. The handler costs about 300 ns a match; a flood of matches is cut off (see FLOOD).
 */
import type { Arena } from "../../../runtime/packet/arena.js";
import { MAX_BATCH } from "../../../runtime/packet/batch.js";
import { mapRegion, type Region, unmapRegion } from "../../../runtime/packet/memory.js";
import {
  check,
  compile,
  HS_FLAG_SINGLEMATCH,
  HS_SCAN_TERMINATED,
  type HyperscanLibrary,
  nativeAbs,
  registerHandler,
  unregisterHandler,
} from "./hyperscan-library.js";
import { type Mpse, type Pattern, takeBits } from "./mpse.js";

/**
 * Bytes scanned by one call: small beside an L2 cache. In C groups of 8 or 16 packets cost 1-4 % more than 64; from here, 32 to 128 KiB
 * could not be told apart.
 */
const CHUNK_BYTES = 65_536;
/**
 * Payloads up to this many bytes are copied by a loop over 8-byte words (14 ns at 22 bytes, 49 at 150, 118 at 470, 316 at 1430), longer
 * ones by copyWithin, which needs the scratch of the arena; where there is none left, by TypedArray.set (71, 77, 97, 129) from a
 * view made for the packet.
 */
const COPY_LOOP_MAX = 320;
/** The copy loop writes whole turns of four words, and so up to this many bytes behind the last packet. */
const SLACK_BYTES = 64;
/** Matches per scanned packet after which a chunk's scan is stopped and its packets are asked one by one, natively. */
const FLOOD = 4;

export class HyperscanMpse implements Mpse {
  readonly engine: string;
  /** Reports every match. */
  private readonly every: bigint;
  /** Reports each pattern once, so a packet cannot flood `identify`. */
  private readonly once: bigint;
  private readonly scratch: bigint;
  private readonly onChunk: bigint;
  private readonly onPacket: bigint;
  /** libc's abs as a match handler: returns the id, which is not 0, and so stops at the first match without entering JavaScript. */
  private readonly stopAtFirst: bigint;
  /** Own memory for the copies, where the arena has no scratch left. */
  private readonly region: Region | undefined;
  /** Where the copies lie: in copy8 and copy64 from this byte on. */
  private readonly copyBase: number;
  private readonly copyAddress: number;
  private readonly copy8: Uint8Array;
  private readonly copy64: BigInt64Array;
  private readonly arena64: BigInt64Array;
  private readonly patternLengths: Uint32Array;
  /** Where in the region the packets of the chunk begin and end, and which of the batch they are: [chunkFrom, chunkTo). */
  private readonly begins = new Uint32Array(MAX_BATCH);
  private readonly ends = new Uint32Array(MAX_BATCH);
  private readonly hit = new Uint8Array(MAX_BATCH);
  private chunkFrom = 0;
  private chunkTo = 0;
  private budget = 0;
  private readonly found: Uint32Array;

  constructor(
    private readonly hs: HyperscanLibrary,
    patterns: readonly Pattern[],
    private readonly arena: Arena,
  ) {
    this.engine = `hyperscan ${hs.version}`;
    this.patternLengths = Uint32Array.from(patterns, (pattern) => pattern.bytes.length);
    this.found = new Uint32Array((patterns.length + 31) >>> 5);
    this.every = compile(hs, patterns, 0);
    this.once = compile(hs, patterns, HS_FLAG_SINGLEMATCH);
    const scratch: [bigint | null] = [null];
    check(hs.allocScratch(this.every, scratch) as number, "hs_alloc_scratch");
    check(hs.allocScratch(this.once, scratch) as number, "hs_alloc_scratch");
    this.scratch = scratch[0]!;
    this.arena64 = new BigInt64Array(arena.buffer, 0, arena.buffer.byteLength >>> 3);
    const scratch8 = arena.takeScratch(CHUNK_BYTES + SLACK_BYTES);
    this.region = scratch8 === undefined ? mapRegion(CHUNK_BYTES) : undefined;
    this.copyBase = scratch8 ?? 0;
    this.copyAddress = (this.region ?? arena).address + this.copyBase;
    this.copy8 = new Uint8Array(this.region?.buffer ?? arena.buffer);
    this.copy64 = this.region === undefined ? this.arena64 : new BigInt64Array(this.region.buffer);
    this.onChunk = registerHandler((id, _from, to) => this.chunkMatch(id, to));
    this.onPacket = registerHandler((id) => {
      this.found[(id - 1) >>> 5]! |= 1 << ((id - 1) & 31);
      return 0;
    });
    this.stopAtFirst = nativeAbs();
  }

  scan(starts: Uint32Array, lengths: Uint32Array, count: number, hits: Uint32Array): number {
    const { begins, ends, hit, copy8, copy64, copyBase, arena64 } = this;
    const within = this.region === undefined;
    const base64 = copyBase >>> 3;
    hit.fill(0, 0, count);
    let from = 0;
    let at = 0; // where the next packet may begin: a multiple of 8
    for (let i = 0; i < count; i++) {
      const start = starts[i]!;
      const length = lengths[i]!;
      if (at + length + 16 > CHUNK_BYTES) {
        this.scanChunk(starts, lengths, from, i);
        from = i;
        at = 0;
      }
      // Same place within an 8-byte word as in the arena, so that words can be copied; what they bring along from around the packet
      // is nobody's, as the handler checks both ends of a match.
      const begin = at + (start & 7);
      begins[i] = begin;
      ends[i] = begin + length;
      if (length <= COPY_LOOP_MAX) {
        // Four words a turn: what is copied beyond the end is overwritten by the next packet.
        const lastWord = (start + length + 7) >>> 3;
        for (let word = start >>> 3, to = base64 + (at >>> 3); word < lastWord; word += 4, to += 4) {
          copy64[to] = arena64[word]!;
          copy64[to + 1] = arena64[word + 1]!;
          copy64[to + 2] = arena64[word + 2]!;
          copy64[to + 3] = arena64[word + 3]!;
        }
      } else if (within) {
        copy8.copyWithin(copyBase + begin, start, start + length);
      } else {
        copy8.set(new Uint8Array(this.arena.buffer, start, length), begin);
      }
      at = (begin + length + 7) & ~7;
    }
    if (from < count) this.scanChunk(starts, lengths, from, count);
    let n = 0;
    for (let i = 0; i < count; i++) if (hit[i] !== 0) hits[n++] = i;
    return n;
  }

  identify(start: number, length: number, out: Uint32Array): number {
    const { arena, hs, scratch } = this;
    const status = hs.scan(this.once, arena.address + start, length, 0, scratch, this.onPacket, null);
    check(status, "hs_scan");
    return takeBits(this.found, out);
  }

  close(): void {
    const { hs } = this;
    hs.freeScratch(this.scratch);
    hs.freeDatabase(this.every);
    hs.freeDatabase(this.once);
    unregisterHandler(this.onChunk);
    unregisterHandler(this.onPacket);
    if (this.region !== undefined) unmapRegion(this.region);
  }

  /** Scans packets [from, to), copied one behind the other, and sets `hit` for those that do. */
  private scanChunk(starts: Uint32Array, lengths: Uint32Array, from: number, to: number): void {
    const { arena, begins, ends, hit, hs, scratch } = this;
    this.chunkFrom = from;
    this.chunkTo = to;
    this.budget = FLOOD * (to - from);
    let status = hs.scan(this.every, this.copyAddress, ends[to - 1]!, 0, scratch, this.onChunk, null);
    if (status !== HS_SCAN_TERMINATED) {
      check(status, "hs_scan");
      return;
    }
    for (let i = from; i < to; i++) {
      if (hit[i] !== 0 || begins[i] === ends[i]) continue;
      status = hs.scan(this.once, arena.address + starts[i]!, lengths[i]!, 0, scratch, this.stopAtFirst, null);
      if (status === HS_SCAN_TERMINATED) hit[i] = 1;
      else check(status, "hs_scan");
    }
  }

  /** A pattern ends before byte `to` of the chunk: the packet that holds it in full, if one does, is hit. */
  private chunkMatch(id: number, to: number): number {
    const { begins } = this;
    let low = this.chunkFrom;
    let high = this.chunkTo - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (begins[middle]! < to) low = middle;
      else high = middle - 1;
    }
    if (to <= this.ends[low]! && to - this.patternLengths[id - 1]! >= begins[low]!) this.hit[low] = 1;
    this.budget--;
    return this.budget < 0 ? 1 : 0;
  }
}
