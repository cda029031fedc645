/**
 * Order within flows, audited where it is not kept by construction: counts packets that left by a port after one of their own
 * flow that had arrived later.
 *
 * Two packets are of one flow when they were so on arrival and are so as they leave: what a tunnel takes in or lets out changes its
 * flow on the way. What a flow is, is said in packet/flow-hash.ts; the key here is another, since that hash has 16 bits.
 *
 * An approximation: the table has room for ENTRIES flows, and a flow that falls on the entry of another takes it over, so with many
 * flows at once some reordering is missed; and two flows whose 32-bit keys are equal count as one.
 *
 * Several receivers: where each has queues of its own, packets of a flow that came to different ones (both directions of a connection may)
 * have no order, and are flows of their own here; so are packets of different ports whose queues are shared. Where receivers share a queue and
 * each sends, all look into one table, without locks: what two threads send at the same moment is in no order either, and an entry that both
 * write then may miss a packet or count one too many.
 */
import { type Arena, FLAG, SLOT_SHIFT } from "../packet/arena.js";
import { IPPROTO, IPV4, IPV6 } from "../packet/protocols.js";

/** Constants of this module are part of the compiled code; imported bindings are looked up at each use (V8 11, Node 20). */
const SHIFT = SLOT_SHIFT;

const ENTRIES = 1 << 15;
/** Odd constants that spread a product over all its bits (those of MurmurHash3's finalizer). */
const SPREAD = 0x85eb_ca6b;
const SPREAD_MORE = 0xc2b2_ae35;

const AUDIT_BYTES = ENTRIES * 12;

/** A table for several threads. */
export function auditMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(AUDIT_BYTES);
}

export class FlowAudit {
  private readonly last: Float64Array;
  private readonly keys: Int32Array;

  /**
   * @param streamOf by slot, where only packets of one stream (receiver, or port) can be compared by number: which one its packet is of
   * @param memory of {@link auditMemory}, where several threads send what may be of one flow
   */
  constructor(
    private readonly arena: Arena,
    private readonly streamOf?: Uint8Array,
    memory: SharedArrayBuffer | ArrayBuffer = new ArrayBuffer(AUDIT_BYTES),
  ) {
    this.last = new Float64Array(memory, 0, ENTRIES);
    this.keys = new Int32Array(memory, ENTRIES * 8, ENTRIES);
  }

  /** Notes the flows of packets that have just arrived and been through the gate. */
  arrived(slots: Uint32Array, count: number): void {
    const { flow } = this.arena;
    for (let i = 0; i < count; i++) flow[slots[i]!] = flowKey(this.arena, slots[i]!);
    const { streamOf } = this;
    if (streamOf === undefined) return;
    for (let i = 0; i < count; i++) flow[slots[i]!] = mix(flow[slots[i]!]! + streamOf[slots[i]!]!);
  }

  /**
   * @param port by which they leave
   * @returns how many of them leave after one of their flow that arrived later
   */
  left(slots: Uint32Array, count: number, port: number): number {
    const { flow, arrival } = this.arena;
    const { keys, last } = this;
    let reordered = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const key = mix(mix(flow[slot]! + port) ^ flowKey(this.arena, slot));
      const at = key & (ENTRIES - 1);
      const number = arrival[slot]!;
      if (keys[at] === key && number < last[at]!) {
        reordered++;
      } else {
        keys[at] = key;
        last[at] = number;
      }
    }
    return reordered;
  }
}

function mix(value: number): number {
  const once = Math.imul(value ^ (value >>> 16), SPREAD);
  const twice = Math.imul(once ^ (once >>> 13), SPREAD_MORE);
  return twice ^ (twice >>> 16);
}

/** Addresses, ports and protocol, the same for both directions; frames that are not IP are one flow. */
function flowKey(arena: Arena, slot: number): number {
  const { u16, flags, l3, sport, dport, proto } = arena;
  const flag = flags[slot]!;
  const v6 = (flag & FLAG.IPV6) !== 0;
  if (!v6 && (flag & FLAG.IPV4) === 0) return 0;
  let protocol = proto[slot]!;
  let source = 0;
  let destination = 0;
  if ((flag & FLAG.L4) !== 0 && (protocol === IPPROTO.TCP || protocol === IPPROTO.UDP || protocol === IPPROTO.SCTP)) {
    source = sport[slot]!;
    destination = dport[slot]!;
  }
  // Only the first of an IPv6 packet's fragments can tell its protocol.
  if (v6 && (flag & FLAG.FRAGMENT) !== 0) protocol = 0;
  const header = (slot << SHIFT) + l3[slot]!;
  const from = (header + (v6 ? IPV6.SRC : IPV4.SRC)) >> 1;
  const words = v6 ? 8 : 2;
  for (let w = 0; w < words; w++) {
    source = mix((source << 4) + u16[from + w]!);
    destination = mix((destination << 4) + u16[from + words + w]!);
  }
  return mix(source + destination + protocol);
}
