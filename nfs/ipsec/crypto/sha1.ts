/**
 * SHA-1 and HMAC-SHA1 in plain TypeScript (FIPS 180-4 section 6.1, RFC 2104, RFC 2202).
 *
 * HMAC hashes one block of key before the message and one before the inner digest; the states after those two blocks
 * depend on the key alone and are computed once per SA ({@link hmacStates}), so a packet costs no more than its own
 * blocks and one. Nothing is allocated per call.
 */

/** u32 words of a SHA-1 state. */
export const STATE_WORDS = 5;
export const DIGEST_BYTES = 20;
const BLOCK = 64;
/** Bytes of the message length, in bits, at the end of the padding. */
const LENGTH_BYTES = 8;
const INITIAL = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];

/** State words of the hash in progress; one thread, one hash at a time. */
const h = new Int32Array(STATE_WORDS);
const w = new Int32Array(80);
/** Last blocks of a message with their padding: two when the length does not fit behind the data. */
const tail = new DataView(new ArrayBuffer(2 * BLOCK));
const inner = new DataView(new ArrayBuffer(DIGEST_BYTES));

/** FIPS 180-4 section 6.1.2: one 64-byte block. */
function compress(view: DataView, at: number): void {
  for (let t = 0; t < 16; t++) w[t] = view.getInt32(at + 4 * t);
  for (let t = 16; t < 80; t++) {
    const x = w[t - 3]! ^ w[t - 8]! ^ w[t - 14]! ^ w[t - 16]!;
    w[t] = (x << 1) | (x >>> 31);
  }
  let a = h[0]!;
  let b = h[1]!;
  let c = h[2]!;
  let d = h[3]!;
  let e = h[4]!;
  for (let t = 0; t < 20; t++) {
    const x = (((a << 5) | (a >>> 27)) + ((b & c) | (~b & d)) + e + w[t]! + 0x5a827999) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = x;
  }
  for (let t = 20; t < 40; t++) {
    const x = (((a << 5) | (a >>> 27)) + (b ^ c ^ d) + e + w[t]! + 0x6ed9eba1) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = x;
  }
  for (let t = 40; t < 60; t++) {
    const x = (((a << 5) | (a >>> 27)) + ((b & c) | (b & d) | (c & d)) + e + w[t]! - 0x70e44324) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = x;
  }
  for (let t = 60; t < 80; t++) {
    const x = (((a << 5) | (a >>> 27)) + (b ^ c ^ d) + e + w[t]! - 0x359d3e2a) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = x;
  }
  h[0] = (h[0]! + a) | 0;
  h[1] = (h[1]! + b) | 0;
  h[2] = (h[2]! + c) | 0;
  h[3] = (h[3]! + d) | 0;
  h[4] = (h[4]! + e) | 0;
}

/**
 * Hashes the rest of a message whose first `before` bytes (whole blocks) are already in the state, then pads. The
 * digest is in `h`.
 */
function finish(view: DataView, at: number, bytes: number, before: number): void {
  const whole = bytes - (bytes % BLOCK);
  for (let p = 0; p < whole; p += BLOCK) compress(view, at + p);
  const rest = bytes - whole;
  const padded = rest + 1 + LENGTH_BYTES <= BLOCK ? BLOCK : 2 * BLOCK;
  for (let i = 0; i < rest; i++) tail.setUint8(i, view.getUint8(at + whole + i));
  tail.setUint8(rest, 0x80);
  for (let i = rest + 1; i < padded - 4; i++) tail.setUint8(i, 0);
  // Messages are far below 2^29 bytes, so the upper word of the length in bits stays 0.
  tail.setUint32(padded - 4, (before + bytes) * 8);
  compress(tail, 0);
  if (padded === 2 * BLOCK) compress(tail, BLOCK);
}

/** SHA-1 of bytes, for keys longer than a block. */
function sha1(bytes: Uint8Array): Uint8Array {
  h.set(INITIAL);
  finish(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, bytes.length, 0);
  const digest = new DataView(new ArrayBuffer(DIGEST_BYTES));
  for (let i = 0; i < STATE_WORDS; i++) digest.setInt32(4 * i, h[i]!);
  return new Uint8Array(digest.buffer);
}

/**
 * RFC 2104 section 4: the states after the key xor ipad and the key xor opad block, as words at `out[at..]`, inner
 * first.
 * @param key any length; an SA's is 20 bytes (RFC 2404)
 */
export function hmacStates(key: Uint8Array, out: Uint32Array, at: number): void {
  const short = key.length > BLOCK ? sha1(key) : key;
  const block = new DataView(new ArrayBuffer(BLOCK));
  for (const [index, pad] of [0x36, 0x5c].entries()) {
    for (let i = 0; i < BLOCK; i++) block.setUint8(i, (short[i] ?? 0) ^ pad);
    h.set(INITIAL);
    compress(block, 0);
    for (let i = 0; i < STATE_WORDS; i++) out[at + index * STATE_WORDS + i] = h[i]!;
  }
}

/**
 * HMAC-SHA1 of `bytes` bytes from `at` on.
 * @param states of the key, from word `stateAt` on ({@link hmacStates})
 * @param digest receives the five words of the whole digest; RFC 2404 uses the first three
 */
export function hmacSha1(
  view: DataView,
  at: number,
  bytes: number,
  states: Uint32Array,
  stateAt: number,
  digest: Uint32Array,
): void {
  for (let i = 0; i < STATE_WORDS; i++) h[i] = states[stateAt + i]!;
  finish(view, at, bytes, BLOCK);
  for (let i = 0; i < STATE_WORDS; i++) inner.setInt32(4 * i, h[i]!);
  for (let i = 0; i < STATE_WORDS; i++) h[i] = states[stateAt + STATE_WORDS + i]!;
  finish(inner, 0, DIGEST_BYTES, BLOCK);
  for (let i = 0; i < STATE_WORDS; i++) digest[i] = h[i]!;
}
