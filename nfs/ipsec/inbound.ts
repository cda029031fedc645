/**
 * Inbound: ESP packets addressed to one of our SAs (RFC 4303 section 3.4).
 *
 * prepare finds the SA and says what has to be verified; finish decides, in arrival order: replayed, then bad-icv, then
 * the window moves. Only then is anything decrypted, so an error leaves the packet as it came, also where a batch holds
 * two copies of one. A kernel decrypts what is authentic before finish has decided: where finish then refuses the packet,
 * it is encrypted again, which gives the bytes that came (rare: replays that prepare could not see yet, bad contents).
 */
import { type Arena, FLAG, PARAM_WORDS, SLOT_SHIFT } from "../../runtime/packet/arena.js";
import { type Batch, MAX_BATCH } from "../../runtime/packet/batch.js";
import { ETHERTYPE, IPPROTO, IPV4, IPV6 } from "../../runtime/packet/protocols.js";
import type { EspCrypto } from "./crypto/esp-crypto.js";
import { ECN_DECAPSULATED, ECN_DROP, ECN_MASK } from "./ecn.js";
import { ESN_BIT, ESP, OP, OP_MASK, PARAM, SA_SHIFT } from "./layout.js";
import { SaLookup } from "./lookup.js";
import { OUTCOME } from "./outcomes.js";
import { ReplayWindows } from "./replay.js";
import type { Sa } from "./sas.js";

/** Not decided before finish. No outcome has this code. */
export const PENDING = 0xff;
/** Accepted, and decrypted already. No outcome has this code. */
const DECRYPTED = 0xfe;

export class Inbound {
  private readonly lookup: SaLookup;
  private readonly windows: ReplayWindows;
  /** 1 where the SA has extended sequence numbers. */
  private readonly esn: Uint8Array;
  /** Position in the file, and its inverse. */
  private readonly index: Uint32Array;
  private readonly numberOf: Uint32Array;
  private readonly packets: Float64Array;
  private readonly bytes: Float64Array;

  /** Packets finish accepted, to be decrypted together, and where their outcomes stand in the batch. */
  private readonly accepted = new Uint32Array(MAX_BATCH);
  private readonly acceptedAt = new Uint32Array(MAX_BATCH);
  private readonly one = new Uint32Array(1);

  /**
   * @param sas the inbound ones
   * @param op what transform has to do: OP.VERIFY, or OP.OPEN where it is a kernel
   */
  constructor(
    private readonly arena: Arena,
    private readonly sas: readonly Sa[],
    private readonly crypto: EspCrypto,
    private readonly op: number,
  ) {
    this.lookup = new SaLookup(sas);
    this.windows = new ReplayWindows(sas);
    this.esn = Uint8Array.from(sas, (sa) => (sa.esn ? 1 : 0));
    this.index = Uint32Array.from(sas, (sa) => sa.index);
    this.numberOf = new Uint32Array(this.index.reduce((a, b) => Math.max(a, b), 0) + 1);
    sas.forEach((sa, i) => {
      this.numberOf[sa.index] = i;
    });
    this.packets = new Float64Array(sas.length);
    this.bytes = new Float64Array(sas.length);
  }

  /** Whether an IPv4 packet with protocol ESP is addressed to one of our SAs. */
  isOurs(slot: number): boolean {
    const { view, l3 } = this.arena;
    return this.lookup.isOurs(view.getInt32((slot << SLOT_SHIFT) + l3[slot]! + IPV4.DST));
  }

