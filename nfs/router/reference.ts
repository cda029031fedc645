/**
 * The router as RFC 1812 words it, one packet and one route at a time: what every other implementation is compared with.
 * It parses the frame by itself and sums the whole header anew, so it shares no code with what it checks.
 */

export interface PlainRoute {
  /** First address of the prefix, host byte order. */
  readonly address: number;
  readonly length: number;
  readonly hop: PlainHop;
}

export interface PlainHop {
  readonly port: number;
  /** Six octets each. */
  readonly neighbourMac: Uint8Array;
  readonly portMac: Uint8Array;
}

/** Longest prefix match by looking at every route. Of two routes for one prefix, the later one counts. */
export function linearMatch(routes: readonly PlainRoute[], destination: number): PlainHop | undefined {
  let best: PlainRoute | undefined;
  for (const route of routes) {
    const covers = firstAddress(destination, route.length) === route.address;
    if (covers && (best === undefined || route.length >= best.length)) best = route;
  }
  return best?.hop;
}

/** The same with one hash of prefixes per length, for tables of a million routes. */
export class MatchByLength {
  private readonly byLength = Array.from({ length: 33 }, () => new Map<number, PlainHop>());

  constructor(routes: Iterable<PlainRoute>) {
    for (const route of routes) this.byLength[route.length]!.set(route.address, route.hop);
  }

  match(destination: number): PlainHop | undefined {
    for (let length = 32; length >= 0; length--) {
      const hop = this.byLength[length]!.get(firstAddress(destination, length));
      if (hop !== undefined) return hop;
    }
    return undefined;
  }
}

/** First address of the prefix of this length that contains the address. */
function firstAddress(address: number, length: number): number {
  const hostBits = 32 - length;
  if (hostBits === 32) return 0; // a shift by 32 is one by 0 in JavaScript
  return ((address >>> hostBits) << hostBits) >>> 0;
}

export type Routed =
  | { readonly outcome: "forward"; readonly port: number; readonly frame: Uint8Array }
  | { readonly outcome: "no-route" | "ttl-expired" | "not-ipv4" };

/**
 * Routes one Ethernet frame that the gate let pass.
 * @returns the frame as it leaves, a copy; the given one is not written
 */
export function routeFrame(frame: Uint8Array, match: (destination: number) => PlainHop | undefined): Routed {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  let typeAt = 12;
  while ([0x8100, 0x88a8, 0x9100].includes(view.getUint16(typeAt))) typeAt += 4;
  if (view.getUint16(typeAt) !== 0x0800) return { outcome: "not-ipv4" };
  const header = typeAt + 2;
  if (view.getUint8(header + 8) <= 1) return { outcome: "ttl-expired" };
  const hop = match(view.getUint32(header + 16));
  if (hop === undefined) return { outcome: "no-route" };

  const out = frame.slice();
  out.set(hop.neighbourMac, 0);
  out.set(hop.portMac, 6);
  out[header + 8]! -= 1;
  writeChecksum(out.subarray(header, header + (out[header]! & 0xf) * 4));
  return { outcome: "forward", port: hop.port, frame: out };
}

/** RFC 791 section 3.1: the one's complement of the one's complement sum of all 16-bit words, the field itself taken as 0. */
function writeChecksum(header: Uint8Array): void {
  header[10] = 0;
  header[11] = 0;
  let sum = 0;
  for (let i = 0; i < header.length; i += 2) {
    sum += header[i]! * 256 + header[i + 1]!;
    if (sum > 0xffff) sum -= 0xffff;
  }
  const checksum = 0xffff - sum;
  header[10] = checksum >> 8;
  header[11] = checksum & 0xff;
}
