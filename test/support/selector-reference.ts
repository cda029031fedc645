/**
 * Selectors, written to be read: does one selector match one frame? Shares no code with runtime/chain/selector.ts; where
 * things are in the frame comes from the reference gate.
 */
import type { SelectorSpec } from "../../runtime/chain/selector.js";
import { addressBytes } from "./frames.js";
import type { Accepted } from "./gate-reference.js";

const PROTOCOL_NUMBERS: Readonly<{ [name: string]: number }> = {
  icmp: 1,
  ipip: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  ospf: 89,
  sctp: 132,
};

/** The index of the first selector that matches, or how many there are. `port`: name of the port the frame came in by. */
export function firstMatchReference(
  specs: readonly SelectorSpec[],
  frame: Uint8Array,
  at: Accepted,
  port: string,
): number {
  const found = specs.findIndex((spec) => matches(spec, frame, at, port));
  return found === -1 ? specs.length : found;
}

function matches(spec: SelectorSpec, frame: Uint8Array, at: Accepted, port: string): boolean {
  const v6 = at.flags.includes("IPV6");
  const address = (from4: number, from6: number) =>
    frame.subarray(at.l3 + (v6 ? from6 : from4), at.l3 + (v6 ? from6 + 16 : from4 + 4));
  // RFC 2474: the upper six bits of IPv4's TOS and of IPv6's traffic class, which straddles the first two bytes.
  const tos = v6 ? ((frame[at.l3]! << 4) | (frame[at.l3 + 1]! >> 4)) & 0xff : frame[at.l3 + 1]!;
  const hasPorts = at.flags.includes("L4") && [6, 17, 132].includes(at.proto);

  if (spec.src !== undefined && !some(spec.src, (prefix) => within(prefix, address(12, 8)))) return false;
  if (spec.dst !== undefined && !some(spec.dst, (prefix) => within(prefix, address(16, 24)))) return false;
  if (spec.proto !== undefined && !some(spec.proto, (p) => at.proto === (PROTOCOL_NUMBERS[p] ?? p))) return false;
  if (spec.sport !== undefined && !(hasPorts && inRanges(spec.sport, at.sport))) return false;
  if (spec.dport !== undefined && !(hasPorts && inRanges(spec.dport, at.dport))) return false;
  if (spec.port !== undefined && spec.port !== port) return false;
  if (spec.vlan !== undefined && !(at.flags.includes("VLAN") && inRanges(spec.vlan, at.vlan))) return false;
  if (spec.dscp !== undefined && !inRanges(spec.dscp, tos >> 2)) return false;
  if (spec.fragment !== undefined && spec.fragment !== at.flags.includes("FRAGMENT")) return false;
  return true;
}

function some<T>(oneOrMore: T | readonly T[], test: (item: T) => boolean): boolean {
  return (Array.isArray(oneOrMore) ? (oneOrMore as readonly T[]) : [oneOrMore as T]).some(test);
}

/** Compares bit strings; an address of the other IP version is never within. */
function within(prefix: string, address: Uint8Array): boolean {
  const bits = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const [text, length] = prefix.split("/");
  const network = addressBytes(text!);
  if (network.length !== address.length) return false;
  const count = length === undefined ? network.length * 8 : Number(length);
  return bits(network).slice(0, count) === bits(address).slice(0, count);
}

function inRanges(ranges: number | string, value: number): boolean {
  return String(ranges)
    .split(",")
    .some((range) => {
      const [low, high] = range.split("-").map(Number);
      return value >= low! && value <= (high ?? low!);
    });
}