  /** Writes the params of a packet that {@link isOurs}. Returns PENDING, or the outcome where it is clear already. */
  prepare(slot: number): number {
    const { arena } = this;
    const { view, params } = arena;
    if ((arena.flags[slot]! & FLAG.FRAGMENT) !== 0) return OUTCOME.MALFORMED;
    const esp = arena.l4[slot]!;
    const bytes = arena.l3end[slot]! - esp;
    const cipherBytes = bytes - ESP.CIPHER - ESP.ICV_BYTES;
    if (bytes < ESP.MIN_BYTES || cipherBytes % ESP.BLOCK_BYTES !== 0) return OUTCOME.MALFORMED;

    const base = slot << SLOT_SHIFT;
    const dst = view.getInt32(base + arena.l3[slot]! + IPV4.DST);
    const spi = view.getInt32(base + esp + ESP.SPI);
    const i = spi === 0 ? -1 : this.lookup.find(dst, spi);
    if (i < 0) return OUTCOME.NO_SA;

    const low = view.getUint32(base + esp + ESP.SEQ);
    const esn = this.esn[i]!;
    const high = esn !== 0 ? this.windows.inferHigh(i, low) : 0;
    const p = slot * PARAM_WORDS;
    const op = this.windows.seen(i, high, low) ? OP.SEEN : this.op;
    params[p + PARAM.TASK] = op | (esn === 0 ? 0 : ESN_BIT) | (this.index[i]! << SA_SHIFT);
    params[p + PARAM.PLACE] = esp | (cipherBytes << 16);
    params[p + PARAM.SEQ_LOW] = low;
    params[p + PARAM.SEQ_HIGH] = high;
    return PENDING;
  }

  /** Decides every PENDING packet of the batch. */
  finish(batch: Batch): void {
    const { slots, outcomes, count } = batch;
    const { accepted, acceptedAt } = this;
    let n = 0;
    for (let k = 0; k < count; k++) {
      if (outcomes[k] !== PENDING) continue;
      const outcome = this.judge(slots[k]!);
      outcomes[k] = outcome;
      if (outcome === OUTCOME.OPENED) {
        accepted[n] = slots[k]!;
        acceptedAt[n++] = k;
      } else if (outcome === DECRYPTED) {
        outcomes[k] = this.leave(slots[k]!);
      }
    }
    if (n === 0) return;
    this.crypto.decrypt(accepted, n);
    for (let k = 0; k < n; k++) outcomes[acceptedAt[k]!] = this.leave(accepted[k]!);
  }

  /** Outcome of an accepted packet that is decrypted. */
  private leave(slot: number): number {
    if (this.unwrap(slot)) return OUTCOME.OPENED;
    this.restore(slot);
    return OUTCOME.MALFORMED;
  }

  /** Encrypts again what was decrypted. */
  private restore(slot: number): void {
    this.one[0] = slot;
    this.crypto.encrypt(this.one, 1);
  }

  /** Replayed, bad-icv, or accepted, and the window has moved: OPENED, or DECRYPTED where a kernel did that already. */
  private judge(slot: number): number {
    const { params } = this.arena;
    const p = slot * PARAM_WORDS;
    const task = params[p + PARAM.TASK]!;
    const i = this.numberOf[task >>> SA_SHIFT]!;
    const low = params[p + PARAM.SEQ_LOW]!;
    const high = (task & ESN_BIT) !== 0 ? this.windows.inferHigh(i, low) : 0;
    const op = task & OP_MASK;
    const decrypted = op === OP.OPEN && params[p + PARAM.VERDICT] !== 0;
    if (this.windows.seen(i, high, low)) {
      if (decrypted) this.restore(slot);
      return OUTCOME.REPLAYED;
    }
    if (op === OP.SEEN || params[p + PARAM.SEQ_HIGH] !== high) {
      // The window moved since prepare looked, so far that the low 32 bits now mean another number: verify as if it
      // came only now.
      if (decrypted) this.restore(slot);
      params[p + PARAM.TASK] = (task & ~OP_MASK) | OP.VERIFY;
      params[p + PARAM.SEQ_HIGH] = high;
      this.one[0] = slot;
      this.crypto.transform(this.one, 1);
      if (params[p + PARAM.VERDICT] === 0) return OUTCOME.BAD_ICV;
      this.windows.accept(i, high, low);
      return OUTCOME.OPENED;
    }
    if (params[p + PARAM.VERDICT] === 0) return OUTCOME.BAD_ICV;
    this.windows.accept(i, high, low);
    return decrypted ? DECRYPTED : OUTCOME.OPENED;
  }

