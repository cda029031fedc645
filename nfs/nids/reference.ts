/**
 * The nids written to be read: every rule on every packet, every content at every position, connections in a Map. It shares
 * nothing with the fast way but the parsed rules.
 */
import { type Arena, FLAG, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import type { ContentStep, Endpoint, PacketTest, Rule, Step } from "./rules/rule.js";

export interface Verdict {
  readonly outcome: "clean" | "alert" | "drop";
  /** Signature ids of the rules that matched, in rule order. */
  readonly sids: readonly number[];
}

interface Connection {
  client: string;
  syn: boolean;
  synAck: boolean;
  established: boolean;
  closing: boolean;
  lastSeen: number;
}

interface Packet {
  readonly version: 4 | 6;
  /** The IP packet from its first byte. */
  readonly ip: Uint8Array;
  readonly proto: number;
  readonly fragment: boolean;
  /** True when the L4 header is known. */
  readonly l4: boolean;
  readonly l4Bytes: Uint8Array;
  readonly payload: Uint8Array;
  readonly source: bigint;
  readonly destination: bigint;
  readonly sport: number;
  readonly dport: number;
  readonly seconds: number;
}

const TCP = 6;
const UDP = 17;
const SCTP = 132;
const ICMP = [1, 58];

export class NidsReference {
  private readonly connections = new Map<string, Connection>();

  constructor(
    private readonly arena: Arena,
    private readonly rules: readonly Rule[],
  ) {}

  /** Judges a packet that the gate has passed; packets come in arrival order. */
  judge(slot: number): Verdict {
    if ((this.arena.flags[slot]! & (FLAG.IPV4 | FLAG.IPV6)) === 0) return { outcome: "clean", sids: [] };
    const packet = readPacket(this.arena, slot);
    const flow = this.track(packet);
    const matched = this.rules.filter((rule) => ruleMatches(rule, packet, flow));
    if (matched.some((rule) => rule.action === "pass")) return { outcome: "clean", sids: [] };
    const has = (action: string) => matched.some((rule) => rule.action === action);
    const outcome = has("drop") || has("reject") ? "drop" : has("alert") ? "alert" : "clean";
    return { outcome, sids: matched.map((rule) => rule.sid) };
  }

  private track(packet: Packet): Flow {
    if (packet.fragment) return { toServer: false, toClient: false, established: false };
    const sender = `${packet.source} ${packet.sport}`;
    const receiver = `${packet.destination} ${packet.dport}`;
    const key = [packet.version, packet.proto, ...[sender, receiver].sort()].join("|");
    let connection = this.connections.get(key);
    const first = connection === undefined;
    connection ??= newConnection(sender, packet.seconds);
    this.connections.set(key, connection);
    const idle = packet.seconds - connection.lastSeen > 300;
    connection.lastSeen = packet.seconds;
    if (packet.proto === TCP) {
      const bits = packet.l4Bytes[13]!;
      const [fin, syn, rst, ack] = [bits & 1, bits & 2, bits & 4, bits & 16].map((bit) => bit !== 0);
      if (first && syn && ack) connection.client = receiver;
      if (syn && !ack && (!connection.established || connection.closing || idle)) {
        Object.assign(connection, newConnection(sender, packet.seconds), { syn: true });
      }
      const byClient = connection.client === sender;
      if (syn && ack && !byClient && connection.syn) connection.synAck = true;
      if (ack && !syn && !rst && byClient && connection.synAck) connection.established = true;
      if (fin || rst) connection.closing = true;
    } else if (!first) {
      if (idle) Object.assign(connection, newConnection(sender, packet.seconds));
      else if (connection.client !== sender) connection.established = true;
    }
    const toServer = connection.client === sender;
    return { toServer, toClient: !toServer, established: connection.established };
  }
}

interface Flow {
  readonly toServer: boolean;
  readonly toClient: boolean;
  readonly established: boolean;
}

function newConnection(client: string, lastSeen: number): Connection {
  return { client, syn: false, synAck: false, established: false, closing: false, lastSeen };
}

function readPacket(arena: Arena, slot: number): Packet {
  const base = slot << SLOT_SHIFT;
  const cut = (from: number, to: number) => arena.u8.slice(base + from, base + to);
  const number = (bytes: Uint8Array) => bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  const version = arena.flags[slot]! & FLAG.IPV4 ? 4 : 6;
  const ip = cut(arena.l3[slot]!, arena.l3end[slot]!);
  const proto = arena.proto[slot]!;
  const l4 = (arena.flags[slot]! & FLAG.L4) !== 0;
  const ports = l4 && !ICMP.includes(proto);
  return {
    version,
    ip,
    proto,
    fragment: (arena.flags[slot]! & FLAG.FRAGMENT) !== 0,
    l4,
    l4Bytes: cut(arena.l4[slot]!, arena.l3end[slot]!),
    payload: cut(arena.payload[slot]!, arena.payloadEnd[slot]!),
    source: number(version === 4 ? ip.slice(12, 16) : ip.slice(8, 24)),
    destination: number(version === 4 ? ip.slice(16, 20) : ip.slice(24, 40)),
    sport: ports ? arena.sport[slot]! : 0,
    dport: ports ? arena.dport[slot]! : 0,
    seconds: arena.tsSec[slot]!,
  };
}

function ruleMatches(rule: Rule, packet: Packet, flow: Flow): boolean {
  const { protocol } = rule;
  if (protocol.version !== 0 && protocol.version !== packet.version) return false;
  if (protocol.buffer === "payload" && !(packet.l4 && protocol.numbers.includes(packet.proto))) return false;

  const source = { address: packet.source, port: packet.sport };
  const destination = { address: packet.destination, port: packet.dport };
  const forward = endMatches(rule.source, source, packet) && endMatches(rule.destination, destination, packet);
  const backward = endMatches(rule.source, destination, packet) && endMatches(rule.destination, source, packet);
  if (!forward && !(rule.bothWays && backward)) return false;

  const buffer = protocol.buffer === "payload" ? packet.payload : packet.l4Bytes;
  if (!rule.tests.every((test) => testHolds(test, packet, buffer.length))) return false;
  if (rule.flow?.direction === "to_server" && !flow.toServer) return false;
  if (rule.flow?.direction === "to_client" && !flow.toClient) return false;
  if (rule.flow && rule.flow.established !== null && rule.flow.established !== flow.established) return false;
  return stepsHold(rule.steps, buffer, 0);
}

function endMatches(end: Endpoint, { address, port }: { address: bigint; port: number }, packet: Packet): boolean {
  if (end.ports !== null) {
    if (!packet.l4 || ![TCP, UDP, SCTP].includes(packet.proto)) return false;
    if (!bounds(end.ports, 1).some(([low, high]) => BigInt(port) >= low && BigInt(port) <= high)) return false;
  }
  const set = packet.version === 4 ? end.v4 : end.v6;
  if (set === null) return true;
  return bounds(set, packet.version === 4 ? 1 : 4).some(([low, high]) => address >= low && address <= high);
}

/** The [low, high] pairs of a set whose bounds take `words` words each. */
function bounds(set: Uint32Array, words: number): [bigint, bigint][] {
  const numbers: bigint[] = [];
  for (let at = 0; at < set.length; at += words) {
    numbers.push([...set.slice(at, at + words)].reduce((sum, word) => sum * 2n ** 32n + BigInt(word), 0n));
  }
  return numbers.flatMap((low, i) => (i % 2 === 0 ? [[low, numbers[i + 1]!] as [bigint, bigint]] : []));
}

function testHolds(test: PacketTest, packet: Packet, size: number): boolean {
  if (test.kind === "flags") {
    if (!packet.l4 || packet.proto !== TCP) return false;
    const bits = packet.l4Bytes[13]! & ~test.ignored;
    if (test.mode === "exact") return bits === test.wanted;
    if (test.mode === "all") return (test.wanted & ~bits) === 0;
    if (test.mode === "any") return (test.wanted & bits) !== 0;
    return (test.wanted & bits) === 0;
  }
  let value = size;
  if (test.kind === "ttl") value = packet.version === 4 ? packet.ip[8]! : packet.ip[7]!;
  if (test.kind === "itype" || test.kind === "icode") {
    if (!packet.l4 || !ICMP.includes(packet.proto)) return false;
    value = test.kind === "itype" ? packet.l4Bytes[0]! : packet.l4Bytes[1]!;
  }
  const within = value >= test.min && value <= test.max;
  return test.negated ? !within : within;
}

/** Whether the steps hold for some choice of the places where their contents match. */
function stepsHold([step, ...rest]: readonly Step[], buffer: Uint8Array, cursor: number): boolean {
  if (step === undefined) return true;
  if (step.kind === "isdataat") {
    const there = step.relative ? cursor + step.at <= buffer.length : step.at < buffer.length;
    return there !== step.negated && stepsHold(rest, buffer, cursor);
  }
  const ends = step.kind === "content" ? contentEnds(step, buffer, cursor) : pcreEnds(step, buffer, cursor);
  if (step.negated) return ends.length === 0 && stepsHold(rest, buffer, cursor);
  if (step.kind === "content" && step.anywhere) return ends.length > 0 && stepsHold(rest, buffer, cursor);
  return ends.some((end) => stepsHold(rest, buffer, end));
}

/** Where every match of a content ends. */
function contentEnds(step: ContentStep, buffer: Uint8Array, cursor: number): number[] {
  const base = (step.relative ? cursor : 0) + step.offset;
  const text = (bytes: Uint8Array) => {
    const latin1 = String.fromCharCode(...bytes);
    return step.nocase ? latin1.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) : latin1;
  };
  const wanted = text(step.bytes);
  const ends: number[] = [];
  for (let at = 0; at + step.bytes.length <= buffer.length; at++) {
    const end = at + step.bytes.length;
    if (at < base || end > base + step.span) continue;
    if (step.endswith && end !== buffer.length) continue;
    if (text(buffer.slice(at, end)) === wanted) ends.push(end);
  }
  return ends;
}

/** Where the leftmost match from each position on ends. */
function pcreEnds(step: Extract<Step, { kind: "pcre" }>, buffer: Uint8Array, cursor: number): number[] {
  const base = step.relative ? cursor : 0;
  const text = String.fromCharCode(...buffer.slice(base));
  const ends: number[] = [];
  for (let from = 0; from <= text.length; from++) {
    const regex = new RegExp(step.source, step.flags);
    regex.lastIndex = from;
    const match = regex.exec(text);
    if (match !== null) ends.push(base + match.index + match[0].length);
  }
  return ends;
}
