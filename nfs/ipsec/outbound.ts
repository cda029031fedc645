/**
 * Outbound: everything about a packet that enters a tunnel except its encryption (RFC 4303 section 3.3, RFC 4301 section 5.1.2).
 *
 * The inner packet stays where it is. In front of it go outer IPv4 header, ESP header and IV, behind it padding and trailer, and the layer 2
 * header moves towards the start of the slot. All that can fail is decided before the first byte is written.
 */
import { type Arena, FLAG, PARAM_WORDS, SLOT_SHIFT, SLOT_SIZE } from "../../runtime/packet/arena.js";
import { ETHERTYPE, IPPROTO, IPV4 } from "../../runtime/packet/protocols.js";
import type { IvSource } from "./iv.js";
import { ESP, OP, PARAM, TUNNEL_BYTES } from "./layout.js";
import { OUTCOME } from "./outcomes.js";
import type { Sa } from "./sas.js";

const OUTER_TTL = 64;

/** Words of an SA's record; one cache line, because with many SAs every packet touches another. */
const RECORD_SHIFT = 4;
const SEQ_LOW = 0;
const SEQ_HIGH = 1;
/** 1 once the last sequence number is used: it must not cycle (RFC 4303 section 3.3.3). */
const EXHAUSTED = 2;
const SPI = 3;
const SRC = 4;
const DST = 5;
const ESN = 6;
/** Position in the file. */
const INDEX = 7;
/** One's complement sum of the outer header's halves that never change, not folded. */
const HEADER_SUM = 8;
/** Counters as doubles: index of the record in f64 words plus these. */
const PACKETS = 5;
const BYTES = 6;

export class Outbound {
  private readonly state: Uint32Array;
  private readonly counters: Float64Array;

  /**
   * @param sas the outbound ones; their order is what {@link protect} counts by
   * @param mtu longest outer packet in bytes
   */
  constructor(
    private readonly arena: Arena,
    private readonly sas: readonly Sa[],
    private readonly mtu: number,
    private readonly ivs: IvSource,
  ) {
    this.state = new Uint32Array(sas.length << RECORD_SHIFT);
    this.counters = new Float64Array(this.state.buffer);
    sas.forEach((sa, i) => {
      const at = i << RECORD_SHIFT;
      const halves = [sa.src >>> 16, sa.src & 0xffff, sa.dst >>> 16, sa.dst & 0xffff];
      this.state.set([sa.seqLow, sa.seqHigh, 0, sa.spi, sa.src, sa.dst, sa.esn ? 1 : 0, sa.index], at);
      this.state[at + HEADER_SUM] = halves.reduce((a, b) => a + b, 0x4500 + ((OUTER_TTL << 8) | IPPROTO.ESP));
    });
  }

