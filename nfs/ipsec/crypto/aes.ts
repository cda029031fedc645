/**
 * AES-128 and its CBC mode in plain TypeScript (FIPS 197, NIST SP 800-38A section 6.2, RFC 3602).
 *
 * The state is four u32 words in big-endian order, one per column, and a round is sixteen look-ups in tables that
 * combine SubBytes, ShiftRows and MixColumns. Decryption is the equivalent inverse cipher (FIPS 197 section 5.3.5),
 * whose round keys have been through InvMixColumns. Nothing is allocated per call.
 *
 * Look-ups whose addresses depend on the key can leak it through the cache to somebody on the same core: the native
 * back end has no such tables and is what production uses.
 */

/** u32 words of a round key schedule: 11 round keys. */
export const SCHEDULE_WORDS = 44;
export const BLOCK_BYTES = 16;
const ROUNDS = 10;

const SBOX = new Uint8Array(256);
const INVERSE_SBOX = new Uint8Array(256);
/** TE[k] is TE[0] rotated right by 8k bits: the k-th byte of a column. */
const TE = [new Int32Array(256), new Int32Array(256), new Int32Array(256), new Int32Array(256)] as const;
const TD = [new Int32Array(256), new Int32Array(256), new Int32Array(256), new Int32Array(256)] as const;
const [TE0, TE1, TE2, TE3] = TE;
const [TD0, TD1, TD2, TD3] = TD;
buildTables();

/** Multiplication by x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197 section 4.2). */
function xtime(a: number): number {
  return ((a << 1) ^ (a & 0x80 ? 0x11b : 0)) & 0xff;
}

function multiply(a: number, b: number): number {
  let product = 0;
  for (let x = a, bits = b; bits !== 0; x = xtime(x), bits >>= 1) if (bits & 1) product ^= x;
  return product;
}

function buildTables(): void {
  // 3 generates the multiplicative group, so its powers give logarithms and with them inverses.
  const power = new Uint8Array(256);
  const log = new Uint8Array(256);
  for (let i = 0, x = 1; i < 255; i++, x ^= xtime(x)) {
    power[i] = x;
    log[x] = i;
  }
  for (let value = 0; value < 256; value++) {
    const inverse = value === 0 ? 0 : power[(255 - log[value]!) % 255]!;
    let s = 0x63;
    for (let r = 0; r < 5; r++) s ^= ((inverse << r) | (inverse >> (8 - r))) & 0xff;
    SBOX[value] = s;
    INVERSE_SBOX[s] = value;
  }
  for (let value = 0; value < 256; value++) {
    const s = SBOX[value]!;
    const i = INVERSE_SBOX[value]!;
    const e = (xtime(s) << 24) | (s << 16) | (s << 8) | (xtime(s) ^ s);
    const d = (multiply(i, 14) << 24) | (multiply(i, 9) << 16) | (multiply(i, 13) << 8) | multiply(i, 11);
    for (let k = 0; k < 4; k++) {
      TE[k]![value] = k === 0 ? e : (e >>> (8 * k)) | (e << (32 - 8 * k));
      TD[k]![value] = k === 0 ? d : (d >>> (8 * k)) | (d << (32 - 8 * k));
    }
  }
}

function subWord(w: number): number {
  return (SBOX[w >>> 24]! << 24) | (SBOX[(w >>> 16) & 0xff]! << 16) | (SBOX[(w >>> 8) & 0xff]! << 8) | SBOX[w & 0xff]!;
}

/**
 * FIPS 197 section 5.2: the encryption round keys of a 16-byte key, as big-endian words at `keys[at .. at +
 * SCHEDULE_WORDS)`.
 */
export function expandKey(key: Uint8Array, keys: Uint32Array, at: number): void {
  for (let i = 0; i < 4; i++) {
    keys[at + i] = (key[4 * i]! << 24) | (key[4 * i + 1]! << 16) | (key[4 * i + 2]! << 8) | key[4 * i + 3]!;
  }
  let rcon = 1;
  for (let i = 4; i < SCHEDULE_WORDS; i++) {
    let w = keys[at + i - 1]!;
    if (i % 4 === 0) {
      w = subWord((w << 8) | (w >>> 24)) ^ (rcon << 24);
      rcon = xtime(rcon);
    }
    keys[at + i] = keys[at + i - 4]! ^ w;
  }
}

/**
 * The round keys of the equivalent inverse cipher, from those of encryption: last round first, InvMixColumns on the
 * inner ones.
 */
export function invertKey(encrypt: Uint32Array, from: number, decrypt: Uint32Array, at: number): void {
  for (let round = 0; round <= ROUNDS; round++) {
    for (let i = 0; i < 4; i++) {
      const w = encrypt[from + 4 * (ROUNDS - round) + i]!;
      // TD undoes SubBytes first, so InvMixColumns alone is TD of SBOX.
      decrypt[at + 4 * round + i] =
        round === 0 || round === ROUNDS
          ? w
          : TD0[SBOX[w >>> 24]!]! ^
            TD1[SBOX[(w >>> 16) & 0xff]!]! ^
            TD2[SBOX[(w >>> 8) & 0xff]!]! ^
            TD3[SBOX[w & 0xff]!]!;
    }
  }
}

/**
 * CBC encryption in place.
 * @param view bytes; @param at first byte of the plaintext; @param bytes a multiple of 16
 * @param ivAt where the 16-byte IV stands in `view`
 * @param keys schedules, this one from word `keyAt` on ({@link expandKey})
 */
