/*
 * ipsec: ESP with AES-128-CBC and HMAC-SHA1-96 (RFC 4303, 3602, 2404), one packet per thread, both directions.
 *
 * SEAL encrypts in place and writes the ICV. OPEN computes the ICV, compares all of it, says in VERDICT whether it is good, and only then
 * decrypts in place: bytes of a packet that is not authentic stay as they are. With extended sequence numbers SEQ_HIGH is part of what the
 * ICV covers, but is never written.
 *
 * params and key table as in nfs/ipsec/layout.ts. WB_PARAM_PLACE: first byte of the ESP header, and bytes up to the end of the ICV.
 * Nothing outside these bytes is written; of what surrounds them, at most the rest of the first word is read.
 *
 * AES is four look-up tables per direction in local memory (each is the one before, rotated): on a GPU that is the memory made for
 * look-ups whose addresses differ from thread to thread. The frame may begin anywhere in the slot (usually 2 bytes behind a multiple of
 * 4), but global memory is read and written in aligned words, four at a time, and by SEAL only once: ciphertext goes into the MAC as it
 * comes out of the cipher. Addresses of look-ups depend on the key, which can tell it to others on the same device (see aes.ts).
 *
 * Tried on PoCL, x86-64, 1,024 packets of 64 to 1,472 bytes, speed against this: one table and rotations 0.97 (SEAL) and 0.89 (OPEN);
 * SHA-1's schedule word by word 0.93 to 1, in an array of 80 words 0.8; a pass of its own for the MAC 0.95 to 1.05; AES rounds of the
 * next four blocks in between the steps of SHA-1 0.93 to 0.97; 16-bit access 0.75; byte-wise access 1 to 1.05, because this compiler
 * makes unaligned words of it, as one for a GPU cannot.
 */

/* Words of params, and TASK's parts: PARAM, OP, ESN_BIT, SA_SHIFT of layout.ts. */
#define IPSEC_TASK 0
#define IPSEC_SEQ_HIGH 3
#define IPSEC_VERDICT 4
#define IPSEC_OP_MASK 7u
#define IPSEC_SEAL 1u
#define IPSEC_OPEN 4u
#define IPSEC_ESN_SHIFT 3
#define IPSEC_SA_SHIFT 4

/* Words of an SA in the key table: KEYS of layout.ts. */
#define IPSEC_KEYS_DECRYPT 44
#define IPSEC_KEYS_INNER 88
#define IPSEC_KEYS_OUTER 93
#define IPSEC_KEYS_WORDS 98

/* Words of ESP header and IV, in front of the ciphertext; bytes of them and of the ICV. */
#define IPSEC_CIPHER_WORD 6
#define IPSEC_AROUND_BYTES 36u

/* Local memory: TE and its three rotations, TD and its three, the inverse S-box in bytes. */
#define IPSEC_TD_WORD 1024
#define IPSEC_BOX_WORD 2048
#define NF_IPSEC_LOCAL_WORDS (2048 + 64)

#if defined(__x86_64__)
/* PoCL: the vectorizer would make gathers of neighbouring look-ups, which takes 1.6 times as long. */
#define IPSEC_LOCAL __local const volatile
#else
#define IPSEC_LOCAL __local const
#endif

#define IPSEC_INLINE static inline __attribute__((always_inline))

IPSEC_INLINE void nf_ipsec_init(__local uint *local_words, uint thread, uint threads) {
  __local uchar *box = (__local uchar *)(local_words + IPSEC_BOX_WORD);
  for (uint x = thread; x < 256; x += threads) {
    const uint e = IPSEC_TE[x];
    const uint d = IPSEC_TD[x];
    for (uint k = 0; k < 4; k++) {
      local_words[256 * k + x] = rotate(e, 32 - 8 * k);
      local_words[IPSEC_TD_WORD + 256 * k + x] = rotate(d, 32 - 8 * k);
    }
    box[x] = (uchar)(d ^ (d >> 8) ^ (d >> 16) ^ (d >> 24));
  }
}

