/**
 * Outbound: everything about packets that enter a tunnel except their encryption (RFC 4303 section 3.3, RFC 4301 section 5.1.2).
 *
 * The inner packet stays where it is. In front of it go outer IPv4 header, ESP header and IV, behind it padding and trailer, and the layer 2
 * header moves towards the start of the slot. All that can fail is decided before the first byte is written.
 *
 * The work is done in passes over the batch, each a loop without calls: the compiler then checks types once per pass and not once per
 * access, and cache misses of different packets overlap.
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
const SEAL = OP.SEAL;
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
const IV_AT = ESP.IV;
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

  /** What the passes hand on for each admitted packet. */
  private readonly admitted = new Uint32Array(MAX_BATCH);
  private readonly records = new Int32Array(MAX_BATCH);
  private readonly low = new Uint32Array(MAX_BATCH);
  private readonly high = new Uint32Array(MAX_BATCH);
  private readonly index = new Uint32Array(MAX_BATCH);
  private readonly cipherBytes = new Int32Array(MAX_BATCH);
  /** Where the IV goes, as an index of bytes in the arena. */
  private readonly ivAt = new Int32Array(MAX_BATCH);

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
    if (admitted === 0) return 0;
    this.moveLayer2(admitted);
    this.writeHeaders(admitted);
    this.ivs.write(this.arena.view, admitted, this.ivAt, this.index, this.high, this.low);
    this.writeMetadata(admitted);
    return admitted;
  }

  /** Pass 1: who may enter, and with which sequence number. */
  private admit(count: number, outcomes: Uint8Array): number {
    const { slots, answers, places, state, counters, mtu } = this;
    const { admitted, records, low, high, index, cipherBytes, ivAt } = this;
    const { off, l3, l3end } = this.arena;
    const sas = this.sas.length;
    let n = 0;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const answer = answers[i]!;
      const place = places[i]!;
      if (answer === sas) {
        outcomes[place] = BYPASS;
        continue;
      }
      const from = l3[slot]!;
      const inner = l3end[slot]! - from;
      const cipher = (inner + TRAILER + BLOCK - 1) & -BLOCK;
      const fits = off[slot]! >= TUNNEL && from + cipher + ICV <= SLOT_BYTES;
      if (!fits || TUNNEL + cipher + ICV > mtu) {
        outcomes[place] = TOO_BIG;
        continue;
      }
      const record = answer << RECORD_SHIFT;
      if (state[record + EXHAUSTED] !== 0) {
        outcomes[place] = SEQ_EXHAUSTED;
        continue;
      }
      outcomes[place] = PROTECTED;
      const number = state[record + SEQ_LOW]!;
      admitted[n] = slot;
      records[n] = record;
      low[n] = number;
      high[n] = state[record + SEQ_HIGH]!;
      index[n] = state[record + INDEX]!;
      cipherBytes[n] = cipher;
      ivAt[n] = (slot << SHIFT) + from - TUNNEL + IPV4_BYTES + IV_AT;
      n++;

      state[record + SEQ_LOW] = number + 1;
      if (number === 0xffff_ffff) {
        // The low half is 0 again. With extended numbers that carries, up to 2^64 - 1; without, the SA has come to its end.
        const top = state[record + SEQ_HIGH]!;
        if (state[record + ESN] === 0 || top === 0xffff_ffff) state[record + EXHAUSTED] = 1;
        else state[record + SEQ_HIGH] = top + 1;
      }
      const counter = (record >> 1) + PACKETS;
      counters[counter] = counters[counter]! + 1;
      counters[counter + 1] = counters[counter + 1]! + inner;
    }
    return n;
  }

  /** Pass 2: addresses and VLAN tags go where they leave room for the headers, before those overwrite them. */
  private moveLayer2(count: number): void {
    const { admitted } = this;
    const { off, l3, u16, view } = this.arena;
    let tagged = 0;
    for (let i = 0; i < count; i++) {
      const slot = admitted[i]!;
      const start = off[slot]!;
      const from = (slot << SHIFT) + start;
      if (l3[slot]! - start === ETHERNET_BYTES) {
        view.setInt32(from - TUNNEL, view.getInt32(from));
        view.setInt32(from - TUNNEL + 4, view.getInt32(from + 4));
        view.setInt32(from - TUNNEL + 8, view.getInt32(from + 8));
        view.setInt16(from - TUNNEL + 12, TYPE_IPV4);
      } else {
        tagged++;
      }
    }
    if (tagged === 0) return;
    for (let i = 0; i < count; i++) {
      const slot = admitted[i]!;
      const from = (slot << SHIFT) + off[slot]!;
      const to = (slot << SHIFT) + l3[slot]!;
      if (to - from === ETHERNET_BYTES) continue;
      // Ascending, because it moves downwards. Everything starts at even bytes: tags have 4, EtherType 2.
      for (let k = from >> 1; k < (to - 2) >> 1; k++) u16[k - TUNNEL / 2] = u16[k]!;
      view.setInt16(to - TUNNEL - 2, TYPE_IPV4);
    }
  }

  /** Pass 3: outer header, ESP header, padding and trailer. */
  private writeHeaders(count: number): void {
    const { admitted, records, low, cipherBytes, state } = this;
    const { view, u8, l3, l3end, flags } = this.arena;
    for (let i = 0; i < count; i++) {
      const slot = admitted[i]!;
      const record = records[i]!;
      const base = slot << SHIFT;
      const inner = base + l3[slot]!;
      const end = base + l3end[slot]!;
      const cipher = cipherBytes[i]!;
      // Pad bytes are 1, 2, 3... (RFC 4303 section 2.4), written four at a time; up to three too many are overwritten by what follows.
      const pad = cipher - TRAILER - (end - inner);
      if (pad > 0) view.setInt32(end, 0x0102_0304);
      if (pad > 4) view.setInt32(end + 4, 0x0506_0708);
      if (pad > 8) view.setInt32(end + 8, 0x090a_0b0c);
      if (pad > 12) view.setInt32(end + 12, 0x0d0e_0f10);
      const ipv4 = (flags[slot]! & IPV4_FLAG) !== 0;
      view.setInt16(end + pad, (pad << 8) | (ipv4 ? NEXT_IPV4 : NEXT_IPV6));

      // DSCP and ECN are copied (RFC 6040 section 4.1), and DF (RFC 4301 section 8.1); IPv6 is never fragmented on its way, so DF is set for it.
      const tos = ipv4 ? u8[inner + 1]! : ((u8[inner]! & 0xf) << 4) | (u8[inner + 1]! >> 4);
      const df = ipv4 ? (u8[inner + 6]! << 8) & DF : DF;
      const bytes = TUNNEL + cipher + ICV;
      const number = low[i]!;
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
      view.setInt32(outer + 24, number | 0);
    }
  }

  /** Pass 4: what transform needs, and what the gate would write about the packet as it is now. */
  private writeMetadata(count: number): void {
    const { admitted, records, low, high, index, cipherBytes, state } = this;
    const { arena } = this;
    const { params, off, len, l3, l3end, l4, payload, payloadEnd, proto, flags, sport, dport } = arena;
    for (let i = 0; i < count; i++) {
      const slot = admitted[i]!;
      const cipher = cipherBytes[i]!;
      const start = off[slot]! - TUNNEL;
      const inner = l3[slot]!;
      const end = inner + cipher + ICV;
      const esp = inner - TUNNEL + IPV4_BYTES;
      off[slot] = start;
      len[slot] = end - start;
      l3[slot] = inner - TUNNEL;
      l3end[slot] = end;
      l4[slot] = esp;
      payload[slot] = esp;
      payloadEnd[slot] = end;
      proto[slot] = PROTO_ESP;
      flags[slot] = IPV4_FLAG | (flags[slot]! & VLAN_FLAG);
      sport[slot] = 0;
      dport[slot] = 0;

      const p = slot * PARAMS;
      params[p + P_OP] = SEAL;
      params[p + P_SA] = index[i]!;
      params[p + P_ESP] = esp;
      params[p + P_CIPHER_BYTES] = cipher;
      params[p + P_SEQ_LOW] = low[i]!;
      params[p + P_SEQ_HIGH] = high[i]!;
      params[p + P_ESN] = state[records[i]! + ESN]!;
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
