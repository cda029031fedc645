/**
 * The ICMP error that a gateway owes for a frame it does not forward, built anew from the RFCs (792, 1122 3.2.2, 1191, 1812 4.3.2, 4443), or
 * none. Frames are whole, as they came in, and of right lengths. Shares no code with runtime/.
 */
import { be16, be32, checksum, concat, ethernet, icmp, ipv4, ipv6 } from "./frames.js";

export interface Question {
  readonly kind: "time-exceeded" | "too-big";
  /** Of too-big: what would fit. */
  readonly largest: number;
  /** Of the port; undefined: no message of that version. */
  readonly address?: string | undefined;
  readonly address6?: string | undefined;
  /** All the gateway has, as 4 and 16 octets. */
  readonly own: readonly (readonly number[])[];
  /** Longest IP packet of the port it leaves by. */
  readonly mtu: number;
  readonly id: number;
}

const same = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  a.length === b.length && Array.from(a).every((one, i) => one === b[i]);

export function icmpReference(frame: Uint8Array, question: Question): Uint8Array | undefined {
  const { kind, own } = question;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const [dst, src] = [frame.subarray(0, 6), frame.subarray(6, 12)];
  if ((dst[0]! & 1) === 1 || (src[0]! & 1) === 1 || src.every((one) => one === 0)) return undefined;
  let at = 12;
  const vlans: (readonly [number, number])[] = [];
  while ([0x8100, 0x88a8, 0x9100].includes(view.getUint16(at))) {
    vlans.push([view.getUint16(at), view.getUint16(at + 2)]);
    at += 4;
  }
  const back = { dst: [...src], src: [...dst], vlans };
  const type = view.getUint16(at);
  const l3 = at + 2;
  if (type === 0x0800) {
    const packet = frame.subarray(l3, l3 + view.getUint16(l3 + 2));
    const message = question4(packet, question);
    return message && ethernet(back, message);
  }
  if (type !== 0x86dd || question.address6 === undefined) return undefined;
  const packet = frame.subarray(l3, l3 + 40 + view.getUint16(l3 + 4));
  const [from, to] = [packet.subarray(8, 24), packet.subarray(24, 40)];
  for (const address of [from, to]) {
    if (address[0] === 255 || address.subarray(0, 15).every((one) => one === 0 && address[15]! < 2)) return undefined;
  }
  if (own.some((one) => same(one, from))) return undefined;
  if (isError6(packet)) return undefined;
  const mtu = Math.max(1280, question.largest);
  if (kind === "too-big" && packet.length <= mtu) return undefined;
  const quote = packet.subarray(0, Math.min(1280, question.mtu) - 48);
  const rest = kind === "too-big" ? mtu : 0;
  const segment = icmp({ type: kind === "too-big" ? 2 : 3, v6: true }, concat(be32(rest), quote));
  const message = ipv6({ src: question.address6, dst: groups(from) }, segment);
  // The builder's flow label is none of ours.
  message.bytes.set([0x60, 0, 0, 0], 0);
  return ethernet(back, message);
}

function question4(packet: Uint8Array, { kind, largest, address, own, mtu, id }: Question) {
  if (address === undefined) return undefined;
  const [from, to] = [packet.subarray(12, 16), packet.subarray(16, 20)];
  if ([from[0]!, to[0]!].some((first) => first === 0 || first === 127 || first > 223)) return undefined;
  if (own.some((one) => same(one, from))) return undefined;
  const fragment = packet[6]! * 256 + packet[7]!;
  if ((fragment & 0x1fff) !== 0) return undefined;
  const header = (packet[0]! & 15) * 4;
  if (packet[9] === 1 && ![0, 8, 9, 10, 13, 14, 15, 16, 17, 18].includes(packet[header] ?? -1)) return undefined;
  if (kind === "too-big" && ((fragment & 0x4000) === 0 || largest < 68 || packet.length <= largest)) return undefined;
  const quote = packet.subarray(0, Math.min(576, mtu) - 28);
  if (quote.length < Math.min(packet.length, header + 8)) return undefined;
  const rest = kind === "too-big" ? concat(be16(0), be16(largest)) : be32(0);
  const told = kind === "too-big" ? { type: 3, code: 4 } : { type: 11, code: 0 };
  return ipv4({ src: address, dst: from.join("."), tos: 0xc0, id }, icmp(told, concat(rest, quote)));
}

const groups = (octets: Uint8Array) =>
  Array.from({ length: 8 }, (_, i) => (octets[2 * i]! * 256 + octets[2 * i + 1]!).toString(16)).join(":");

/** Of ICMPv6 and an error, a redirect, or not to be seen. */
function isError6(packet: Uint8Array): boolean {
  let next = packet[6]!;
  let at = 40;
  let later = false;
  while ([0, 43, 44, 51, 60, 135].includes(next) && !later) {
    const units = packet[at + 1]!;
    const bytes = next === 44 ? 8 : next === 51 ? (units + 2) * 4 : (units + 1) * 8;
    if (next === 44) later = packet[at + 2]! * 256 + packet[at + 3]! > 7;
    next = packet[at]!;
    at += bytes;
  }
  if (next !== 58) return false;
  return later || at >= packet.length || packet[at]! < 128 || packet[at] === 137;
}

/** What a router and one that marks leave of a frame: other MAC addresses, another DSCP, and an IPv4 TTL that is one less. */
export function routed(frame: Uint8Array, dscp: number): Uint8Array {
  const out = frame.slice();
  out.set([2, 0, 0, 0, 9, 9, 2, 0, 0, 0, 8, 8], 0);
  const view = new DataView(out.buffer);
  let at = 12;
  while ([0x8100, 0x88a8, 0x9100].includes(view.getUint16(at))) at += 4;
  if (view.getUint16(at) === 0x86dd) view.setUint16(at + 2, (view.getUint16(at + 2) & 0xf03f) | (dscp << 6));
  if (view.getUint16(at) !== 0x0800) return out;
  const ip = out.subarray(at + 2, at + 2 + (out[at + 2]! & 15) * 4);
  ip[1] = (ip[1]! & 3) | (dscp << 2);
  ip[8] = ip[8]! - 1;
  ip.set([0, 0], 10);
  ip.set(be16(checksum(ip)), 10);
  return out;
}