/* Bytes of a big-endian word. */
#define IPSEC_B0(x) ((x) >> 24)
#define IPSEC_B1(x) (((x) >> 16) & 0xff)
#define IPSEC_B2(x) (((x) >> 8) & 0xff)
#define IPSEC_B3(x) ((x) & 0xff)

/* A table is a pointer of its own, not an index with 256 added: that costs an instruction for each look-up. */
#define IPSEC_TE_AT(n, x) (tables + 256 * (n))[x]
#define IPSEC_TD_AT(n, x) (tables + IPSEC_TD_WORD + 256 * (n))[x]
#define IPSEC_COLUMN(T, a, b, c, d, key) \
  (T(0, IPSEC_B0(a)) ^ T(1, IPSEC_B1(b)) ^ T(2, IPSEC_B2(c)) ^ T(3, IPSEC_B3(d)) ^ (key))

/* One round from columns s to columns t; ShiftRows goes the other way in decryption. */
#define IPSEC_ROUND(k, s0, s1, s2, s3, t0, t1, t2, t3)          \
  t0 = IPSEC_COLUMN(IPSEC_TE_AT, s0, s1, s2, s3, key[4 * (k)]);     \
  t1 = IPSEC_COLUMN(IPSEC_TE_AT, s1, s2, s3, s0, key[4 * (k) + 1]); \
  t2 = IPSEC_COLUMN(IPSEC_TE_AT, s2, s3, s0, s1, key[4 * (k) + 2]); \
  t3 = IPSEC_COLUMN(IPSEC_TE_AT, s3, s0, s1, s2, key[4 * (k) + 3]);
#define IPSEC_INVERSE_ROUND(k, s0, s1, s2, s3, t0, t1, t2, t3)  \
  t0 = IPSEC_COLUMN(IPSEC_TD_AT, s0, s3, s2, s1, key[4 * (k)]);     \
  t1 = IPSEC_COLUMN(IPSEC_TD_AT, s1, s0, s3, s2, key[4 * (k) + 1]); \
  t2 = IPSEC_COLUMN(IPSEC_TD_AT, s2, s1, s0, s3, key[4 * (k) + 2]); \
  t3 = IPSEC_COLUMN(IPSEC_TD_AT, s3, s2, s1, s0, key[4 * (k) + 3]);

/* Last rounds have no MixColumns. S stands in TE words, so in each of them at the place where it is wanted. */
#define IPSEC_LAST(a, b, c, d)                                                                       \
  ((IPSEC_TE_AT(2, IPSEC_B0(a)) & 0xff000000u) | (IPSEC_TE_AT(3, IPSEC_B1(b)) & 0x00ff0000u) |       \
   (IPSEC_TE_AT(0, IPSEC_B2(c)) & 0x0000ff00u) | (IPSEC_TE_AT(1, IPSEC_B3(d)) & 0x000000ffu))
#define IPSEC_INVERSE_LAST(a, b, c, d)                                                               \
  (((uint)box[IPSEC_B0(a)] << 24) | ((uint)box[IPSEC_B1(b)] << 16) | ((uint)box[IPSEC_B2(c)] << 8) | \
   (uint)box[IPSEC_B3(d)])

/* Rounds 1 to 9, from x0..x3 to y0..y3; x0..x3 change. */
#define IPSEC_NINE_ROUNDS(ROUND)           \
  ROUND(1, x0, x1, x2, x3, y0, y1, y2, y3) \
  ROUND(2, y0, y1, y2, y3, x0, x1, x2, x3) \
  ROUND(3, x0, x1, x2, x3, y0, y1, y2, y3) \
  ROUND(4, y0, y1, y2, y3, x0, x1, x2, x3) \
  ROUND(5, x0, x1, x2, x3, y0, y1, y2, y3) \
  ROUND(6, y0, y1, y2, y3, x0, x1, x2, x3) \
  ROUND(7, x0, x1, x2, x3, y0, y1, y2, y3) \
  ROUND(8, y0, y1, y2, y3, x0, x1, x2, x3) \
  ROUND(9, x0, x1, x2, x3, y0, y1, y2, y3)

