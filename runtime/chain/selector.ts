/**
 * Selectors: what a packet type of a chain and an outbound SA match packets by. A list of them is compiled into one function
 * that answers with the first match.
 */
import ipaddr from "ipaddr.js";
import { z } from "zod";
import { type Arena, FLAG, SLOT_SHIFT } from "../packet/arena.js";
import { IPPROTO } from "../packet/protocols.js";

const PROTOCOLS: Record<string, number> = {
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

function parsePrefix(text: string): Prefix | string {
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

function parseRanges(value: number | string, max: number): Ranges | string {
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

/** A zod type that checks with a parser and keeps the text, so that a selector stays plain JSON. */
function checked<T extends number | string>(base: z.ZodType<T>, parse: (value: T) => unknown) {
  return base.superRefine((value, context) => {
    const result = parse(value);
    if (typeof result === "string") context.addIssue({ code: "custom", message: result });
  });
}

const prefixSchema = checked(z.string(), parsePrefix);
const oneOrMore = <T extends z.ZodType>(item: T) => z.union([item, z.array(item).min(1)]);
const rangeSchema = (max: number) => checked(z.union([z.number(), z.string()]), (value) => parseRanges(value, max));
const protoSchema = checked(z.union([z.number().int().min(0).max(255), z.string()]), (value) =>
  typeof value === "number" || Object.hasOwn(PROTOCOLS, value)
    ? 0
    : `unknown protocol; known: ${Object.keys(PROTOCOLS).join(", ")}, or a number`,
);

/**
 * All keys given must match; a list matches when any of its members does. `sport` and `dport` match TCP, UDP and SCTP packets
 * that are not fragments. `port` is the name of the port a packet came in by. `vlan` is the outermost VLAN id; a packet
 * without a tag matches no `vlan`.
 */
export const selectorSchema = z.strictObject({
  src: oneOrMore(prefixSchema).optional().describe("source prefix or prefixes, IPv4 or IPv6"),
  dst: oneOrMore(prefixSchema).optional().describe("destination prefix or prefixes, IPv4 or IPv6"),
  proto: oneOrMore(protoSchema).optional().describe("IP protocol by name or number, behind IPv6 extension headers"),
  sport: rangeSchema(65535).optional().describe('source port: 53, "5060-5061", "80,443,8000-8100"'),
  dport: rangeSchema(65535).optional().describe("destination port, as sport"),
  port: z.string().optional().describe("name of the port the packet came in by"),
  vlan: rangeSchema(4095).optional().describe("outermost VLAN id or ids"),
  dscp: rangeSchema(63).optional().describe("DSCP value or values (RFC 2474)"),
  fragment: z.boolean().optional().describe("true: only fragments; false: only whole packets"),
});
export type SelectorSpec = z.infer<typeof selectorSchema>;

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
