/** What values of the generator's options mean; without the schema, which the threads that make traffic do not need. */
import ipaddr from "ipaddr.js";

/** Bytes of the shortest frame on Ethernet, without FCS. */
export const MIN_FRAME = 60;

export interface Prefix {
  /** Network byte order, 4 or 16 bytes. */
  readonly bytes: readonly number[];
  readonly length: number;
}

/** `ADDRESS` or `ADDRESS/LENGTH`; undefined where it is neither. */
export function parsePrefix(text: string): Prefix | undefined {
  try {
    const [address, length] = text.includes("/") ? ipaddr.parseCIDR(text) : [ipaddr.parse(text), undefined];
    // ipaddr.js also takes "10.1": an address is written out in full here.
    if (address.kind() === "ipv4" && text.split("/")[0]!.split(".").length !== 4) return undefined;
    const bytes = address.toByteArray();
    return { bytes, length: length ?? bytes.length * 8 };
  } catch {
    return undefined;
  }
}

/** A port or `LOW-HIGH`; undefined where it is neither. */
export function parsePorts(value: number | string): readonly [low: number, high: number] | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(value));
  if (match === null) return undefined;
  const low = Number(match[1]);
  const high = Number(match[2] ?? match[1]);
  return low <= high && high <= 65535 ? [low, high] : undefined;
}
