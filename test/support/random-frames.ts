/** Random frames: valid ones of every kind the gate knows, and ways to spoil them. */
import {
  ah6,
  checksum,
  type Extension,
  esp,
  ethernet,
  fragment6,
  icmp,
  ipv4,
  ipv6,
  options6,
  type Packet,
  raw,
  routing6,
  type Segment,
  sctp,
  tcp,
  udp,
} from "./frames.js";
import type { Random } from "./random.js";

/** Addresses from few networks, so that random selectors meet them. */
export const address4 = (r: Random) => `10.${r.int(0, 3)}.${r.int(0, 3)}.${r.int(1, 254)}`;
export const address6 = (r: Random) => `2001:db8:${r.int(0, 3)}:${r.int(0, 3)}::${r.int(1, 0xffff).toString(16)}`;
const port = (r: Random) => (r.chance(0.7) ? r.int(1, 60) : r.int(0, 65535));

/** A whole L4 segment of a random protocol. `longest`: bytes of payload at most. */
export function randomSegment(r: Random, v6: boolean, longest: number): Segment {
  const payload = r.bytes(r.chance(0.1) ? 0 : r.int(0, longest));
  const ports = { sport: port(r), dport: port(r) };
  const none = r.chance(0.2) ? { checksum: 0 } : {};
  switch (r.int(0, 7)) {
    case 0:
    case 1:
      return udp({ ...ports, ...none }, payload);
    case 2:
    case 3:
      return tcp(
        { ...ports, options: r.chance(0.3) ? [2, 4, 5, 180, ...new Array(r.int(0, 36)).fill(1)] : [] },
        payload,
      );
    case 4:
      return icmp({ type: r.int(0, 255), code: r.int(0, 15), v6 }, r.bytes(4 + payload.length));
    case 5:
      return sctp(ports, payload);
    case 6:
      return esp(r.u32(), r.u32(), payload);
    default:
      return raw(
        r.pick(v6 ? [1, 4, 41, 47, 50, 58, 59, 89, 139, 253] : [2, 4, 41, 44, 47, 50, 51, 58, 89, 253]),
        r.bytes(8 + payload.length),
      );
  }
}

function randomOptions(r: Random): number[] {
  const out: number[] = [];
  while (r.chance(0.6) && out.length < 36) {
    const length = r.int(2, 40 - out.length);
    if (r.chance(0.4)) out.push(1);
    else if (out.length + length <= 40) out.push(r.int(2, 255), length, ...r.bytes(length - 2));
  }
  return out.slice(0, 40);
}

function randomExtensions(r: Random, fragmented: boolean): Extension[] {
  const out: Extension[] = [];
  if (r.chance(0.3)) out.push(options6(0, r.int(0, 2)));
  if (r.chance(0.2)) out.push(options6(60, r.int(0, 2)));
  if (r.chance(0.2)) out.push(routing6(r.int(0, 1), address6(r)));
  if (fragmented) out.push(fragment6(r.chance(0.5) ? 0 : r.int(1, 8000), r.chance(0.7)));
  // Whole, or an atomic fragment header within a fragment, which stays one.
  if (r.chance(0.15)) out.push(fragment6(0, false));
  if (r.chance(0.2)) out.push(ah6(r.int(0, 5) * 4));
  if (r.chance(0.2)) out.push(options6(r.pick([60, 135]), r.int(0, 2)));
  return out;
}

/** A frame the gate has no reason to refuse, except now and then the L4 checksum of UDP over IPv6 without one. */
export function randomFrame(r: Random, longest = 200): Uint8Array {
  const vlans = r.chance(0.3)
    ? Array.from({ length: r.int(1, 3) }, () => [r.pick([0x8100, 0x88a8, 0x9100]), r.u32() & 0xffff] as const)
    : [];
  const around = { vlans, padding: r.chance(0.3) ? r.int(1, 46) : 0 };
  const kind = r.int(0, 9);
  const fragmented = r.chance(0.2);
  let packet: Packet;
  if (kind === 0) {
    packet = { etherType: r.pick([0x0806, 0x88cc, 0x8847, 60, 0x0801]), bytes: r.bytes(r.int(0, 60)) };
  } else if (kind <= 5) {
    const segment = randomSegment(r, false, longest);
    packet = ipv4(
      {
        src: address4(r),
        dst: address4(r),
        tos: r.int(0, 255),
        options: r.chance(0.3) ? randomOptions(r) : [],
        fragment: fragmented ? (r.chance(0.5) ? 0x2000 : r.int(1, 8000)) : r.pick([0, 0x4000, 0x8000]),
      },
      segment,
    );
  } else {
    const segment = randomSegment(r, true, longest);
    const extensions = r.chance(0.6) ? randomExtensions(r, fragmented) : [];
    packet = ipv6({ src: address6(r), dst: address6(r), trafficClass: r.int(0, 255), extensions }, segment);
  }
  return ethernet(around, packet);
}

/** A spoilt copy: bits flipped, cut, stretched, or 16-bit fields overwritten; often with the IPv4 checksum made right again. */
export function mutated(r: Random, frame: Uint8Array): Uint8Array {
  let out = frame.slice();
  const change = () => {
    const reach = Math.min(out.length, 100);
    if (reach < 2) return;
    const at = r.int(0, reach - 2);
    const kind = r.int(0, 5);
    if (kind === 0) out[at] = out[at]! ^ (1 << r.int(0, 7));
    else if (kind === 1) out = out.slice(0, r.int(0, out.length));
    else if (kind === 2) out[at] = r.pick([0, 1, 2, 0x45, 0x46, 0x4f, 0x60, 255, 44, 43, 51]);
    else if (kind === 3)
      new DataView(out.buffer).setUint16(at & ~1, r.pick([0, 7, 8, 19, 20, 21, 40, 65535, r.int(0, 300)]));
    else if (kind === 4) {
      const end = out.length - r.int(1, Math.min(8, out.length));
      out = out.slice(0, end);
    } else {
      // One off in a 16-bit field: the total length, the payload length, the UDP length...
      const view = new DataView(out.buffer);
      view.setUint16(at & ~1, view.getUint16(at & ~1) + r.pick([-8, -1, 1, 8]));
    }
  };
  for (let i = r.int(1, 3); i > 0; i--) change();
  if (r.chance(0.7)) repairIpv4Checksum(out);
  return out;
}

/** Writes the right header checksum where an untagged or tagged IPv4 header seems to stand. */
export function repairIpv4Checksum(frame: Uint8Array): void {
  let at = 12;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  while (at + 6 <= frame.length && [0x8100, 0x88a8, 0x9100].includes(view.getUint16(at))) at += 4;
  const l3 = at + 2;
  const header = l3 < frame.length ? (frame[l3]! & 15) * 4 : 0;
  if (l3 + Math.max(header, 20) > frame.length || view.getUint16(at) !== 0x0800) return;
  view.setUint16(l3 + 10, 0);
  view.setUint16(l3 + 10, checksum(frame.subarray(l3, l3 + Math.max(header, 20))));
}
