import type { CreateContext } from "../../../runtime/chain/nf.js";
import { Arena, DATA_OFFSET, PARAM_WORDS, SLOT_SIZE } from "../../../runtime/packet/arena.js";
import { ESN_BIT, ESP, KEYS, OP, PARAM } from "../layout.js";
import { expandKey, invertKey } from "./aes.js";
import type { EspCrypto, EspCryptoFactory } from "./esp-crypto.js";
import { IpsecMbCrypto } from "./ipsec-mb.js";
import { loadIpsecMb } from "./ipsec-mb-library.js";
import { PortableCrypto } from "./portable.js";
import { hmacStates } from "./sha1.js";

const portable: EspCryptoFactory = (arena, keys) => new PortableCrypto(arena, keys);

/** The best back end there is: intel-ipsec-mb, else plain TypeScript, which says so in one line. */
export function openCrypto(context: CreateContext, keys: Uint32Array): EspCrypto {
  if (context.portable) return portable(context.arena, keys);
  const library = loadIpsecMb();
  const remedy = "apt-get install libipsec-mb1";
  const fallBack = (why: string) => {
    context.warn(`${context.name}: ${why}; AES and SHA-1 run in TypeScript, many times slower (remedy: ${remedy})`);
    return portable(context.arena, keys);
  };
  if (typeof library === "string") return fallBack(library);
  const native: EspCryptoFactory = (arena, table) => new IpsecMbCrypto(library, arena, table);
  if (!sameAnswer(native, portable)) return fallBack(`libIPSec_MB.so.1 ${library.version} gives wrong answers here`);
  return native(context.arena, keys);
}

/**
 * Structure layouts of a library that is not ours are worth a question before they get packets: one packet, sealed by
 * both back ends, verified and decrypted again.
 */
function sameAnswer(native: EspCryptoFactory, plain: EspCryptoFactory): boolean {
  const keys = new Uint32Array(KEYS.WORDS);
  expandKey(
    new Uint8Array(16).map((_, i) => i),
    keys,
    KEYS.ENCRYPT,
  );
  invertKey(keys, KEYS.ENCRYPT, keys, KEYS.DECRYPT);
  hmacStates(
    new Uint8Array(20).map((_, i) => 0xf0 ^ i),
    keys,
    KEYS.INNER,
  );
  const arena = Arena.create(2);
  const cipherBytes = 80;
  const both = Uint32Array.of(0, 1);
  for (const slot of both) {
    for (let i = 0; i < ESP.CIPHER + cipherBytes; i++) arena.u8[slot * SLOT_SIZE + DATA_OFFSET + i] = i * 7;
    arena.params.set([OP.SEAL | ESN_BIT, DATA_OFFSET | (cipherBytes << 16), 1, 2, 0], slot * PARAM_WORDS);
  }
  const a = native(arena, keys);
  const b = plain(arena, keys);
  const first = both.subarray(0, 1);
  a.transform(first, 1);
  b.transform(both.subarray(1), 1);
  const bytes = (slot: number) => Buffer.from(arena.u8.subarray(slot * SLOT_SIZE, (slot + 1) * SLOT_SIZE));
  let same = bytes(0).equals(bytes(1));
  arena.params[PARAM.TASK] = OP.VERIFY | ESN_BIT;
  a.transform(first, 1);
  same &&= arena.params[PARAM.VERDICT] === 1 && bytes(0).equals(bytes(1));
  a.decrypt(first, 1);
  b.decrypt(both.subarray(1), 1);
  same &&= bytes(0).equals(bytes(1));
  a.close();
  arena.free();
  return same;
}
