/**
 * Layouts the parts of this NF share, each written once: the ESP packet, the parameters from prepare to transform, and
 * the key table. kernels/ipsec.* have the numbers of the last two once more.
 */
import { SCHEDULE_WORDS } from "./crypto/aes.js";
import { STATE_WORDS } from "./crypto/sha1.js";

/** RFC 4303 section 2; RFC 3602 (IV, block), RFC 2404 (ICV). Offsets in bytes from the ESP header. */
export const ESP = {
  SPI: 0,
  SEQ: 4,
  IV: 8,
  /** First byte of the ciphertext. */
  CIPHER: 24,
  BLOCK_BYTES: 16,
  /** Pad length and next header, at the end of the plaintext. */
  TRAILER_BYTES: 2,
  ICV_BYTES: 12,
  /** Header, IV, one block, ICV. */
  MIN_BYTES: 52,
} as const;

/** Bytes outbound puts in front of the inner packet: IPv4 header without options, ESP header, IV. */
export const TUNNEL_BYTES = 44;

/**
 * Words of `arena.params` for a slot, from prepare to transform; all that transform needs beside packet bytes and the
 * key table. Two words hold several fields each, because writing and reading them again is a good part of what prepare
 * costs.
 */
export const PARAM = {
  /**
   * One of {@link OP} in bits 0-2, {@link ESN_BIT}, and from bit {@link SA_SHIFT} on the SA's index in the file, hence
   * in the key table.
   */
  TASK: 0,
  /**
   * Bits 0-15: first byte of the ESP header, from the start of the slot. Bits 16-31: bytes of ciphertext, a multiple of
   * 16. The IV stands in front of it, the ICV behind it.
   */
  PLACE: 1,
  /** Sequence number. */
  SEQ_LOW: 2,
  SEQ_HIGH: 3,
  /** Written by transform for VERIFY, by a kernel for OPEN: 1 where the ICV is good, else 0. */
  VERDICT: 4,
} as const;

export const OP_MASK = 7;
/** SEQ_HIGH, in network order, follows the ciphertext in what the ICV covers (RFC 4303 section 2.2.1). */
export const ESN_BIT = 8;
export const SA_SHIFT = 4;

export const OP = {
  NONE: 0,
  /** Encrypt, then write the ICV. */
  SEAL: 1,
  /** Check the ICV; bytes stay as they are. */
  VERIFY: 2,
  /** Inbound, but already in the window when prepare looked: nothing to compute. finish decides. */
  SEEN: 3,
  /** On a GPU, in place of VERIFY: check the ICV, and where it is good decrypt in place. CPU back ends pass over it. */
  OPEN: 4,
} as const;

/**
 * Words of the key table for an SA. All words are values, not bytes: big-endian as FIPS 197 and FIPS 180-4 read them.
 */
export const KEYS = {
  ENCRYPT: 0,
  DECRYPT: SCHEDULE_WORDS,
  /** HMAC state after the inner key block, and after the outer. */
  INNER: 2 * SCHEDULE_WORDS,
  OUTER: 2 * SCHEDULE_WORDS + STATE_WORDS,
  WORDS: 2 * SCHEDULE_WORDS + 2 * STATE_WORDS,
} as const;
