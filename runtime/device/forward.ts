/**
 * Handing packets on from NF to NF on a device that packets are copied to: a thread that has served a packet goes on with the same packet
 * at the NF behind, where the kernel's answer is final and the policy says so (kernels/forward.wgsl), without a way back to the host.
 *
 * To the host this is work done ahead of time and nothing else. It finishes every packet at every NF, in order, as ever; when a packet comes
 * to an NF whose kernel has seen it already, with the params that prepare has written just now, the answer is there and no row is
 * needed (engine/ahead.ts). So a device that guessed wrong costs time, and bytes and counters are the same by construction.
 *
 * One thread, one packet: threads hand nothing to each other, so there is nothing to wait for between two NFs. Measured on SwiftShader, on a
 * busy machine, against a dispatch per NF within one submit, three NFs, 1,024 packets of 64 bytes, all of which go on: dispatches in place serve 0.4 to 0.7
 * (router) and 0.9 (nids) of the packets per second, compaction with indirect dispatches 0.35 to 0.55 and 0.9.
 */
import type { RegionHandle } from "../packet/memory.js";
import type { DeviceNfHandle } from "./device.js";

/** NFs a packet goes on to within one round, at most; cyclic policies go on in the next, through the host. */
export const MOST_HOPS = 3;
/** Outcome codes of an NF in the policy table, as in the engine's. */
export const OUTCOMES = 32;
/** NFs of a device that forwards, at most: a path names each in {@link PATH.BITS} bits, and 0 is none. */
export const MOST_NFS = 62;

/** What NFs behind one look at of a packet; bits. */
export const enum READS {
  /** The IP header and what follows it up to L4: [l3, l4). */
  HEADER = 1,
  /** What is behind: [l4, l3end). */
  DATA = 2,
}

/** Where packets may go on; plain data. NFs are numbered as the device has them. */
export interface Forwarding {
  /** Packet types. */
  readonly types: number;
  /** `next[(type * nfs + nf) * OUTCOMES + outcome]`: number of the NF behind, plus 1; 0 where the host has to say. */
  readonly next: Uint8Array;
  /** NFs a packet can go on to from where it comes to the device, at most MOST_HOPS and at least 1. */
  readonly hops: number;
  /** By NF: {@link READS} of all NFs that can come behind; 0: nothing goes on from it. */
  readonly reads: readonly number[];
  /** By NF: bit n is set where the host wants word n of the params back, of a packet that has come to the NF on the device. */
  readonly keeps: readonly number[];
}

/**
 * A packet's path through a round, in one word: 6 bits for each NF, its number plus 1, the first in the lowest; then how many hops the host has
 * made use of; then a bit for each hop, set where the NF needed no kernel.
 */
export const enum PATH {
  BITS = 6,
  MASK = 0x3f,
  /** First bit of what the host has made use of, and what to add to count one more. */
  USED = 24,
  ONE_USED = 0x100_0000,
  USED_MASK = 7,
  SKIPS = 27,
}

/** Memory shared with the host: by slot a path, then by slot and hop the words of the params that are kept, in
 * ascending order. */
export interface AheadHandle {
  readonly region: RegionHandle;
  readonly slots: number;
  readonly hops: number;
  /** Words kept of a hop, at most: a hop's begin so many behind those of the one before. */
  readonly kept: number;
}

/** Words of params. */
const WORDS = 8;

/** The most words that are kept of a hop. */
export function mostKept({ keeps }: Pick<Forwarding, "keeps">): number {
  return Math.max(...keeps.map((mask) => rank(mask, WORDS)));
}

/** How many words below `word` are kept: where that word stands among them. */
export function rank(mask: number, word: number): number {
  let count = 0;
  for (let bit = 0; bit < word; bit++) count += (mask >>> bit) & 1;
  return count;
}

export function aheadBytes(slots: number, hops: number, kept: number): number {
  return 4 * slots * (1 + hops * kept);
}

/** Words of an NF in the routes: ROW.PROGRAM, ROW.TABLE, 1 where packets go on from it, and which words are kept. */
const NF_WORDS = 4;
const PROGRAM = 0;
const TABLE = 1;
const SOURCE = 2;
const KEEPS = 3;

/** Words of the routes, which lie behind the tables in their memory: each NF, then `next`. */
export function routeWords({ next, reads }: Forwarding): number {
  return NF_WORDS * reads.length + next.length;
}

/** Word of the routes in which the table of an NF stands. */
export function routeTableAt(nf: number): number {
  return NF_WORDS * nf + TABLE;
}

/** @param at word of `tables` at which the routes begin */
export function writeRoutes(
  tables: Uint32Array,
  at: number,
  { next, reads, keeps }: Forwarding,
  nfs: readonly DeviceNfHandle[],
): void {
  for (const [nf, { program, table }] of nfs.entries()) {
    const words = at + NF_WORDS * nf;
    tables[words + PROGRAM] = program;
    tables[words + TABLE] = table;
    tables[words + SOURCE] = reads[nf]! === 0 ? 0 : 1;
    tables[words + KEEPS] = keeps[nf]!;
  }
  tables.set(next, at + NF_WORDS * nfs.length);
}

/**
 * What the kernels know of it.
 * @param routes word of the tables' memory at which the routes begin
 * @param entries of a round at most
 * @param rowWords of the rows of a round at most
 */
export function forwardConstants(
  { hops, reads, keeps }: Forwarding,
  routes: number,
  entries: number,
  rowWords: number,
): Record<string, number> {
  const kept = mostKept({ keeps });
  return {
    WB_HOPS: hops,
    WB_NFS: reads.length,
    WB_OUTCOMES: OUTCOMES,
    WB_ROUTES: routes,
    WB_ROUTE_WORDS: NF_WORDS,
    WB_ROUTE_PROGRAM: PROGRAM,
    WB_ROUTE_TABLE: TABLE,
    WB_ROUTE_SOURCE: SOURCE,
    WB_ROUTE_KEEPS: KEEPS,
    WB_POLICY: routes + NF_WORDS * reads.length,
    WB_PACKETS: rowWords,
    WB_PACKET_WORDS: PACKET_WORDS,
    // Behind the params of entries: a path for each, what is kept of its hops, and params for the NF behind that it is at.
    WB_PATHS: entries * WORDS,
    WB_KEPT: entries * (WORDS + 1),
    WB_KEPT_WORDS: kept,
    WB_AHEAD: entries * (WORDS + 1 + hops * kept),
    WB_PATH_BITS: PATH.BITS,
    WB_PATH_SKIPS: PATH.SKIPS,
  };
}

/** Words that say of a packet what kernels cannot see: see ahead-round.ts. */
export const PACKET_WORDS = 4;
