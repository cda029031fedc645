/**
 * What this NF does, packet by packet, with node:crypto, BigInt sequence numbers and a set of seen ones. Written to be
 * read; the fast paths are compared with it byte for byte. It trusts the gate, as they do.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac } from "node:crypto";

/** An SA as the file has it. */
export interface ReferenceSa {
  readonly name: string;
  readonly direction: "in" | "out";
  readonly spi: number;
  readonly src: string;
  readonly dst: string;
  readonly cipher_key: string;
  readonly auth_key: string;
  readonly esn?: boolean;
  readonly seq_start?: number | string;
  readonly replay_window?: number;
}

export interface ReferenceOptions {
  readonly seed: number;
  /** Longest outer packet. */
  readonly mtu: number;
  /** Which of the outbound SAs a frame takes; their number where none. */
  select(frame: Uint8Array): number;
  /** Bytes of a slot, and where the frame starts in it. */
  readonly slotBytes: number;
}

export interface ReferenceResult {
  readonly outcome: string;
  readonly frame: Uint8Array;
}

const OUTER_HEADERS = 20 + 8 + 16;
const ICV_BYTES = 12;

interface State {
  readonly sa: ReferenceSa;
  readonly index: number;
  readonly cipherKey: Buffer;
  readonly authKey: Buffer;
  /** Outbound: the next number. Inbound: the highest seen. */
  seq: bigint;
  readonly seen: Set<bigint>;
}

export class ReferenceIpsec {
  private readonly out: State[];
  private readonly incoming: State[];
  private readonly ivKey: Buffer;

  constructor(
    sas: readonly ReferenceSa[],
    private readonly options: ReferenceOptions,
  ) {
    const states = sas.map((sa, index) => ({
      sa,
      index,
      cipherKey: Buffer.from(sa.cipher_key, "hex"),
      authKey: Buffer.from(sa.auth_key, "hex"),
      seq: BigInt(sa.seq_start ?? 1) - (sa.direction === "in" ? 1n : 0n),
      seen: new Set<bigint>(),
    }));
    this.out = states.filter((state) => state.sa.direction === "out");
    this.incoming = states.filter((state) => state.sa.direction === "in");
    this.ivKey = createHash("sha256").update(`wingbeat ipsec iv ${options.seed}`).digest().subarray(0, 16);
  }

  /** @param start where the frame starts in its slot: the headroom */
  process(bytes: Uint8Array, start: number): ReferenceResult {
    const frame = Buffer.from(bytes);
    let l3 = 14;
    while ([0x8100, 0x88a8, 0x9100].includes(frame.readUInt16BE(l3 - 2))) l3 += 4;
    const etherType = frame.readUInt16BE(l3 - 2);
    if (etherType !== 0x0800 && etherType !== 0x86dd) return { outcome: "bypass", frame };
    const total = etherType === 0x0800 ? frame.readUInt16BE(l3 + 2) : 40 + frame.readUInt16BE(l3 + 4);
    const layer2 = frame.subarray(0, l3 - 2);
    const packet = frame.subarray(l3, l3 + total);

    if (etherType === 0x0800 && packet[9] === 50) {
      const dst = packet.subarray(16, 20).join(".");
      if (this.incoming.some(({ sa }) => sa.dst === dst)) {
        const { outcome, packet: inner } = this.open(packet, dst);
        return { outcome, frame: inner === undefined ? frame : framed(layer2, inner) };
      }
    }
    const state = this.out[this.options.select(bytes)];
    if (state === undefined) return { outcome: "bypass", frame };
    const { outcome, packet: outer } = this.protect(packet, state, start, l3);
    return { outcome, frame: outer === undefined ? frame : framed(layer2, outer) };
  }

  private protect(inner: Buffer, state: State, start: number, l3: number): { outcome: string; packet?: Buffer } {
    const { sa } = state;
    const padBytes = (16 - ((inner.length + 2) % 16)) % 16;
    const outerBytes = OUTER_HEADERS + inner.length + padBytes + 2 + ICV_BYTES;
    const end = start + l3 - OUTER_HEADERS + outerBytes;
    if (outerBytes > this.options.mtu || start < OUTER_HEADERS || end > this.options.slotBytes)
      return { outcome: "too-big" };
    if (state.seq > (sa.esn ? 2n ** 64n - 1n : 2n ** 32n - 1n)) return { outcome: "seq-exhausted" };
    const seq = state.seq++;

    const version = inner[0]! >> 4;
    const pad = Buffer.from(Array.from({ length: padBytes }, (_, i) => i + 1));
    const plain = Buffer.concat([inner, pad, Buffer.from([padBytes, version === 4 ? 4 : 41])]);
    const iv = this.iv(seq, state.index);
    const cipher = createCipheriv("aes-128-cbc", state.cipherKey, iv).setAutoPadding(false);
    const header = Buffer.alloc(8);
    header.writeUInt32BE(sa.spi, 0);
    header.writeUInt32BE(Number(seq & 0xffffffffn), 4);
    const body = Buffer.concat([header, iv, cipher.update(plain), cipher.final()]);

    const outer = Buffer.alloc(20);
    outer[0] = 0x45;
    outer[1] = version === 4 ? inner[1]! : (inner.readUInt16BE(0) >> 4) & 0xff;
    outer.writeUInt16BE(outerBytes, 2);
    outer.writeUInt16BE(Number(seq & 0xffffn), 4);
    outer.writeUInt16BE(version === 4 ? inner.readUInt16BE(6) & 0x4000 : 0x4000, 6);
    outer[8] = 64;
    outer[9] = 50;
    outer.set(sa.src.split(".").map(Number), 12);
    outer.set(sa.dst.split(".").map(Number), 16);
    outer.writeUInt16BE(checksum(outer), 10);
    return { outcome: "protected", packet: Buffer.concat([outer, body, this.icv(state, body, seq)]) };
  }

