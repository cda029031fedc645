/**
 * A light connection table for the `flow` option: who is the client, and is the connection established.
 *
 * TCP: the client sent the SYN; established from the client's ACK of the SYN+ACK on (RFC 9293 section 3.5). Sequence numbers are
 * not checked and nothing is reassembled. Joined in the middle: the first sender counts as the client (of a SYN+ACK: the
 * receiver), never as established. Everything else: the first sender is the client, established when both sides have sent.
 *
 * Memory is bounded: sets of four entries; a full set gives up its closed or else its least recently used entry, and says so
 * in {@link FlowTable.evicted}.
 */
import { type Arena, FLAG, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { IPPROTO, IPV4, IPV6, TCP, TCP_FLAG } from "../../runtime/packet/protocols.js";

/** Bits of what {@link FlowTable.track} says of a packet; 0: it belongs to no flow (fragments). */
export const FLOW = { TO_SERVER: 1, TO_CLIENT: 2, ESTABLISHED: 4 } as const;

const WAYS = 4;
const SETS = 1 << 14;
/** Words of an entry, which is one cache line. The lower endpoint (any fixed order would do) is A, the other B. */
const PORTS = 0;
/** IP version and protocol, so never 0 in an entry that is used. */
const KIND = 1;
const STATE = 2;
/** Packet time in seconds, and number of the packet, when the entry was used last. */
const SECONDS = 3;
const TICK = 4;
/** Addresses: one word for IPv4, four for IPv6. */
const ADDRESS_A = 5;
const ADDRESS_B = 9;
const WORDS = 16;
const SET_WORDS = WAYS * WORDS;

const CLIENT_IS_A = 1;
const SYN_SEEN = 2;
const SYN_ACK_SEEN = 4;
const ESTABLISHED = 8;
/** FIN or RST seen: a new SYN may take the entry over. */
const CLOSING = 16;

/** Behind such a pause packets belong to a new flow (other than TCP), or a SYN starts a new connection. */
const IDLE_SECONDS = 300;

export class FlowTable {
  /** Live entries given up for want of room. */
  evicted = 0;
  private readonly entries = new Int32Array(SETS * SET_WORDS);
  /** Source and destination of an IPv6 packet. */
  private readonly addresses = new Int32Array(8);
  private tick = 0;
  private fromA = false;
  /** Both ends are the same address and port (a "land" attack): the sender counts as the client. */
  private toItself = false;
  /** The last look-up made a new entry. */
  private fresh = false;

  constructor(private readonly arena: Arena) {}

  /** Takes note of a packet, in arrival order, and says what it is to its flow: {@link FLOW} bits. */
  track(slot: number): number {
    const { arena, entries } = this;
    const flags = arena.flags[slot]!;
    if ((flags & (FLAG.IPV4 | FLAG.IPV6)) === 0 || (flags & FLAG.FRAGMENT) !== 0) return 0;
    const proto = arena.proto[slot]!;
    const portless = (flags & FLAG.L4) === 0 || proto === IPPROTO.ICMP || proto === IPPROTO.ICMPV6;
    const from = portless ? 0 : arena.sport[slot]!;
    const to = portless ? 0 : arena.dport[slot]!;
    this.tick = (this.tick + 1) | 0;
    const at = (flags & FLAG.IPV4) !== 0 ? this.find4(slot, proto, from, to) : this.find6(slot, proto, from, to);
    const seconds = arena.tsSec[slot]! | 0;
    const idle = !this.fresh && ((seconds - entries[at + SECONDS]!) | 0) > IDLE_SECONDS;
    entries[at + SECONDS] = seconds;
    entries[at + TICK] = this.tick;
    const before = entries[at + STATE]!;
    const state = proto === IPPROTO.TCP ? this.tcp(slot, before, idle) : this.other(before, idle);
    entries[at + STATE] = state;
    const direction = ((state & CLIENT_IS_A) !== 0) === this.fromA ? FLOW.TO_SERVER : FLOW.TO_CLIENT;
    return (state & ESTABLISHED) === 0 ? direction : direction | FLOW.ESTABLISHED;
  }

  private tcp(slot: number, before: number, idle: boolean): number {
    const { arena, fromA } = this;
    const bits = arena.u8[(slot << SLOT_SHIFT) + arena.l4[slot]! + TCP.FLAGS]!;
    const syn = (bits & TCP_FLAG.SYN) !== 0;
    const ack = (bits & TCP_FLAG.ACK) !== 0;
    const sender = fromA ? CLIENT_IS_A : 0;
    let state = before;
    if (this.fresh) state = syn && ack && !this.toItself ? sender ^ CLIENT_IS_A : sender;
    if (syn && !ack && ((state & ESTABLISHED) === 0 || (state & CLOSING) !== 0 || idle)) state = sender | SYN_SEEN;
    const byClient = (state & CLIENT_IS_A) === sender;
    if (syn && ack && !byClient && (state & SYN_SEEN) !== 0) state |= SYN_ACK_SEEN;
    if (ack && !syn && byClient && (state & SYN_ACK_SEEN) !== 0 && (bits & TCP_FLAG.RST) === 0) state |= ESTABLISHED;
    if ((bits & (TCP_FLAG.FIN | TCP_FLAG.RST)) !== 0) state |= CLOSING;
    return state;
  }

  private other(state: number, idle: boolean): number {
    const sender = this.fromA ? CLIENT_IS_A : 0;
    if (this.fresh || idle) return sender;
    return (state & CLIENT_IS_A) === sender ? state : state | ESTABLISHED;
  }

  /** Offset of the entry of an IPv4 packet. Offsets of headers are even, as the gate's checksums rely on. */
  private find4(slot: number, proto: number, from: number, to: number): number {
    const { entries } = this;
    const { u16, l3 } = this.arena;
    const at = ((slot << SLOT_SHIFT) + l3[slot]! + IPV4.SRC) >> 1;
    const source = u16[at]! | (u16[at + 1]! << 16);
    const destination = u16[at + 2]! | (u16[at + 3]! << 16);
    const fromA = source < destination || (source === destination && from <= to);
    this.fromA = fromA;
    this.toItself = source === destination && from === to;
    const a = fromA ? source : destination;
    const b = fromA ? destination : source;
    const ports = fromA ? (from << 16) | to : (to << 16) | from;
    const kind = 0x400 | proto;
    const set = (mix(mix(mix(kind, ports), a), b) & (SETS - 1)) * SET_WORDS;
    for (let entry = set; entry < set + SET_WORDS; entry += WORDS) {
      if (
        entries[entry + PORTS] === ports &&
        entries[entry + KIND] === kind &&
        entries[entry + ADDRESS_A] === a &&
        entries[entry + ADDRESS_B] === b
      ) {
        this.fresh = false;
        return entry;
      }
    }
    const entry = this.claim(set, kind, ports);
    entries[entry + ADDRESS_A] = a;
    entries[entry + ADDRESS_B] = b;
    return entry;
  }

  /** Offset of the entry of an IPv6 packet. */
  private find6(slot: number, proto: number, from: number, to: number): number {
    const { entries, addresses } = this;
    const { u16, l3 } = this.arena;
    const at = ((slot << SLOT_SHIFT) + l3[slot]! + IPV6.SRC) >> 1;
    for (let word = 0; word < 8; word++) addresses[word] = u16[at + 2 * word]! | (u16[at + 2 * word + 1]! << 16);
    let differ = 0;
    while (differ < 4 && addresses[differ] === addresses[differ + 4]) differ++;
    const fromA = differ < 4 ? addresses[differ]! < addresses[differ + 4]! : from <= to;
    this.fromA = fromA;
    this.toItself = differ === 4 && from === to;
    const a = fromA ? 0 : 4;
    const ports = fromA ? (from << 16) | to : (to << 16) | from;
    const kind = 0x600 | proto;
    let hash = mix(kind, ports);
    for (let word = 0; word < 8; word++) hash = mix(hash, addresses[a ^ word]!);
    const set = (hash & (SETS - 1)) * SET_WORDS;
    for (let entry = set; entry < set + SET_WORDS; entry += WORDS) {
      if (entries[entry + PORTS] !== ports || entries[entry + KIND] !== kind) continue;
      let word = 0;
      while (word < 8 && entries[entry + ADDRESS_A + word] === addresses[a ^ word]) word++;
      if (word === 8) {
        this.fresh = false;
        return entry;
      }
    }
    const entry = this.claim(set, kind, ports);
    for (let word = 0; word < 8; word++) entries[entry + ADDRESS_A + word] = addresses[a ^ word]!;
    return entry;
  }

  /** Makes room in a set: an empty entry, else a closed one, else the one not used for longest. */
  private claim(set: number, kind: number, ports: number): number {
    const { entries, tick } = this;
    let victim = set;
    let victimRank = -1;
    for (let entry = set; entry < set + SET_WORDS; entry += WORDS) {
      const age = (tick - entries[entry + TICK]!) >>> 0;
      const closing = (entries[entry + STATE]! & CLOSING) !== 0;
      const rank = entries[entry + KIND] === 0 ? 2 ** 34 : closing ? 2 ** 33 + age : age;
      if (rank > victimRank) {
        victimRank = rank;
        victim = entry;
      }
    }
    if (victimRank < 2 ** 33) this.evicted++;
    this.fresh = true;
    entries[victim + KIND] = kind;
    entries[victim + PORTS] = ports;
    entries[victim + STATE] = 0;
    return victim;
  }
}

/** One round of a multiplicative hash. */
function mix(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x85eb_ca6b);
  return product ^ (product >>> 15);
}
