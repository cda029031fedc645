import { createHash } from "node:crypto";
import { type Arena, SLOT_SHIFT } from "../packet/arena.js";

/** SHA-256 over egress frames in the order given: each as port name (UTF-8), length (u32, little-endian), bytes. */
export class EgressDigest {
  private readonly hash = createHash("sha256");
  /** Per port: its name with room for the length behind it. */
  private readonly heads: readonly Buffer[];

  constructor(
    private readonly arena: Arena,
    portNames: readonly string[],
  ) {
    this.heads = portNames.map((name) => Buffer.concat([Buffer.from(name), Buffer.alloc(4)]));
  }

  add(port: number, slot: number): void {
    const { u8, off, len } = this.arena;
    const head = this.heads[port]!;
    head.writeUInt32LE(len[slot]!, head.length - 4);
    const at = (slot << SLOT_SHIFT) + off[slot]!;
    this.hash.update(head).update(u8.subarray(at, at + len[slot]!));
  }

  /** `sha256:` and 64 hex digits. Called once. */
  finish(): string {
    return `sha256:${this.hash.digest("hex")}`;
  }
}

/**
 * SHA-256 over alerts as lines `PCAP_CNT SIGNATURE_ID\n` in decimal, sorted by the first number, then the second.
 * @param pairs pcap_cnt, signature_id, pcap_cnt, signature_id, ...
 */
export function alertsDigest(pairs: Float64Array): string {
  const order = Array.from({ length: pairs.length / 2 }, (_, i) => i);
  order.sort((a, b) => pairs[2 * a]! - pairs[2 * b]! || pairs[2 * a + 1]! - pairs[2 * b + 1]!);
  const hash = createHash("sha256");
  for (const i of order) hash.update(`${pairs[2 * i]} ${pairs[2 * i + 1]}\n`);
  return `sha256:${hash.digest("hex")}`;
}