/* FIPS 180-4 section 6.1.2: eighty steps over v0..v3, the sixteen words of a block, which are written over by those of the schedule. */
#define IPSEC_CHOOSE(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define IPSEC_PARITY(b, c, d) ((b) ^ (c) ^ (d))
#define IPSEC_MAJORITY(b, c, d) (((b) & (c)) | ((d) & ((b) | (c))))
#define IPSEC_STEP(F, word, a, b, c, d, e) \
  e += F(b, c, d) + (word);                \
  e += rotate(a, 5u);                      \
  b = rotate(b, 30u);
#define IPSEC_FOUR(F, K, v, a, b, c, d, e)   \
  {                                          \
    const uint4 word = v + (uint4)(K);       \
    IPSEC_STEP(F, word.x, a, b, c, d, e)     \
    IPSEC_STEP(F, word.y, e, a, b, c, d)     \
    IPSEC_STEP(F, word.z, d, e, a, b, c)     \
    IPSEC_STEP(F, word.w, c, d, e, a, b)     \
  }
/* The next four words, in place of p. The last depends on the first, which is made up for afterwards. */
#define IPSEC_SCHEDULE(p, q, r, s)                                                             \
  {                                                                                            \
    const uint4 most = rotate((uint4)(s.yzw, 0) ^ r ^ (uint4)(p.zw, q.xy) ^ p, (uint4)(1));    \
    p = most ^ (uint4)(0, 0, 0, rotate(most.x, 1u));                                           \
  }
/* Sixteen steps. Afterwards the five variables have moved on by one. */
#define IPSEC_FIRST(F, K, a, b, c, d, e)                                                       \
  IPSEC_FOUR(F, K, v0, a, b, c, d, e)                                                          \
  IPSEC_FOUR(F, K, v1, b, c, d, e, a)                                                          \
  IPSEC_FOUR(F, K, v2, c, d, e, a, b)                                                          \
  IPSEC_FOUR(F, K, v3, d, e, a, b, c)
#define IPSEC_SIXTEEN(F0, K0, F1, K1, F2, K2, F3, K3, a, b, c, d, e)                           \
  IPSEC_SCHEDULE(v0, v1, v2, v3) IPSEC_FOUR(F0, K0, v0, a, b, c, d, e)                         \
  IPSEC_SCHEDULE(v1, v2, v3, v0) IPSEC_FOUR(F1, K1, v1, b, c, d, e, a)                         \
  IPSEC_SCHEDULE(v2, v3, v0, v1) IPSEC_FOUR(F2, K2, v2, c, d, e, a, b)                         \
  IPSEC_SCHEDULE(v3, v0, v1, v2) IPSEC_FOUR(F3, K3, v3, d, e, a, b, c)
#define IPSEC_K0 0x5a827999u
#define IPSEC_K1 0x6ed9eba1u
#define IPSEC_K2 0x8f1bbcdcu
#define IPSEC_K3 0xca62c1d6u
#define IPSEC_EIGHTY                                                                                                        \
  IPSEC_FIRST(IPSEC_CHOOSE, IPSEC_K0, a, b, c, d, e)                                                                        \
  IPSEC_SIXTEEN(IPSEC_CHOOSE, IPSEC_K0, IPSEC_PARITY, IPSEC_K1, IPSEC_PARITY, IPSEC_K1, IPSEC_PARITY, IPSEC_K1, e, a, b, c, d) \
  IPSEC_SIXTEEN(IPSEC_PARITY, IPSEC_K1, IPSEC_PARITY, IPSEC_K1, IPSEC_MAJORITY, IPSEC_K2, IPSEC_MAJORITY, IPSEC_K2, d, e, a, b, c) \
  IPSEC_SIXTEEN(IPSEC_MAJORITY, IPSEC_K2, IPSEC_MAJORITY, IPSEC_K2, IPSEC_MAJORITY, IPSEC_K2, IPSEC_PARITY, IPSEC_K3, c, d, e, a, b) \
  IPSEC_SIXTEEN(IPSEC_PARITY, IPSEC_K3, IPSEC_PARITY, IPSEC_K3, IPSEC_PARITY, IPSEC_K3, IPSEC_PARITY, IPSEC_K3, b, c, d, e, a)