  private open(packet: Buffer, dst: string): { outcome: string; packet?: Buffer } {
    const esp = packet.subarray((packet[0]! & 0xf) * 4);
    const cipherBytes = esp.length - 8 - 16 - ICV_BYTES;
    const isFragment = (packet.readUInt16BE(6) & 0x3fff) !== 0;
    if (isFragment || cipherBytes < 16 || cipherBytes % 16 !== 0) return { outcome: "malformed" };
    const spi = esp.readUInt32BE(0);
    const state = this.incoming.find(({ sa }) => sa.dst === dst && sa.spi === spi);
    if (state === undefined) return { outcome: "no-sa" };

    const seq = this.sequenceNumber(state, esp.readUInt32BE(4));
    const window = BigInt(state.sa.replay_window ?? 64);
    const start = BigInt(state.sa.seq_start ?? 1);
    if (window > 0n && (seq <= state.seq - window || seq < start || state.seen.has(seq)))
      return { outcome: "replayed" };
    const body = esp.subarray(0, esp.length - ICV_BYTES);
    if (!this.icv(state, body, seq).equals(esp.subarray(esp.length - ICV_BYTES))) return { outcome: "bad-icv" };
    state.seen.add(seq);
    if (seq > state.seq) state.seq = seq;

    const decipher = createDecipheriv("aes-128-cbc", state.cipherKey, esp.subarray(8, 24)).setAutoPadding(false);
    const plain = Buffer.concat([decipher.update(body.subarray(24)), decipher.final()]);
    const inner = unpad(plain);
    return inner !== undefined && decapsulateEcn(inner, packet[1]! & 3)
      ? { outcome: "opened", packet: inner }
      : { outcome: "malformed" };
  }

  /**
   * The number whose low 32 bits the packet carries: the first from the window's left edge on (RFC 4303 Appendix A2).
   */
  private sequenceNumber(state: State, low: number): bigint {
    if (!state.sa.esn) return BigInt(low);
    const left = state.seq - BigInt(state.sa.replay_window || 64) + 1n;
    const seq = BigInt(low);
    if (seq >= left) return seq;
    const span = 2n ** 32n;
    // Behind the last number there is none: what would lie there has been left behind.
    return (seq + ((left - seq + span - 1n) / span) * span) % 2n ** 64n;
  }

  private icv(state: State, body: Buffer, seq: bigint): Buffer {
    const hmac = createHmac("sha1", state.authKey).update(body);
    if (state.sa.esn) {
      const high = Buffer.alloc(4);
      high.writeUInt32BE(Number((seq >> 32n) & 0xffffffffn));
      hmac.update(high);
    }
    return hmac.digest().subarray(0, ICV_BYTES);
  }

  private iv(seq: bigint, index: number): Buffer {
    const block = Buffer.alloc(16);
    block.writeBigUInt64BE(seq, 0);
    block.writeUInt32BE(index, 8);
    return createCipheriv("aes-128-ecb", this.ivKey, null).setAutoPadding(false).update(block);
  }
}

function framed(layer2: Buffer, packet: Buffer): Buffer {
  const etherType = packet[0]! >> 4 === 4 ? [0x08, 0x00] : [0x86, 0xdd];
  return Buffer.concat([layer2, Buffer.from(etherType), packet]);
}

/** The inner packet of a decrypted payload, or nothing where there is none. */
function unpad(plain: Buffer): Buffer | undefined {
  const padBytes = plain.at(-2)!;
  const next = plain.at(-1)!;
  const rest = plain.subarray(0, -2);
  if (padBytes > rest.length) return undefined;
  const pad = rest.subarray(rest.length - padBytes);
  if (!pad.every((byte, i) => byte === i + 1)) return undefined;
  const body = rest.subarray(0, rest.length - padBytes);
  if (next === 4) {
    if (body.length < 20 || body[0]! >> 4 !== 4) return undefined;
    const header = (body[0]! & 0xf) * 4;
    const total = body.readUInt16BE(2);
    return header < 20 || total < header || total > body.length ? undefined : body.subarray(0, total);
  }
  if (next !== 41 || body.length < 40 || body[0]! >> 4 !== 6) return undefined;
  const total = 40 + body.readUInt16BE(4);
  return total > body.length ? undefined : body.subarray(0, total);
}

/** RFC 6040 section 4.2. Changes the inner header; false where the packet has to be dropped. */
function decapsulateEcn(inner: Buffer, outer: number): boolean {
  const version = inner[0]! >> 4;
  const shift = version === 4 ? 0 : 4;
  const field = (inner[1]! >> shift) & 3;
  let result = field;
  if (field === 0) {
    if (outer === 3) return false;
  } else if (outer === 3) {
    result = 3;
  } else if (field === 2 && outer === 1) {
    result = 1;
  }
  if (result === field) return true;
  const wasGood = version === 4 && checksum(inner.subarray(0, (inner[0]! & 0xf) * 4)) === 0;
  inner[1] = (inner[1]! & ~(3 << shift)) | (result << shift);
  if (wasGood) {
    inner.writeUInt16BE(0, 10);
    inner.writeUInt16BE(checksum(inner.subarray(0, (inner[0]! & 0xf) * 4)), 10);
  }
  return true;
}

/** RFC 1071: 0 over a header that holds its good checksum. */
function checksum(header: Buffer): number {
  let sum = 0;
  for (let i = 0; i < header.length; i += 2) sum += header.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
