/** Whether one rule matches one packet: header, header tests, flow, then the steps into the buffer. For the few that hit. */
import { type Arena, FLAG, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { IPPROTO, IPV4, IPV6, TCP } from "../../runtime/packet/protocols.js";
import { FLOW } from "./flow.js";
import { type CompiledSteps, compileSteps, StepMatcher } from "./match.js";
import type { Endpoint, FlagsTest, PacketTest, Rule } from "./rules/rule.js";

const SOURCE = 0;
const DESTINATION = 4;

export class Evaluator {
  private readonly steps: readonly CompiledSteps[];
  private readonly matcher: StepMatcher;
  /** Source and destination of the packet, four words each, most significant first; IPv4 in the first word. */
  private readonly addresses = new Uint32Array(8);
  private slot = 0;
  private v4 = true;
  private hasPorts = false;

  constructor(
    private readonly arena: Arena,
    private readonly rules: readonly Rule[],
  ) {
    this.steps = rules.map((rule) => compileSteps(rule.steps));
    const maxSteps = rules.reduce((max, rule) => Math.max(max, rule.steps.length), 0);
    this.matcher = new StepMatcher(arena, maxSteps);
  }

  /** Says which packet the next calls of {@link matches} are about. It must be IP. */
  packet(slot: number): void {
    const { arena, addresses } = this;
    const flags = arena.flags[slot]!;
    const proto = arena.proto[slot]!;
    this.slot = slot;
    this.v4 = (flags & FLAG.IPV4) !== 0;
    this.hasPorts =
      (flags & FLAG.L4) !== 0 && (proto === IPPROTO.TCP || proto === IPPROTO.UDP || proto === IPPROTO.SCTP);
    const at = (slot << SLOT_SHIFT) + arena.l3[slot]!;
    if (this.v4) {
      addresses[SOURCE] = arena.view.getUint32(at + IPV4.SRC);
      addresses[DESTINATION] = arena.view.getUint32(at + IPV4.DST);
    } else {
      for (let word = 0; word < 8; word++) addresses[word] = arena.view.getUint32(at + IPV6.SRC + 4 * word);
    }
  }

  /** @param flow what the connection table says of the packet, {@link FLOW} bits */
  matches(ruleIndex: number, flow: number): boolean {
    const rule = this.rules[ruleIndex]!;
    const { arena, slot } = this;
    const { protocol } = rule;
    const flags = arena.flags[slot]!;
    if (protocol.version !== 0 && (protocol.version === 4) !== this.v4) return false;
    if (protocol.buffer === "payload") {
      if ((flags & FLAG.L4) === 0 || !protocol.numbers.includes(arena.proto[slot]!)) return false;
    }
    if (!this.headerMatches(rule)) return false;

    const base = slot << SLOT_SHIFT;
    const start = protocol.buffer === "payload" ? arena.payload[slot]! : arena.l4[slot]!;
    const end = protocol.buffer === "payload" ? arena.payloadEnd[slot]! : arena.l3end[slot]!;
    for (let i = 0; i < rule.tests.length; i++) {
      if (!this.testHolds(rule.tests[i]!, end - start)) return false;
    }
    if (rule.flow !== null) {
      const { direction, established } = rule.flow;
      if (direction === "to_server" && (flow & FLOW.TO_SERVER) === 0) return false;
      if (direction === "to_client" && (flow & FLOW.TO_CLIENT) === 0) return false;
      if (established !== null && established !== ((flow & FLOW.ESTABLISHED) !== 0)) return false;
    }
    return this.matcher.matches(this.steps[ruleIndex]!, base + start, end - start);
  }

  private headerMatches(rule: Rule): boolean {
    const { source, destination } = rule;
    const sport = this.arena.sport[this.slot]!;
    const dport = this.arena.dport[this.slot]!;
    if (this.endMatches(source, SOURCE, sport) && this.endMatches(destination, DESTINATION, dport)) return true;
    return rule.bothWays && this.endMatches(source, DESTINATION, dport) && this.endMatches(destination, SOURCE, sport);
  }

  private endMatches(end: Endpoint, address: number, port: number): boolean {
    if (end.ports !== null && !(this.hasPorts && inPairs(end.ports, port))) return false;
    if (this.v4) return end.v4 === null || inPairs(end.v4, this.addresses[address]!);
    return end.v6 === null || this.inPairs6(end.v6, address);
  }

  private inPairs6(pairs: Uint32Array, address: number): boolean {
    for (let at = 0; at < pairs.length; at += 8) {
      if (this.compare6(pairs, at, address) <= 0 && this.compare6(pairs, at + 4, address) >= 0) return true;
    }
    return false;
  }

  /** Below 0, 0 or above: a bound against the packet's address. */
  private compare6(bounds: Uint32Array, at: number, address: number): number {
    for (let word = 0; word < 4; word++) {
      const difference = bounds[at + word]! - this.addresses[address + word]!;
      if (difference !== 0) return difference;
    }
    return 0;
  }

  private testHolds(test: PacketTest, size: number): boolean {
    const { arena, slot } = this;
    if (test.kind === "flags") return this.flagsHold(test);
    let value = size;
    if (test.kind === "ttl") {
      value = arena.u8[(slot << SLOT_SHIFT) + arena.l3[slot]! + (this.v4 ? IPV4.TTL : IPV6.HOP_LIMIT)]!;
    } else if (test.kind !== "dsize") {
      const proto = arena.proto[slot]!;
      const icmp = (arena.flags[slot]! & FLAG.L4) !== 0 && (proto === IPPROTO.ICMP || proto === IPPROTO.ICMPV6);
      if (!icmp) return false;
      value = test.kind === "itype" ? arena.sport[slot]! : arena.dport[slot]!;
    }
    return (value >= test.min && value <= test.max) !== test.negated;
  }

  private flagsHold(test: FlagsTest): boolean {
    const { arena, slot } = this;
    if ((arena.flags[slot]! & FLAG.L4) === 0 || arena.proto[slot] !== IPPROTO.TCP) return false;
    const bits = arena.u8[(slot << SLOT_SHIFT) + arena.l4[slot]! + TCP.FLAGS]! & ~test.ignored;
    if (test.mode === "exact") return bits === test.wanted;
    if (test.mode === "all") return (bits & test.wanted) === test.wanted;
    return ((bits & test.wanted) !== 0) === (test.mode === "any");
  }
}

/** Whether a number lies in one of the [low, high] pairs. */
function inPairs(pairs: Uint32Array, value: number): boolean {
  for (let at = 0; at < pairs.length; at += 2) if (value >= pairs[at]! && value <= pairs[at + 1]!) return true;
  return false;
}
