/**
 * Outbound: everything about packets that enter a tunnel except their encryption (RFC 4303 section 3.3, RFC 4301 section 5.1.2).
 *
 * The inner packet stays where it is. In front of it go outer IPv4 header, ESP header and IV, behind it padding and trailer, and the layer 2
 * header moves towards the start of the slot. All that can fail is decided before the first byte is written.
 *
 * The work is done in two passes over the batch, each a loop without calls over few arrays: the compiler then checks types once per pass
 * and not once per access, and cache misses of different packets overlap.
 */
import { type Arena, FLAG, PARAM_WORDS, SLOT_SHIFT, SLOT_SIZE } from "../../runtime/packet/arena.js";
import { MAX_BATCH } from "../../runtime/packet/batch.js";
import { ETHERNET, ETHERTYPE, IPPROTO, IPV4 } from "../../runtime/packet/protocols.js";
import type { IvSource } from "./iv.js";
import { ESP, OP, PARAM, TUNNEL_BYTES } from "./layout.js";
import { OUTCOME } from "./outcomes.js";
import type { Sa } from "./sas.js";

// Imported bindings are looked up at each use by V8 11; constants of this module are part of the compiled code.
const SHIFT = SLOT_SHIFT;
const SLOT_BYTES = SLOT_SIZE;
const IPV4_FLAG = FLAG.IPV4;
const VLAN_FLAG = FLAG.VLAN;
const PARAMS = PARAM_WORDS;
const { NONE, SEAL } = OP;
const PROTO_ESP = IPPROTO.ESP;
const NEXT_IPV4 = IPPROTO.IPV4;
const NEXT_IPV6 = IPPROTO.IPV6;
const DF = IPV4.FLAG_DF;
const TYPE_IPV4 = ETHERTYPE.IPV4;
const ETHERNET_BYTES = ETHERNET.BYTES;
const TUNNEL = TUNNEL_BYTES;
const IPV4_BYTES = IPV4.MIN_BYTES;
const BLOCK = ESP.BLOCK_BYTES;
const TRAILER = ESP.TRAILER_BYTES;
const ICV = ESP.ICV_BYTES;
const { PROTECTED, BYPASS, TOO_BIG, SEQ_EXHAUSTED } = OUTCOME;
const { OP: P_OP, SA: P_SA, ESP: P_ESP, CIPHER_BYTES: P_CIPHER_BYTES, ESN: P_ESN } = PARAM;
const { SEQ_LOW: P_SEQ_LOW, SEQ_HIGH: P_SEQ_HIGH } = PARAM;
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

  /** Candidates of the batch for {@link protect}: slot, number of the outbound SA (or their count), place in the batch. */
  readonly slots = new Uint32Array(MAX_BATCH);
  readonly answers = new Int32Array(MAX_BATCH);
  readonly places = new Uint32Array(MAX_BATCH);

  /** What the first pass hands to the second for each admitted packet. Places are indices of bytes in the arena. */
  private readonly frameAt = new Int32Array(MAX_BATCH);
  private readonly innerAt = new Int32Array(MAX_BATCH);
  private readonly endAt = new Int32Array(MAX_BATCH);
  private readonly records = new Int32Array(MAX_BATCH);
  private readonly low = new Uint32Array(MAX_BATCH);
  private readonly high = new Uint32Array(MAX_BATCH);
  private readonly index = new Uint32Array(MAX_BATCH);
  private readonly cipherBytes = new Int32Array(MAX_BATCH);

  /** All metadata of one width through one array each; where each of them begins is in {@link metadata}. */
  private readonly m16: Uint16Array;
  private readonly m8: Uint8Array;
  private readonly metadata: Int32Array;

  /**
   * @param sas the outbound ones; their order is what `answers` count by
   * @param mtu longest outer packet in bytes
   */
  constructor(
    private readonly arena: Arena,
    private readonly sas: readonly Sa[],
    private readonly mtu: number,
    private readonly ivs: IvSource,
  ) {
    this.m16 = new Uint16Array(arena.buffer);
    this.m8 = new Uint8Array(arena.buffer);
    const { off, len, l3, l3end, l4, payload, payloadEnd, sport, dport, proto, flags } = arena;
    const wide = [off, len, l3, l3end, l4, payload, payloadEnd, sport, dport].map((array) => array.byteOffset / 2);
    this.metadata = Int32Array.from([...wide, proto.byteOffset, flags.byteOffset]);
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
   * Wraps the first `count` candidates, IP packets that passed the gate: writes their outcomes, and params and metadata of those protected.
   * After any other outcome nothing has changed.
   * @returns how many are protected
   */
  protect(count: number, outcomes: Uint8Array): number {
    const admitted = this.admit(count, outcomes);
    if (admitted > 0) {
      this.moveTags(admitted);
      this.writeHeaders(admitted);
    }
    return admitted;
  }

  /** First pass: who may enter, and with which number; params, and metadata as the gate would write them of the packet to be. */
  private admit(count: number, outcomes: Uint8Array): number {
    const { slots, answers, places, state, counters, mtu, m16, m8, metadata } = this;
    const { frameAt, innerAt, endAt, records, low, high, index, cipherBytes } = this;
    const { params } = this.arena;
    const OFF = metadata[0]!;
    const LEN = metadata[1]!;
    const L3 = metadata[2]!;
    const L3END = metadata[3]!;
    const L4 = metadata[4]!;
    const PAYLOAD = metadata[5]!;
    const PAYLOAD_END = metadata[6]!;
    const SPORT = metadata[7]!;
    const DPORT = metadata[8]!;
    const PROTO = metadata[9]!;
    const FLAGS = metadata[10]!;
    const sas = this.sas.length;
    let n = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const place = places[i]!;
      const record = answers[i]! << RECORD_SHIFT;
      const p = slot * PARAMS;
      params[p + P_OP] = NONE;
      if (answers[i] === sas) {
        outcomes[place] = BYPASS;
        continue;
      }
      const start = m16[OFF + slot]!;
      const inner = m16[L3 + slot]!;
      const bytes = m16[L3END + slot]! - inner;
      const cipher = (bytes + TRAILER + BLOCK - 1) & -BLOCK;
      const end = inner + cipher + ICV;
      if (start < TUNNEL || end > SLOT_BYTES || TUNNEL + cipher + ICV > mtu) {
        outcomes[place] = TOO_BIG;
        continue;
      }
      if (state[record + EXHAUSTED] !== 0) {
        outcomes[place] = SEQ_EXHAUSTED;
        continue;
      }
      outcomes[place] = PROTECTED;
      const number = state[record + SEQ_LOW]!;
      const top = state[record + SEQ_HIGH]!;
      const base = slot << SHIFT;
      frameAt[n] = base + start;
      innerAt[n] = base + inner;
      endAt[n] = base + inner + bytes;
      records[n] = record;
      low[n] = number;
      high[n] = top;
      index[n] = state[record + INDEX]!;
      cipherBytes[n] = cipher;
      n++;

      state[record + SEQ_LOW] = number + 1;
      if (number === 0xffff_ffff) {
        // The low half is 0 again. With extended numbers that carries, up to 2^64 - 1; without, the SA has come to its end.
        if (state[record + ESN] === 0 || top === 0xffff_ffff) state[record + EXHAUSTED] = 1;
        else state[record + SEQ_HIGH] = top + 1;
      }
      const counter = (record >> 1) + PACKETS;
      counters[counter] = counters[counter]! + 1;
      counters[counter + 1] = counters[counter + 1]! + bytes;

      const esp = inner - TUNNEL + IPV4_BYTES;
      params[p + P_OP] = SEAL;
      params[p + P_SA] = state[record + INDEX]!;
      params[p + P_ESP] = esp;
      params[p + P_CIPHER_BYTES] = cipher;
      params[p + P_SEQ_LOW] = number;
      params[p + P_SEQ_HIGH] = top;
      params[p + P_ESN] = state[record + ESN]!;
      m16[OFF + slot] = start - TUNNEL;
      m16[LEN + slot] = end - start + TUNNEL;
      m16[L3 + slot] = inner - TUNNEL;
      m16[L3END + slot] = end;
      m16[L4 + slot] = esp;
      m16[PAYLOAD + slot] = esp;
      m16[PAYLOAD_END + slot] = end;
      m16[SPORT + slot] = 0;
      m16[DPORT + slot] = 0;
      m8[PROTO + slot] = PROTO_ESP;
      m8[FLAGS + slot] = IPV4_FLAG | (m8[FLAGS + slot]! & VLAN_FLAG);
    }
    return n;
  }

  /** Layer 2 headers with VLAN tags move here; plain ones, the common case, in {@link writeHeaders}. Before headers overwrite them. */
  private moveTags(count: number): void {
    const { frameAt, innerAt } = this;
    const { u16, view } = this.arena;
    for (let i = 0; i < count; i++) {
      const from = frameAt[i]!;
      const to = innerAt[i]!;
      if (to - from === ETHERNET_BYTES) continue;
      // Ascending, because it moves downwards. Everything starts at even bytes: tags have 4, EtherType 2.
      for (let k = from >> 1; k < (to - 2) >> 1; k++) u16[k - TUNNEL / 2] = u16[k]!;
      view.setInt16(to - TUNNEL - 2, TYPE_IPV4);
    }
  }

  /** Second pass: the bytes. Layer 2 header, outer header, ESP header, IV, padding and trailer. */
  private writeHeaders(count: number): void {
    const { frameAt, innerAt, endAt, records, low, cipherBytes, state } = this;
    const { view } = this.arena;
    const first = this.ivs.draw(count, this.index, this.high, low);
    const ivs = this.ivs.words;
    for (let i = 0; i < count; i++) {
      const record = records[i]!;
      const from = frameAt[i]!;
      const inner = innerAt[i]!;
      const end = endAt[i]!;
      const cipher = cipherBytes[i]!;
      if (inner - from === ETHERNET_BYTES) {
        view.setInt32(from - TUNNEL, view.getInt32(from));
        view.setInt32(from - TUNNEL + 4, view.getInt32(from + 4));
        view.setInt32(from - TUNNEL + 8, view.getInt32(from + 8));
        view.setInt16(from - TUNNEL + 12, TYPE_IPV4);
      }
      // DSCP and ECN are copied (RFC 6040 section 4.1), and DF (RFC 4301 section 8.1); IPv6 is never fragmented on its way, so DF is set for it.
      const word = view.getInt32(inner);
      const ipv4 = word >>> 28 === 4;
      const tos = (ipv4 ? word >>> 16 : word >>> 20) & 0xff;
      const df = ipv4 ? view.getUint16(inner + 6) & DF : DF;
      const bytes = TUNNEL + cipher + ICV;
      const number = low[i]! | 0;
      const id = number & 0xffff;
      let sum = (state[record + HEADER_SUM]! + tos + bytes + id + df) | 0;
      sum = (sum & 0xffff) + (sum >>> 16);
      sum = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;

      const outer = inner - TUNNEL;
      view.setInt32(outer, 0x4500_0000 | (tos << 16) | bytes);
      view.setInt32(outer + 4, (id << 16) | df);
      view.setInt32(outer + 8, (OUTER_TTL << 24) | (PROTO_ESP << 16) | sum);
      view.setInt32(outer + 12, state[record + SRC]! | 0);
      view.setInt32(outer + 16, state[record + DST]! | 0);
      view.setInt32(outer + 20, state[record + SPI]! | 0);
      view.setInt32(outer + 24, number);
      const iv = first + 4 * i;
      view.setInt32(outer + 28, ivs[iv]!);
      view.setInt32(outer + 32, ivs[iv + 1]!);
      view.setInt32(outer + 36, ivs[iv + 2]!);
      view.setInt32(outer + 40, ivs[iv + 3]!);

      // Pad bytes are 1, 2, 3... (RFC 4303 section 2.4), written four at a time; up to three too many are overwritten by what follows.
      const pad = cipher - TRAILER - (end - inner);
      if (pad > 0) view.setInt32(end, 0x0102_0304);
      if (pad > 4) view.setInt32(end + 4, 0x0506_0708);
      if (pad > 8) view.setInt32(end + 8, 0x090a_0b0c);
      if (pad > 12) view.setInt32(end + 12, 0x0d0e_0f10);
      view.setInt16(end + pad, (pad << 8) | (ipv4 ? NEXT_IPV4 : NEXT_IPV6));
    }
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
