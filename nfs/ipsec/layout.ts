/**
 * Layouts the parts of this NF share, each written once: the ESP packet, the parameters from prepare to transform, and the key table.
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

/** Words of `arena.params` for a slot, from prepare to transform; all that transform needs beside packet bytes and the key table. */
export const PARAM = {
  /** What transform is to do: one of {@link OP}. */
  OP: 0,
  /** Index of the SA in the file, hence in the key table. */
  SA: 1,
  /** First byte of the ESP header, from the start of the slot. */
  ESP: 2,
  /** Bytes of ciphertext, a multiple of 16. The IV stands in front of it, the ICV behind it. */
  CIPHER_BYTES: 3,
  /** Sequence number. */
  SEQ_LOW: 4,
  SEQ_HIGH: 5,
  /** 1: SEQ_HIGH, in network order, follows the ciphertext in what the ICV covers (RFC 4303 section 2.2.1). */
  ESN: 6,
  /** Written by transform for VERIFY: 1 where the ICV is good. */
  VERDICT: 7,
} as const;

export const OP = {
  NONE: 0,
  /** Encrypt, then write the ICV. */
  SEAL: 1,
  /** Check the ICV; bytes stay as they are. */
  VERIFY: 2,
  /** Inbound, but already in the window when prepare looked: nothing to compute. finish decides. */
  SEEN: 3,
} as const;

/** Words of the key table for an SA. All words are values, not bytes: big-endian as FIPS 197 and FIPS 180-4 read them. */
export const KEYS = {
  ENCRYPT: 0,
  DECRYPT: SCHEDULE_WORDS,
  /** HMAC state after the inner key block, and after the outer. */
  INNER: 2 * SCHEDULE_WORDS,
  OUTER: 2 * SCHEDULE_WORDS + STATE_WORDS,
  WORDS: 2 * SCHEDULE_WORDS + 2 * STATE_WORDS,
} as const;

/**
 * Words of the record outbound keeps of each packet of a batch while it is at work. One array and not one for each field, because the
 * compiler checks every array anew in every turn of a long loop.
 */
export const WORK = {
  /** log2 of the words of a record. */
  SHIFT: 4,
  SLOT: 0,
  /** Number of the outbound SA that selects the packet, or how many there are where none does. */
  ANSWER: 1,
  /** Place in the batch. */
  PLACE: 2,
  /** Indices of bytes in the arena: frame, inner packet, and its end. */
  FRAME: 3,
  INNER: 4,
  END: 5,
  /** First word of the SA's record. */
  RECORD: 6,
  /** Position of the SA in the file. */
  INDEX: 7,
  SEQ_LOW: 8,
  SEQ_HIGH: 9,
  CIPHER_BYTES: 10,
} as const;