  /**
   * Takes the tunnel off a decrypted packet. The gate sees the packet next, so of its metadata only `off` and `len` are
   * set.
   * @returns false where what was inside is no packet of ours to pass on; nothing has changed then
   */
  private unwrap(slot: number): boolean {
    const { arena } = this;
    const { u8, params, view } = arena;
    const base = slot << SLOT_SHIFT;
    const p = slot * PARAM_WORDS;
    const place = params[p + PARAM.PLACE]!;
    const inner = (place & 0xffff) + ESP.CIPHER;
    const end = base + inner + (place >>> 16) - ESP.TRAILER_BYTES;
    const at = base + inner;

    // RFC 4303 section 2.4: pad bytes are 1, 2, 3...; the receiver should look at them.
    const pad = u8[end]!;
    if (end - pad < at) return false;
    for (let k = 1; k <= pad; k++) if (u8[end - pad + k - 1] !== k) return false;
    // What lies behind the inner packet is traffic flow confidentiality padding (RFC 4303 section 2.7): its own header
    // says its length.
    const available = end - pad - at;
    // 59, a dummy packet (RFC 4303 section 2.6), and transport mode have no inner IP packet.
    const next = u8[end + 1]!;
    let bytes: number;
    if (next === IPPROTO.IPV4) {
      if (available < IPV4.MIN_BYTES) return false;
      const header = (u8[at]! & 0xf) * 4;
      bytes = view.getUint16(at + IPV4.TOTAL_LENGTH);
      if (u8[at]! >> 4 !== 4 || header < IPV4.MIN_BYTES || bytes < header || bytes > available) return false;
    } else if (next === IPPROTO.IPV6) {
      if (available < IPV6.BYTES || u8[at]! >> 4 !== 6) return false;
      bytes = IPV6.BYTES + view.getUint16(at + IPV6.PAYLOAD_LENGTH);
      if (bytes > available) return false;
    } else {
      return false;
    }
    if (!this.decapsulateEcn(at, base + arena.l3[slot]!, next)) return false;

    const i = this.numberOf[params[p + PARAM.TASK]! >>> SA_SHIFT]!;
    this.packets[i] = this.packets[i]! + 1;
    this.bytes[i] = this.bytes[i]! + bytes;
    const start = arena.off[slot]!;
    const moved = inner - arena.l3[slot]!;
    this.moveLayer2(base + start, base + arena.l3[slot]!, moved);
    view.setUint16(at - 2, next === IPPROTO.IPV4 ? ETHERTYPE.IPV4 : ETHERTYPE.IPV6);
    arena.off[slot] = start + moved;
    arena.len[slot] = inner + bytes - (start + moved);
    return true;
  }

  /** Carries the outer congestion mark over to the inner header; false where the packet has to be dropped. */
  private decapsulateEcn(inner: number, outer: number, next: number): boolean {
    const { u8, view } = this.arena;
    const shift = next === IPPROTO.IPV4 ? 0 : 4;
    const field = inner + 1; // IPv6: the traffic class lies across bytes 0 and 1, its ECN bits in byte 1
    const before = (u8[field]! >> shift) & ECN_MASK;
    const after = ECN_DECAPSULATED[before * 4 + (u8[outer + IPV4.TOS]! & ECN_MASK)]!;
    if (after === ECN_DROP) return false;
    if (after === before) return true;
    u8[field] = (u8[field]! & ~(ECN_MASK << shift)) | (after << shift);
    if (next === IPPROTO.IPV4) {
      // RFC 1624, equation 3: HC' = ~(~HC + ~m + m'); m and m' differ in the ECN bits alone.
      let sum = (~view.getUint16(inner + IPV4.CHECKSUM) & 0xffff) + (~before & 0xffff) + after;
      sum = (sum & 0xffff) + (sum >>> 16);
      view.setUint16(inner + IPV4.CHECKSUM, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
    }
    return true;
  }

  /** Moves addresses and VLAN tags, [from, to - 2), up by `bytes`; descending, because they move upwards. */
  private moveLayer2(from: number, to: number, bytes: number): void {
    const { u16 } = this.arena;
    const source = from >> 1;
    const target = (from + bytes) >> 1;
    for (let k = ((to - from - 2) >> 1) - 1; k >= 0; k--) u16[target + k] = u16[source + k]!;
  }

  /** Packets and inner bytes opened by SA number `i`, and the right edge of its window. */
  statsOf(i: number): Record<string, unknown> {
    const { name } = this.sas[i]!;
    return { name, direction: "in", packets: this.packets[i], bytes: this.bytes[i], highest_seq: this.windows.top(i) };
  }
}
