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
import { ESP, OP, PARAM, TUNNEL_BYTES, WORK } from "./layout.js";
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
const { SHIFT: WORK_SHIFT, SLOT: W_SLOT, ANSWER: W_ANSWER, PLACE: W_PLACE, FRAME: W_FRAME } = WORK;
const { INNER: W_INNER, END: W_END, RECORD: W_RECORD, INDEX: W_INDEX, SEQ_LOW: W_SEQ_LOW } = WORK;
const { SEQ_HIGH: W_SEQ_HIGH, CIPHER_BYTES: W_CIPHER_BYTES } = WORK;
const OUTER_TTL = 64;

/** Words of an SA's record; one cache line, because with many SAs every packet touches another. Values are signed. */
const RECORD_SHIFT = 4;
const SEQ_LOW = 0;
const SEQ_HIGH = 1;
/** 1 once the last sequence number is used: it must not cycle (RFC 4303 section 3.3.3). */
const EXHAUSTED = 2;
const ESN = 3;
/** Position in the file. */
const INDEX = 4;
/** One's complement sum of the outer header's 16-bit fields that never change, as native loads give them, not folded. */
const HEADER_SUM = 5;
/** Ten bytes of the packet that never change, from the outer source address to the SPI, as native words: 2, 4, 4, and 2 of the SPI. */
const SRC_HALF = 6;
const SRC_DST = 7;
const DST_SPI = 8;
const SPI_HALF = 9;
/** Inner bytes so far. */
const BYTES_LOW = 10;
const BYTES_HIGH = 11;

export class Outbound {
  private readonly state: Int32Array;

  /** WORK records of the batch; {@link protect} expects SLOT, ANSWER and PLACE of its candidates in them. */
  readonly work = new Int32Array(MAX_BATCH << WORK_SHIFT);

  /** The whole arena, packets and metadata, in each width; what each array of metadata begins with is in {@link metadata}. */
  private readonly mem32: Int32Array;
  private readonly mem16: Uint16Array;
  private readonly mem8: Uint8Array;
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
    this.mem32 = new Int32Array(arena.buffer);
    this.mem16 = new Uint16Array(arena.buffer);
    this.mem8 = new Uint8Array(arena.buffer);
    const { off, len, l3, l3end, l4, payload, payloadEnd, sport, dport, proto, flags, params } = arena;
    const wide = [off, len, l3, l3end, l4, payload, payloadEnd, sport, dport].map((array) => array.byteOffset / 2);
    this.metadata = Int32Array.from([...wide, proto.byteOffset, flags.byteOffset, params.byteOffset / 4]);
    this.state = new Int32Array(sas.length << RECORD_SHIFT);
    sas.forEach((sa, i) => {
      const constant = new DataView(new ArrayBuffer(20));
      constant.setUint16(0, 0x4500);
      constant.setUint16(2, (OUTER_TTL << 8) | IPPROTO.ESP);
      constant.setUint32(4 + 2, sa.src);
      constant.setUint32(8 + 2, sa.dst);
      constant.setUint32(12 + 2, sa.spi);
      let sum = 0;
      for (const at of [0, 2, 6, 8, 10, 12]) sum += constant.getUint16(at, true);
      const [srcHalf, srcDst, dstSpi, spiHalf] = [4, 8, 12, 16].map((at) => constant.getInt32(at, true));
      const fields = [sa.seqLow, sa.seqHigh, 0, sa.esn ? 1 : 0, sa.index, sum, srcHalf!, srcDst!, dstSpi!, spiHalf!];
      this.state.set(fields, i << RECORD_SHIFT);
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
      this.writePackets(admitted);
    }
    return admitted;
  }

