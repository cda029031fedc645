/** Where two captures of what should be the same frames part. */

import { openReader } from "../nic/pcap/open.js";
import { END, RECORD, type RecordReader } from "../nic/pcap/reader.js";

/** The first frame of a port that is another. Plain JSON. */
export interface FrameDifference {
  readonly port: string;
  /** Number of the frame among those that left the port, from 1, as Wireshark counts. */
  readonly frame: number;
  /** First byte that differs, from the start of the frame; where one frame is the beginning of the other, its length. */
  readonly offset: number;
  /** Bytes of the frames; null: there is no such frame any more. */
  readonly expected_bytes: number | null;
  readonly found_bytes: number | null;
  /** What stands around `offset`, hexadecimal, from byte `excerpt_at` on. */
  readonly excerpt_at: number;
  readonly expected: string;
  readonly found: string;
}

/** Bytes of an excerpt, and of those the ones before what differs. */
const EXCERPT = 16;
const BEFORE = 4;

/**
 * @returns the first frame in which `found` is not as `expected`; undefined where there is none
 * @throws ConfigError where one of them is not a readable capture
 */
export async function captureDifference(
  port: string,
  expected: string,
  found: string,
): Promise<FrameDifference | undefined> {
  const a = await openReader(expected, () => {});
  try {
    const b = await openReader(found, () => {});
    try {
      return await firstDifference(port, a, b);
    } finally {
      b.source.close();
    }
  } finally {
    a.source.close();
  }
}

async function firstDifference(port: string, a: RecordReader, b: RecordReader): Promise<FrameDifference | undefined> {
  for (let frame = 1; ; frame++) {
    const x = await nextFrame(a);
    const y = await nextFrame(b);
    if (x === null && y === null) return undefined;
    const offset = x === null || y === null ? 0 : parting(x, y);
    if (offset < 0) continue;
    const from = Math.max(0, offset - BEFORE);
    const excerpt = (bytes: Uint8Array | null) =>
      bytes === null ? "" : Buffer.from(bytes.subarray(from, from + EXCERPT)).toString("hex");
    return {
      ...{ port, frame, offset, expected_bytes: x?.length ?? null, found_bytes: y?.length ?? null },
      ...{ excerpt_at: from, expected: excerpt(x), found: excerpt(y) },
    };
  }
}

/** A view that is good until the reader's next record. */
async function nextFrame(reader: RecordReader): Promise<Uint8Array | null> {
  for (;;) {
    const found = reader.next();
    if (found === RECORD) return reader.source.u8.subarray(reader.at, reader.at + reader.captured);
    if (found === END) return null;
    await reader.source.ready();
  }
}

/** First byte in which two frames differ; -1 where they are equal. */
function parting(x: Uint8Array, y: Uint8Array): number {
  const both = Math.min(x.length, y.length);
  for (let i = 0; i < both; i++) if (x[i] !== y[i]) return i;
  return x.length === y.length ? -1 : both;
}

/** In one line, for messages. */
export function describeFrame(difference: FrameDifference): string {
  const { port, frame, offset, expected_bytes, found_bytes, excerpt_at, expected, found } = difference;
  const where = `port ${port}, frame ${frame}`;
  if (found_bytes === null) return `${where}: there is none any more, a frame of ${expected_bytes} bytes was expected`;
  if (expected_bytes === null) return `${where}: a frame of ${found_bytes} bytes more than was expected`;
  const lengths = expected_bytes === found_bytes ? "" : `, ${found_bytes} bytes instead of ${expected_bytes}`;
  return `${where}${lengths}, byte ${offset}: from byte ${excerpt_at} on ${found}, expected ${expected}`;
}
