/**
 * Next hops: (IP address, egress port) pairs numbered from 1, and the table of what a packet to each of them gets written.
 */
import { MAX_NEXT_HOPS } from "./fib.js";

/** u32 words per next hop in the rewrite table: 12 bytes of destination and source MAC in the order of the frame, then the port. */
const REWRITE_WORDS = 4;
export const REWRITE_SHIFT = 2;
/** Word that holds the egress port. */
export const REWRITE_PORT = 3;

export class NextHops {
  /** IP address by next hop, host byte order; index 0 is not used. */
  readonly addresses: number[] = [0];
  /** Egress port by next hop. */
  readonly ports: number[] = [0];
  private readonly known = new Map<number, number>();

  get count(): number {
    return this.addresses.length - 1;
  }

  /** Number of a next hop, which is new or known; 0 when it would be one too many. */
  intern(address: number, port: number): number {
    const key = address * 256 + port;
    const hop = this.known.get(key);
    if (hop !== undefined) return hop;
    if (this.count === MAX_NEXT_HOPS) return 0;
    this.addresses.push(address);
    this.ports.push(port);
    this.known.set(key, this.count);
    return this.count;
  }
}

/** MAC addresses of a router: what was configured, else locally administered ones (IEEE 802 section 8.4: bit 1 of the first octet). */
export class MacTable {
  /**
   * @param neighbours MAC by next-hop address, host byte order
   * @param ports MAC by port index
   */
  constructor(
    private readonly neighbours: ReadonlyMap<number, string>,
    private readonly ports: ReadonlyMap<number, string>,
  ) {}

  /** 02:00 and the four octets of the address: 10.1.2.3 is 02:00:0a:01:02:03. */
  ofNeighbour(address: number): string {
    return (
      this.neighbours.get(address) ??
      `02:00:${hex(address >>> 24)}:${hex(address >>> 16)}:${hex(address >>> 8)}:${hex(address)}`
    );
  }

  /** 02:01:00:00:00 and the port's index: the third port of the chain is 02:01:00:00:00:02. */
  ofPort(port: number): string {
    return this.ports.get(port) ?? `02:01:00:00:00:${hex(port)}`;
  }
}

function hex(octet: number): string {
  return (octet & 0xff).toString(16).padStart(2, "0");
}

/** The rewrite table over shared memory: {@link REWRITE_WORDS} words for each next hop; number 0 is not used. */
export function buildRewrites(hops: NextHops, macs: MacTable): Uint32Array {
  const words = new Uint32Array(new SharedArrayBuffer((hops.count + 1) * REWRITE_WORDS * 4));
  const bytes = new Uint8Array(words.buffer);
  for (let hop = 1; hop <= hops.count; hop++) {
    const port = hops.ports[hop]!;
    const at = hop * REWRITE_WORDS;
    bytes.set(macBytes(macs.ofNeighbour(hops.addresses[hop]!)), at * 4);
    bytes.set(macBytes(macs.ofPort(port)), at * 4 + 6);
    words[at + REWRITE_PORT] = port;
  }
  return words;
}

/** Octets of "aa:bb:cc:dd:ee:ff". */
export function macBytes(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(":"), (octet) => Number.parseInt(octet, 16));
}

/** Dotted quad of an address in host byte order. */
export function dotted(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 0xff}.${(address >>> 8) & 0xff}.${address & 0xff}`;
}
