/**
 * The gate, written to be read: what runtime/packet/gate.ts must answer for one frame. Shares no code with it.
 *
 * A cursor walks the frame through a DataView; a read past what a layer may hold is the layer's error. Offsets are from the
 * first byte of the frame. Sources: IEEE 802.1Q; RFC 791, 768, 792, 9293, 9260, 8200, 4302, 4443, 6946, 1071.
 */

export interface Accepted {
  readonly reason: "";
  /** All zero where the frame is not IP. */
  readonly l3: number;
  readonly l3end: number;
  readonly l4: number;
  readonly payload: number;
  readonly payloadEnd: number;
  readonly proto: number;
  readonly sport: number;
  readonly dport: number;
  /** Outermost VLAN id, 0 without a tag. */
  readonly vlan: number;
  /** Names of what is set, in the order of FLAG in arena.ts. */
  readonly flags: readonly FlagName[];
}
export type FlagName = "IPV4" | "IPV6" | "FRAGMENT" | "LATER_FRAGMENT" | "VLAN" | "L4";
export type Refusal = "truncated" | "runt" | "bad-length" | "bad-checksum" | "too-long";
export type Verdict = Accepted | { readonly reason: Refusal };

export interface ReferenceOptions {
  readonly truncated?: boolean;
  readonly tooLong?: boolean;
  readonly verifyL4?: boolean;
}

class Refused extends Error {
  constructor(readonly reason: Refusal) {
    super(reason);
  }
}

/** Throws where `fits` is false: the bytes that a length promised, or a header needs, are not there. */
function need(fits: boolean, reason: Refusal = "bad-length"): void {
  if (!fits) throw new Refused(reason);
}

export function gateReference(frame: Uint8Array, options: ReferenceOptions = {}): Verdict {
  if (options.tooLong) return { reason: "too-long" };
  if (options.truncated) return { reason: "truncated" };
  try {
    return ethernet(frame, options.verifyL4 === true);
  } catch (error) {
    if (error instanceof Refused) return { reason: error.reason };
    throw error;
  }
}

const NOT_IP = { reason: "", l3: 0, l3end: 0, l4: 0, payload: 0, payloadEnd: 0, proto: 0, sport: 0, dport: 0 } as const;

function ethernet(frame: Uint8Array, verifyL4: boolean): Accepted {
  need(frame.length >= 14, "runt");
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const ids: number[] = [];
  let at = 12;
  while ([0x8100, 0x88a8, 0x9100].includes(view.getUint16(at))) {
    need(frame.length >= at + 6, "runt");
    ids.push(view.getUint16(at + 2) & 0xfff);
    at += 4;
  }
  const etherType = view.getUint16(at);
  const vlan = ids[0] ?? 0;
  const tagged: FlagName[] = ids.length > 0 ? ["VLAN"] : [];
  if (etherType !== 0x0800 && etherType !== 0x86dd) return { ...NOT_IP, vlan, flags: tagged };
  const layer3 = etherType === 0x0800 ? ipv4(view, at + 2) : ipv6(view, at + 2);
  const accepted = layer4(view, layer3, verifyL4);
  const order: FlagName[] = ["IPV4", "IPV6", "FRAGMENT", "LATER_FRAGMENT", "VLAN", "L4"];
  const set = new Set([...accepted.flags, ...tagged]);
  return { ...accepted, vlan, flags: order.filter((name) => set.has(name)) };
}

interface Layer3 {
  readonly version: 4 | 6;
  readonly l3: number;
  readonly end: number;
  readonly l4: number;
  readonly proto: number;
  readonly moreFragments: boolean;
  /** In bytes. */
  readonly fragmentOffset: number;
  /** Source and destination for the pseudo-header; undefined where the packet does not say where it finally goes. */
  readonly addresses: Uint8Array | undefined;
}

/** RFC 791 section 3.1. */
function ipv4(view: DataView, l3: number): Layer3 {
  need(l3 + 20 <= view.byteLength);
  const header = (view.getUint8(l3) & 15) * 4;
  const total = view.getUint16(l3 + 2);
  need(view.getUint8(l3) >> 4 === 4 && header >= 20 && total >= header && l3 + total <= view.byteLength);
  if (checksum(slice(view, l3, l3 + header)) !== 0) throw new Refused("bad-checksum");

  for (let at = l3 + 20; at < l3 + header; ) {
    const kind = view.getUint8(at);
    if (kind === 0) break; // end of option list
    if (kind === 1) {
      at += 1; // no operation
      continue;
    }
    need(at + 2 <= l3 + header);
    const length = view.getUint8(at + 1);
    need(length >= 2 && at + length <= l3 + header);
    at += length;
  }

  const fragmentOffset = (view.getUint16(l3 + 6) & 0x1fff) * 8;
  const end = l3 + total;
  // The datagram this fragment belongs to has a total length of 16 bits too.
  need(fragmentOffset + total <= 65535);
  return {
    version: 4,
    l3,
    end,
    l4: l3 + header,
    proto: view.getUint8(l3 + 9),
    moreFragments: (view.getUint16(l3 + 6) & 0x2000) !== 0,
    fragmentOffset,
    addresses: slice(view, l3 + 12, l3 + 20),
  };
}

