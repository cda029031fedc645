/**
 * Outbound: everything about packets that enter a tunnel except their encryption (RFC 4303 section 3.3, RFC 4301
 * section 5.1.2).
 *
 * The inner packet stays where it is. In front of it go outer IPv4 header, ESP header and IV, behind it padding and
 * trailer, and the layer 2 header moves towards the start of the slot. All that can fail is decided before the first
 * byte is written.
 *
 * What this costs is the number of array accesses (each with its bounds check), so the loop has few of them, over few
 * arrays: headers are written as aligned words, metadata through one array of each width.
 */
import { type Arena, FLAG, PARAM_WORDS, SLOT_SHIFT, SLOT_SIZE } from "../../runtime/packet/arena.js";
import { type Batch, MAX_BATCH } from "../../runtime/packet/batch.js";
import { ETHERNET, ETHERTYPE, IPPROTO, IPV4 } from "../../runtime/packet/protocols.js";
import type { IvSource } from "./iv.js";
import { ESN_BIT, ESP, OP, PARAM, SA_SHIFT, TUNNEL_BYTES } from "./layout.js";
import { OUTCOME } from "./outcomes.js";
import type { Sa } from "./sas.js";

// Imported bindings are looked up at each use by V8 11; constants of this module are part of the compiled code.
const SHIFT = SLOT_SHIFT;
const SLOT_BYTES = SLOT_SIZE;
const IPV4_FLAG = FLAG.IPV4;
const VLAN_FLAG = FLAG.VLAN;
const PARAMS_SHIFT = Math.log2(PARAM_WORDS);
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
const { TASK, PLACE, SEQ_LOW: P_SEQ_LOW, SEQ_HIGH: P_SEQ_HIGH } = PARAM;
const ESN = ESN_BIT;
const TO_SA = SA_SHIFT;
const OUTER_TTL = 64;

/** Words of an SA's record; one cache line, because with many SAs every packet touches another. Values are signed. */
const RECORD_SHIFT = 4;
/** Tells the compiler that a record's number is not negative, so that adding to it cannot overflow. */
const RECORD_MASK = 0x7fff_fff0;
const SEQ_LOW = 0;
const SEQ_HIGH = 1;
/** Task word of the SA's packets, see PARAM.TASK. */
const SA_TASK = 2;
/** 1 once the last sequence number is used: it must not cycle (RFC 4303 section 3.3.3). */
const EXHAUSTED = 3;
/**
 * One's complement sum of the outer header's 16-bit fields that never change, as native loads give them, not folded.
 */
const HEADER_SUM = 4;
/**
 * Bytes of the packet that never change, from the outer source address to the SPI, as native words: 2 (upper half), 4,
 * 4, 2 (lower half).
 */
const SRC_HALF = 5;
const SRC_DST = 6;
const DST_SPI = 7;
const SPI_HALF = 8;
/** Inner bytes so far. */
const BYTES_LOW = 9;
const BYTES_HIGH = 10;

/** Answer for a packet that is not outbound: {@link Outbound.protect} leaves it alone. */
export const NOT_ASKED = -1;
/**
 * Words {@link Outbound.protect} keeps of a packet that {@link Outbound} writes the slow way: slot, record, IV, end.
 */
const REST_WORDS = 4;

export class Outbound {
  private readonly state: Int32Array;

  private readonly rest = new Int32Array(MAX_BATCH * REST_WORDS);

