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

/* FIPS 197: SubBytes and MixColumns of one byte, as aes.ts computes them: 2S, S, S, 3S from the highest byte on. */
__constant uint IPSEC_TE[256] = {
  0xc66363a5, 0xf87c7c84, 0xee777799, 0xf67b7b8d, 0xfff2f20d, 0xd66b6bbd, 0xde6f6fb1, 0x91c5c554, 0x60303050, 0x02010103,
  0xce6767a9, 0x562b2b7d, 0xe7fefe19, 0xb5d7d762, 0x4dababe6, 0xec76769a, 0x8fcaca45, 0x1f82829d, 0x89c9c940, 0xfa7d7d87,
  0xeffafa15, 0xb25959eb, 0x8e4747c9, 0xfbf0f00b, 0x41adadec, 0xb3d4d467, 0x5fa2a2fd, 0x45afafea, 0x239c9cbf, 0x53a4a4f7,
  0xe4727296, 0x9bc0c05b, 0x75b7b7c2, 0xe1fdfd1c, 0x3d9393ae, 0x4c26266a, 0x6c36365a, 0x7e3f3f41, 0xf5f7f702, 0x83cccc4f,
  0x6834345c, 0x51a5a5f4, 0xd1e5e534, 0xf9f1f108, 0xe2717193, 0xabd8d873, 0x62313153, 0x2a15153f, 0x0804040c, 0x95c7c752,
  0x46232365, 0x9dc3c35e, 0x30181828, 0x379696a1, 0x0a05050f, 0x2f9a9ab5, 0x0e070709, 0x24121236, 0x1b80809b, 0xdfe2e23d,
  0xcdebeb26, 0x4e272769, 0x7fb2b2cd, 0xea75759f, 0x1209091b, 0x1d83839e, 0x582c2c74, 0x341a1a2e, 0x361b1b2d, 0xdc6e6eb2,
  0xb45a5aee, 0x5ba0a0fb, 0xa45252f6, 0x763b3b4d, 0xb7d6d661, 0x7db3b3ce, 0x5229297b, 0xdde3e33e, 0x5e2f2f71, 0x13848497,
  0xa65353f5, 0xb9d1d168, 0x00000000, 0xc1eded2c, 0x40202060, 0xe3fcfc1f, 0x79b1b1c8, 0xb65b5bed, 0xd46a6abe, 0x8dcbcb46,
  0x67bebed9, 0x7239394b, 0x944a4ade, 0x984c4cd4, 0xb05858e8, 0x85cfcf4a, 0xbbd0d06b, 0xc5efef2a, 0x4faaaae5, 0xedfbfb16,
  0x864343c5, 0x9a4d4dd7, 0x66333355, 0x11858594, 0x8a4545cf, 0xe9f9f910, 0x04020206, 0xfe7f7f81, 0xa05050f0, 0x783c3c44,
  0x259f9fba, 0x4ba8a8e3, 0xa25151f3, 0x5da3a3fe, 0x804040c0, 0x058f8f8a, 0x3f9292ad, 0x219d9dbc, 0x70383848, 0xf1f5f504,
  0x63bcbcdf, 0x77b6b6c1, 0xafdada75, 0x42212163, 0x20101030, 0xe5ffff1a, 0xfdf3f30e, 0xbfd2d26d, 0x81cdcd4c, 0x180c0c14,
  0x26131335, 0xc3ecec2f, 0xbe5f5fe1, 0x359797a2, 0x884444cc, 0x2e171739, 0x93c4c457, 0x55a7a7f2, 0xfc7e7e82, 0x7a3d3d47,
  0xc86464ac, 0xba5d5de7, 0x3219192b, 0xe6737395, 0xc06060a0, 0x19818198, 0x9e4f4fd1, 0xa3dcdc7f, 0x44222266, 0x542a2a7e,
  0x3b9090ab, 0x0b888883, 0x8c4646ca, 0xc7eeee29, 0x6bb8b8d3, 0x2814143c, 0xa7dede79, 0xbc5e5ee2, 0x160b0b1d, 0xaddbdb76,
  0xdbe0e03b, 0x64323256, 0x743a3a4e, 0x140a0a1e, 0x924949db, 0x0c06060a, 0x4824246c, 0xb85c5ce4, 0x9fc2c25d, 0xbdd3d36e,
  0x43acacef, 0xc46262a6, 0x399191a8, 0x319595a4, 0xd3e4e437, 0xf279798b, 0xd5e7e732, 0x8bc8c843, 0x6e373759, 0xda6d6db7,
  0x018d8d8c, 0xb1d5d564, 0x9c4e4ed2, 0x49a9a9e0, 0xd86c6cb4, 0xac5656fa, 0xf3f4f407, 0xcfeaea25, 0xca6565af, 0xf47a7a8e,
  0x47aeaee9, 0x10080818, 0x6fbabad5, 0xf0787888, 0x4a25256f, 0x5c2e2e72, 0x381c1c24, 0x57a6a6f1, 0x73b4b4c7, 0x97c6c651,
  0xcbe8e823, 0xa1dddd7c, 0xe874749c, 0x3e1f1f21, 0x964b4bdd, 0x61bdbddc, 0x0d8b8b86, 0x0f8a8a85, 0xe0707090, 0x7c3e3e42,
  0x71b5b5c4, 0xcc6666aa, 0x904848d8, 0x06030305, 0xf7f6f601, 0x1c0e0e12, 0xc26161a3, 0x6a35355f, 0xae5757f9, 0x69b9b9d0,
  0x17868691, 0x99c1c158, 0x3a1d1d27, 0x279e9eb9, 0xd9e1e138, 0xebf8f813, 0x2b9898b3, 0x22111133, 0xd26969bb, 0xa9d9d970,
  0x078e8e89, 0x339494a7, 0x2d9b9bb6, 0x3c1e1e22, 0x15878792, 0xc9e9e920, 0x87cece49, 0xaa5555ff, 0x50282878, 0xa5dfdf7a,
  0x038c8c8f, 0x59a1a1f8, 0x09898980, 0x1a0d0d17, 0x65bfbfda, 0xd7e6e631, 0x844242c6, 0xd06868b8, 0x824141c3, 0x299999b0,
  0x5a2d2d77, 0x1e0f0f11, 0x7bb0b0cb, 0xa85454fc, 0x6dbbbbd6, 0x2c16163a,
};
/* The inverse, of the inverse S-box I: 14I, 9I, 13I, 11I. Their exclusive or is I. */
__constant uint IPSEC_TD[256] = {
  0x51f4a750, 0x7e416553, 0x1a17a4c3, 0x3a275e96, 0x3bab6bcb, 0x1f9d45f1, 0xacfa58ab, 0x4be30393, 0x2030fa55, 0xad766df6,
  0x88cc7691, 0xf5024c25, 0x4fe5d7fc, 0xc52acbd7, 0x26354480, 0xb562a38f, 0xdeb15a49, 0x25ba1b67, 0x45ea0e98, 0x5dfec0e1,
  0xc32f7502, 0x814cf012, 0x8d4697a3, 0x6bd3f9c6, 0x038f5fe7, 0x15929c95, 0xbf6d7aeb, 0x955259da, 0xd4be832d, 0x587421d3,
  0x49e06929, 0x8ec9c844, 0x75c2896a, 0xf48e7978, 0x99583e6b, 0x27b971dd, 0xbee14fb6, 0xf088ad17, 0xc920ac66, 0x7dce3ab4,
  0x63df4a18, 0xe51a3182, 0x97513360, 0x62537f45, 0xb16477e0, 0xbb6bae84, 0xfe81a01c, 0xf9082b94, 0x70486858, 0x8f45fd19,
  0x94de6c87, 0x527bf8b7, 0xab73d323, 0x724b02e2, 0xe31f8f57, 0x6655ab2a, 0xb2eb2807, 0x2fb5c203, 0x86c57b9a, 0xd33708a5,
  0x302887f2, 0x23bfa5b2, 0x02036aba, 0xed16825c, 0x8acf1c2b, 0xa779b492, 0xf307f2f0, 0x4e69e2a1, 0x65daf4cd, 0x0605bed5,
  0xd134621f, 0xc4a6fe8a, 0x342e539d, 0xa2f355a0, 0x058ae132, 0xa4f6eb75, 0x0b83ec39, 0x4060efaa, 0x5e719f06, 0xbd6e1051,
  0x3e218af9, 0x96dd063d, 0xdd3e05ae, 0x4de6bd46, 0x91548db5, 0x71c45d05, 0x0406d46f, 0x605015ff, 0x1998fb24, 0xd6bde997,
  0x894043cc, 0x67d99e77, 0xb0e842bd, 0x07898b88, 0xe7195b38, 0x79c8eedb, 0xa17c0a47, 0x7c420fe9, 0xf8841ec9, 0x00000000,
  0x09808683, 0x322bed48, 0x1e1170ac, 0x6c5a724e, 0xfd0efffb, 0x0f853856, 0x3daed51e, 0x362d3927, 0x0a0fd964, 0x685ca621,
  0x9b5b54d1, 0x24362e3a, 0x0c0a67b1, 0x9357e70f, 0xb4ee96d2, 0x1b9b919e, 0x80c0c54f, 0x61dc20a2, 0x5a774b69, 0x1c121a16,
  0xe293ba0a, 0xc0a02ae5, 0x3c22e043, 0x121b171d, 0x0e090d0b, 0xf28bc7ad, 0x2db6a8b9, 0x141ea9c8, 0x57f11985, 0xaf75074c,
  0xee99ddbb, 0xa37f60fd, 0xf701269f, 0x5c72f5bc, 0x44663bc5, 0x5bfb7e34, 0x8b432976, 0xcb23c6dc, 0xb6edfc68, 0xb8e4f163,
  0xd731dcca, 0x42638510, 0x13972240, 0x84c61120, 0x854a247d, 0xd2bb3df8, 0xaef93211, 0xc729a16d, 0x1d9e2f4b, 0xdcb230f3,
  0x0d8652ec, 0x77c1e3d0, 0x2bb3166c, 0xa970b999, 0x119448fa, 0x47e96422, 0xa8fc8cc4, 0xa0f03f1a, 0x567d2cd8, 0x223390ef,
  0x87494ec7, 0xd938d1c1, 0x8ccaa2fe, 0x98d40b36, 0xa6f581cf, 0xa57ade28, 0xdab78e26, 0x3fadbfa4, 0x2c3a9de4, 0x5078920d,
  0x6a5fcc9b, 0x547e4662, 0xf68d13c2, 0x90d8b8e8, 0x2e39f75e, 0x82c3aff5, 0x9f5d80be, 0x69d0937c, 0x6fd52da9, 0xcf2512b3,
  0xc8ac993b, 0x10187da7, 0xe89c636e, 0xdb3bbb7b, 0xcd267809, 0x6e5918f4, 0xec9ab701, 0x834f9aa8, 0xe6956e65, 0xaaffe67e,
  0x21bccf08, 0xef15e8e6, 0xbae79bd9, 0x4a6f36ce, 0xea9f09d4, 0x29b07cd6, 0x31a4b2af, 0x2a3f2331, 0xc6a59430, 0x35a266c0,
  0x744ebc37, 0xfc82caa6, 0xe090d0b0, 0x33a7d815, 0xf104984a, 0x41ecdaf7, 0x7fcd500e, 0x1791f62f, 0x764dd68d, 0x43efb04d,
  0xccaa4d54, 0xe49604df, 0x9ed1b5e3, 0x4c6a881b, 0xc12c1fb8, 0x4665517f, 0x9d5eea04, 0x018c355d, 0xfa877473, 0xfb0b412e,
  0xb3671d5a, 0x92dbd252, 0xe9105633, 0x6dd64713, 0x9ad7618c, 0x37a10c7a, 0x59f8148e, 0xeb133c89, 0xcea927ee, 0xb761c935,
  0xe11ce5ed, 0x7a47b13c, 0x9cd2df59, 0x55f2733f, 0x1814ce79, 0x73c737bf, 0x53f7cdea, 0x5ffdaa5b, 0xdf3d6f14, 0x7844db86,
  0xcaaff381, 0xb968c43e, 0x3824342c, 0xc2a3405f, 0x161dc372, 0xbce2250c, 0x283c498b, 0xff0d9541, 0x39a80171, 0x080cb3de,
  0xd8b4e49c, 0x6456c190, 0x7bcb8461, 0xd532b670, 0x486c5c74, 0xd0b85742,
};

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