/** RFC 8200 sections 3 and 4. */
function ipv6(view: DataView, l3: number): Layer3 {
  need(l3 + 40 <= view.byteLength && view.getUint8(l3) >> 4 === 6);
  const end = l3 + 40 + view.getUint16(l3 + 4);
  need(end <= view.byteLength);
  let proto = view.getUint8(l3 + 6);
  let at = l3 + 40;
  let moreFragments = false;
  let fragmentOffset = 0;
  let addresses: Uint8Array | undefined = slice(view, l3 + 8, l3 + 40);
  const HOP_BY_HOP = 0;
  const ROUTING = 43;
  const FRAGMENT = 44;
  const AUTHENTICATION = 51;
  const DESTINATION_OPTIONS = 60;
  const MOBILITY = 135;
  while ([HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION_OPTIONS, MOBILITY].includes(proto)) {
    need(at + 8 <= end);
    let length = 8 + view.getUint8(at + 1) * 8;
    if (proto === FRAGMENT) length = 8;
    if (proto === AUTHENTICATION) length = (view.getUint8(at + 1) + 2) * 4;
    need(proto !== AUTHENTICATION || length >= 12); // RFC 4302 section 2: 12 bytes stand before the ICV
    need(at + length <= end);
    const next = view.getUint8(at);
    // RFC 8200 section 8.1: while segments are left, the pseudo-header's destination is not the one in the header.
    if (proto === ROUTING && view.getUint8(at + 3) > 0) addresses = undefined;
    if (proto === FRAGMENT) {
      fragmentOffset = view.getUint16(at + 2) & 0xfff8;
      moreFragments ||= (view.getUint16(at + 2) & 1) !== 0;
    }
    at += length;
    const wasFragment = proto === FRAGMENT;
    proto = next;
    if (wasFragment && fragmentOffset > 0) {
      // RFC 8200 section 4.5: the payload length put together counts the headers before the fragment header too.
      need(at - (l3 + 40) - 8 + fragmentOffset + (end - at) <= 65535);
      break; // what follows is data from the middle
    }
  }
  return { version: 6, l3, end, l4: at, proto, moreFragments, fragmentOffset, addresses };
}

function layer4(view: DataView, layer3: Layer3, verifyL4: boolean): Accepted {
  const { version, l3, end, l4, proto, moreFragments, fragmentOffset, addresses } = layer3;
  const flags: FlagName[] = [version === 4 ? "IPV4" : "IPV6"];
  const base = {
    reason: "",
    l3,
    l3end: end,
    l4,
    payload: l4,
    payloadEnd: end,
    proto,
    sport: 0,
    dport: 0,
    vlan: 0,
  } as const;
  if (moreFragments || fragmentOffset > 0) {
    flags.push("FRAGMENT");
    if (fragmentOffset > 0) flags.push("LATER_FRAGMENT");
    return { ...base, flags };
  }
  const minimum = l4HeaderBytes(version, proto);
  if (minimum === undefined) return { ...base, flags };
  flags.push("L4");
  need(l4 + minimum <= end);

  let payload = l4 + minimum;
  let payloadEnd = end;
  if (proto === 17) {
    payloadEnd = l4 + view.getUint16(l4 + 4); // RFC 768: header and data
    need(payloadEnd >= payload && payloadEnd <= end);
  }
  if (proto === 6) {
    payload = l4 + (view.getUint8(l4 + 12) >> 4) * 4; // RFC 9293: data offset in 32-bit words
    need(payload >= l4 + 20 && payload <= end);
  }
  const isIcmp = proto === 1 || proto === 58;
  if (verifyL4 && addresses !== undefined && !l4ChecksumGood(version, proto, addresses, slice(view, l4, payloadEnd))) {
    throw new Refused("bad-checksum");
  }
  return {
    ...base,
    payload,
    payloadEnd,
    sport: isIcmp ? view.getUint8(l4) : view.getUint16(l4),
    dport: isIcmp ? view.getUint8(l4 + 1) : view.getUint16(l4 + 2),
    flags,
  };
}

/** Shortest header of the protocols the gate looks into, in bytes. */
function l4HeaderBytes(version: 4 | 6, proto: number): number | undefined {
  if (proto === 6) return 20;
  if (proto === 17) return 8;
  if (proto === 132) return 12;
  if ((version === 4 && proto === 1) || (version === 6 && proto === 58)) return 8;
  return undefined;
}

function l4ChecksumGood(version: 4 | 6, proto: number, addresses: Uint8Array, segment: Uint8Array): boolean {
  if (proto === 132) return true; // SCTP has a CRC32c, which nobody promised to check
  if (proto === 1) return checksum(segment) === 0;
  if (proto === 17 && segment[6] === 0 && segment[7] === 0) return version === 4;
  const length = segment.length;
  // The fields of both pseudo-headers, zeros aside: addresses, length, protocol (RFC 9293 section 3.1, RFC 8200 section 8.1).
  const pseudo = [...addresses, length >> 8, length & 255, 0, proto];
  return checksum(Uint8Array.from([...pseudo, ...segment])) === 0;
}

/** RFC 1071: complement of the one's complement sum of big-endian words; 0 over data that holds its own right checksum. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  bytes.forEach((byte, i) => {
    sum += i % 2 === 0 ? byte << 8 : byte;
  });
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

function slice(view: DataView, from: number, to: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + from, to - from);
}
