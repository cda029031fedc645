/**
 * Selectors: what a packet type of a chain and an outbound SA match packets by. A list of them is compiled into one function
 * that answers with the first match.
 */
import ipaddr from "ipaddr.js";
import { type Arena, FLAG, SLOT_SHIFT } from "../packet/arena.js";
import { IPPROTO } from "../packet/protocols.js";
import type { SelectorSpec } from "./selector-schema.js";

export type { SelectorSpec };

/** Protocols that have a name in selectors. */
export const PROTOCOLS: Record<string, number> = {
  icmp: IPPROTO.ICMP,
  ipip: IPPROTO.IPV4,
  tcp: IPPROTO.TCP,
  udp: IPPROTO.UDP,
  ipv6: IPPROTO.IPV6,
  gre: 47,
  esp: IPPROTO.ESP,
  ah: IPPROTO.AH,
  icmpv6: IPPROTO.ICMPV6,
  ospf: 89,
  sctp: IPPROTO.SCTP,
};

/** An address range by prefix: version, and the address as 4 or 16 bytes with its host bits clear. */
interface Prefix {
  readonly bytes: readonly number[];
  readonly length: number;
}

/** Plain notation only: "010.0.0.0" would be octal, "10.1" short for 10.0.0.1, and a zone is not on the wire. */
function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || (!text.includes("%") && ipaddr.IPv6.isValid(text));
}

/** What is wrong with it, where it is none. */
export function parsePrefix(text: string): Prefix | string {
  const [address, bits, extra] = text.split("/");
  if (extra !== undefined || address === undefined || !isAddress(address)) {
    return `expected an IPv4 or IPv6 prefix such as 10.1.0.0/16`;
  }
  const bytes = ipaddr.parse(address).toByteArray();
  const max = bytes.length * 8;
  const length = bits === undefined ? max : /^\d+$/.test(bits) ? Number(bits) : Number.NaN;
  if (!(length >= 0 && length <= max)) return `expected a prefix length of 0 to ${max}`;
  const network = bytes.map((b, i) => b & (0xff << Math.max(0, Math.min(8, (i + 1) * 8 - length))) & 0xff);
  if (network.some((b, i) => b !== bytes[i])) {
    const hint = ipaddr.fromByteArray(network).toString();
    return `bits are set behind the prefix length; did you mean ${hint}/${length}?`;
  }
  return { bytes: network, length };
}

/** [low, high] ranges, both ends included. */
type Ranges = ReadonlyArray<readonly [number, number]>;

/** `80`, `"5060-5061,5080"`; what is wrong with it, where it is neither. */
export function parseRanges(value: number | string, max: number): Ranges | string {
  const ranges: [number, number][] = [];
  for (const part of String(value).split(",")) {
    const match = /^\s*(\d+)\s*(?:-\s*(\d+)\s*)?$/.exec(part);
    const low = Number(match?.[1]);
    const high = match?.[2] === undefined ? low : Number(match[2]);
    if (!match || high > max || low > high)
      return `expected a number, or ranges such as "5060-5061,5080", within 0 to ${max}`;
    ranges.push([low, high]);
  }
  return ranges;
}

const list = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value]);

function prefixTest(text: string, offset4: number, offset6: number): string {
  const prefix = parsePrefix(text);
  if (typeof prefix === "string") throw new TypeError(`${text}: ${prefix}`);
  const v6 = prefix.bytes.length === 16;
  const tests = [v6 ? `(f & ${FLAG.IPV6}) !== 0` : `(f & ${FLAG.IPV4}) !== 0`];
  for (let word = 0; word * 32 < prefix.length; word++) {
    const mask =
      prefix.length - word * 32 >= 32 ? 0xffffffff : (0xffffffff << (32 - (prefix.length - word * 32))) >>> 0;
    const [a, b, c, d] = prefix.bytes.slice(word * 4, word * 4 + 4) as [number, number, number, number];
    const value = ((a << 24) | (b << 16) | (c << 8) | d) & mask;
    tests.push(`(view.getInt32(at + ${(v6 ? offset6 : offset4) + word * 4}) & ${mask | 0}) === ${value}`);
  }
  return `(${tests.join(" && ")})`;
}

