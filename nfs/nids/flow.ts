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
/** Words of an entry. The endpoint whose bytes compare lower is A, the other B. */
const ADDRESS_A = 0;
const ADDRESS_B = 4;
const PORTS = 8;
/** IP version and protocol, so never 0 in an entry that is used. */
const KIND = 9;
const STATE = 10;
/** Packet time in seconds, and number of the packet, when the entry was used last. */
const SECONDS = 11;
const TICK = 12;
const WORDS = 13;

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
  private readonly entries = new Uint32Array(SETS * WAYS * WORDS);
  private readonly key = new Uint32Array(KIND + 1);
  private tick = 0;
  private fromA = false;
  /** Both ends are the same address and port (a "land" attack): the sender counts as the client. */
  private toItself = false;

  constructor(private readonly arena: Arena) {}

  /** Takes note of a packet, in arrival order, and says what it is to its flow: {@link FLOW} bits. */
  track(slot: number): number {
    const { flags, proto, tsSec } = this.arena;
    if ((flags[slot]! & (FLAG.IPV4 | FLAG.IPV6)) === 0 || (flags[slot]! & FLAG.FRAGMENT) !== 0) return 0;
    this.readKey(slot);
    this.tick = (this.tick + 1) >>> 0 || 1;
    const seconds = tsSec[slot]!;
    const at = this.lookUp();
    const { entries, fromA } = this;
    const idle = (seconds - entries[at + SECONDS]!) | 0;
    const fresh = entries[at + STATE] === 0 && entries[at + TICK] === 0;
    entries[at + SECONDS] = seconds;
    entries[at + TICK] = this.tick;
    const state =
      proto[slot] === IPPROTO.TCP
        ? this.tcp(slot, entries[at + STATE]!, fresh, idle > IDLE_SECONDS)
        : other(entries[at + STATE]!, fresh || idle > IDLE_SECONDS, fromA);
    entries[at + STATE] = state;
    const direction = ((state & CLIENT_IS_A) !== 0) === fromA ? FLOW.TO_SERVER : FLOW.TO_CLIENT;
    return (state & ESTABLISHED) === 0 ? direction : direction | FLOW.ESTABLISHED;
  }

  private tcp(slot: number, before: number, fresh: boolean, idle: boolean): number {
    const { arena, fromA } = this;
    const bits = arena.u8[(slot << SLOT_SHIFT) + arena.l4[slot]! + TCP.FLAGS]!;
    const syn = (bits & TCP_FLAG.SYN) !== 0;
    const ack = (bits & TCP_FLAG.ACK) !== 0;
    const sender = fromA ? CLIENT_IS_A : 0;
    let state = before;
    if (fresh) state = syn && ack && !this.toItself ? sender ^ CLIENT_IS_A : sender;
    if (syn && !ack && ((state & ESTABLISHED) === 0 || (state & CLOSING) !== 0 || idle)) state = sender | SYN_SEEN;
    const byClient = (state & CLIENT_IS_A) === sender;
    if (syn && ack && !byClient && (state & SYN_SEEN) !== 0) state |= SYN_ACK_SEEN;
    if (ack && !syn && byClient && (state & SYN_ACK_SEEN) !== 0 && (bits & TCP_FLAG.RST) === 0) state |= ESTABLISHED;
    if ((bits & (TCP_FLAG.FIN | TCP_FLAG.RST)) !== 0) state |= CLOSING;
    return state;
  }

  /** Writes the packet's flow into `key`, both directions alike, and which end sent it. */
  private readKey(slot: number): void {
    const { u16, flags, l3, proto, sport, dport } = this.arena;
    const { key } = this;
    const v4 = (flags[slot]! & FLAG.IPV4) !== 0;
    const words = v4 ? 1 : 4;
    // Even offsets, as the gate's checksums rely on; the words' byte order does not matter here.
    let at = ((slot << SLOT_SHIFT) + l3[slot]! + (v4 ? IPV4.SRC : IPV6.SRC)) >> 1;
    key.fill(0);
    for (let word = 0; word < words; word++, at += 2) key[ADDRESS_A + word] = u16[at]! | (u16[at + 1]! << 16);
    for (let word = 0; word < words; word++, at += 2) key[ADDRESS_B + word] = u16[at]! | (u16[at + 1]! << 16);
    key[KIND] = ((v4 ? 4 : 6) << 8) | proto[slot]!;
    const ports = (flags[slot]! & FLAG.L4) !== 0 && proto[slot] !== IPPROTO.ICMP && proto[slot] !== IPPROTO.ICMPV6;
    const from = ports ? sport[slot]! : 0;
    const to = ports ? dport[slot]! : 0;
    let order = 0;
    for (let word = 0; word < words && order === 0; word++) order = key[ADDRESS_A + word]! - key[ADDRESS_B + word]!;
    if (order === 0) order = from - to;
    this.fromA = order <= 0;
    this.toItself = order === 0;
    key[PORTS] = this.fromA ? (from << 16) | to : (to << 16) | from;
    if (this.fromA) return;
    for (let word = 0; word < words; word++) {
      const a = key[ADDRESS_A + word]!;
      key[ADDRESS_A + word] = key[ADDRESS_B + word]!;
      key[ADDRESS_B + word] = a;
    }
  }

  /** Offset of the flow's entry; a new one is empty (state and tick 0). */
  private lookUp(): number {
    const { entries, key } = this;
    let hash = 0x9e37_79b9;
    for (let word = 0; word <= KIND; word++) {
      hash = Math.imul(hash ^ key[word]!, 0x85eb_ca6b);
      hash ^= hash >>> 15;
    }
    const set = (hash & (SETS - 1)) * WAYS * WORDS;
    let victim = set;
    let victimRank = -1;
    for (let at = set; at < set + WAYS * WORDS; at += WORDS) {
      let word = KIND;
      while (word >= 0 && entries[at + word] === key[word]) word--;
      if (word < 0) return at;
      // Empty entries first, then closed ones, then the one not used for longest.
      const age = (this.tick - entries[at + TICK]!) >>> 0;
      const rank = entries[at + KIND] === 0 ? 2 ** 34 : (entries[at + STATE]! & CLOSING) !== 0 ? 2 ** 33 + age : age;
      if (rank > victimRank) {
        victimRank = rank;
        victim = at;
      }
    }
    if (victimRank < 2 ** 33) this.evicted++;
    for (let word = 0; word <= KIND; word++) entries[victim + word] = key[word]!;
    entries[victim + STATE] = 0;
    entries[victim + TICK] = 0;
    return victim;
  }
}

function other(state: number, fresh: boolean, fromA: boolean): number {
  if (fresh) return fromA ? CLIENT_IS_A : 0;
  const byClient = ((state & CLIENT_IS_A) !== 0) === fromA;
  return byClient ? state : state | ESTABLISHED;
}
