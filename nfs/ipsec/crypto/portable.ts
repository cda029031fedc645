/** The back end without native libraries: one packet after the other through aes.ts and sha1.ts. */
import { type Arena, PARAM_WORDS, SLOT_SHIFT } from "../../../runtime/packet/arena.js";
import { ESN_BIT, ESP, KEYS, OP, OP_MASK, PARAM, SA_SHIFT } from "../layout.js";
import { decryptCbc, encryptCbc } from "./aes.js";
import type { EspCrypto } from "./esp-crypto.js";
import { hmacSha1, STATE_WORDS } from "./sha1.js";

export class PortableCrypto implements EspCrypto {
  readonly engine = "aes-sha1 in TypeScript";
  private readonly digest = new Uint32Array(STATE_WORDS);

  constructor(
    private readonly arena: Arena,
    private readonly keys: Uint32Array,
  ) {}

  transform(slots: Uint32Array, count: number): void {
    const { params } = this.arena;
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const op = params[slot * PARAM_WORDS + PARAM.TASK]! & OP_MASK;
      if (op === OP.SEAL) this.seal(slot);
      else if (op === OP.VERIFY) this.verify(slot);
    }
  }

  private seal(slot: number): void {
    const { view } = this.arena;
    this.encryptSlot(slot);
    const icv = this.mac(slot);
    for (let i = 0; i < ESP.ICV_BYTES / 4; i++) view.setUint32(icv + 4 * i, this.digest[i]!);
  }

  private verify(slot: number): void {
    const { view, params } = this.arena;
    const icv = this.espAt(slot) + ESP.CIPHER + this.cipherBytes(slot);
    const first = view.getUint32(icv);
    this.mac(slot);
    view.setUint32(icv, first); // mac() lays the high sequence number over it
    // RFC 4303 asks for no early exit: all three words are compared whatever the first one says.
    const difference =
      (first ^ this.digest[0]!) |
      (view.getUint32(icv + 4) ^ this.digest[1]!) |
      (view.getUint32(icv + 8) ^ this.digest[2]!);
    params[slot * PARAM_WORDS + PARAM.VERDICT] = difference === 0 ? 1 : 0;
  }

  /** Leaves the HMAC in `digest` and returns where the ICV stands; with ESN overwrites the first ICV word. */
  private mac(slot: number): number {
    const { view, params } = this.arena;
    const p = slot * PARAM_WORDS;
    const esp = this.espAt(slot);
    let bytes = ESP.CIPHER + this.cipherBytes(slot);
    const icv = esp + bytes;
    if ((params[p + PARAM.TASK]! & ESN_BIT) !== 0) {
      view.setUint32(icv, params[p + PARAM.SEQ_HIGH]!);
      bytes += 4;
    }
    hmacSha1(view, esp, bytes, this.keys, this.keyAt(slot) + KEYS.INNER, this.digest);
    return icv;
  }

  private cipherBytes(slot: number): number {
    return this.arena.params[slot * PARAM_WORDS + PARAM.PLACE]! >>> 16;
  }

  private espAt(slot: number): number {
    return (slot << SLOT_SHIFT) + (this.arena.params[slot * PARAM_WORDS + PARAM.PLACE]! & 0xffff);
  }

  /** First word of the SA's record in the key table. */
  private keyAt(slot: number): number {
    return (this.arena.params[slot * PARAM_WORDS + PARAM.TASK]! >>> SA_SHIFT) * KEYS.WORDS;
  }

  private encryptSlot(slot: number): void {
    const esp = this.espAt(slot);
    const key = this.keyAt(slot) + KEYS.ENCRYPT;
    encryptCbc(this.arena.view, esp + ESP.CIPHER, this.cipherBytes(slot), esp + ESP.IV, this.keys, key);
  }

  encrypt(slots: Uint32Array, count: number): void {
    for (let i = 0; i < count; i++) this.encryptSlot(slots[i]!);
  }

  decrypt(slots: Uint32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!;
      const esp = this.espAt(slot);
      const key = this.keyAt(slot) + KEYS.DECRYPT;
      decryptCbc(this.arena.view, esp + ESP.CIPHER, this.cipherBytes(slot), esp + ESP.IV, this.keys, key);
    }
  }

  close(): void {}
}
