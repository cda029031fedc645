import { z } from "zod";
import { MAX_BATCH } from "../../packet/batch.js";
import { interfaceKeys } from "../xdp/config.js";
import { MESSAGES } from "./messages.js";

/** Keys of the drivers packet and mmsg. */
export const packetKeys = {
  ...interfaceKeys,
  messages: z
    .int()
    .min(1)
    .max(MAX_BATCH)
    .optional()
    .describe(`packets per system call, 1 to ${MAX_BATCH}; default ${MESSAGES}`),
};

export interface PacketConfig {
  readonly interface: string;
  readonly promiscuous?: boolean | undefined;
  readonly messages?: number | undefined;
}