  /** First pass: who may enter, and with which number; params, and metadata as the gate would write them of the packet to be. */
  private admit(count: number, outcomes: Uint8Array): number {
    const { work, state, mtu, mem32, mem16, mem8, metadata } = this;
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
    const PARAMS_AT = metadata[11]!;
    const sas = this.sas.length;
    // Sums are cut to 32 bits with | 0 because the compiler then leaves the overflow check out.
    let n = 0;
    for (let i = 0; i < count; i++) {
      const from = i << WORK_SHIFT;
      const slot = work[from + W_SLOT]!;
      const answer = work[from + W_ANSWER]!;
      const place = work[from + W_PLACE]!;
      const p = (PARAMS_AT + slot * PARAMS) | 0;
      mem32[p + P_OP] = NONE;
      if (answer === sas) {
        outcomes[place] = BYPASS;
        continue;
      }
      const start = mem16[(OFF + slot) | 0]!;
      const inner = mem16[(L3 + slot) | 0]!;
      const bytes = mem16[(L3END + slot) | 0]! - inner;
      const cipher = (bytes + TRAILER + BLOCK - 1) & -BLOCK;
      const end = inner + cipher + ICV;
      if (start < TUNNEL || end > SLOT_BYTES || TUNNEL + cipher + ICV > mtu) {
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
      const top = state[record + SEQ_HIGH]!;
      const index = state[record + INDEX]!;
      const esn = state[record + ESN]!;
      const base = slot << SHIFT;
      const to = n++ << WORK_SHIFT;
      work[to + W_SLOT] = slot;
      work[to + W_FRAME] = base + start;
      work[to + W_INNER] = base + inner;
      work[to + W_END] = base + inner + bytes;
      work[to + W_RECORD] = record;
      work[to + W_INDEX] = index;
      work[to + W_SEQ_LOW] = number;
      work[to + W_SEQ_HIGH] = top;
      work[to + W_CIPHER_BYTES] = cipher;

      state[record + SEQ_LOW] = (number + 1) | 0;
      if (number === -1) {
        // The low half is 0 again. With extended numbers that carries, up to 2^64 - 1; without, the SA has come to its end.
        if (esn === 0 || top === -1) state[record + EXHAUSTED] = 1;
        else state[record + SEQ_HIGH] = (top + 1) | 0;
      }
      const counted = (state[record + BYTES_LOW]! + bytes) | 0;
      state[record + BYTES_LOW] = counted;
      if (counted >>> 0 < bytes) state[record + BYTES_HIGH] = (state[record + BYTES_HIGH]! + 1) | 0;

      const esp = inner - TUNNEL + IPV4_BYTES;
      mem32[p + P_OP] = SEAL;
      mem32[p + P_SA] = index;
      mem32[p + P_ESP] = esp;
      mem32[p + P_CIPHER_BYTES] = cipher;
      mem32[p + P_SEQ_LOW] = number;
      mem32[p + P_SEQ_HIGH] = top;
      mem32[p + P_ESN] = esn;
      mem16[(OFF + slot) | 0] = start - TUNNEL;
      mem16[(LEN + slot) | 0] = end - start + TUNNEL;
      mem16[(L3 + slot) | 0] = inner - TUNNEL;
      mem16[(L3END + slot) | 0] = end;
      mem16[(L4 + slot) | 0] = esp;
      mem16[(PAYLOAD + slot) | 0] = esp;
      mem16[(PAYLOAD_END + slot) | 0] = end;
      mem16[(SPORT + slot) | 0] = 0;
      mem16[(DPORT + slot) | 0] = 0;
      mem8[(PROTO + slot) | 0] = PROTO_ESP;
      mem8[(FLAGS + slot) | 0] = IPV4_FLAG | (mem8[(FLAGS + slot) | 0]! & VLAN_FLAG);
    }
    return n;
  }

  /**
   * Second pass: the bytes. Layer 2 header, outer header, ESP header, IV, padding and trailer.
   *
   * Behind an untagged Ethernet header at a multiple of 4, IP headers begin 2 bytes behind one. So what is written is cut into aligned words
   * that begin with the EtherType; packets that lie otherwise are written by {@link writePacket}.
   */
  private writePackets(count: number): void {
    const { work, state, mem32, mem16 } = this;
    const first = this.ivs.draw(count, work);
    const ivs = this.ivs.words;
    let others = 0;
    for (let i = 0; i < count; i++) {
      const at = i << WORK_SHIFT;
      const inner = work[at + W_INNER]!;
      if ((inner & 3) !== 2 || inner - work[at + W_FRAME]! !== ETHERNET_BYTES) {
        others++;
        continue;
      }
      const end = work[at + W_END]!;
      const record = work[at + W_RECORD]!;
      const number = work[at + W_SEQ_LOW]!;
      const cipher = work[at + W_CIPHER_BYTES]!;

      // Addresses, before something is written over them.
      const q = (inner - TUNNEL - 2) >> 2;
      mem32[q - 3] = mem32[q + 8]!;
      mem32[q - 2] = mem32[q + 9]!;
      mem32[q - 1] = mem32[q + 10]!;
      // First two bytes of the inner packet, in the upper half. DSCP and ECN are copied (RFC 6040 section 4.1), and DF (RFC 4301 section 8.1);
      // IPv6 is never fragmented on its way, so DF is set for it.
      const head = mem32[q + 11]!;
      const ipv4 = ((head >> 20) & 0xf) === 4;
      const tos = ipv4 ? head >>> 24 : ((head >> 12) & 0xf0) | (head >>> 28);
      const df = ipv4 ? mem32[q + 13]! & 0x40 : 0x40;
      const bytes = TUNNEL + cipher + ICV;
      const length = ((bytes & 0xff) << 8) | (bytes >> 8);
      const id = ((number & 0xff) << 8) | ((number >> 8) & 0xff);
      let sum = (state[record + HEADER_SUM]! + (tos << 8) + length + id + df) | 0;
      sum = (sum & 0xffff) + (sum >>> 16);
      sum = ~(sum + (sum >>> 16)) & 0xffff;

      const iv = first + 4 * i;
      const v0 = ivs[iv]!;
      const v1 = ivs[iv + 1]!;
      const v2 = ivs[iv + 2]!;
      const v3 = ivs[iv + 3]!;
      mem32[q] = 0x0045_0008 | (tos << 24);
      mem32[q + 1] = length | (id << 16);
      mem32[q + 2] = df | (OUTER_TTL << 16) | (PROTO_ESP << 24);
      mem32[q + 3] = sum | state[record + SRC_HALF]!;
      mem32[q + 4] = state[record + SRC_DST]!;
      mem32[q + 5] = state[record + DST_SPI]!;
      mem32[q + 6] = state[record + SPI_HALF]! | ((number >>> 24) << 16) | (((number >> 16) & 0xff) << 24);
      mem32[q + 7] = id | (v0 << 16);
      mem32[q + 8] = (v0 >>> 16) | (v1 << 16);
      mem32[q + 9] = (v1 >>> 16) | (v2 << 16);
      mem32[q + 10] = (v2 >>> 16) | (v3 << 16);
      mem32[q + 11] = (v3 >>> 16) | (head & 0xffff_0000);

      // Pad bytes are 1, 2, 3... (RFC 4303 section 2.4): the word in which the packet ends, up to three whole ones, and the half before the
      // ciphertext's end, which holds pad length and next header. What is too much in the first lies where the ICV goes.
      const pad = cipher - TRAILER - (end - inner);
      const e = end >> 2;
      const last = (inner + cipher - TRAILER) >> 2;
      const shift = (end & 3) << 3;
      mem32[e] = (mem32[e]! & ~(-1 << shift)) | (0x0403_0201 << shift);
      const next = (0x0403_0201 + Math.imul(4 - (end & 3), 0x0101_0101)) | 0;
      if (e + 1 < last) mem32[e + 1] = next;
      if (e + 2 < last) mem32[e + 2] = next + 0x0404_0404;
      if (e + 3 < last) mem32[e + 3] = next + 0x0808_0808;
      mem16[last * 2] = pad | ((ipv4 ? NEXT_IPV4 : NEXT_IPV6) << 8);
    }
    if (others === 0) return;
    for (let i = 0; i < count; i++) {
      const at = i << WORK_SHIFT;
      const inner = work[at + W_INNER]!;
      if ((inner & 3) !== 2 || inner - work[at + W_FRAME]! !== ETHERNET_BYTES) this.writePacket(at, first + 4 * i);
    }
  }

  /** What {@link writePackets} does, for any length of the layer 2 header and any alignment. */
  private writePacket(at: number, iv: number): void {
    const { state, work } = this;
    const { view, u8 } = this.arena;
    const record = work[at + W_RECORD]!;
    const from = work[at + W_FRAME]!;
    const inner = work[at + W_INNER]!;
    const end = work[at + W_END]!;
    const cipher = work[at + W_CIPHER_BYTES]!;
    const number = work[at + W_SEQ_LOW]!;
    // Ascending, because it moves downwards.
    for (let k = from; k < inner - 2; k++) u8[k - TUNNEL] = u8[k]!;

    const ipv4 = u8[inner]! >> 4 === 4;
    const tos = ipv4 ? u8[inner + 1]! : (view.getUint16(inner) >> 4) & 0xff;
    const df = ipv4 ? view.getUint16(inner + 6) & DF : DF;
    const outer = inner - TUNNEL;
    view.setUint16(outer - 2, TYPE_IPV4);
    view.setUint16(outer, 0x4500 | tos);
    view.setUint16(outer + 2, TUNNEL + cipher + ICV);
    view.setUint16(outer + 4, number);
    view.setUint16(outer + 6, df);
    view.setUint16(outer + 8, (OUTER_TTL << 8) | PROTO_ESP);
    // The record holds the addresses and the SPI in the byte order of the packet, two bytes into the first word.
    view.setInt32(outer + 10, state[record + SRC_HALF]!, true);
    view.setInt32(outer + 14, state[record + SRC_DST]!, true);
    view.setInt32(outer + 18, state[record + DST_SPI]!, true);
    view.setInt32(outer + 22, state[record + SPI_HALF]!, true);
    let sum = 0;
    for (let k = 0; k < IPV4_BYTES; k += 2) sum += view.getUint16(outer + k);
    sum = (sum & 0xffff) + (sum >>> 16);
    view.setUint16(outer + 10, ~(sum + (sum >>> 16)));
    view.setInt32(outer + 24, number);
    for (let k = 0; k < 4; k++) view.setInt32(outer + 28 + 4 * k, this.ivs.words[iv + k]!, true);

    const pad = cipher - TRAILER - (end - inner);
    for (let k = 0; k < pad; k++) u8[end + k] = k + 1;
    u8[end + pad] = pad;
    u8[end + pad + 1] = ipv4 ? NEXT_IPV4 : NEXT_IPV6;
  }

  /** Packets, inner bytes and next sequence number of SA number `i`. */
  statsOf(i: number): Record<string, unknown> {
    const { state } = this;
    const record = i << RECORD_SHIFT;
    const { name, seqLow, seqHigh } = this.sas[i]!;
    const exhausted = state[record + EXHAUSTED] !== 0;
    const number = (high: number, low: number) => (high >>> 0) * 0x1_0000_0000 + (low >>> 0);
    const next = exhausted
      ? number(state[record + ESN] === 0 ? 0 : -1, -1) + 1
      : number(state[record + SEQ_HIGH]!, state[record + SEQ_LOW]!);
    const packets = next - number(seqHigh, seqLow);
    const bytes = number(state[record + BYTES_HIGH]!, state[record + BYTES_LOW]!);
    return { name, direction: "out", packets, bytes, next_seq: next, exhausted };
  }
}