export function encryptCbc(
  view: DataView,
  at: number,
  bytes: number,
  ivAt: number,
  keys: Uint32Array,
  keyAt: number,
): void {
  let c0 = view.getInt32(ivAt);
  let c1 = view.getInt32(ivAt + 4);
  let c2 = view.getInt32(ivAt + 8);
  let c3 = view.getInt32(ivAt + 12);
  const end = at + bytes;
  for (let p = at; p < end; p += BLOCK_BYTES) {
    let k = keyAt;
    let s0 = view.getInt32(p) ^ c0 ^ keys[k]!;
    let s1 = view.getInt32(p + 4) ^ c1 ^ keys[k + 1]!;
    let s2 = view.getInt32(p + 8) ^ c2 ^ keys[k + 2]!;
    let s3 = view.getInt32(p + 12) ^ c3 ^ keys[k + 3]!;
    for (let round = 1; round < ROUNDS; round++) {
      k += 4;
      const t0 = TE0[s0 >>> 24]! ^ TE1[(s1 >>> 16) & 0xff]! ^ TE2[(s2 >>> 8) & 0xff]! ^ TE3[s3 & 0xff]! ^ keys[k]!;
      const t1 = TE0[s1 >>> 24]! ^ TE1[(s2 >>> 16) & 0xff]! ^ TE2[(s3 >>> 8) & 0xff]! ^ TE3[s0 & 0xff]! ^ keys[k + 1]!;
      const t2 = TE0[s2 >>> 24]! ^ TE1[(s3 >>> 16) & 0xff]! ^ TE2[(s0 >>> 8) & 0xff]! ^ TE3[s1 & 0xff]! ^ keys[k + 2]!;
      const t3 = TE0[s3 >>> 24]! ^ TE1[(s0 >>> 16) & 0xff]! ^ TE2[(s1 >>> 8) & 0xff]! ^ TE3[s2 & 0xff]! ^ keys[k + 3]!;
      s0 = t0;
      s1 = t1;
      s2 = t2;
      s3 = t3;
    }
    k += 4;
    c0 = lastColumn(SBOX, s0, s1, s2, s3) ^ keys[k]!;
    c1 = lastColumn(SBOX, s1, s2, s3, s0) ^ keys[k + 1]!;
    c2 = lastColumn(SBOX, s2, s3, s0, s1) ^ keys[k + 2]!;
    c3 = lastColumn(SBOX, s3, s0, s1, s2) ^ keys[k + 3]!;
    view.setInt32(p, c0);
    view.setInt32(p + 4, c1);
    view.setInt32(p + 8, c2);
    view.setInt32(p + 12, c3);
  }
}

/** CBC decryption in place; parameters as {@link encryptCbc}, `keys` from {@link invertKey}. */
export function decryptCbc(
  view: DataView,
  at: number,
  bytes: number,
  ivAt: number,
  keys: Uint32Array,
  keyAt: number,
): void {
  let c0 = view.getInt32(ivAt);
  let c1 = view.getInt32(ivAt + 4);
  let c2 = view.getInt32(ivAt + 8);
  let c3 = view.getInt32(ivAt + 12);
  const end = at + bytes;
  for (let p = at; p < end; p += BLOCK_BYTES) {
    const n0 = view.getInt32(p);
    const n1 = view.getInt32(p + 4);
    const n2 = view.getInt32(p + 8);
    const n3 = view.getInt32(p + 12);
    let k = keyAt;
    let s0 = n0 ^ keys[k]!;
    let s1 = n1 ^ keys[k + 1]!;
    let s2 = n2 ^ keys[k + 2]!;
    let s3 = n3 ^ keys[k + 3]!;
    for (let round = 1; round < ROUNDS; round++) {
      k += 4;
      const t0 = TD0[s0 >>> 24]! ^ TD1[(s3 >>> 16) & 0xff]! ^ TD2[(s2 >>> 8) & 0xff]! ^ TD3[s1 & 0xff]! ^ keys[k]!;
      const t1 = TD0[s1 >>> 24]! ^ TD1[(s0 >>> 16) & 0xff]! ^ TD2[(s3 >>> 8) & 0xff]! ^ TD3[s2 & 0xff]! ^ keys[k + 1]!;
      const t2 = TD0[s2 >>> 24]! ^ TD1[(s1 >>> 16) & 0xff]! ^ TD2[(s0 >>> 8) & 0xff]! ^ TD3[s3 & 0xff]! ^ keys[k + 2]!;
      const t3 = TD0[s3 >>> 24]! ^ TD1[(s2 >>> 16) & 0xff]! ^ TD2[(s1 >>> 8) & 0xff]! ^ TD3[s0 & 0xff]! ^ keys[k + 3]!;
      s0 = t0;
      s1 = t1;
      s2 = t2;
      s3 = t3;
    }
    k += 4;
    view.setInt32(p, lastColumn(INVERSE_SBOX, s0, s3, s2, s1) ^ keys[k]! ^ c0);
    view.setInt32(p + 4, lastColumn(INVERSE_SBOX, s1, s0, s3, s2) ^ keys[k + 1]! ^ c1);
    view.setInt32(p + 8, lastColumn(INVERSE_SBOX, s2, s1, s0, s3) ^ keys[k + 2]! ^ c2);
    view.setInt32(p + 12, lastColumn(INVERSE_SBOX, s3, s2, s1, s0) ^ keys[k + 3]! ^ c3);
    c0 = n0;
    c1 = n1;
    c2 = n2;
    c3 = n3;
  }
}

/**
 * A column of the last round: SubBytes and ShiftRows without MixColumns; the words in the order ShiftRows takes bytes
 * from.
 */
function lastColumn(box: Uint8Array, a: number, b: number, c: number, d: number): number {
  return (box[a >>> 24]! << 24) | (box[(b >>> 16) & 0xff]! << 16) | (box[(c >>> 8) & 0xff]! << 8) | box[d & 0xff]!;
}