/* Native words to big-endian ones and back. */
IPSEC_INLINE uint4 ipsec_swap(uint4 words) { return as_uint4(as_uchar16(words).s32107654ba98fedc); }

/* Four big-endian words that begin `shift` bits (0, 8, 16, 24) into the aligned word at `at`. */
IPSEC_INLINE uint4 ipsec_read(__global const uint *at, uint shift) {
  return ipsec_swap((vload4(0, at) >> shift) | ((vload4(0, at + 1) << 1) << (31 - shift)));
}

/* Writes them there, except what of the last lies in the aligned word behind: that is written with the next four, or by
 * ipsec_write_rest. `rest` is the native word in front of them, to be written in part; returns the next one's. */
IPSEC_INLINE uint ipsec_write(__global uint *at, uint shift, uint rest, uint4 words) {
  const uint4 native = ipsec_swap(words);
  vstore4((native << shift) | (((uint4)(rest, native.xyz) >> 1) >> (31 - shift)), 0, at);
  return native.w;
}

IPSEC_INLINE void ipsec_write_rest(__global uint *at, uint shift, uint rest) {
  __global uchar *bytes = (__global uchar *)at;
  for (uint i = 0; 8 * i < shift; i++) bytes[i] = (uchar)(rest >> (32 - shift + 8 * i));
}

/* `at`: the aligned word in which the IV begins. `key`: the round keys of the inverse cipher. */
IPSEC_INLINE void ipsec_decrypt(__global uint *at, uint shift, uint blocks, __global const uint *key, IPSEC_LOCAL uint *tables) {
  IPSEC_LOCAL uchar *box = (IPSEC_LOCAL uchar *)(tables + IPSEC_BOX_WORD);
  uint4 before = ipsec_read(at, shift);
  uint rest = wb_swap32(before.w);
  at += 4;
  for (uint block = 0; block < blocks; block++, at += 4) {
    const uint4 given = ipsec_read(at, shift);
    const uint4 x = given ^ vload4(0, key);
    uint x0 = x.x, x1 = x.y, x2 = x.z, x3 = x.w;
    uint y0, y1, y2, y3;
    IPSEC_NINE_ROUNDS(IPSEC_INVERSE_ROUND)
    x0 = IPSEC_INVERSE_LAST(y0, y3, y2, y1);
    x1 = IPSEC_INVERSE_LAST(y1, y0, y3, y2);
    x2 = IPSEC_INVERSE_LAST(y2, y1, y0, y3);
    x3 = IPSEC_INVERSE_LAST(y3, y2, y1, y0);
    rest = ipsec_write(at, shift, rest, (uint4)(x0, x1, x2, x3) ^ vload4(10, key) ^ before);
    before = given;
  }
  ipsec_write_rest(at, shift, rest);
}

