/** A minimal reader of classic pcap files in both byte orders, for tests; and where the test data lies. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** WINGBEAT_DATA, else ../shared/data beside the repository. Seen from dist/test/support. */
const DATA =
  process.env.WINGBEAT_DATA ?? join(fileURLToPath(new URL("../../../..", import.meta.url)), "shared", "data");

/** Path of a data file, or undefined (with the reason on stderr, so that a skipped test says why). */
export function dataFile(name: string): string | undefined {
  const path = join(DATA, name);
  if (existsSync(path)) return path;
  console.error(`skipped: ${path} is missing; set WINGBEAT_DATA to the folder that holds ${name}`);
  return undefined;
}

export interface Record {
  readonly frame: Uint8Array;
  readonly wireLen: number;
}

/** Records of a pcap file (draft-ietf-opsawg-pcap, section 4); a last record that is cut off is left out. */
export function readPcap(path: string): { readonly linkType: number; readonly records: readonly Record[] } {
  const bytes = readFileSync(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = [0xa1b2c3d4, 0xa1b23c4d].includes(view.getUint32(0, true));
  if (!little && ![0xa1b2c3d4, 0xa1b23c4d].includes(view.getUint32(0))) throw new Error(`${path}: not a pcap file`);
  const records: Record[] = [];
  let at = 24;
  while (at + 16 <= bytes.length) {
    const captured = view.getUint32(at + 8, little);
    if (at + 16 + captured > bytes.length) break;
    records.push({
      frame: Uint8Array.from(bytes.subarray(at + 16, at + 16 + captured)),
      wireLen: view.getUint32(at + 12, little),
    });
    at += 16 + captured;
  }
  return { linkType: view.getUint32(20, little) & 0xffff, records };
}
