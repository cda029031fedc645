import type { Arena } from "../../../runtime/packet/arena.js";

/**
 * A back end: what this NF does with keys, a batch at a time. All back ends write the same bytes. Which slot wants what
 * stands in `arena.params` (see layout.ts); slots whose OP is neither SEAL nor VERIFY are passed over.
 */
export interface EspCrypto {
  /** Name and version, as `run` reports it. */
  readonly engine: string;
  /**
   * The transform of the NF. SEAL: encrypts in place and writes the ICV. VERIFY: compares the ICV in constant time,
   * writes VERDICT, leaves the packet as it is.
   */
  transform(slots: Uint32Array, count: number): void;
  /** Decrypts the ciphertext of slots[0, count) in place, whatever their OP. */
  decrypt(slots: Uint32Array, count: number): void;
  /** Undoes {@link decrypt} byte for byte: CBC with the same IV gives the same ciphertext. */
  encrypt(slots: Uint32Array, count: number): void;
  /** Releases native memory. */
  close(): void;
}

/** @param keys one record of KEYS.WORDS words for each SA, in the order of the file */
export type EspCryptoFactory = (arena: Arena, keys: Uint32Array) => EspCrypto;