  /**
   * Wraps the packet in `slot`, which is IP and passed the gate, for outbound SA number `i`; writes params and all metadata.
   * @returns its outcome; after any but `protected` nothing has changed
   */
  protect(slot: number, i: number): number {
    const { arena, state } = this;
    const { view, u8, params } = arena;
    const l3 = arena.l3[slot]!;
    const l3end = arena.l3end[slot]!;
    const start = arena.off[slot]!;
    const innerBytes = l3end - l3;
    const cipherBytes = (innerBytes + ESP.TRAILER_BYTES + ESP.BLOCK_BYTES - 1) & -ESP.BLOCK_BYTES;
    const outerBytes = TUNNEL_BYTES + cipherBytes + ESP.ICV_BYTES;
    const end = l3 + cipherBytes + ESP.ICV_BYTES;
    if (outerBytes > this.mtu || start < TUNNEL_BYTES || end > SLOT_SIZE) return OUTCOME.TOO_BIG;
    const record = i << RECORD_SHIFT;
    if (state[record + EXHAUSTED] !== 0) return OUTCOME.SEQ_EXHAUSTED;

    const low = state[record + SEQ_LOW]!;
    const high = state[record + SEQ_HIGH]!;
    const esn = state[record + ESN]!;
    this.advance(record, low, high, esn);
    const packets = (record >> 1) + PACKETS;
    this.counters[packets] = this.counters[packets]! + 1;
    this.counters[packets + 1] = this.counters[packets + 1]! + innerBytes;

    // Trailer: pad bytes 1, 2, 3... (RFC 4303 section 2.4), written four at a time; what is too much the next two stores overwrite.
    const base = slot << SLOT_SHIFT;
    const pad = cipherBytes - ESP.TRAILER_BYTES - innerBytes;
    for (let k = 0, word = 0x0102_0304; k < pad; k += 4, word += 0x0404_0404) view.setInt32(base + l3end + k, word);
    const ipv4 = (arena.flags[slot]! & FLAG.IPV4) !== 0;
    u8[base + l3end + pad] = pad;
    u8[base + l3end + pad + 1] = ipv4 ? IPPROTO.IPV4 : IPPROTO.IPV6;

    // DSCP and ECN are copied (RFC 6040 section 4.1), and DF (RFC 4301 section 8.1); IPv6 is never fragmented on its way, so DF is set for it.
    const inner = base + l3;
    const tos = ipv4 ? u8[inner + IPV4.TOS]! : ((u8[inner]! & 0xf) << 4) | (u8[inner + 1]! >> 4);
    const df = ipv4 ? (u8[inner + IPV4.FRAGMENT]! << 8) & IPV4.FLAG_DF : IPV4.FLAG_DF;
    const id = low & 0xffff;
    let sum = state[record + HEADER_SUM]! + tos + outerBytes + id + df;
    sum = (sum & 0xffff) + (sum >>> 16);
    sum = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;

    // Before the outer headers are written: they go where it stands now.
    this.moveLayer2(base + start, base + l3);
    const l3new = l3 - TUNNEL_BYTES;
    const outer = base + l3new;
    const esp = l3new + IPV4.MIN_BYTES;
    view.setInt32(outer, 0x4500_0000 | (tos << 16) | outerBytes);
    view.setInt32(outer + IPV4.ID, (id << 16) | df);
    view.setInt32(outer + IPV4.TTL, (OUTER_TTL << 24) | (IPPROTO.ESP << 16) | sum);
    view.setInt32(outer + IPV4.SRC, state[record + SRC]!);
    view.setInt32(outer + IPV4.DST, state[record + DST]!);
    view.setInt32(base + esp + ESP.SPI, state[record + SPI]!);
    view.setInt32(base + esp + ESP.SEQ, low);
    const index = state[record + INDEX]!;
    this.ivs.write(view, base + esp + ESP.IV, index, high, low);

    arena.off[slot] = start - TUNNEL_BYTES;
    arena.len[slot] = end - start + TUNNEL_BYTES;
    arena.l3[slot] = l3new;
    arena.l3end[slot] = end;
    arena.l4[slot] = esp;
    arena.payload[slot] = esp;
    arena.payloadEnd[slot] = end;
    arena.proto[slot] = IPPROTO.ESP;
    arena.flags[slot] = FLAG.IPV4 | (arena.flags[slot]! & FLAG.VLAN);
    arena.sport[slot] = 0;
    arena.dport[slot] = 0;

    const p = slot * PARAM_WORDS;
    params[p + PARAM.OP] = OP.SEAL;
    params[p + PARAM.SA] = index;
    params[p + PARAM.ESP] = esp;
    params[p + PARAM.CIPHER_BYTES] = cipherBytes;
    params[p + PARAM.SEQ_LOW] = low;
    params[p + PARAM.SEQ_HIGH] = high;
    params[p + PARAM.ESN] = esn;
    return OUTCOME.PROTECTED;
  }

  private advance(record: number, low: number, high: number, esn: number): void {
    const { state } = this;
    if (low !== 0xffff_ffff) {
      state[record + SEQ_LOW] = low + 1;
    } else if (esn !== 0 && high !== 0xffff_ffff) {
      state[record + SEQ_LOW] = 0;
      state[record + SEQ_HIGH] = high + 1;
    } else {
      state[record + EXHAUSTED] = 1;
    }
  }

  /** Moves addresses and VLAN tags, [from, to - 2), in front of the outer header; ascending, because they move downwards. */
  private moveLayer2(from: number, to: number): void {
    const { u16, view } = this.arena;
    const words = (to - from - 2) >> 1;
    const source = from >> 1;
    const target = (from - TUNNEL_BYTES) >> 1;
    for (let k = 0; k < words; k++) u16[target + k] = u16[source + k]!;
    view.setUint16(to - TUNNEL_BYTES - 2, ETHERTYPE.IPV4);
  }

  /** Packets, inner bytes and next sequence number of SA number `i`. */
  statsOf(i: number): Record<string, unknown> {
    const record = i << RECORD_SHIFT;
    return {
      name: this.sas[i]!.name,
      direction: "out",
      packets: this.counters[(record >> 1) + PACKETS],
      bytes: this.counters[(record >> 1) + BYTES],
      next_seq: this.state[record + SEQ_HIGH]! * 0x1_0000_0000 + this.state[record + SEQ_LOW]!,
      exhausted: this.state[record + EXHAUSTED] !== 0,
    };
  }
}
