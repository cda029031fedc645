/**
 * Frame sets for benchmarks: deterministic from a seed, packed in memory, written to a file in the form C peers read
 * (peers/protocol.h).
 */
import { writeFileSync } from "node:fs";
import { writeIpv4Checksum } from "../runtime/packet/checksum.js";
import { ETHERNET, ETHERTYPE, IPPROTO, IPV4, UDP } from "../runtime/packet/protocols.js";

/** Frame lengths in bytes, layer 2 without FCS; "imix" is the simple IMIX: 28 x 64, 16 x 570 and 4 x 1518 of 48 frames. */
export const SIZES = ["64", "512", "1472", "imix"] as const;
export type Size = (typeof SIZES)[number];
const IMIX = [
  { length: 64, frames: 28 },
  { length: 570, frames: 16 },
  { length: 1518, frames: 4 },
].flatMap(({ length, frames }) => new Array<number>(frames).fill(length));

export interface FrameSet {
  /** "64 B" or "imix". */
  readonly name: string;
  readonly frames: readonly Uint8Array[];
  readonly meanBytes: number;
}

/** A random integer in [0, limit). */
export type Random = (limit: number) => number;

/** Random numbers that a seed repeats: mulberry32. Not for anything that must not be guessed. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

export interface FrameOptions {
  readonly size: Size;
  readonly count: number;
  readonly seed: number;
  /** Destination address, host byte order; default: any of 198.18.0.0/15 (RFC 2544). */
  destination?(random: Random): number;
  /** Fills a payload (zeros when it gets it); default: random bytes. */
  payload?(payload: Uint8Array, random: Random): void;
}

const HEADERS = ETHERNET.BYTES + IPV4.MIN_BYTES + UDP.BYTES;

/** UDP over IPv4 frames, no UDP checksum (RFC 768 allows that), TTL 64, ports above 40000, sources in 10.0.0.0/8. */
export function udpFrames(options: FrameOptions): FrameSet {
  const random = seededRandom(options.seed);
  const lengths = frameLengths(options.size, options.count, random);
  const destination = options.destination ?? ((next: Random) => 0xc612_0000 + next(2 ** 17));
  const payload = options.payload ?? randomBytes;
  let total = 0;
  const frames = lengths.map((length) => {
    total += length;
    // Room for the u16 view that the checksum is summed over.
    const bytes = new Uint8Array(length + (length & 1));
    const view = new DataView(bytes.buffer);
    bytes.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    view.setUint16(ETHERNET.TYPE, ETHERTYPE.IPV4);
    const l3 = ETHERNET.BYTES;
    bytes[l3] = 0x45;
    view.setUint16(l3 + IPV4.TOTAL_LENGTH, length - l3);
    view.setUint16(l3 + IPV4.ID, random(2 ** 16));
    bytes[l3 + IPV4.TTL] = 64;
    bytes[l3 + IPV4.PROTOCOL] = IPPROTO.UDP;
    view.setUint32(l3 + IPV4.SRC, 0x0a00_0000 + random(2 ** 24));
    view.setUint32(l3 + IPV4.DST, destination(random));
    const l4 = l3 + IPV4.MIN_BYTES;
    view.setUint16(l4 + UDP.SPORT, 40000 + random(20000));
    view.setUint16(l4 + UDP.DPORT, 40000 + random(20000));
    view.setUint16(l4 + UDP.LENGTH, length - l4);
    payload(bytes.subarray(HEADERS, length), random);
    writeIpv4Checksum(new Uint16Array(bytes.buffer), l3, IPV4.MIN_BYTES);
    return bytes.subarray(0, length);
  });
  const name = options.size === "imix" ? "imix" : `${options.size} B`;
  return { name, frames, meanBytes: total / options.count };
}

function randomBytes(bytes: Uint8Array, random: Random): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = random(256);
}

/** One length per frame. IMIX is shuffled as a whole, or a batch would repeat its pattern and branch prediction would learn it. */
function frameLengths(size: Size, count: number, random: Random): number[] {
  if (size !== "imix") return new Array<number>(count).fill(Number(size));
  const lengths = Array.from({ length: count }, (_, i) => IMIX[i % IMIX.length]!);
  for (let i = count - 1; i > 0; i--) {
    const j = random(i + 1);
    [lengths[i], lengths[j]] = [lengths[j]!, lengths[i]!];
  }
  return lengths;
}

/** Little-endian u32 count, then for each frame u32 length and its bytes. */
export function writeFrames(file: string, set: FrameSet): void {
  const parts: Uint8Array[] = [];
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  parts.push(u32(set.frames.length));
  for (const frame of set.frames) parts.push(u32(frame.length), frame);
  writeFileSync(file, Buffer.concat(parts));
}
