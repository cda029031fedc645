/** The port that takes everything and sends it nowhere, for measuring what comes before it. */
import type { TxPort } from "./port.js";

export function openNullTx(): TxPort {
  return {
    transmit() {},
    flush() {},
    async close() {},
  };
}
