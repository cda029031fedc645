/**
 * A rule's header: action, protocol, addresses, ports, direction. Lists mean what they mean in Snort and Suricata: all of the
 * positive members (everything, if there are none) without the negated ones.
 */
import ipaddr from "ipaddr.js";
import { IPPROTO } from "../../../runtime/packet/protocols.js";
import { complement, cut, type IntervalSet, isAll, union } from "./intervals.js";
import { malformed, unsupported } from "./problem.js";
import type { Action, Endpoint, Header, Protocol } from "./rule.js";

const ACTIONS: Record<string, Action> = { alert: "alert", drop: "drop", reject: "reject", pass: "pass", log: "log" };
/** Actions of Snort and Suricata that mean something else than the five above. */
const OTHER_ACTIONS = ["activate", "dynamic", "sdrop", "rejectsrc", "rejectdst", "rejectboth", "block", "config"];

const payloadOf = (name: string, numbers: readonly number[]): Protocol => ({
  name,
  numbers,
  version: 0,
  buffer: "payload",
});
const ipOf = (name: string, version: 0 | 4 | 6): Protocol => ({ name, numbers: [], version, buffer: "ip" });
const PROTOCOLS: Record<string, Protocol> = {
  tcp: payloadOf("tcp", [IPPROTO.TCP]),
  "tcp-pkt": payloadOf("tcp-pkt", [IPPROTO.TCP]),
  udp: payloadOf("udp", [IPPROTO.UDP]),
  icmp: payloadOf("icmp", [IPPROTO.ICMP, IPPROTO.ICMPV6]),
  icmpv6: payloadOf("icmpv6", [IPPROTO.ICMPV6]),
  ip: ipOf("ip", 0),
  ip4: ipOf("ip4", 4),
  ipv4: ipOf("ipv4", 4),
  ip6: ipOf("ip6", 6),
  ipv6: ipOf("ipv6", 6),
};

const MAX_PORT = 0xffffn;
// Both address families on one line: IPv4 first, IPv6 behind it.
const V4_MAX = 0xffff_ffffn;
const V6_FIRST = V4_MAX + 1n;
const V6_MAX = (1n << 128n) - 1n;
const MAX_ADDRESS = V6_FIRST + V6_MAX;

/** Variables of the configuration; notes those that rules use and nobody set, which mean any. */
export class Variables {
  /** Name of each variable that was missing, and where it was used first. */
  readonly missing = new Map<string, string>();
  /** file:line of the rule being read. */
  where = "";

  constructor(private readonly values: Readonly<Record<string, string>>) {}

  get(name: string): string | undefined {
    const value = Object.hasOwn(this.values, name) ? this.values[name] : undefined;
    if (value === undefined && !this.missing.has(name)) this.missing.set(name, this.where);
    return value;
  }
}

/** @throws RuleProblem */
export function parseHeader(text: string, variables: Variables): Header {
  const words = splitOutsideBrackets(text, /\s/);
  const [actionWord, protocolWord, source, sourcePorts, direction, destination, destinationPorts] = words;
  const action = ACTIONS[actionWord ?? ""];
  if (action === undefined) {
    if (OTHER_ACTIONS.includes(actionWord!)) throw unsupported(`action ${actionWord}`);
    throw malformed(`"${actionWord}" is no action`, `start a rule with one of ${Object.keys(ACTIONS).join(", ")}`);
  }
  if (words.length !== 7) {
    throw malformed(
      `the header has ${words.length} parts, expected 7`,
      "write: action protocol address port -> address port (options)",
    );
  }
  const protocol = PROTOCOLS[protocolWord!];
  if (protocol === undefined) throw unsupported(`protocol ${protocolWord}`);
  if (direction !== "->" && direction !== "<>") {
    throw malformed(`"${direction}" is no direction`, "write -> or <>; swap the two sides for the other way");
  }
  const header = {
    action,
    protocol,
    source: endpoint(source!, sourcePorts!, variables),
    destination: endpoint(destination!, destinationPorts!, variables),
    bothWays: direction === "<>",
  };
  if (protocol.numbers.includes(IPPROTO.ICMPV6) && (header.source.ports ?? header.destination.ports) !== null) {
    throw malformed(`${protocol.name} has no ports`, "write any for both ports; itype and icode test the message");
  }
  return header;
}

function endpoint(addresses: string, ports: string, variables: Variables): Endpoint {
  const address = resolve(addresses, "address", MAX_ADDRESS, addressInterval, variables);
  const port = resolve(ports, "port", MAX_PORT, portInterval, variables);
  if (address === null) return { v4: null, v6: null, ports: words(port, 1) };
  return {
    v4: words(cut(address, 0n, V4_MAX), 1),
    v6: words(cut(address, V6_FIRST, MAX_ADDRESS), 4),
    ports: words(port, 1),
  };
}

/** The pairs of a set, each bound in `wordsPerBound` u32, most significant first. */
function words(set: IntervalSet | null, wordsPerBound: 1 | 4): Uint32Array | null {
  if (set === null) return null;
  const out: number[] = [];
  for (const interval of set) {
    for (const bound of interval) {
      for (let word = wordsPerBound - 1; word >= 0; word--)
        out.push(Number((bound >> BigInt(32 * word)) & 0xffff_ffffn));
    }
  }
  return new Uint32Array(out);
}