  /**
   * The whole arena, packets and metadata, in each width; what each array of metadata begins with is in {@link
   * metadata}.
   */
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
      const task = SEAL | (sa.esn ? ESN : 0) | (sa.index << TO_SA);
      const fields = [sa.seqLow, sa.seqHigh, task, 0, sum, srcHalf!, srcDst!, dstSpi!, spiHalf!];
      this.state.set(fields, i << RECORD_SHIFT);
    });
  }

  /**
   * Wraps packets that passed the gate, each for the outbound SA its answer names: writes outcomes, and params and
   * metadata of those protected. After any other outcome nothing has changed.
   * @param answers number of an outbound SA, their count (bypass), or NOT_ASKED, for each packet of the batch
   * @returns how many are protected
   *
   * Behind an untagged Ethernet header at a multiple of 4, IP headers begin 2 bytes behind one. So what is written is
   * cut into aligned words that begin with the EtherType; packets that lie otherwise are written by {@link
   * writePacket}. Sums are cut to 32 bits with | 0 because the compiler then leaves the overflow check out.
   */
  protect(batch: Batch, answers: Int32Array): number {
    const { slots, outcomes, count } = batch;
    const { state, mtu, mem32, mem16, mem8, metadata, rest } = this;
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
    const ivs = this.ivs.words;
    let iv = this.ivs.reserve(count);
    let protectedCount = 0;
    let others = 0;
    for (let i = 0; i < count; i++) {
      const answer = answers[i]!;
      if (answer === NOT_ASKED) continue;
      const slot = slots[i]!;
      const p = (PARAMS_AT + (slot << PARAMS_SHIFT)) | 0;
      if (answer === sas) {
        outcomes[i] = BYPASS;
        mem32[p + TASK] = NONE;
        continue;
      }
      const start = mem16[(OFF + slot) | 0]!;
      const l3 = mem16[(L3 + slot) | 0]!;
      const bytes = mem16[(L3END + slot) | 0]! - l3;
      const cipher = (bytes + TRAILER + BLOCK - 1) & -BLOCK;
      const outerBytes = TUNNEL + cipher + ICV;
      const end = l3 + cipher + ICV;
      const record = (answer << RECORD_SHIFT) & RECORD_MASK;
      if (start < TUNNEL || end > SLOT_BYTES || outerBytes > mtu || state[record + EXHAUSTED] !== 0) {
        outcomes[i] = start < TUNNEL || end > SLOT_BYTES || outerBytes > mtu ? TOO_BIG : SEQ_EXHAUSTED;
        mem32[p + TASK] = NONE;
        continue;
      }
      outcomes[i] = PROTECTED;
      protectedCount++;

      const task = state[record + SA_TASK]!;
      const number = state[record + SEQ_LOW]!;
      const top = state[record + SEQ_HIGH]!;
      state[record + SEQ_LOW] = (number + 1) | 0;
      if (number === -1) {
        // The low half is 0 again. With extended numbers that carries, up to 2^64 - 1; without, the SA has come to its
        // end.
        if ((task & ESN) === 0 || top === -1) state[record + EXHAUSTED] = 1;
        else state[record + SEQ_HIGH] = (top + 1) | 0;
      }
      const counted = (state[record + BYTES_LOW]! + bytes) | 0;
      state[record + BYTES_LOW] = counted;
      if (counted >>> 0 < bytes) state[record + BYTES_HIGH] = (state[record + BYTES_HIGH]! + 1) | 0;

      const newL3 = l3 - TUNNEL;
      const esp = newL3 + IPV4_BYTES;
      mem32[p + TASK] = task;
      mem32[p + PLACE] = esp | (cipher << 16);
      mem32[p + P_SEQ_LOW] = number;
      mem32[p + P_SEQ_HIGH] = top;
      mem16[(OFF + slot) | 0] = start - TUNNEL;
      mem16[(LEN + slot) | 0] = end - start + TUNNEL;
      mem16[(L3 + slot) | 0] = newL3;
      mem16[(L3END + slot) | 0] = end;
      mem16[(L4 + slot) | 0] = esp;
      mem16[(PAYLOAD + slot) | 0] = esp;
      mem16[(PAYLOAD_END + slot) | 0] = end;
      mem16[(SPORT + slot) | 0] = 0;
      mem16[(DPORT + slot) | 0] = 0;
      mem8[(PROTO + slot) | 0] = PROTO_ESP;
      mem8[(FLAGS + slot) | 0] = IPV4_FLAG | (mem8[(FLAGS + slot) | 0]! & VLAN_FLAG);

      const inner = ((slot << SHIFT) + l3) | 0;
      const innerEnd = (inner + bytes) | 0;
      if ((inner & 3) !== 2 || l3 - start !== ETHERNET_BYTES) {
        rest[others] = slot;
        rest[others + 1] = record;
        rest[others + 2] = iv;
        rest[others + 3] = innerEnd;
        others += REST_WORDS;
        iv = (iv + 4) | 0;
        continue;
      }
      // Addresses, before something is written over them.
      const q = (inner - TUNNEL - 2) >>> 2;
      mem32[q - 3] = mem32[q + 8]!;
      mem32[q - 2] = mem32[q + 9]!;
      mem32[q - 1] = mem32[q + 10]!;
      // First two bytes of the inner packet, in the upper half. DSCP and ECN are copied (RFC 6040 section 4.1), and DF
      // (RFC 4301 section 8.1); IPv6 is never fragmented on its way, so DF is set for it.
      const head = mem32[q + 11]!;
      const ipv4 = ((head >> 20) & 0xf) === 4;
      const tos = ipv4 ? head >>> 24 : ((head >> 12) & 0xf0) | (head >>> 28);
      const df = ipv4 ? mem32[q + 13]! & 0x40 : 0x40;
      const length = ((outerBytes & 0xff) << 8) | (outerBytes >> 8);
      const id = ((number & 0xff) << 8) | ((number >> 8) & 0xff);
      let sum = (state[record + HEADER_SUM]! + (tos << 8) + length + id + df) | 0;
      sum = (sum & 0xffff) + (sum >>> 16);
      sum = ~(sum + (sum >>> 16)) & 0xffff;
      const v0 = ivs[iv]!;
      const v1 = ivs[(iv + 1) | 0]!;
      const v2 = ivs[(iv + 2) | 0]!;
      const v3 = ivs[(iv + 3) | 0]!;
      iv = (iv + 4) | 0;
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

      // Pad bytes are 1, 2, 3... (RFC 4303 section 2.4): the word in which the packet ends, up to three whole ones, and
      // the half before the ciphertext's end, which holds pad length and next header. What is too much in the first
      // lies where the ICV goes.
      const pad = cipher - TRAILER - bytes;
      const e = innerEnd >>> 2;
      const last = (inner + cipher - TRAILER) >>> 2;
      const shift = (innerEnd & 3) << 3;
      mem32[e] = (mem32[e]! & ~(-1 << shift)) | (0x0403_0201 << shift);
      const next = (0x0403_0201 + Math.imul(4 - (innerEnd & 3), 0x0101_0101)) | 0;
      if (e + 1 < last) mem32[e + 1] = next;
      if (e + 2 < last) mem32[e + 2] = next + 0x0404_0404;
      if (e + 3 < last) mem32[e + 3] = next + 0x0808_0808;
      mem16[last * 2] = pad | ((ipv4 ? NEXT_IPV4 : NEXT_IPV6) << 8);
    }
    for (let r = 0; r < others; r += REST_WORDS) this.writePacket(rest[r]!, rest[r + 1]!, rest[r + 2]!, rest[r + 3]!);
    if (protectedCount > 0) this.ivs.settle(slots, count);
    return protectedCount;
  }

  /**
   * What {@link protect} writes, for any length of the layer 2 header and any alignment, once the metadata are those of
   * the new packet.
   */
  private writePacket(slot: number, record: number, iv: number, end: number): void {
    const { state, arena } = this;
    const { view, u8, params } = arena;
    const base = slot << SHIFT;
    const from = base + arena.off[slot]! + TUNNEL;
    const inner = base + arena.l3[slot]! + TUNNEL;
    const cipher = params[(slot << PARAMS_SHIFT) + PLACE]! >>> 16;
    const number = params[(slot << PARAMS_SHIFT) + P_SEQ_LOW]!;
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
    view.setUint32(outer + 24, number);
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
      ? number((state[record + SA_TASK]! & ESN) === 0 ? 0 : -1, -1) + 1
      : number(state[record + SEQ_HIGH]!, state[record + SEQ_LOW]!);
    const packets = next - number(seqHigh, seqLow);
    const bytes = number(state[record + BYTES_HIGH]!, state[record + BYTES_LOW]!);
    return { name, direction: "out", packets, bytes, next_seq: next, exhausted };
  }
}