IPSEC_INLINE void nf_ipsec(__global uchar *slot, __global uint *params, __global const uint *table, __local const uint *local_words) {
  IPSEC_LOCAL uint *tables = local_words;
  const uint task = params[IPSEC_TASK];
  const uint op = task & IPSEC_OP_MASK;
  if (op != IPSEC_SEAL && op != IPSEC_OPEN) return;
  const uint place = params[WB_PARAM_PLACE];
  const uint esp = place & 0xffff;
  const uint bytes = (place >> 16) - IPSEC_AROUND_BYTES;
  const uint blocks = bytes / 16;
  __global const uint *key = table + (task >> IPSEC_SA_SHIFT) * IPSEC_KEYS_WORDS;

  /* The message the MAC covers: packet words, SEQ_HIGH with ESN, then padding (a bit, zeros, length in bits) up to whole SHA-1 blocks. */
  const uint words = IPSEC_CIPHER_WORD + bytes / 4 + ((task >> IPSEC_ESN_SHIFT) & 1);
  const uint all = (words + 3 + 15) & ~15u;
  const uint high = params[IPSEC_SEQ_HIGH];

  __global uint *at = (__global uint *)(slot + (esp & ~3u));
  const uint shift = (esp & 3) * 8;
  /* The last words of the message so far. The ciphertext begins with word 6, so two words of each of its blocks wait for the next. */
  uint4 v0 = 0, v1 = 0, v2 = 0, v3 = ipsec_read(at, shift);
  const uint4 iv = ipsec_read(at + 2, shift);
  uint2 left = iv.zw;
  uint x0 = iv.x, x1 = iv.y, x2 = iv.z, x3 = iv.w;
  uint rest = wb_swap32(iv.w);
  at += IPSEC_CIPHER_WORD;
  uint h0 = key[IPSEC_KEYS_INNER], h1 = key[IPSEC_KEYS_INNER + 1], h2 = key[IPSEC_KEYS_INNER + 2];
  uint h3 = key[IPSEC_KEYS_INNER + 3], h4 = key[IPSEC_KEYS_INNER + 4];

  for (uint block = 0, word = IPSEC_CIPHER_WORD; word < all; block++) {
    uint4 next;
    if (block < blocks) {
      next = ipsec_read(at, shift);
      if (op == IPSEC_SEAL) {
        uint y0, y1, y2, y3;
        next ^= vload4(0, key);
        x0 ^= next.x;
        x1 ^= next.y;
        x2 ^= next.z;
        x3 ^= next.w;
        IPSEC_NINE_ROUNDS(IPSEC_ROUND)
        x0 = IPSEC_LAST(y0, y1, y2, y3) ^ key[40];
        x1 = IPSEC_LAST(y1, y2, y3, y0) ^ key[41];
        x2 = IPSEC_LAST(y2, y3, y0, y1) ^ key[42];
        x3 = IPSEC_LAST(y3, y0, y1, y2) ^ key[43];
        next = (uint4)(x0, x1, x2, x3);
        rest = ipsec_write(at, shift, rest, next);
      }
      at += 4;
    } else {
#define IPSEC_PADDING(n) \
  ((n) == words ? 0x80000000u : (n) == words - 1 ? high : (n) == all - 1 ? (64 + 4 * words) * 8 : 0)
      next = (uint4)(IPSEC_PADDING(word), IPSEC_PADDING(word + 1), IPSEC_PADDING(word + 2), IPSEC_PADDING(word + 3));
    }
    word += 4;
    v0 = v1;
    v1 = v2;
    v2 = v3;
    v3 = (uint4)(left, next.xy);
    left = next.zw;
    if ((block & 3) != 2) continue;
    for (bool outer = false;; outer = true) {
      uint a = h0, b = h1, c = h2, d = h3, e = h4;
      IPSEC_EIGHTY
      h0 += a;
      h1 += b;
      h2 += c;
      h3 += d;
      h4 += e;
      if (word < all || outer) break;
      /* RFC 2104: the outer hash, of the inner one's digest. */
      v0 = (uint4)(h0, h1, h2, h3);
      v1 = (uint4)(h4, 0x80000000u, 0, 0);
      v2 = (uint4)(0);
      v3 = (uint4)(0, 0, 0, (64 + 20) * 8);
      h0 = key[IPSEC_KEYS_OUTER];
      h1 = key[IPSEC_KEYS_OUTER + 1];
      h2 = key[IPSEC_KEYS_OUTER + 2];
      h3 = key[IPSEC_KEYS_OUTER + 3];
      h4 = key[IPSEC_KEYS_OUTER + 4];
    }
  }

  __global uchar *icv = slot + esp + 4 * IPSEC_CIPHER_WORD + bytes;
  if (op == IPSEC_SEAL) {
    ipsec_write_rest(at, shift, rest);
    wb_store_be32(icv, h0);
    wb_store_be32(icv + 4, h1);
    wb_store_be32(icv + 8, h2);
  } else {
    const uint differs = (wb_load_be32(icv) ^ h0) | (wb_load_be32(icv + 4) ^ h1) | (wb_load_be32(icv + 8) ^ h2);
    params[IPSEC_VERDICT] = differs == 0;
    if (differs == 0) {
      __global uint *first = (__global uint *)(slot + (esp & ~3u)) + 2;
      ipsec_decrypt(first, shift, blocks, key + IPSEC_KEYS_DECRYPT, tables);
    }
  }
}