/** A whole address or port expression; null: any. */
function resolve(
  text: string,
  what: string,
  max: bigint,
  interval: (token: string) => IntervalSet,
  variables: Variables,
): IntervalSet | null {
  const set = expression(text, { what, max, interval, variables, within: [] });
  if (set === undefined || isAll(set, max)) return null;
  if (set.length === 0) throw malformed(`${what} "${text}" matches nothing`);
  return set;
}

interface Scope {
  readonly what: string;
  readonly max: bigint;
  readonly interval: (token: string) => IntervalSet;
  readonly variables: Variables;
  /** Variables being expanded, against circles. */
  readonly within: readonly string[];
}

/** The set an expression means; undefined where it is a variable nobody set, which restricts nothing, negated or not. */
function expression(text: string, scope: Scope): IntervalSet | undefined {
  const token = text.trim();
  if (token === "any") return [[0n, scope.max]];
  if (token.startsWith("!")) {
    const set = expression(token.slice(1), scope);
    return set === undefined ? undefined : complement(set, scope.max);
  }
  if (token.startsWith("$")) {
    const name = token.slice(1);
    if (scope.within.includes(name)) throw malformed(`variable $${name} is defined by itself`, "correct vars");
    const value = scope.variables.get(name);
    return value === undefined ? undefined : expression(value, { ...scope, within: [...scope.within, name] });
  }
  if (!token.startsWith("[")) return scope.interval(token);
  if (!token.endsWith("]")) throw malformed(`${scope.what} list "${token}" does not end with ]`);
  let positive: IntervalSet | null = null;
  let negative: IntervalSet = [];
  for (const item of splitOutsideBrackets(token.slice(1, -1), /,/)) {
    const member = item.trim();
    const negated = member.startsWith("!");
    const set = expression(negated ? member.slice(1) : member, scope);
    if (negated) negative = union(negative, set ?? []);
    else positive = union(positive ?? [], set ?? [[0n, scope.max]]);
  }
  // positive without negative = not (not positive or negative)
  const excluded = positive === null ? negative : union(complement(positive, scope.max), negative);
  return complement(excluded, scope.max);
}

function addressInterval(token: string): IntervalSet {
  const range = token.split("-");
  if (range.length === 2) {
    const [low, high] = [addressNumber(range[0]!.trim(), token), addressNumber(range[1]!.trim(), token)];
    if (low > high || low < V6_FIRST !== high < V6_FIRST) throw malformed(`"${token}" is no address range`);
    return [[low, high]];
  }
  const [address, prefix, ...rest] = token.split("/");
  const first = addressNumber(address!, token);
  const bits = first < V6_FIRST ? 32 : 128;
  if (prefix === undefined) return [[first, first]];
  if (rest.length > 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) > bits) {
    throw malformed(`"${token}": prefix length expected to be 0 to ${bits}`);
  }
  const size = 1n << BigInt(bits - Number(prefix));
  const base = first < V6_FIRST ? 0n : V6_FIRST;
  const low = first - ((first - base) % size);
  return [[low, low + size - 1n]];
}

/** The number of an address on the line of both families. */
function addressNumber(text: string, token: string): bigint {
  const valid = ipaddr.IPv4.isValidFourPartDecimal(text) || (text.includes(":") && ipaddr.IPv6.isValid(text));
  if (!valid || text.includes("%")) throw malformed(`"${token}" is no IPv4 or IPv6 address, prefix or range`);
  const bytes = ipaddr.parse(text).toByteArray();
  const number = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return bytes.length === 4 ? number : number + V6_FIRST;
}

function portInterval(token: string): IntervalSet {
  const match = /^(\d*)(:?)(\d*)$/.exec(token);
  const [, low, colon, high] = match ?? [];
  if (match === null || (low === "" && high === "")) throw malformed(`"${token}" is no port or port range`);
  const from = low === "" ? 0n : BigInt(low!);
  const to = high !== "" ? BigInt(high!) : colon === ":" ? MAX_PORT : from;
  if (from > to || to > MAX_PORT) throw malformed(`"${token}": ports go from 0 to 65535, the lower one first`);
  return [[from, to]];
}

/** Splits at separators outside [ ]; empty pieces at white space vanish. */
function splitOutsideBrackets(text: string, separator: RegExp): string[] {
  const pieces: string[] = [];
  let piece = "";
  let depth = 0;
  for (const char of text) {
    if (char === "[") depth++;
    if (char === "]") depth--;
    if (depth < 0) break;
    if (depth === 0 && separator.test(char)) {
      pieces.push(piece);
      piece = "";
    } else {
      piece += char;
    }
  }
  pieces.push(piece);
  if (depth !== 0) throw malformed(`unbalanced brackets in "${text.trim()}"`);
  if (separator.source === ",") {
    if (pieces.some((p) => p.trim() === "")) throw malformed(`empty member in list [${text}]`);
    return pieces;
  }
  return pieces.filter((p) => p !== "");
}