function rangeTest(variable: string, value: number | string, max: number): string {
  const ranges = parseRanges(value, max);
  if (typeof ranges === "string") throw new TypeError(`${value}: ${ranges}`);
  const tests = ranges.map(([low, high]) =>
    low === high ? `${variable} === ${low}` : `(${variable} >= ${low} && ${variable} <= ${high})`,
  );
  return `(${tests.join(" || ")})`;
}

function conditionOf(spec: SelectorSpec, portNames: readonly string[]): string {
  const tests: string[] = [];
  if (spec.port !== undefined) tests.push(`portIn[slot] === ${portNames.indexOf(spec.port)}`);
  if (spec.fragment !== undefined) tests.push(`(f & ${FLAG.FRAGMENT}) ${spec.fragment ? "!==" : "==="} 0`);
  if (spec.proto !== undefined) {
    const numbers = list(spec.proto).map((p) => (typeof p === "number" ? p : PROTOCOLS[p]!));
    tests.push(`(${numbers.map((n) => `proto[slot] === ${n}`).join(" || ")})`);
  }
  if (spec.sport !== undefined || spec.dport !== undefined) {
    const withPorts = [IPPROTO.UDP, IPPROTO.TCP, IPPROTO.SCTP].map((n) => `proto[slot] === ${n}`).join(" || ");
    tests.push(`(f & ${FLAG.L4}) !== 0 && (${withPorts})`);
    if (spec.dport !== undefined) tests.push(rangeTest("dport[slot]", spec.dport, 65535));
    if (spec.sport !== undefined) tests.push(rangeTest("sport[slot]", spec.sport, 65535));
  }
  if (spec.vlan !== undefined) tests.push(`(f & ${FLAG.VLAN}) !== 0 && ${rangeTest("vlan[slot]", spec.vlan, 4095)}`);
  if (spec.dst !== undefined)
    tests.push(
      `(${list(spec.dst)
        .map((p) => prefixTest(p, 16, 24))
        .join(" || ")})`,
    );
  if (spec.src !== undefined)
    tests.push(
      `(${list(spec.src)
        .map((p) => prefixTest(p, 12, 8))
        .join(" || ")})`,
    );
  if (spec.dscp !== undefined) tests.push(rangeTest("dscp(f, at)", spec.dscp, 63));
  return tests.length === 0 ? "true" : tests.join(" && ");
}

/**
 * Compiles selectors into one function of a slot that passed the gate: the index of the first that matches, or `specs.length`.
 * Only IP packets may be asked about. The function is generated source, so that keys a chain does not use cost nothing; what goes into
 * the source are numbers this module parsed, never text of the user's.
 *
 * @param portNames index = port number; a selector whose `port` is not among them never matches (the loader refuses it before)
 */
export function compileSelectors(
  specs: readonly SelectorSpec[],
  portNames: readonly string[],
  arena: Arena,
): (slot: number) => number {
  const lines = specs.map((spec, i) => `if (${conditionOf(spec, portNames)}) return ${i};`);
  const source = `"use strict";
    const { flags, proto, l3, sport, dport, vlan, portIn, view, u8 } = arena;
    function dscp(f, at) { return f & ${FLAG.IPV4} ? u8[at + 1] >> 2 : ((u8[at] & 15) << 2) | (u8[at + 1] >> 6); }
    return function firstMatch(slot) {
      const f = flags[slot];
      const at = (slot << ${SLOT_SHIFT}) + l3[slot];
      ${lines.join("\n      ")}
      return ${specs.length};
    };`;
  return new Function("arena", source)(arena) as (slot: number) => number;
}
