import { z } from "zod";
import { addressKeys } from "../addresses.js";

/** Longest interface name (linux/if.h, IFNAMSIZ with its zero). */
const NAME_LIMIT = 15;
const MOST_QUEUES = 1024;
const MOST_ENTRIES = 32768;

/** Keys of every port of a network interface. */
export const interfaceKeys = {
  interface: z.string().min(1).max(NAME_LIMIT).describe("network interface, as ip link shows it"),
  promiscuous: z.boolean().optional().describe("also receive frames for other MAC addresses; default true"),
  ...addressKeys,
};

const powerOfTwo = (n: number) => (n & (n - 1)) === 0;

/** Keys of the xdp driver. */
export const xdpKeys = {
  ...interfaceKeys,
  queue: z
    .int()
    .min(0)
    .max(MOST_QUEUES - 1)
    .optional()
    .describe("receive queue; default: all of them. A port that only sends uses queue 0"),
  mode: z
    .enum(["auto", "native", "skb"])
    .optional()
    .describe("XDP in the driver, or behind it (skb); default auto: native where the driver has it"),
  ring: z
    .int()
    .min(64)
    .max(MOST_ENTRIES)
    .refine(powerOfTwo, "a power of two")
    .optional()
    .describe("entries of each ring, a power of two; default 2048"),
};

export interface XdpConfig {
  readonly interface: string;
  readonly promiscuous?: boolean | undefined;
  readonly queue?: number | undefined;
  readonly mode?: "auto" | "native" | "skb" | undefined;
  readonly ring?: number | undefined;
}
